"""Proposals beside shards: the same as in the cache, found without decoding, ignored once the shard is another one."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from incdet.config.loading import make_config
from incdet.config.sections import ProposalsConfig
from incdet.data.readers import read_dataset
from incdet.data.shard_writer import write_object_shards
from incdet.images import read_image
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.shard_photos import ShardPhoto
from incdet.training.photo_proposals import PhotoProposals
from incdet.training.shard_proposals import ShardProposals, photos_by_shard

CONFIG = {"methods": ["selective_search"], "limit": 30, "selective_search": {"color_spaces": ["lab"]}}


@pytest.fixture
def photos(small_voc, tmp_path):
    """Two photos in two shards in a folder."""
    list(write_object_shards(read_dataset("voc", small_voc, "val"), tmp_path / "shards", "val", photos_in_shard=1))
    return read_dataset("shards", tmp_path / "shards", "val").image_paths


@pytest.fixture
def proposals(tmp_path):
    return PhotoProposals(ProposalCache(tmp_path / "cache", make_config(ProposalsConfig, CONFIG, "test")))


def test_proposals_beside_shards_are_those_of_the_cache(photos, proposals, monkeypatch):
    expected = [proposals(photo) for photo in photos]
    beside = proposals.beside_shards
    assert beside.finished(photo.shard for photo in photos) == set()
    shards = photos_by_shard([*photos, Path("alone.jpg")])
    assert list(shards) == [photo.shard for photo in photos]
    place = beside.fill(shards[photos[0].shard], proposals.cache)
    settings = proposals.cache.settings_folder.name
    assert place == str(photos[0].parent.parent / "proposals" / settings / "val-000000.zip")
    assert beside.finished(photo.shard for photo in photos) == {photos[0].shard}
    fresh = PhotoProposals(ProposalCache(proposals.cache.folder / "other", proposals.cache.config))
    assert fresh._missing(photos) == [photos[1]]
    monkeypatch.setattr("incdet.training.photo_proposals.read_image", None)
    found = pickle.loads(pickle.dumps(fresh))(photos[0])
    assert found[:2] == expected[0][:2]
    for field in ("boxes", "scores", "sources"):
        assert np.array_equal(getattr(found.proposals, field), getattr(expected[0].proposals, field))
    # the same bytes from the same photos
    content = Path(place).read_bytes()
    assert Path(beside.fill(photos[:1], proposals.cache)).read_bytes() == content


def test_the_same_at_an_address(small_voc, proposals):
    dataset = read_dataset("voc", small_voc, "val")
    list(write_object_shards(dataset, "memory://proposed", "val"))
    photos = read_dataset("shards", "memory://proposed", "val").image_paths
    assert proposals.beside_shards.fill(photos, proposals.cache).startswith("memory:///proposed/proposals/")
    assert proposals.beside_shards.finished([photos[0].shard]) == {photos[0].shard}
    found = [proposals.beside_shards.load(photo) for photo in photos]
    for photo, path in zip(found, dataset.image_paths, strict=True):
        assert (photo.width, photo.height) == (read_image(path).width, read_image(path).height)
        assert np.array_equal(photo.proposals.boxes, proposals(path).proposals.boxes)


def test_other_shards_settings_and_damaged_files_have_no_proposals(photos, proposals, tmp_path):
    beside = proposals.beside_shards
    place = beside.fill(photos[:1], proposals.cache)
    photo = photos[0]
    assert beside.load(photo) is not None
    assert beside.load(ShardPhoto(photo.shard, photo.member, photo.start + 512, photo.size)) is None
    assert beside.load(ShardPhoto(photo.shard, "other.jpg", photo.start, photo.size)) is None
    assert ShardProposals("other settings").load(photo) is None
    content = Path(place).read_bytes()
    for damaged in (b"", b"no zip", content[:-300], content[:400] + bytes(200) + content[600:]):
        Path(place).write_bytes(damaged)
        assert ShardProposals(beside.settings).load(photo) is None


def test_a_photo_that_cannot_be_read_is_passed_over(photos, proposals):
    photo = photos[0]
    bad = ShardPhoto(photo.shard, "bad.jpg", photo.start + 100, 300)
    proposals.beside_shards.fill([bad, photo], proposals.cache)
    assert proposals.beside_shards.load(bad) is None
    assert proposals.beside_shards.load(photo) is not None
