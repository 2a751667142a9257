"""Batches of regions: each is cut from its own photo, whoever cuts it, and in the order in which it was drawn."""

import numpy as np
import PIL.Image
import pytest
import torch

from incdet.errors import DataError
from incdet.images import read_image
from incdet.networks.weights_record import Preprocessing
from incdet.regions import RegionCropper
from incdet.runtime.distributed import Processes
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.samples.region_batches import region_batches
from incdet.training.samples.region_pool import build_pool
from incdet.training.samples.region_sampler import RegionSampler
from incdet.training.samples.region_sampling_config import RegionSamplingConfig

CPU, SMALL = torch.device("cpu"), Preprocessing(size=96)


def gradient(width, height, blue):
    """A photo that gets redder to the right and greener downwards: every part of it looks different."""
    pixels = np.full((height, width, 3), blue, np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width)
    pixels[:, :, 1] = np.linspace(0, 255, height)[:, None]
    return Image(pixels)


PHOTOS = [gradient(300, 200, 40), gradient(160, 240, 220)]


@pytest.fixture(scope="module")
def sampler():
    """Of both photos, with an object of class 0 in the first and of class 1 in the second."""
    generator, photos = np.random.default_rng(0), []
    for class_id, image in enumerate(PHOTOS):
        corners = generator.uniform(0, 1, (30, 2, 2)) * [image.width, image.height]
        boxes = np.sort(corners, axis=1).reshape(-1, 4).astype(np.float32)
        proposals = Proposals(boxes, np.linspace(1, 0, 30, dtype=np.float32), np.full(30, "random"))
        own = np.array([[20, 30, 120, 160]], np.float32)
        truth = GroundTruth("a", image.width, image.height, own, np.array([class_id]), np.zeros(1, bool))
        photos.append((truth, proposals))
    return RegionSampler(build_pool(photos), 2, RegionSamplingConfig())


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    files = tuple(folder / f"{number}.png" for number in range(2))
    for file, image in zip(files, PHOTOS, strict=True):
        PIL.Image.fromarray(image.pixels).save(file)
    return files


def batches_of(sampler, paths, steps, batch_size=24, num_workers=0, **more):
    return list(region_batches(sampler, paths, SMALL, batch_size, 5, num_workers, **more)(steps))


def assert_equal(batches, others):
    for batch, other in zip(batches, others, strict=True):
        assert batch.names == other.names
        assert torch.equal(batch.crops, other.crops)
        assert torch.equal(batch.targets, other.targets)


def test_every_region_is_cut_from_its_own_photo_and_mirrored_where_drawn_so(sampler, paths):
    (batch,) = batches_of(sampler, paths, range(3, 4))
    rows, flipped = sampler.draw(3, 24, seed=5)
    assert len(np.unique(np.stack([sampler.pool.images[rows], flipped]), axis=1).T) == 4
    for crop, name, row, mirrored in zip(batch.crops, batch.names, rows, flipped, strict=True):
        photo, box = sampler.pool.images[row], sampler.pool.boxes[row]
        assert name == f"{paths[photo]} at {box.round().astype(int).tolist()}"
        plain = RegionCropper(PHOTOS[photo], SMALL, CPU).crop(box[None])[0]
        assert torch.allclose(crop, plain.flip(2) if mirrored else plain, atol=0.01)
        assert not torch.allclose(crop, plain if mirrored else plain.flip(2), atol=1)


def test_the_targets_of_a_batch_are_those_of_its_regions(sampler, paths):
    (batch,) = batches_of(sampler, paths, range(1), batch_size=40)
    rows, _ = sampler.draw(0, 40, seed=5)
    assert np.array_equal(batch.targets.numpy(), sampler.targets(rows))
    classes, covered = batch.targets.argmax(dim=1).numpy(), sampler.pool.objects[rows] >= 0
    assert np.array_equal(classes[covered], sampler.pool.images[rows][covered])
    assert set(classes.tolist()) == {0, 1, 2}
    assert (classes[~covered] == 2).all()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_number_of_workers_changes_nothing(sampler, paths, num_workers):
    here = batches_of(sampler, paths, range(5))
    assert_equal(here, batches_of(sampler, paths, range(5), num_workers=num_workers, memory_gigabytes=1.0))


def test_beginning_in_the_middle_changes_nothing(sampler, paths):
    assert_equal(batches_of(sampler, paths, range(6))[4:], batches_of(sampler, paths, range(4, 6)))


def test_two_processes_draw_together_what_one_draws(sampler, paths):
    whole = batches_of(sampler, paths, range(3), batch_size=8)
    parts = [batches_of(sampler, paths, range(3), batch_size=4, processes=Processes(rank, 2)) for rank in (0, 1)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert shares[0].names != shares[1].names
        for rank, share in enumerate(shares):
            assert batch.names[rank::2] == share.names
            assert torch.equal(batch.crops[rank::2], share.crops)
            assert torch.equal(batch.targets[rank::2], share.targets)


def decoded(monkeypatch):
    """The files that are decoded from now on, in this process."""
    files = []

    def spy(path, *arguments):
        files.append(path)
        return read_image(path, *arguments)

    monkeypatch.setattr("incdet.training.samples.photo_store.read_image", spy)
    return files


@pytest.mark.parametrize(("processes", "times"), [(Processes(), 1), (Processes(0, 2, 1), 1), (Processes(0, 2, 2), 4)])
def test_processes_on_one_machine_share_the_memory_for_photos(sampler, paths, monkeypatch, processes, times):
    """Both photos together take 0.3 MB, so half of the memory is too little for either."""
    files = decoded(monkeypatch)
    size = sum(image.pixels.nbytes for image in PHOTOS) / 1e9
    smallest = min(image.pixels.nbytes for image in PHOTOS) / 1e9
    room = size if times == 1 else 1.9 * smallest
    batches_of(sampler, paths, range(4), memory_gigabytes=room, processes=processes)
    assert sorted(files) == sorted(paths * times)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_regions_of_a_photo_that_cannot_be_read_are_replaced(sampler, paths, tmp_path, num_workers):
    damaged = tmp_path / "1.png"
    damaged.write_bytes(b"no photo")
    told = []
    found = batches_of(sampler, (paths[0], damaged), range(2), num_workers=num_workers, warn=told.append)
    for batch in found:
        assert len(batch.names) == len(batch.crops) == len(batch.targets)
        assert all(str(paths[0]) in name for name in batch.names)
    assert [("1.png" in sentence, "\n" in sentence) for sentence in told[:1]] == [(True, False)]
    assert told[1:] == ["1 of 2 photos could not be used: another took its place"]


def test_too_many_photos_that_cannot_be_read_end_it_with_a_sentence(sampler, tmp_path):
    for name in ("0.png", "1.png"):
        (tmp_path / name).write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"\.png"):
        batches_of(sampler, (tmp_path / "0.png", tmp_path / "1.png"), range(1))
