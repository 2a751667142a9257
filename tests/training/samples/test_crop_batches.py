"""Batches of crops: which photo comes when, whoever reads it."""

import shutil

import cv2
import numpy as np
import pytest
import torch

from incdet.errors import DataError, ImageError
from incdet.runtime.distributed import Processes
from incdet.structures import Image
from incdet.training.samples.batch_loading import MAX_ATTEMPTS
from incdet.training.samples.crop_batches import crop_batches
from incdet.training.samples.distortions import DistortionsConfig, distorted_crop
from incdet.training.samples.photo_sources import PhotosConfig, open_photos

SIZE = 24


@pytest.fixture(scope="module")
def source(folders):
    return open_photos(PhotosConfig(root=str(folders)))


def draw(source, steps, batch_size=5, num_workers=0, processes=None, chosen=None, **more):
    chosen = np.arange(len(source.class_ids)) if chosen is None else chosen
    arguments = source, chosen, SIZE, DistortionsConfig(), batch_size, 3, num_workers, processes
    return list(crop_batches(*arguments, **more)(steps))


def assert_equal(batches, others):
    for batch, other in zip(batches, others, strict=True):
        assert batch.names == other.names
        assert torch.equal(batch.crops, other.crops)
        assert torch.equal(batch.noise, other.noise)
        assert torch.equal(batch.targets, other.targets)


def test_every_epoch_takes_every_photo_once_in_an_order_of_its_own(source):
    names = [name for batch in draw(source, range(0, 12)) for name in batch.names]
    epochs = [names[start : start + 12] for start in range(0, 60, 12)]
    assert all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs)
    assert len(set(names)) == 12
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_only_chosen_photos_are_drawn_with_their_classes(source):
    batches = draw(source, range(3), batch_size=4, chosen=np.array([1, 4, 6, 11]))
    for batch in batches:
        found = {name[-9:]: int(target) for name, target in zip(batch.names, batch.targets, strict=True)}
        assert sorted(name.rpartition("/")[2] for name in batch.names) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
        assert sorted(found.values()) == [0, 1, 1, 2]
    assert batches[0].crops.shape == (4, SIZE, SIZE, 3)
    assert batches[0].crops.dtype == torch.uint8
    assert batches[0].noise.shape == (4, 3)


def test_a_photo_comes_with_other_distortions_every_time(source):
    first, second = draw(source, range(2), batch_size=1, chosen=np.array([2]))
    assert first.names == second.names
    assert not torch.equal(first.crops, second.crops)


def test_a_crop_is_the_distortion_of_its_photo(source):
    batch = draw(source, range(7, 8), batch_size=1, chosen=np.array([2]))[0]
    expected, noise = distorted_crop(source.read(2).pixels, SIZE, DistortionsConfig(), np.random.default_rng([3, 7]))
    assert np.array_equal(batch.crops[0].numpy(), expected)
    assert np.array_equal(batch.noise[0].numpy(), noise)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_number_of_workers_changes_nothing(source, num_workers):
    assert_equal(draw(source, range(6)), draw(source, range(6), num_workers=num_workers))


def test_workers_start_where_opencv_has_started_threads(source):
    """A worker that is a fork of this process would wait for these threads for ever."""
    cv2.setNumThreads(2)
    cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (900, 900))
    assert_equal(draw(source, range(2)), draw(source, range(2), num_workers=1))


def test_beginning_in_the_middle_changes_nothing(source):
    assert_equal(draw(source, range(9))[4:], draw(source, range(4, 9)))


def test_two_processes_draw_together_what_one_draws(source):
    whole = draw(source, range(4), batch_size=6)
    parts = [draw(source, range(4), batch_size=3, processes=Processes(rank, 2)) for rank in (0, 1)]
    for batch, even, odd in zip(whole, *parts, strict=True):
        assert (batch.names[0::2], batch.names[1::2]) == (even.names, odd.names)
        assert torch.equal(batch.crops[1::2], odd.crops)
        assert torch.equal(batch.targets[0::2], even.targets)


@pytest.fixture
def damaged(folders, tmp_path):
    root = tmp_path / "damaged"
    shutil.copytree(folders, root)
    (root / "cup" / "2.jpg").write_bytes(b"no photo")
    return root


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_next_photo_takes_the_place_of_an_unreadable_one_and_it_is_said(damaged, num_workers):
    warnings = []
    source = open_photos(PhotosConfig(root=str(damaged)))
    batch = draw(source, range(1), batch_size=12, num_workers=num_workers, warn=warnings.append)[0]
    assert len(batch.names) == 12
    assert sum(name.endswith("cup/3.jpg") for name in batch.names) == 2
    assert len(warnings) == 2
    assert "cup/2.jpg" in warnings[0]
    assert "1 of 12 photos" in warnings[1]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_photos_that_are_all_unreadable_end_it_with_a_sentence(damaged, num_workers):
    for file in damaged.glob("*/*.jpg"):
        file.write_bytes(b"no photo")
    source = open_photos(PhotosConfig(root=str(damaged)))
    words = f"cannot fill a batch: {MAX_ATTEMPTS} of 12 photos, tried one after another, cannot be read; repair"
    with pytest.raises(DataError, match=words) as caught:
        draw(source, range(1), batch_size=1, num_workers=num_workers)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="cannot fill a batch: 3 of 3 photos, tried one after another, cannot be read"):
        draw(source, range(1), chosen=np.array([1, 5, 8]), num_workers=num_workers)


def test_a_photo_that_is_kept_out_of_training_takes_no_place(damaged):
    source = open_photos(PhotosConfig(root=str(damaged)))
    # after the damaged photo 6 comes 7, which is kept out
    batches = draw(source, range(2), batch_size=3, chosen=np.array([4, 6, 9]))
    for batch in batches:
        assert sorted(batch.names) == sorted([source.name(4), source.name(9), source.name(9)])


class ObjectsOfTwoPhotos:
    """Twelve objects of a damaged photo, and two of a whole one."""

    class_names, class_ids = ("cat",), np.zeros(14, np.int64)
    groups = np.repeat([0, 1], [12, 2])

    def name(self, index):
        return f"photo {self.groups[index]}, object {index}"

    def read(self, index):
        if self.groups[index] == 0:
            raise ImageError("photo 0 is damaged")
        return Image(np.zeros((30, 30, 3), np.uint8))

    def order(self, generator):
        return np.arange(14)


def test_a_damaged_photo_of_many_objects_is_one_damaged_photo():
    told = []
    (batch,) = draw(ObjectsOfTwoPhotos(), range(1), batch_size=14, warn=told.append)
    assert {name[:7] for name in batch.names} == {"photo 1"}
    assert told == [
        "photo 0 is damaged; another photo takes its place",
        "1 of 2 photos could not be used: another took its place",
    ]
