"""R-CNN's warp, against a plain implementation of its definition."""

import cv2
import numpy as np
import pytest
import torch

from incdet.networks.weights_record import Preprocessing
from incdet.ops.crop_kernels import sample_crops_on_cpu
from incdet.ops.crops import sample_crops
from incdet.regions import RegionCropper
from incdet.structures import Image

CPU = torch.device("cpu")
PREPROCESSING = Preprocessing(mean=(120, 110, 100))


def warp_by_definition(pixels, box, size=224, context=16):
    """R-CNN's report, appendix A, as its code does it: enlarge, clip, resize the clipped part, paste; zero outside."""
    scale = size / (size - 2 * context)
    center = (box[:2] + box[2:]) / 2
    half = (box[2:] - box[:2]) / 2 * scale
    low, high = np.round(center - half), np.round(center + half)
    limits = np.array([pixels.shape[1], pixels.shape[0]])
    clipped_low, clipped_high = np.clip(low, 0, limits), np.clip(high, 0, limits)
    factor = size / (high - low)
    start = np.round((clipped_low - low) * factor).astype(int)
    stop = np.minimum(np.round((clipped_high - low) * factor).astype(int), size)
    x1, y1, x2, y2 = (*clipped_low.astype(int), *clipped_high.astype(int))
    part = pixels[y1:y2, x1:x2].astype(np.float32) - np.array(PREPROCESSING.mean, np.float32)
    crop = np.zeros((size, size, 3), np.float32)
    resized = cv2.resize(part, tuple((stop - start).tolist()), interpolation=cv2.INTER_LINEAR)
    crop[start[1] : stop[1], start[0] : stop[0]] = resized
    return crop.transpose(2, 0, 1)


def crop_one(image, box, flipped=None):
    boxes = np.array([box], np.float32)
    chosen = None if flipped is None else np.array([flipped])
    return RegionCropper(image, PREPROCESSING, CPU).crop(boxes, chosen)[0].numpy()


@pytest.mark.parametrize(
    "box",
    [
        (100, 120, 300, 290),
        (150, 60, 210, 260),
        (0, 0, 180, 220),
        (400, 380, 512, 512),
        (0, 0, 512, 512),
        (250, 250, 270, 275),
        (10, 200, 500, 240),
    ],
    ids=["inside", "tall", "top left", "bottom right", "whole", "tiny", "wide"],
)
def test_crops_follow_the_definition(astronaut, box):
    smooth = Image(cv2.GaussianBlur(astronaut.pixels, (0, 0), 4))
    ours = crop_one(smooth, box)
    theirs = warp_by_definition(smooth.pixels, np.array(box, np.float64))
    # the definition rounds to whole pixels, ours does not: up to half a pixel of shift in a smooth photo
    assert np.abs(ours - theirs).mean() < 3
    inside = (theirs != 0).any(axis=0) & (ours != 0).any(axis=0)
    differing = ((theirs != 0).any(axis=0) != (ours != 0).any(axis=0)).mean()
    assert inside.any()
    assert differing < 0.04


def test_a_box_of_192_pixels_is_copied_with_its_surroundings(astronaut):
    crop = crop_one(astronaut, (116, 132, 308, 324))
    expected = astronaut.pixels[116:340, 100:324].astype(np.float32) - np.array(PREPROCESSING.mean, np.float32)
    assert np.abs(crop - expected.transpose(2, 0, 1)).max() < 0.05


@pytest.mark.parametrize("context", [0, 16, 56])
def test_the_context_surrounds_the_box(astronaut, context):
    """A box as large as what the crop leaves for it is copied pixel by pixel, and so is what surrounds it."""
    left, top, side = 150, 170, 224 - 2 * context
    boxes = np.array([(left, top, left + side, top + side)], np.float32)
    crop = RegionCropper(astronaut, PREPROCESSING, CPU).crop(boxes, context=context)[0].numpy()
    seen = astronaut.pixels[top - context :, left - context :][:224, :224]
    expected = seen.astype(np.float32) - np.array(PREPROCESSING.mean, np.float32)
    assert np.abs(crop - expected.transpose(2, 0, 1)).max() < 0.05


def test_outside_the_image_is_the_mean():
    image = Image(np.full((100, 100, 3), 255, np.uint8))
    crop = crop_one(image, (0, 0, 100, 100))
    border = np.ones((224, 224), bool)
    border[16:208, 16:208] = False
    assert (crop[:, border] == 0).all()
    assert np.allclose(crop[:, ~border], 255 - np.array(PREPROCESSING.mean)[:, None], atol=1e-3)


def test_crops_are_scaled_as_the_weights_expect(astronaut):
    box = np.array([[-40, 100, 300, 480]], np.float32)
    scaled = RegionCropper(astronaut, PREPROCESSING.model_copy(update={"scale": 1 / 128}), CPU).crop(box)[0]
    assert np.allclose(scaled * 128, crop_one(astronaut, box[0]), atol=1e-3)


def test_mirrored_crops(astronaut):
    box = (30, 300, 210, 500)
    assert np.allclose(crop_one(astronaut, box, True), crop_one(astronaut, box, False)[:, :, ::-1], atol=0.05)


def test_order_and_batches_do_not_matter(astronaut):
    generator = np.random.default_rng(0)
    corners = np.sort(generator.uniform(0, 512, (23, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    cropper = RegionCropper(astronaut, PREPROCESSING, CPU)
    whole = cropper.crop(corners)
    parts = [cropper.crop(corners[start : start + 5]) for start in range(0, 23, 5)]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-3)
    turned = RegionCropper(astronaut, PREPROCESSING, CPU).crop(corners[::-1].copy())
    assert torch.allclose(whole, turned.flip(0), atol=1e-3)


@pytest.mark.parametrize("box", [(100, 120, 300, 290), (-30, 400, 90, 540)], ids=["inside", "over the border"])
def test_shrunk_crops_show_the_same(astronaut, box):
    """Twice as coarse: what the full crop shows, averaged over two by two pixels."""
    cropper = RegionCropper(Image(cv2.GaussianBlur(astronaut.pixels, (0, 0), 4)), PREPROCESSING, CPU)
    boxes = np.array([box], np.float32)
    shrunk = cropper.crop(boxes, shrink=2)
    assert shrunk.shape == (1, 3, 112, 112)
    averaged = torch.nn.functional.avg_pool2d(cropper.crop(boxes), 2)
    # where the photo ends within two pixels, one sample is inside and the average is not
    assert ((shrunk - averaged).abs() > 3).float().mean() < 0.02


@pytest.mark.parametrize("size", [7, 112, 224])
def test_the_cpu_samples_as_every_device_does(astronaut, size):
    """Boxes inside, over every border, outside, mirrored, upside down, without area, and of images of one pixel."""
    generator = np.random.default_rng(1)
    boxes = generator.uniform(-0.4, 1.4, (40, 4)).astype(np.float32)
    boxes[0], boxes[1], boxes[2] = (0, 0, 1, 1), (1.2, 1.1, 1.5, 1.4), (0.3, 0.2, 0.3, 0.8)
    for pixels in (astronaut.pixels[:301, :417], astronaut.pixels[:1, :1], astronaut.pixels[:2, :90]):
        planes = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1).contiguous()
        found = torch.full((40, 3, size, size), torch.nan)
        sample_crops_on_cpu(planes.numpy(), boxes, np.arange(40), found.numpy())
        expected = sample_crops(planes[None], torch.from_numpy(boxes), size)
        differing = (found - expected).abs() > 0.05
        # where a sample lies on the border up to rounding, either may call it inside
        assert differing.float().mean() < 1e-3
        assert found.isfinite().all()


def test_large_regions_do_not_alias():
    """A fine checkerboard of 2000 pixels must become an even grey, not a moire."""
    pixels = (np.indices((2000, 2000)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = Image(np.repeat(pixels[:, :, None], 3, axis=2))
    crop = crop_one(image, (100, 100, 1900, 1900))
    inside = crop[:, 20:200, 20:200] + np.array(PREPROCESSING.mean, np.float32)[:, None, None]
    assert np.abs(inside - 127.5).max() < 3


def test_no_boxes_no_crops(astronaut):
    assert RegionCropper(astronaut, PREPROCESSING, CPU).crop(np.zeros((0, 4), np.float32)).shape == (0, 3, 224, 224)


@pytest.mark.parametrize("box", [(2e38, 0, 2.5e38, 10), (-3e38, -3e38, 3e38, 3e38)], ids=["outside", "around"])
def test_boxes_at_the_end_of_float32_give_finite_numbers(astronaut, box):
    assert np.isfinite(crop_one(astronaut, box)).all()


def test_a_box_without_area_gives_finite_numbers(astronaut):
    assert np.isfinite(crop_one(astronaut, (50, 50, 50, 80))).all()


@pytest.mark.parametrize("flip", [False, True])
def test_threads_cut_what_one_cuts(astronaut, flip):
    generator = np.random.default_rng(0)
    boxes = np.sort(generator.uniform(0, 512, (37, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    flipped = generator.uniform(size=37) < 0.5 if flip else None
    before, found = torch.get_num_threads(), []
    for number in (1, 3):
        torch.set_num_threads(number)
        found.append(RegionCropper(astronaut, PREPROCESSING, CPU).crop(boxes, flipped))
    torch.set_num_threads(before)
    assert torch.equal(*found)
