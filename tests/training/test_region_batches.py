"""What a batch of regions is cut from: each its own photo, mirrored where it was drawn so."""

import numpy as np
import PIL.Image
import pytest
import torch

from incdet.images import read_image
from incdet.networks.weights import Preprocessing
from incdet.regions import RegionCropper
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.samples.region_samples import RegionSampler, SamplingConfig, build_pool
from incdet.training.training_data import PhotoStore

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
    return RegionSampler(build_pool(photos), 2, SamplingConfig())


def test_every_region_is_cut_from_its_own_photo_and_mirrored_where_drawn_so(sampler):
    rows, flipped = sampler.draw(0, 24, seed=0)
    loaded = []

    def load(index):
        loaded.append(index)
        return PHOTOS[index]

    batch = sampler.batch(rows, flipped, load, SMALL, CPU)
    assert sorted(loaded) == [0, 1]
    assert len(np.unique(np.stack([sampler.pool.images[rows], flipped]), axis=1).T) == 4
    for crop, row, mirrored in zip(batch.crops, rows, flipped, strict=True):
        plain = RegionCropper(PHOTOS[sampler.pool.images[row]], SMALL, CPU).crop(sampler.pool.boxes[row][None])[0]
        assert torch.allclose(crop, plain.flip(2) if mirrored else plain, atol=0.01)
        assert not torch.allclose(crop, plain if mirrored else plain.flip(2), atol=1)


def test_the_classes_of_a_batch_are_those_of_its_photos(sampler):
    rows, flipped = sampler.draw(0, 40, seed=1)
    targets = sampler.batch(rows, flipped, PHOTOS.__getitem__, SMALL, CPU).targets.argmax(dim=1).numpy()
    covered = sampler.pool.objects[rows] >= 0
    assert np.array_equal(targets[covered], sampler.pool.images[rows][covered])
    assert set(targets.tolist()) == {0, 1, 2}
    assert (targets[~covered] == 2).all()


def test_photos_are_kept_by_their_index_as_far_as_memory_goes(tmp_path):
    paths = tuple(tmp_path / f"{number}.png" for number in range(2))
    for path, image in zip(paths, PHOTOS, strict=True):
        PIL.Image.fromarray(image.pixels).save(path)
    size = PHOTOS[0].pixels.nbytes
    for room, kept in ((0, [False, False]), (1.1 * size, [True, False]), (2.1 * size, [True, True])):
        store = PhotoStore(paths, room / 1e9)
        for index, path in enumerate(paths):
            assert np.array_equal(store(index).pixels, read_image(path).pixels)
            assert np.array_equal(store(index).pixels, PHOTOS[index].pixels)
        assert [store(index) is store(index) for index in range(2)] == kept
