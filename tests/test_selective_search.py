"""Selective search on OpenCV's engine, and the cache of proposals."""

import cv2
import numpy as np
import PIL.Image
import pytest

from incdet import proposals as proposals_module
from incdet.config import ImagesConfig, ProposalsConfig, SelectiveSearchConfig
from incdet.errors import PackageError
from incdet.proposals import ProposalCache, merge, propose
from incdet.proposers import selective_search
from incdet.structures import Image, Proposals

DEFAULT = SelectiveSearchConfig()
SMALL = SelectiveSearchConfig(color_spaces=("lab",), similarities=("color_texture_size_fill",), width=160)


@pytest.fixture(scope="module")
def found(astronaut):
    return selective_search.propose(astronaut, DEFAULT)


def test_the_same_photo_gives_the_same_boxes_in_the_same_order(astronaut, found):
    cv2.setRNGSeed(7)
    again = selective_search.propose(astronaut, DEFAULT)
    assert np.array_equal(found.boxes, again.boxes)
    assert np.array_equal(found.scores, again.scores)


def test_another_seed_changes_the_order_only(astronaut, found):
    other = selective_search.propose(astronaut, DEFAULT.model_copy(update={"seed": 1}))
    assert not np.array_equal(found.boxes, other.boxes)
    assert np.array_equal(np.unique(found.boxes, axis=0), np.unique(other.boxes, axis=0))


def test_doubled_superpixels_halve_the_proposals(astronaut, found):
    single = selective_search.propose(astronaut, DEFAULT.model_copy(update={"superpixel_scale": 1.0}))
    # 0.479 is the mean of 32 photos (FACTS, section 1)
    assert 0.4 < len(found) / len(single) < 0.6


def test_boxes_are_distinct_inside_the_image_and_large_enough(found):
    assert len(np.unique(found.boxes, axis=0)) == len(found) > 300
    assert found.boxes.min() == 0
    assert found.boxes.max() <= 512
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    # 20 pixels of the 500-pixel frame
    assert sides.min() >= 20 * 512 / 500 - 1e-3
    assert [0, 0, 512, 512] in found.boxes.tolist()
    assert (np.diff(found.scores) < 0).all()


def test_large_regions_tend_to_come_first(found):
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)
    first, last = np.array_split(areas, 2)
    assert np.median(first) > np.median(last)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 2000), (2000, 1), (8, 8), (15, 500), (16, 500), (17, 500), (40, 3000), (3000, 40)]
)
def test_odd_shapes_have_at_least_one_proposal_inside_the_image(height, width):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    boxes = selective_search.propose(Image(pixels), SMALL).boxes
    assert len(boxes) >= 1
    assert (boxes[:, 2] <= width).all()
    assert (boxes[:, 3] <= height).all()


@pytest.mark.parametrize("height", [15, 16, 17, 24])
def test_frames_around_the_lowest_that_is_searched(height):
    """At 500 pixels of width the frame keeps the photo's height."""
    pixels = np.random.default_rng(0).integers(0, 255, (height, 500, 3), dtype=np.uint8)
    boxes = selective_search.propose(Image(pixels), SMALL.model_copy(update={"width": 500, "min_side": 0.0})).boxes
    assert [0, 0, 500, height] in boxes.tolist()
    assert len(boxes) > 1 if height >= 16 else len(boxes) == 1


def test_one_colour_gives_the_whole_image():
    boxes = selective_search.propose(Image(np.full((60, 90, 3), 200, np.uint8)), SMALL).boxes
    assert boxes.tolist() == [[0, 0, 90, 60]]


def test_an_opencv_without_contrib_is_named(monkeypatch, astronaut):
    monkeypatch.delattr(cv2.ximgproc, "segmentation")
    selective_search.segmentation_module.cache_clear()
    with pytest.raises(PackageError, match="pip install --force-reinstall --no-deps opencv-contrib-python"):
        selective_search.propose(astronaut, SMALL)
    selective_search.segmentation_module.cache_clear()


def test_merging_keeps_the_first_of_equal_boxes():
    boxes = np.array([[0, 0, 5, 5], [1, 1, 9, 9]], np.float32)
    first = Proposals(boxes, np.array([1, 0.5], np.float32), np.array(["a", "a"]))
    shifted = np.array([[1, 1, 9, 9], [1, 1, 6, 6]], np.float32)
    second = Proposals(shifted, np.array([0.9, 0.1], np.float32), np.array(["b", "b"]))
    merged = merge([first, second])
    assert merged.boxes.tolist() == [[0, 0, 5, 5], [1, 1, 9, 9], [1, 1, 6, 6]]
    assert merged.sources.tolist() == ["a", "a", "b"]


def test_the_limit_keeps_the_best(astronaut):
    everything = propose(astronaut, ProposalsConfig(selective_search=SMALL))
    few = propose(astronaut, ProposalsConfig(selective_search=SMALL, limit=7))
    assert np.array_equal(few.boxes, everything.boxes[:7])


@pytest.fixture
def cache(tmp_path):
    return ProposalCache(tmp_path / "cache", ProposalsConfig(selective_search=SMALL))


def files(cache):
    return sorted(cache.folder.rglob("*.npz"))


def test_the_cache_computes_once(cache, astronaut, monkeypatch):
    first = cache(astronaut)
    monkeypatch.setattr(proposals_module, "propose", None)
    second = cache(Image(astronaut.pixels.copy(), "another name"))
    assert np.array_equal(first.boxes, second.boxes)
    assert first.sources.tolist() == second.sources.tolist()


def test_a_damaged_file_is_computed_again(cache, astronaut):
    first = cache(astronaut)
    (file,) = files(cache)
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(cache(astronaut).boxes, first.boxes)
    assert file.stat().st_size > 100


def test_other_settings_have_other_files(cache, astronaut):
    cache(astronaut)
    ProposalCache(cache.folder, ProposalsConfig(selective_search=SMALL, limit=3))(astronaut)
    assert len(files(cache)) == 2


def test_filling_skips_what_is_unreadable_and_can_be_repeated(cache, tmp_path, astronaut):
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for index, path in enumerate(paths):
        PIL.Image.fromarray(np.roll(astronaut.pixels, index * 40, axis=0)).save(path)
    paths[1].write_bytes(b"broken")
    assert list(cache.fill(paths, ImagesConfig(), num_processes=2)) == paths
    stamps = [file.stat().st_mtime_ns for file in files(cache)]
    assert len(stamps) == 2
    assert list(cache.fill(paths, ImagesConfig(), num_processes=2)) == paths
    assert [file.stat().st_mtime_ns for file in files(cache)] == stamps
