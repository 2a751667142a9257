"""Batches of photos: sizes, colours and regions, whoever makes them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from incdet.config.sections import ProposalsConfig
from incdet.data.dataset import no_warning
from incdet.data.readers import Collection, read_dataset
from incdet.images import read_image
from incdet.networks.weights_record import Preprocessing
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.distributed import Processes
from incdet.training.photo_proposals import PhotoProposals
from incdet.training.samples.photo_batches import LearntPhotos, photo_batches, photo_tensor
from incdet.training.samples.photo_region_sampler import PhotoRegionSampler
from incdet.training.samples.region_sampling_config import RegionSamplingConfig
from incdet.training.samples.shared_features_config import SharedFeaturesConfig

SEARCH = {"methods": ("selective_search",), "limit": 40}
SMALL = {"photo_sides": (100, 140), "regions_per_photo": 12}
STILL = {"photo_sides": (128, 128), "color_gain": 0.0, "color_shift": 0.0}


@pytest.fixture(scope="module")
def photos(small_voc, tmp_path_factory):
    dataset = read_dataset(Collection("voc"), small_voc, "val")
    cache = ProposalCache(tmp_path_factory.mktemp("cache"), ProposalsConfig(**SEARCH))
    return LearntPhotos(dataset, 2, np.ones(2), PhotoProposals(cache), Preprocessing())


def batches_of(
    photos, steps, batch_size=2, num_workers=0, processes=None, flip_probability=0.5, warn=no_warning, **shared
):
    config = SharedFeaturesConfig(**SMALL | shared)
    sampling = RegionSamplingConfig(num_jittered_boxes=4, flip_probability=flip_probability)
    sampler = PhotoRegionSampler(np.ones(20), sampling, config, photos.preprocessing)
    return list(photo_batches(photos, sampler, batch_size, 7, num_workers, 0.1, processes, warn)(steps))


def assert_equal(batches, others):
    for batch, other in zip(batches, others, strict=True):
        assert (batch.names, batch.indices, batch.flipped) == (other.names, other.indices, other.flipped)
        assert all(torch.equal(*pair) for pair in zip(batch.photos, other.photos, strict=True))
        for name in ("regions", "targets", "box_deltas", "teaches_box"):
            assert torch.equal(getattr(batch, name), getattr(other, name))


def test_photos_have_sizes_and_colours_of_their_own(photos):
    batches = batches_of(photos, range(8))
    assert all(sorted(batch.indices) == [0, 1] for batch in batches)
    sides = {photo.shape[2] for batch in batches for photo in batch.photos}
    assert sides == {96, 128}
    assert len({float(photo.mean()) for batch in batches for photo in batch.photos}) == 16
    assert {is_flipped for batch in batches for is_flipped in batch.flipped} == {False, True}
    assert batches[0].regions.shape == (2, 12, 4)
    assert batches[0].targets.shape == (2, 12, 21)


def test_without_distortion_a_photo_is_the_networks_input(photos):
    (batch,) = batches_of(photos, range(1), flip_probability=0, **STILL)
    for photo, index in zip(batch.photos, batch.indices, strict=True):
        image = read_image(photos.dataset.image_paths[index])
        assert torch.equal(photo, photo_tensor(image, 128, False, photos.preprocessing))


def test_a_mirrored_sample_shows_the_mirrored_photo_and_mirrored_regions(photos):
    (plain,) = batches_of(photos, range(1), flip_probability=0, **STILL)
    (mirrored,) = batches_of(photos, range(1), flip_probability=1, **STILL)
    assert plain.indices == mirrored.indices
    assert mirrored.flipped == [True, True]
    for one, other in zip(plain.photos, mirrored.photos, strict=True):
        assert torch.allclose(one.flip(3), other, atol=1.0)
    assert torch.equal(plain.targets, mirrored.targets)
    for one, other, photo in zip(plain.regions, mirrored.regions, plain.photos, strict=True):
        # cell i looks at pixel 16 i + 14.5, and a region lies 6.5 / 224 of its crop's side to the right of its box
        lefts, rights = (regions * 16 + 14.5 for regions in (one[:, 0], one[:, 2]))
        shift = (rights - lefts) * 6.5 / 224
        width = photo.shape[3]
        assert torch.allclose(other[:, 0] * 16 + 14.5, width - (rights - shift) + shift, atol=1e-2)
        assert torch.allclose(other[:, 2] * 16 + 14.5, width - (lefts - shift) + shift, atol=1e-2)
        assert torch.equal(one[:, 1::2], other[:, 1::2])


def test_cached_photos_are_not_sent(photos):
    photos = replace(photos, preprocessing=Preprocessing(photo_sides=(128,)))
    (batch,) = batches_of(photos, range(1), cache_features=True, **STILL)
    (whole,) = batches_of(photos, range(1), **STILL)
    assert batch.photos == []
    assert torch.equal(batch.regions, whole.regions)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_number_of_workers_changes_nothing(photos, num_workers):
    assert_equal(batches_of(photos, range(4)), batches_of(photos, range(4), num_workers=num_workers))


def test_beginning_in_the_middle_changes_nothing(photos):
    assert_equal(batches_of(photos, range(6))[4:], batches_of(photos, range(4, 6)))


def test_two_processes_draw_together_what_one_draws(photos):
    whole = batches_of(photos, range(3), batch_size=4)
    parts = [batches_of(photos, range(3), processes=Processes(rank, 2)) for rank in (0, 1)]
    for batch, *shares in zip(whole, *parts, strict=True):
        for rank, share in enumerate(shares):
            assert batch.names[rank::2] == share.names
            assert torch.equal(batch.regions[rank::2], share.regions)
            assert torch.equal(batch.photos[rank], share.photos[0])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_another_photo_takes_the_place_of_one_that_cannot_be_read(photos, tmp_path, num_workers):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"no photo")
    paths = (photos.dataset.image_paths[0], damaged)
    broken = replace(photos, dataset=replace(photos.dataset, image_paths=paths))
    told = []
    found = batches_of(broken, range(2), num_workers=num_workers, warn=told.append)
    assert {name for batch in found for name in batch.names} == {str(paths[0])}
    assert "damaged.png" in told[0]
    assert "\n" not in told[0]
    assert told[1:] == ["1 of 2 photos could not be used: another took its place"]


def test_gain_and_shift_change_the_colours(photos):
    image = read_image(photos.dataset.image_paths[0])
    plain = photo_tensor(image, 96, False, photos.preprocessing)
    mean = torch.tensor(photos.preprocessing.mean)[:, None, None]
    colored = photo_tensor(image, 96, False, photos.preprocessing, 1.1, np.array([1.0, -2.0, 3.0]))
    expected = (plain + mean) * 1.1 + torch.tensor([1.0, -2.0, 3.0])[:, None, None] - mean
    assert torch.allclose(colored, expected, atol=1e-3)
    assert colored.is_contiguous(memory_format=torch.channels_last)
