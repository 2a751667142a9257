"""Proposals of photo files: decoded once, found again without decoding, never those of another photo."""

import os
import shutil

import numpy as np
import PIL.Image
import pytest

from incdet.config.loading import make_config
from incdet.config.sections import ImagesConfig, ProposalsConfig
from incdet.errors import ImageError
from incdet.images import read_image
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.training import photo_proposals
from incdet.training.photo_proposals import PhotoProposals

SMALL = {"methods": ["selective_search"], "selective_search": {"strategies": "single", "width": 64}}


@pytest.fixture
def cache(tmp_path):
    return ProposalCache(tmp_path / "cache", make_config(ProposalsConfig, SMALL, "test"))


@pytest.fixture
def decoded(monkeypatch):
    """The files that are decoded, in this process."""
    files = []

    def spy(path, images):
        files.append(path.name)
        return read_image(path, images)

    monkeypatch.setattr(photo_proposals, "read_image", spy)
    return files


def write_photo(file, seed, time=None):
    """A photo of 80 x 60 pixels whose file has the same length for every seed."""
    squares = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    PIL.Image.fromarray(squares.repeat(10, axis=0).repeat(10, axis=1)).save(file, format="BMP")
    if time is not None:
        os.utime(file, ns=(time, time))
    return file


def test_the_second_time_nothing_is_decoded(cache, tmp_path, decoded):
    file = write_photo(tmp_path / "a.bmp", 0)
    first, second = (PhotoProposals(cache)(file) for _ in range(2))
    assert decoded == ["a.bmp"]
    expected = cache(read_image(file, ImagesConfig()))
    for found in (first, second):
        assert (found.width, found.height) == (80, 60)
        assert len(found.proposals) > 3
        assert np.array_equal(found.proposals.boxes, expected.boxes)
        assert np.array_equal(found.proposals.scores, expected.scores)
        assert np.array_equal(found.proposals.sources, expected.sources)


def test_a_photo_that_changes_is_decoded_again(cache, tmp_path, decoded):
    find, file = PhotoProposals(cache), write_photo(tmp_path / "a.bmp", 0, time=10**18)
    size = file.stat().st_size
    before = find(file)
    after = find(write_photo(file, 1, time=10**18 + 1))
    assert file.stat().st_size == size
    assert decoded == ["a.bmp"] * 2
    assert not np.array_equal(before.proposals.boxes, after.proposals.boxes)
    assert np.array_equal(after.proposals.boxes, cache(read_image(file, ImagesConfig())).boxes)


def test_a_copy_is_another_file_with_the_same_proposals(cache, tmp_path, decoded):
    find, file = PhotoProposals(cache), write_photo(tmp_path / "a.bmp", 0)
    shutil.copy2(file, tmp_path / "b.bmp")
    assert np.array_equal(find(file).proposals.boxes, find(tmp_path / "b.bmp").proposals.boxes)
    assert decoded == ["a.bmp", "b.bmp"]
    assert len(list((tmp_path / "cache" / "photos").iterdir())) == 2


def test_other_settings_share_the_notes_and_not_the_proposals(cache, tmp_path, decoded):
    file = write_photo(tmp_path / "a.bmp", 0)
    many = PhotoProposals(cache)(file)
    fewer = ProposalCache(cache.folder, make_config(ProposalsConfig, SMALL | {"limit": 2}, "test"))
    assert len(PhotoProposals(fewer)(file).proposals) == 2 < len(many.proposals)
    assert decoded == ["a.bmp"] * 2
    PhotoProposals(fewer)(file)
    assert decoded == ["a.bmp"] * 2


@pytest.mark.parametrize("lost", ["photos", "settings"])
@pytest.mark.parametrize("content", [None, b"half a file"])
def test_what_is_lost_or_damaged_is_made_again(cache, tmp_path, decoded, lost, content):
    find, file = PhotoProposals(cache), write_photo(tmp_path / "a.bmp", 0)
    first = find(file)
    (victim,) = [
        found for found in (tmp_path / "cache").rglob("*.npz") if (found.parent.name == "photos") == (lost == "photos")
    ]
    if content is None:
        victim.unlink()
    else:
        victim.write_bytes(content)
    assert np.array_equal(find(file).proposals.boxes, first.proposals.boxes)
    find(file)
    assert decoded == ["a.bmp"] * 2


def test_a_missing_photo_is_an_error_and_no_note(cache, tmp_path):
    with pytest.raises(ImageError, match=r"a\.bmp"):
        PhotoProposals(cache)(tmp_path / "a.bmp")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("num_processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_filling_does_what_is_missing_and_passes_over_what_cannot_be_read(cache, tmp_path, decoded, num_processes):
    files = [write_photo(tmp_path / f"{number}.bmp", number) for number in range(3)]
    (tmp_path / "broken.bmp").write_bytes(b"no photo")
    find = PhotoProposals(cache)
    find(files[1])
    paths = [*files, tmp_path / "broken.bmp"]
    assert sorted(find.fill(paths, num_processes)) == sorted(paths)
    assert sorted(decoded) == sorted(["1.bmp"] + (["0.bmp", "2.bmp", "broken.bmp"] if num_processes == 1 else []))
    decoded.clear()
    for file in files:
        find(file)
    assert decoded == []
