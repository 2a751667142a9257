"""The regions that are drawn in one photo, and what they teach."""

import numpy as np
import pytest
from random_regions import proposals, truth

from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import apply_box_deltas, box_iou, flip_boxes
from incdet.training.samples.photo_region_sampler import PhotoRegionSampler
from incdet.training.samples.region_sampling_config import RegionSamplingConfig
from incdet.training.samples.shared_features_config import SharedFeaturesConfig

TWO = truth([[50, 50, 300, 300], [280, 280, 500, 480]], [0, 2])
SOFT = {
    "positive_share": 0.25,
    "positive_iou": 0.3,
    "full_iou": 0.7,
    "draw_evenly_over_iou": True,
    "num_jittered_boxes": 12,
    "near_share": 0.5,
}


def sampler(class_weights=(1, 1, 1), num_regions=40, min_box_iou=0.4, size_spread=None, **sampling):
    shared = SharedFeaturesConfig(
        photo_sides=(100, 1600), regions_per_photo=num_regions, min_box_iou=min_box_iou, size_spread=size_spread
    )
    soft = RegionSamplingConfig(**SOFT | sampling)
    return PhotoRegionSampler(np.array(class_weights, float), soft, shared, Preprocessing())


def draw(annotation=TWO, proposed=None, is_exhaustive=True, is_flipped=False, seed=0, **more):
    proposed = proposals(400) if proposed is None else proposed
    generator = np.random.default_rng(seed)
    return sampler(**more).draw(annotation, proposed, is_exhaustive, is_flipped, generator)


def test_the_regions_are_objects_backgrounds_near_them_and_any_backgrounds():
    drawn = draw()
    overlaps = box_iou(drawn.boxes, TWO.boxes).max(axis=1)
    assert (overlaps >= 0.3).sum() == 10
    assert ((overlaps >= 0.1) & (overlaps < 0.3)).sum() >= 15
    assert len(np.unique(drawn.boxes[10:], axis=0)) == 30


def test_targets_rise_with_the_overlap_of_the_objects_class():
    drawn = draw()
    iou = box_iou(drawn.boxes, TWO.boxes)
    shares = ((iou.max(axis=1) - 0.3) / 0.4).clip(0, 1)
    classes = TWO.class_ids[iou.argmax(axis=1)]
    assert np.allclose(drawn.targets[np.arange(40), classes], shares, atol=1e-5)
    assert np.allclose(drawn.targets.sum(axis=1), 1)
    assert np.allclose(drawn.targets[:, -1], 1 - shares, atol=1e-5)


def test_box_deltas_lead_from_the_region_to_its_object():
    drawn = draw()
    iou = box_iou(drawn.boxes, TWO.boxes)
    assert np.array_equal(drawn.teaches_box, iou.max(axis=1) >= 0.4)
    moved = apply_box_deltas(drawn.boxes, drawn.box_deltas, 512, 512)[drawn.teaches_box]
    assert np.allclose(moved, TWO.boxes[iou.argmax(axis=1)][drawn.teaches_box], atol=0.01)
    # a region too far to the left has to move to the right
    region = drawn.boxes[drawn.teaches_box][:, [0, 2]].mean(axis=1)
    wanted = moved[:, [0, 2]].mean(axis=1)
    assert (np.sign(drawn.box_deltas[drawn.teaches_box, 0]) == np.sign((wanted - region).round(3))).all()


def test_a_mirrored_photo_has_mirrored_regions_with_the_same_targets():
    plain, mirrored = draw(), draw(is_flipped=True)
    assert np.allclose(flip_boxes(mirrored.boxes, 512), plain.boxes)
    assert np.array_equal(mirrored.targets, plain.targets)
    assert np.array_equal(mirrored.teaches_box, plain.teaches_box)
    assert np.allclose(mirrored.box_deltas, plain.box_deltas * [-1, 1, 1, 1], atol=1e-4)


def test_rare_classes_are_drawn_as_often_as_their_weight_asks():
    drawn = draw(class_weights=(1, 1, 9), positive_share=1, num_regions=400)
    assert 0.85 < (box_iou(drawn.boxes, TWO.boxes).argmax(axis=1) == 1).mean() < 0.95


def sides_in_pixels(drawn):
    """Sides of the regions with their context in the resized photo, whose shorter side is 512 pixels originally."""
    areas = (drawn.boxes[:, 2:] - drawn.boxes[:, :2]).prod(axis=1)
    return np.sqrt(areas) * 224 / 192 * drawn.photo_side / 512


def test_regions_have_the_size_that_detection_shows_where_it_is_asked_for():
    fitting = np.concatenate([np.log(sides_in_pixels(draw(size_spread=0.3, seed=seed)) / 128) for seed in range(20)])
    any_size = np.concatenate([np.log(sides_in_pixels(draw(seed=seed)) / 128) for seed in range(20)])
    assert np.abs(np.median(fitting)) < 0.2
    assert np.std(fitting) < 0.7 * np.std(any_size)


def test_photo_sides_suit_the_objects_or_are_drawn_evenly():
    # the objects' sides with context are 292 and 245 of 512 pixels, so that they have 128 pixels at 225 and 268
    small, large = (512 * 128 / (np.sqrt(area) * 224 / 192) for area in (250 * 250, 220 * 200))
    sides = [draw(size_spread=0.3, seed=seed).photo_side for seed in range(200)]
    near = sum(small * 0.7 < side < large * 1.4 for side in sides)
    assert 150 < near < 200
    even = np.log([draw(seed=seed).photo_side for seed in range(200)])
    assert np.log(100) <= even.min() < np.log(115)
    assert np.log(1400) < even.max() <= np.log(1600)
    assert abs(even.mean() - np.log(400)) < 0.15


def test_jittered_boxes_are_new_at_every_visit():
    first, again, other = (draw(proposed=proposals(1), seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.isin(first.boxes[:10], [*other.boxes, *TWO.boxes]).all(axis=1).any()


def test_a_photo_without_objects_gives_backgrounds():
    drawn = draw(truth([], []))
    assert (drawn.targets[:, -1] == 1).all()
    assert not drawn.teaches_box.any()
    assert np.allclose(drawn.box_deltas, 0, atol=1e-5)


def test_few_backgrounds_come_several_times():
    drawn = draw(truth([], []), proposals(3))
    assert len(drawn.boxes) == 40
    assert len(np.unique(drawn.boxes, axis=0)) == 3


def test_a_photo_that_lends_objects_gives_no_background():
    drawn = draw(is_exhaustive=False)
    assert (box_iou(drawn.boxes, TWO.boxes).max(axis=1) >= 0.3).all()


def test_nothing_is_drawn_on_an_ignored_object():
    annotation = truth(TWO.boxes, TWO.class_ids, ignored=[False, True])
    drawn = draw(annotation, num_regions=200)
    assert not (box_iou(drawn.boxes, annotation.boxes)[:, 1] >= 0.3).any()
    assert (drawn.targets[:, 2] == 0).all()


def test_boxes_without_surface_are_never_drawn():
    flat = proposals(30)
    flat.boxes[:15, 2] = flat.boxes[:15, 0]
    drawn = draw(proposed=flat, num_regions=200)
    assert (drawn.boxes[:, 2:] - drawn.boxes[:, :2] >= 1).all()
    assert np.isfinite(drawn.box_deltas).all()


@pytest.mark.parametrize("min_box_iou", [0.5, 0.8])
def test_regions_teach_boxes_from_the_given_overlap_on(min_box_iou):
    drawn = draw(min_box_iou=min_box_iou)
    assert np.array_equal(drawn.teaches_box, box_iou(drawn.boxes, TWO.boxes).max(axis=1) >= min_box_iou)
