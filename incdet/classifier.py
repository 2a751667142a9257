"""Image -> class probabilities of the whole image, averaged over 1, 10 or 144 crops and any number of networks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from incdet.config.sections import Config
from incdet.errors import WeightsError
from incdet.images import ImageSource, read_image
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.googlenet import INPUT_SIZE, GoogLeNet
from incdet.networks.weights import (
    Preprocessing,
    WeightsRecord,
    find_weights,
    load_network,
    named_hashes,
    same_classes,
)
from incdet.runtime.device import choose_batch_size, choose_device, choose_precision
from incdet.structures import Classification, Image

NumCrops = Literal[1, 10, 144]
KNOWN_CROPS: tuple[NumCrops, ...] = get_args(NumCrops)

SHORTER_SIDES = (256, 288, 320, 352)
"""The paper's four scales (section 7), for an input of 224 pixels; one and ten crops are cut from the first."""


class Classifier:
    """An ensemble that names what a whole photo shows.

    Attributes:
        class_names: the C classes.
        networks, preprocessings: the members.
        num_crops: how many pieces of a photo each member sees.
        origin: weights' name -> SHA-256, see `named_hashes`; empty where networks were given directly.
    """

    def __init__(
        self,
        networks: Sequence[GoogLeNet],
        records: Sequence[WeightsRecord],
        num_crops: NumCrops = 1,
        config: Config | None = None,
    ) -> None:
        """Takes networks and their records; `from_pretrained` loads them from files.

        Raises:
            WeightsError: there is no network, one was trained on regions, or the members differ in classes.
            ConfigurationError: the device is not there.
        """
        if not networks:
            raise WeightsError(
                "a classifier needs weights of whole photos; import BVLC's or torchvision's with "
                "incdet weights import and give them with --weights"
            )
        for record in records:
            if record.background:
                raise WeightsError(
                    f"these weights judge regions, not whole photos ({record.origin}); use incdet detect, or give "
                    "weights of whole photos, as incdet weights import makes them"
                )
        self.config, self.num_crops = config or Config(), num_crops
        self.class_names = same_classes(records)
        self.preprocessings = tuple(record.preprocessing for record in records)
        self.device = choose_device(self.config.device)
        self.precision = choose_precision(self.config.scores.precision, self.device)
        prepared = (prepare_network(network, self.device, self.precision) for network in networks)
        self.halves = tuple(map(TorchBackend, prepared))
        self.origin: dict[str, str] = {}

    @classmethod
    def from_pretrained(
        cls, *weights: str | Path, num_crops: NumCrops = 1, config: Config | None = None
    ) -> "Classifier":
        """A classifier from weight files; several make an ensemble.

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
        """The probability of every class: softmax averaged over crops and networks (paper, section 7).

        Args:
            source: a path, encoded bytes, an RGB or grey array, or an `Image`.

        Raises:
            ImageError: the photo cannot be read.
        """
        image = read_image(source, self.config.images)
        probabilities = self.member_probabilities(image).mean(axis=0)
        return Classification(image.name, image.width, image.height, probabilities, self.class_names)

    @torch.inference_mode()
    def member_probabilities(self, image: Image) -> np.ndarray:
        """[M, C] float32: each network's probabilities, averaged over the crops."""
        crops: dict[Preprocessing, Tensor] = {}
        rows = []
        for halves, preprocessing in zip(self.halves, self.preprocessings, strict=True):
            if preprocessing not in crops:
                crops[preprocessing] = crop_image(image, preprocessing, self.num_crops)
            batch_size = choose_batch_size(self.config.scores.batch_size, self.device)
            batches = torch.split(crops[preprocessing], batch_size)
            logits = torch.cat([halves.full(batch.to(self.device)).cpu() for batch in batches])
            rows.append(logits.softmax(dim=1).mean(dim=0).numpy())
        return np.stack(rows)


def crop_image(image: Image, preprocessing: Preprocessing, num_crops: NumCrops) -> Tensor:
    """The preprocessed crops of an image: [num_crops, 3, size, size] float32.

    One is the centre. Ten are the corners and the centre of the middle square, and their mirror images (Krizhevsky et
    al. 2012; the paper does not say). 144 are, at four scales and in three squares (left, centre, right, or top,
    centre, bottom), the corners, the centre and the whole square, and their mirror images (section 7).
    """
    size = preprocessing.size
    if num_crops == 1:
        pieces = [_centre(_scaled(image, SHORTER_SIDES[0], size), size)]
    elif num_crops == 10:
        pieces = list(_five(_squares(_scaled(image, SHORTER_SIDES[0], size))[1], size))
    else:
        pieces = []
        for shorter_side in SHORTER_SIDES:
            for square in _squares(_scaled(image, shorter_side, size)):
                pieces += [*_five(square, size), square.resize((size, size), PIL.Image.Resampling.BILINEAR)]
    pixels = np.stack([np.asarray(piece) for piece in pieces])
    if num_crops > 1:
        pixels = np.concatenate([pixels, pixels[:, :, ::-1]])
    values = (pixels.astype(np.float32) - np.array(preprocessing.mean, np.float32)) * preprocessing.scale
    return torch.from_numpy(values).permute(0, 3, 1, 2)


def _scaled(image: Image, shorter_side: int, size: int) -> PIL.Image.Image:
    """The image with this shorter side, in proportion for networks of another input size than the paper's."""
    shorter_side = round(shorter_side * size / INPUT_SIZE)
    scale = shorter_side / min(image.width, image.height)
    width, height = (max(round(side * scale), shorter_side) for side in (image.width, image.height))
    return PIL.Image.fromarray(image.pixels).resize((width, height), PIL.Image.Resampling.BILINEAR)


def _squares(picture: PIL.Image.Image) -> list[PIL.Image.Image]:
    """The first, the middle and the last square along the longer side."""
    side = min(picture.size)
    starts = [((picture.width - side) * part // 2, (picture.height - side) * part // 2) for part in range(3)]
    return [picture.crop((left, top, left + side, top + side)) for left, top in starts]


def _five(square: PIL.Image.Image, size: int) -> Iterator[PIL.Image.Image]:
    """The four corners and the centre."""
    end = square.width - size
    for left, top in ((0, 0), (end, 0), (0, end), (end, end)):
        yield square.crop((left, top, left + size, top + size))
    yield _centre(square, size)


def _centre(picture: PIL.Image.Image, size: int) -> PIL.Image.Image:
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return picture.crop((left, top, left + size, top + size))
