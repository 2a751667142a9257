"""MultiBox on shared feature maps as a proposer: the best boxes over all sizes of a photo, without near-duplicates."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from incdet.config.sections import MultiBoxConfig, ScoresConfig
from incdet.errors import WeightsError
from incdet.networks.engines.selection import Engine
from incdet.networks.finite_outputs import require_finite
from incdet.networks.multibox_description import SharedMultiBoxDescription
from incdet.networks.photo_levels import PhotoLevel, PhotoLevels, photo_input
from incdet.networks.pretrained import load_pretrained
from incdet.networks.shared_multibox import SharedMultiBox
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import activation_ranges_file
from incdet.networks.stage_signature import same_signature, stage_signature
from incdet.networks.weights import load_shared_multibox
from incdet.networks.weights_origin import may_take_ranges
from incdet.ops.boxes import clip_boxes
from incdet.ops.nms import nms
from incdet.proposers.multibox_proposer import SOURCE
from incdet.runtime.device import choose_precision
from incdet.runtime.file_hashes import sha256
from incdet.structures import Image, Proposals

VERSION = 2
"""Counted up whenever the same weights give other boxes: stored proposals of another version are not used."""

MAX_BOXES_PER_LEVEL = 2000
"""Number of best boxes of a photo at one size among which near-duplicates are looked for; there are tens of thousands,
nearly all of them without an object."""

MIN_SIDE = 1.0
"""Shortest side of a box, in pixels of the photo; boxes that lie outside the photo have none after clipping."""


class SharedMultiBoxProposer:
    """A trained MultiBox on shared feature maps, loaded once, that proposes boxes in photos.

    Args:
        config: the weights, the sizes of photos, and the number of boxes.
        device: the device that computes the networks.
        photo_levels: computes feature maps for others, too. Where they are those of another network than the weights
            were trained on, or None, the proposer loads that network and computes the feature maps itself.
        scores: engine and precision of the network that the proposer loads, and precision of MultiBox's own layers;
            None is the default.

    Attributes:
        config: the configuration, as given.
        files: the files of the weights, of MultiBox and of the network that is loaded besides.
        network: MultiBox in evaluation mode, on the device.
        photo_levels: computes the feature maps.
        photo_sides: lengths of the shorter side of a photo, in pixels, at which its feature maps are read.
        photo_cropper: always None, because there are no crops.

    Raises:
        WeightsError: the weights are missing or damaged, or are of another kind, or do not belong to the network that
            their record names.
    """

    def __init__(
        self,
        config: MultiBoxConfig,
        device: torch.device,
        photo_levels: PhotoLevels | None = None,
        scores: ScoresConfig | None = None,
    ) -> None:
        file = find_weights(config.weights)
        network, record = load_shared_multibox(file)
        self.config, self.network = config, network.to(device).to(memory_format=torch.channels_last)
        scores = scores or ScoresConfig()
        self.device, self.precision = device, _layer_precision(scores, device)
        self.photo_cropper = None
        self.photo_sides = config.photo_sides or record.preprocessing.photo_sides
        self.files: tuple[Path, ...] = (file,)
        wanted = network.description
        self.photo_levels: PhotoLevels
        if photo_levels is not None and same_signature(photo_levels.signature, wanted.signature):
            self.photo_levels = photo_levels
            return
        own = NetworkLevels(wanted.network, device, scores)
        if not same_signature(own.signature, wanted.signature):
            raise WeightsError(
                f"the weights {file} propose boxes from the feature maps of another network than {own.file}; give "
                "weights that were trained on it, or proposals.multibox.weights=multibox-voc"
            )
        self.photo_levels, self.files = own, (file, own.file)

    @torch.inference_mode()
    def __call__(self, image: Image, photo_crops: np.ndarray | None = None) -> Proposals:
        """The best boxes of a photo, best first.

        Args:
            image: the photo.
            photo_crops: always None; other MultiBoxes take crops.
        """
        levels = self.photo_levels(image, self.photo_sides)
        if self.precision == torch.float32:
            # others may have computed them in bfloat16, which layers in float32 do not take
            levels = [replace(level, feature_maps=level.feature_maps.float()) for level in levels]
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            return propose_from_levels(image, self.network, levels, self.config)


class NetworkLevels:
    """Computes the feature maps of photos by a region network that is loaded for them alone; see `PhotoLevels`.

    Args:
        name: name or file of the network's weights.
        device: the device that computes.
        scores: engine and precision. Those of a detector give its own feature maps, and so the same proposals.

    Attributes:
        file: the file of the weights.
        signature: the signature of the network's stages 1 to 4.

    Raises:
        WeightsError: the weights are missing or damaged.
    """

    def __init__(self, name: str, device: torch.device, scores: ScoresConfig) -> None:
        self.file, self.device = find_weights(name), device
        loaded = load_pretrained(self.file, scores)
        self.preprocessing = loaded.record.preprocessing
        self.signature = stage_signature(loaded.network)
        engine = Engine(scores, device, [loaded.network], bool(loaded.activation_ranges))
        self._backend = engine.backend(engine.prepare(loaded.network), loaded.activation_ranges)

    @torch.inference_mode()
    def __call__(self, image: Image, photo_sides: Sequence[int]) -> list[PhotoLevel]:
        """Computes the feature maps of a photo; see `PhotoLevels`."""
        levels = []
        for photo_side in photo_sides:
            photo, scale = photo_input(image, self.preprocessing, photo_side)
            levels.append(PhotoLevel(scale, self._backend.photo_features(photo.to(self.device))))
        return levels

    def shared_seconds(self, image: Image) -> float:
        """Returns 0, because nobody else needs these feature maps; see `PhotoLevels`."""
        return 0.0


def feature_map_key(description: SharedMultiBoxDescription, device: torch.device, scores: ScoresConfig) -> str:
    """Returns a text that differs where the feature maps that MultiBox reads may differ, for names of stored proposals.

    Args:
        description: MultiBox, which names the network that computes the feature maps.
        device: the device that computes.
        scores: engine and precision of the network.

    Raises:
        WeightsError: the network's weights are missing.
        ConfigurationError: the engine does not compute on the device, or not in the precision.
        PackageError: the engine is not installed.
    """
    file = find_weights(description.network)
    ranges = activation_ranges_file(file)
    has_ranges = ranges.exists() and may_take_ranges(scores)
    hashes = [sha256(known) for known in (file, *([ranges] if has_ranges else []))]
    return " ".join([*hashes, Engine(scores, device, (), has_ranges).describe(), str(_layer_precision(scores, device))])


def _layer_precision(scores: ScoresConfig, device: torch.device) -> torch.dtype:
    """The type in which torch computes MultiBox's own layers, for which there are no eight bits."""
    return choose_precision("auto" if scores.precision == "int8" else scores.precision, device)


def propose_from_levels(
    image: Image, network: SharedMultiBox, levels: Sequence[PhotoLevel], config: MultiBoxConfig
) -> Proposals:
    """The best boxes of a photo, best first.

    Args:
        image: the photo.
        network: MultiBox in evaluation mode.
        levels: the feature maps of the photo at one or several sizes.
        config: the number of boxes and the overlap of near-duplicates.
    """
    boxes, scores = [], []
    for level in levels:
        level_boxes, level_scores = best_boxes(network, level, MAX_BOXES_PER_LEVEL)
        boxes.append(level_boxes.cpu().numpy())
        scores.append(level_scores.cpu().numpy())
        require_finite(boxes[-1], scores[-1])
    return select_best(image, np.concatenate(boxes), np.concatenate(scores), config)


def best_boxes(network: SharedMultiBox, level: PhotoLevel, limit: int) -> tuple[Tensor, Tensor]:
    """The most confident boxes of a photo at one size.

    Args:
        network: MultiBox in evaluation mode.
        level: the feature maps.
        limit: largest number of boxes.

    Returns:
        Boxes [N, 4] float32, xyxy pixels of the original photo and not clipped, and confidences [N] float32 in [0, 1],
        best first, on the network's device.
    """
    outputs = network(level.feature_maps)
    logits = outputs.logits[0].float()
    best = logits.argsort(descending=True, stable=True)[:limit]
    priors = network.priors(*level.feature_maps.shape[2:]).to(logits.device)
    scale = torch.from_numpy(np.tile(level.scale, 2)).to(logits.device)
    boxes = network.decode(priors[best], outputs.corner_offsets[0, best]) / scale
    return boxes, logits[best].sigmoid()


def select_best(image: Image, boxes: np.ndarray, scores: np.ndarray, config: MultiBoxConfig) -> Proposals:
    """Cuts boxes at the photo's border, ranks them and leaves near-duplicates out.

    Args:
        image: the photo.
        boxes: [N, 4] float32, xyxy pixels of the photo.
        scores: [N] float32, confidences.
        config: the largest number of boxes and the overlap of near-duplicates.
    """
    boxes = clip_boxes(boxes, image.width, image.height)
    has_surface = (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE).all(axis=1)
    boxes, scores = boxes[has_surface], scores[has_surface]
    order = np.argsort(-scores, kind="stable")
    kept = order[nms(boxes[order], config.iou_threshold, config.limit)]
    return Proposals(boxes[kept], scores[kept], np.full(len(kept), SOURCE))
