"""Whole-image classification: the centre crop and its accuracy."""

import numpy as np
import pytest
import torch

from incdet.classifier import center_crop
from incdet.evaluation.classification import top_k_accuracy
from incdet.networks.weights import Preprocessing
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
    crop = center_crop(image, PLAIN)
    cut = image.pixels[16:240, 38:262].astype(np.float32) - np.array([10, 20, 30], np.float32)
    assert torch.equal(crop, torch.from_numpy(cut).permute(2, 0, 1))


@pytest.mark.parametrize(("width", "height"), [(512, 900), (64, 50), (1, 1), (3000, 1)])
def test_the_crop_is_the_centre_whatever_the_shape(width, height):
    crop = center_crop(gradient(width, height), PLAIN)
    assert crop.shape == (3, 224, 224)
    if min(width, height) > 40:
        middle = crop[:2].mean(dim=(1, 2)) + torch.tensor([10.0, 20.0])
        assert torch.allclose(middle, torch.tensor([127.5, 127.5]), atol=3)


def test_accuracy_counts_the_k_best():
    probabilities = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4], [0.0, 0.0, 1.0]])
    truth = np.array([2, 1, 1, 0])
    assert top_k_accuracy(probabilities, truth, 1) == 0.25
    # of equal probabilities the lower class id is the better guess
    assert top_k_accuracy(probabilities, truth, 2) == 0.75
    assert top_k_accuracy(probabilities, truth, 3) == 1
