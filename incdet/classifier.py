"""Image -> class probabilities of the whole image, from one centre crop."""

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from incdet.networks.weights import Preprocessing
from incdet.structures import Image

SHORTER_SIDE = 256
"""The paper's smallest test scale; the centre square of the input size is cut from it (section 7, "1 crop")."""


def center_crop(image: Image, preprocessing: Preprocessing, shorter_side: int = SHORTER_SIDE) -> Tensor:
    """The preprocessed centre square [3, size, size] float32 of the image scaled to a shorter side, in pixels."""
    scale = shorter_side / min(image.width, image.height)
    width, height = (max(round(side * scale), shorter_side) for side in (image.width, image.height))
    scaled = PIL.Image.fromarray(image.pixels).resize((width, height), PIL.Image.Resampling.BILINEAR)
    left, top = (width - preprocessing.size) // 2, (height - preprocessing.size) // 2
    square = scaled.crop((left, top, left + preprocessing.size, top + preprocessing.size))
    values = (np.asarray(square, np.float32) - np.array(preprocessing.mean, np.float32)) * preprocessing.scale
    return torch.from_numpy(values).permute(2, 0, 1)
