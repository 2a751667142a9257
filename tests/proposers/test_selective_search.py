"""Selective search as a whole: frame, order, filter, odd images, both engines."""

import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
import selective_search_reference as reference
from random_patches import regions_of

from incdet.config.loading import make_config
from incdet.config.sections import SelectiveSearchConfig
from incdet.proposers import selective_search
from incdet.proposers.grouping import group
from incdet.proposers.selective_search import Grouping, group_all, make_frame, propose, ranked_boxes
from incdet.structures import Image

DEFAULT = SelectiveSearchConfig()
SMALL = SelectiveSearchConfig(color_spaces=("lab",), similarities=("color_texture_size_fill",), width=160)
ENGINES = ("incdet", "opencv")


def changed(config, **values):
    return config.model_copy(update=values)


@pytest.fixture(scope="module", params=["incdet", pytest.param("opencv", marks=pytest.mark.slow)])
def config(request):
    return changed(DEFAULT, engine=request.param)


@pytest.fixture(scope="module")
def found(astronaut, config):
    return propose(astronaut, config)


def test_the_same_photo_gives_the_same_boxes_in_the_same_order(astronaut, config, found):
    cv2.setRNGSeed(7)
    again = propose(astronaut, config, num_threads=1)
    assert np.array_equal(found.boxes, again.boxes)
    assert np.array_equal(found.scores, again.scores)


@pytest.mark.slow
def test_another_process_gives_the_same_boxes(astronaut):
    code = (
        "import hashlib, skimage.data; from incdet.structures import Image\n"
        "from incdet.config.sections import SelectiveSearchConfig\n"
        "from incdet.proposers.selective_search import propose\n"
        "boxes = propose(Image(skimage.data.astronaut()), SelectiveSearchConfig(), 3).boxes\n"
        "print(hashlib.sha256(boxes.tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.strip()
    assert there == hashlib.sha256(propose(astronaut, DEFAULT, 1).boxes.tobytes()).hexdigest()


def test_threads_change_nothing(astronaut, groupings):
    again = group_all(np.ascontiguousarray(astronaut.pixels[::2, ::2]), SelectiveSearchConfig(), num_threads=1)
    for one, other in zip(groupings, again, strict=True):
        assert (one.color_space, one.k) == (other.color_space, other.k)
        assert np.array_equal(one.labels, other.labels)
        for first, second in zip(one.hierarchies, other.hierarchies, strict=True):
            assert np.array_equal(first.merges, second.merges)


def test_another_seed_changes_the_order_only(astronaut, config, found):
    other = propose(astronaut, changed(config, seed=1))
    assert not np.array_equal(found.boxes, other.boxes)
    assert np.array_equal(np.unique(found.boxes, axis=0), np.unique(other.boxes, axis=0))


def test_doubled_superpixels_halve_the_proposals(astronaut, config, found):
    single = propose(astronaut, changed(config, superpixel_scale=1.0))
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


def test_the_ranking_is_that_of_the_paper(groupings):
    for grouping in groupings:
        count = grouping.labels.max() + 1
        merged = [hierarchy.boxes[count:] for hierarchy in grouping.hierarchies]
        boxes, positions = ranked_boxes(grouping)
        random = np.random.default_rng(0).random(len(boxes))
        expected_boxes, expected = reference.ranked(merged, grouping.hierarchies[0].boxes[:count], random)
        assert np.array_equal(boxes, expected_boxes)
        assert np.allclose(random * positions, expected)


def test_one_superpixel_is_ranked_as_the_whole_image():
    labels = np.zeros((4, 6), np.int32)
    hierarchy = group(regions_of(labels, np.zeros((3, 4, 6), np.uint8)), "color_texture_size_fill")
    boxes, positions = ranked_boxes(Grouping("lab", 100.0, labels, (hierarchy,)))
    assert boxes.tolist() == [[0, 0, 6, 4]]
    assert positions.tolist() == [1]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (1, 2000), (2000, 1), (2, 2), (8, 8), (15, 500), (16, 500), (40, 3000), (3000, 40), (200, 10_000)],
)
def test_odd_shapes_have_at_least_one_proposal_inside_the_image(height, width, engine):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    boxes = propose(Image(pixels), changed(SMALL, engine=engine)).boxes
    assert len(boxes) >= 1
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= width).all()
    assert (boxes[:, 3] <= height).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_one_colour_gives_the_whole_image(engine):
    boxes = propose(Image(np.full((60, 90, 3), 200, np.uint8)), changed(SMALL, engine=engine)).boxes
    assert boxes.tolist() == [[0, 0, 90, 60]]


@pytest.mark.parametrize("color_space", ["rgb", "intensity", "lab", "rgi", "hsv", "normalized_rgb", "c", "hue"])
def test_two_squares_are_found_in_every_colour_space(color_space):
    pixels = np.full((100, 160, 3), (60, 90, 200), np.uint8)
    pixels[20:60, 20:60] = (230, 200, 30)
    pixels[40:90, 90:150] = (20, 160, 40)
    boxes = propose(Image(pixels), changed(SMALL, color_spaces=(color_space,), sigma=0.3)).boxes.tolist()
    assert [20, 20, 60, 60] in boxes
    assert [90, 40, 150, 90] in boxes


@pytest.mark.parametrize("similarity", ["color", "texture", "size", "fill", "size_fill", "color_texture_size_fill"])
def test_every_similarity_ends_with_the_whole_image(astronaut, similarity):
    boxes = propose(astronaut, changed(SMALL, similarities=(similarity,))).boxes.tolist()
    assert [0, 0, 512, 512] in boxes
    assert len(boxes) > 10


@pytest.mark.parametrize(
    ("size", "frame"),
    [
        ((300, 451), (333, 500)),  # R-CNN: width 500, small photos are enlarged
        ((3000, 4000), (375, 500)),
        ((2000, 500), (2000, 500)),
        ((200, 10_000), (125, 6250)),  # at width 500 it would be 10 pixels high
        ((10_000, 200), (7071, 141)),
        ((1, 1), (500, 500)),
    ],
)
def test_the_frame(size, frame):
    assert make_frame(Image(np.zeros((*size, 3), np.uint8)), 500).shape[:2] == frame


def test_named_sets_of_strategies():
    quality = make_config(SelectiveSearchConfig, {"strategies": "quality", "k": [50]}, "test")
    assert len(quality.color_spaces) * len(quality.similarities) == 20
    assert quality.k == (50.0,), "what is given wins over the set"
    single = make_config(SelectiveSearchConfig, {"strategies": "single"}, "test")
    assert (single.color_spaces, single.k) == (("hsv",), (100.0,))


def test_the_single_strategy_finds_a_share_of_the_fast_set(astronaut):
    single = make_config(SelectiveSearchConfig, {"strategies": "single"}, "test")
    few, many = propose(astronaut, single).boxes, propose(astronaut, DEFAULT).boxes
    assert {tuple(box) for box in few.tolist()} < {tuple(box) for box in many.tolist()}


def test_stored_proposals_know_their_engine():
    assert selective_search.engine_version(DEFAULT) == f"incdet {selective_search.VERSION}"
    version = selective_search.engine_version(changed(DEFAULT, engine="opencv"))
    assert version.startswith(f"opencv {cv2.__version__.split('-')[0]}")
