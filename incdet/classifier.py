"""Classification of whole photos: class probabilities, averaged over 1, 10 or 144 crops and any number of networks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from incdet.config.crop_counts import NumCrops
from incdet.config.sections import Config
from incdet.images import ImageSource, read_image
from incdet.networks.chosen_weights import check_classifier_records
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.finite_outputs import require_finite
from incdet.networks.googlenet import INPUT_SIZE, GoogLeNet
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.runtime.device import choose_batch_size, choose_device, choose_precision
from incdet.runtime.file_hashes import named_hashes
from incdet.runtime.forks import ProcessMark
from incdet.structures import Classification, Image

SHORTER_SIDES = (256, 288, 320, 352)
"""Shorter sides of the photo in pixels at the paper's four scales (section 7), for an input of 224 pixels. One crop and
ten crops are cut at the first scale."""


class Classifier:
    """An ensemble of M networks that classifies whole photos.

    Attributes:
        config: the effective configuration; device, precision, batch size and image limits count.
        class_names: names of the C classes.
        preprocessings: M preprocessings.
        backends: M networks, ready to compute.
        num_crops: number of crops of a photo that each network sees.
        origin: name of each weights' file -> SHA-256; empty where networks were given directly.
    """

    def __init__(
        self,
        networks: Sequence[GoogLeNet],
        records: Sequence[WeightsRecord],
        num_crops: NumCrops = 1,
        config: Config | None = None,
    ) -> None:
        """Prepares networks; `from_pretrained` loads them from files.

        Args:
            networks: M networks in float32, which are changed in place.
            records: M records of their weights.
            num_crops: number of crops of a photo.
            config: the configuration; None is the default.

        Raises:
            WeightsError: there is no network, one was trained on regions, or the members differ in classes.
            ConfigurationError: the device is not there.
        """
        self._made_here = ProcessMark()
        self.config, self.num_crops = config or Config(), num_crops
        self.class_names = check_classifier_records(records)
        self.preprocessings = tuple(record.preprocessing for record in records)
        self.device = choose_device(self.config.device)
        self.precision = choose_precision(self.config.scores.precision, self.device)
        prepared = (prepare_network(network, self.device, self.precision) for network in networks)
        self.backends = tuple(TorchBackend(network) for network in prepared)
        self.origin: dict[str, str] = {}

    @classmethod
    def from_pretrained(
        cls, *weights: str | Path, num_crops: NumCrops = 1, config: Config | None = None
    ) -> "Classifier":
        """Loads a classifier from weight files.

        Args:
            weights: paths of files, or names of shipped weights; several make an ensemble.
            num_crops: number of crops of a photo.
            config: the configuration; None is the default.

        Raises:
            WeightsError: weights are missing, damaged, or do not fit together.
            ConfigurationError: the device is not there.
        """
        files = [find_weights(name) for name in weights]
        members = [load_network(file) for file in files]
        networks, records = [network for network, _ in members], [record for _, record in members]
        classifier = cls(networks, records, num_crops, config)
        classifier.origin = named_hashes(files)
        return classifier

    def classify(self, source: ImageSource) -> Classification:
        """Computes the probability of every class: softmax averaged over crops and networks (paper, section 7).

        Args:
            source: path, encoded bytes, an RGB or grey array, or an `Image`.

        Raises:
            ImageError: the photo cannot be read.
        """
        image = read_image(source, self.config.images)
        probabilities = self.member_probabilities(image).mean(axis=0)
        return Classification(image.name, image.width, image.height, probabilities, self.class_names)

    @torch.inference_mode()
    def member_probabilities(self, image: Image) -> np.ndarray:
        """Computes each network's probabilities, averaged over the crops: [M, C] float32."""
        self._made_here.require_same("a classifier")
        # networks with the same preprocessing share their crops
        crops: dict[Preprocessing, Tensor] = {}
        batch_size = choose_batch_size(self.config.scores.batch_size, self.device)
        rows = []
        for backend, preprocessing in zip(self.backends, self.preprocessings, strict=True):
            if preprocessing not in crops:
                crops[preprocessing] = crop_image(image, preprocessing, self.num_crops)
            batches = torch.split(crops[preprocessing], batch_size)
            logits = torch.cat([backend.full(batch.to(self.device)).cpu() for batch in batches])
            rows.append(logits.softmax(dim=1).mean(dim=0).numpy())
        probabilities = np.stack(rows)
        require_finite(probabilities)
        return probabilities


def classify(source: ImageSource, *weights: str | Path, num_crops: NumCrops = 1) -> Classification:
    """Names what one photo shows; for many photos, `Classifier.from_pretrained` loads the networks once.

    Example:
        >>> found = classify("photo.jpg", "runs/imagenet.safetensors", num_crops=10)  # doctest: +SKIP
        >>> found.best(2)  # doctest: +SKIP
        [('n02124075', 0.502485), ('n02123159', 0.268961)]

    Args:
        source: path, encoded bytes, an RGB or grey array, or an `Image`.
        weights: paths of files of weights of whole photos, as `incdet weights import` makes them; several make an
            ensemble.
        num_crops: number of crops of the photo: 1, 10 or 144.

    Raises:
        ImageError: the photo cannot be read.
        WeightsError: weights are missing, damaged, do not fit together, or classify regions.
    """
    return Classifier.from_pretrained(*weights, num_crops=num_crops).classify(source)


def crop_image(image: Image, preprocessing: Preprocessing, num_crops: NumCrops) -> Tensor:
    """Cuts and preprocesses the crops of an image.

    One crop is the centre. Ten crops are the corners and the centre of the middle square, and their mirror images
    (Krizhevsky et al. 2012; the paper does not define them). 144 crops are, at four scales and in three squares (left,
    centre, right, or top, centre, bottom), the corners, the centre and the whole square, and their mirror images
    (paper, section 7).

    Returns:
        [num_crops, 3, S, S] float32, S being the size of the preprocessing; mirror images stand in the second half.
    """
    size = preprocessing.size
    crops: list[PIL.Image.Image] = []
    if num_crops == 1:
        crops.append(_centre(_scale(image, SHORTER_SIDES[0], size), size))
    elif num_crops == 10:
        _, middle, _ = _squares(_scale(image, SHORTER_SIDES[0], size))
        crops += _corners_and_centre(middle, size)
    else:
        for shorter_side in SHORTER_SIDES:
            for square in _squares(_scale(image, shorter_side, size)):
                crops += _corners_and_centre(square, size)
                crops.append(square.resize((size, size), PIL.Image.Resampling.BILINEAR))
    pixels = np.stack([np.asarray(crop) for crop in crops])  # [num_crops or half of it, S, S, 3]
    if num_crops > 1:
        pixels = np.concatenate([pixels, pixels[:, :, ::-1]])
    values = (pixels.astype(np.float32) - np.array(preprocessing.mean, np.float32)) * preprocessing.scale
    return torch.from_numpy(values).permute(0, 3, 1, 2)


def _scale(image: Image, shorter_side: int, size: int) -> PIL.Image.Image:
    """Resizes an image to a shorter side, which is in proportion to the network's input where that is not 224."""
    shorter_side = round(shorter_side * size / INPUT_SIZE)
    scale = shorter_side / min(image.width, image.height)
    width, height = (max(round(side * scale), shorter_side) for side in (image.width, image.height))
    return PIL.Image.fromarray(image.pixels).resize((width, height), PIL.Image.Resampling.BILINEAR)


def _squares(picture: PIL.Image.Image) -> list[PIL.Image.Image]:
    """Cuts the first, the middle and the last square along the longer side."""
    side = min(picture.size)
    squares = []
    for position in range(3):
        # along the shorter side there is no room, so one of these is 0
        left, top = (picture.width - side) * position // 2, (picture.height - side) * position // 2
        squares.append(picture.crop((left, top, left + side, top + side)))
    return squares


def _corners_and_centre(square: PIL.Image.Image, size: int) -> list[PIL.Image.Image]:
    """Cuts the four corners and the centre, `size` pixels wide and high each."""
    end = square.width - size
    places = ((0, 0), (end, 0), (0, end), (end, end))
    corners = [square.crop((left, top, left + size, top + size)) for left, top in places]
    return [*corners, _centre(square, size)]


def _centre(picture: PIL.Image.Image, size: int) -> PIL.Image.Image:
    """Cuts the centre, `size` pixels wide and high."""
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return picture.crop((left, top, left + size, top + size))
