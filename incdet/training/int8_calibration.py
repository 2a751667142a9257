"""The ranges that eight bits stand for in a region classifier, measured on regions of photos it was trained on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from incdet.config.sections import ImagesConfig, ProposalsConfig
from incdet.images import read_image
from incdet.networks.calibration import activation_ranges
from incdet.networks.engines.openvino_backend import check_network
from incdet.networks.engines.torch_backend import CPU_ROWS
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import save_activation_ranges
from incdet.networks.weights import load_network
from incdet.networks.weights_record import Preprocessing
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.regions import RegionCropper
from incdet.runtime.reporter import SILENT, Reporter
from incdet.training.annotated_sample import PhotoSample


def calibrate(
    weights: Sequence[str],
    sample: PhotoSample,
    regions_per_photo: int,
    seed: int,
    cache: Path,
    reporter: Reporter = SILENT,
) -> None:
    """Writes the activation ranges of each file of weights beside it (NAME.int8.json).

    Args:
        weights: Names or files of region classifiers.
        sample: The photos.
        regions_per_photo: Regions of each photo, drawn from its proposals.
        seed: Seed of the drawing.
        cache: Folder that keeps proposals.
        reporter: Listener.

    Raises:
        WeightsError: The weights cannot be read, or are of a network that has no eight-bit form.
        DataError: The data set cannot be read.
    """
    files = [find_weights(name) for name in weights]
    paths = sample.read(reporter).image_paths
    proposals = ProposalCache(cache, ProposalsConfig(methods=("selective_search",)))
    reporter.follow("proposals", proposals.fill(paths, ImagesConfig()), len(paths))
    for file in files:
        network, record = load_network(file)
        check_network(network)
        crops = _crops(paths, proposals, record.preprocessing, regions_per_photo, seed)
        ranges = activation_ranges(network, torch.split(crops, CPU_ROWS))
        measured_on = f"{len(crops)} regions of {len(paths)} photos of {sample.describe()}, seed {seed}"
        beside = save_activation_ranges(file, ranges, measured_on)
        reporter.note(f"wrote {beside}: {len(ranges)} ranges")


def _crops(
    paths: Sequence[Path], proposals: ProposalCache, preprocessing: Preprocessing, regions_per_photo: int, seed: int
) -> Tensor:
    """Crops [B, 3, S, S] of regions drawn from every photo's proposals."""
    generator = np.random.default_rng(seed)
    crops: list[Tensor] = []
    for path in paths:
        image = read_image(path)
        boxes = proposals(image).boxes
        rows = generator.choice(len(boxes), min(regions_per_photo, len(boxes)), replace=False)
        crops.append(RegionCropper(image, preprocessing, torch.device("cpu")).crop(boxes[rows]))
    return torch.cat(crops)
