"""Whole-image classification: crops, ensembles, labels."""

from itertools import product

import numpy as np
import PIL.Image
import pytest
import torch

from incdet.classifier import Classifier, crop_image
from incdet.errors import WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.structures import Image

PLAIN = Preprocessing(mean=(10, 20, 30), context=0)


def gradient(width, height):
    """Red grows to the right, green downwards."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None, :]
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image(pixels)


def test_an_image_of_the_right_size_is_only_cut():
    image = gradient(300, 256)
    (crop,) = crop_image(image, PLAIN, 1)
    cut = image.pixels[16:240, 38:262].astype(np.float32) - np.array([10, 20, 30], np.float32)
    assert torch.equal(crop, torch.from_numpy(cut).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("width", "height"), [(512, 900), (64, 50), (1, 1), pytest.param(3000, 1, marks=pytest.mark.slow)]
)
def test_the_crop_is_the_centre_whatever_the_shape(width, height):
    (crop,) = crop_image(gradient(width, height), PLAIN, 1)
    assert crop.shape == (3, 224, 224)
    if min(width, height) > 40:
        middle = crop[:2].mean(dim=(1, 2)) + torch.tensor([10.0, 20.0])
        assert torch.allclose(middle, torch.tensor([127.5, 127.5]), atol=3)


def cut(picture, left, top, size=224):
    return np.asarray(picture)[top : top + size, left : left + size]


@pytest.mark.parametrize(("width", "height"), [(400, 300), (300, 400), (300, 300)])
def test_144_crops_are_those_of_section_7(width, height):
    """4 scales x 3 squares x 6 views x 2 mirror images, cut from the whole picture by their coordinates."""
    image = Image(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    expected = []
    for shorter in (256, 288, 320, 352):
        scale = shorter / min(width, height)
        size = round(width * scale), round(height * scale)
        scaled = PIL.Image.fromarray(image.pixels).resize(size, PIL.Image.Resampling.BILINEAR)
        for part in range(3):
            left, top = (size[0] - shorter) * part // 2, (size[1] - shorter) * part // 2
            end, middle = shorter - 224, (shorter - 224) // 2
            for x, y in ((0, 0), (end, 0), (0, end), (end, end), (middle, middle)):
                expected.append(cut(scaled, left + x, top + y))
            square = scaled.crop((left, top, left + shorter, top + shorter))
            expected.append(np.asarray(square.resize((224, 224), PIL.Image.Resampling.BILINEAR)))
    expected += [piece[:, ::-1] for piece in expected]
    crops = crop_image(image, PLAIN, 144)
    assert crops.shape == (144, 3, 224, 224)
    values = np.stack(expected).astype(np.float32) - np.array([10, 20, 30], np.float32)
    assert np.array_equal(crops.permute(0, 2, 3, 1).numpy(), values)


def test_10_crops_are_the_middle_squares_corners_and_centre():
    image = gradient(400, 256)
    crops = crop_image(image, PLAIN, 10)
    places = [(x, y) for y, x in product((0, 32), (0, 32))] + [(16, 16)]
    for crop, (x, y) in zip(crops, places, strict=False):
        expected = cut(image.pixels, 72 + x, y).astype(np.float32) - np.array([10, 20, 30], np.float32)
        assert np.array_equal(crop.permute(1, 2, 0).numpy(), expected)
    assert torch.equal(crops[5:], crops[:5].flip(3))


@pytest.mark.parametrize("num_crops", [1, 10, 144])
def test_other_input_sizes_see_the_same_part_of_a_photo(num_crops):
    image = gradient(600, 500)
    small, large = (crop_image(image, Preprocessing(mean=(0, 0, 0), size=size), num_crops) for size in (112, 224))
    assert small.shape == (num_crops, 3, 112, 112)
    means = (crops.mean(dim=(2, 3)) for crops in (small, large))
    assert torch.allclose(*means, atol=2)


@pytest.fixture(scope="module")
def ensemble():
    torch.manual_seed(0)
    names = ("table", "torchvision")
    networks = [GoogLeNet(3, architecture=ARCHITECTURES[name]) for name in names]
    classes, more = ("a", "b", "c"), {"background": False, "origin": "a test", "licence": "none"}
    preprocessings = (PLAIN, Preprocessing(mean=(127.5, 127.5, 127.5), scale=1 / 127.5))
    records = [WeightsRecord(classes=classes, preprocessing=each, **more) for each in preprocessings]
    return networks, records


def test_an_ensemble_averages_its_members_each_with_its_own_preprocessing(ensemble):
    networks, records = ensemble
    image = Image(np.random.default_rng(0).integers(0, 256, (300, 280, 3), dtype=np.uint8), "noise")
    found = Classifier(networks, records, 10).classify(image)
    members = [Classifier([network], [record], 10).classify(image) for network, record in zip(*ensemble, strict=True)]
    assert np.allclose(found.probabilities, np.mean([member.probabilities for member in members], axis=0), atol=1e-6)
    assert not np.allclose(members[0].probabilities, members[1].probabilities, atol=1e-3)
    assert found.probabilities.shape == (3,)
    assert found.image == "noise"
    best = found.best(2)
    assert [name for name, _ in best] == [("a", "b", "c")[i] for i in np.argsort(-found.probabilities)[:2]]
    assert best[0][1] >= best[1][1]


def test_members_of_other_classes_are_refused(ensemble):
    networks, records = ensemble
    other = records[1].model_copy(update={"classes": ("a", "b", "d")})
    with pytest.raises(WeightsError, match="differ in classes"):
        Classifier(networks, [records[0], other])
    with pytest.raises(WeightsError, match="--weights"):
        Classifier([], [])
    with pytest.raises(WeightsError, match="regions"):
        Classifier(networks[:1], [records[0].model_copy(update={"background": True})])
