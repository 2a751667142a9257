"""The ranges that eight bits stand for in a region classifier, measured on regions of photos it was trained on."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from incdet.config.sections import ImagesConfig, ProposalsConfig
from incdet.errors import ImageError
from incdet.images import read_image
from incdet.networks.calibration import CalibrationPhoto, activation_ranges
from incdet.networks.engines.openvino_backend import check_network
from incdet.networks.engines.torch_backend import CPU_ROWS
from incdet.networks.photo_levels import photo_input
from incdet.networks.record_files import load_region_record
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import save_activation_ranges
from incdet.networks.weights import load_network
from incdet.networks.weights_record import Preprocessing
from incdet.ops.region_pooling import regions_in_cells
from incdet.pipeline.photo_features import choose_levels
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.regions import RegionCropper
from incdet.runtime.counted_words import counted
from incdet.runtime.reporter import SILENT, Reporter
from incdet.structures import Image
from incdet.training.annotated_sample import PhotoSample
from incdet.training.samples.batch_loading import BadPhotos


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
        WeightsError: The weights cannot be read, are not those of region classifiers, or are of a network that has no
            eight-bit form.
        DataError: The data set cannot be read, or too many of its photos.
    """
    files = [find_weights(name) for name in weights]
    for file in files:
        load_region_record(file)
    paths = sample.read(reporter).image_paths
    proposals = ProposalCache(cache, ProposalsConfig(methods=("selective_search",)))
    reporter.note(proposals.describe())
    reporter.follow("proposals", proposals.fill(paths, ImagesConfig()), len(paths))
    bad = BadPhotos(len(paths), reporter.warn, are_replaced=False)
    drawn_regions = partial(_drawn_regions, paths, proposals, regions_per_photo, seed, bad)
    for file in files:
        network, record = load_network(file)
        check_network(network)
        if record.features == "shared":
            photos = _photos_with_regions(drawn_regions(), record.preprocessing)
            num_regions = sum(len(photo.regions) for photo in photos)
            ranges = activation_ranges(network, photos)
        else:
            crops = _crops(drawn_regions(), record.preprocessing)
            num_regions = len(crops)
            ranges = activation_ranges(network, torch.split(crops, CPU_ROWS))
        num_photos = len(paths) - len(bad.problems)
        measured_on = (
            f"{counted(num_regions, 'region')} of {counted(num_photos, 'photo')} of {sample.describe()}, seed {seed}"
        )
        beside = save_activation_ranges(file, ranges, measured_on)
        reporter.note(f"wrote {beside}: {len(ranges)} ranges")
    bad.tell_number()


def _crops(drawn: Iterable[tuple[Image, np.ndarray]], preprocessing: Preprocessing) -> Tensor:
    """Crops [B, 3, S, S] of regions drawn from every photo's proposals."""
    crops: list[Tensor] = []
    for image, boxes in drawn:
        crops.append(RegionCropper(image, preprocessing, torch.device("cpu")).crop(boxes))
    return torch.cat(crops)


def _photos_with_regions(
    drawn: Iterable[tuple[Image, np.ndarray]], preprocessing: Preprocessing
) -> list[CalibrationPhoto]:
    """Every photo whole, at each of its sizes, with those regions drawn from its proposals that suit the size."""
    photos: list[CalibrationPhoto] = []
    for image, boxes in drawn:
        levels = choose_levels(boxes, image, preprocessing, preprocessing.photo_sides)
        for level in np.unique(levels):
            photo, scale = photo_input(image, preprocessing, preprocessing.photo_sides[level])
            cells = regions_in_cells(boxes[levels == level], scale, preprocessing.context, preprocessing.size)
            photos.append(CalibrationPhoto(photo, torch.from_numpy(cells)))
    return photos


def _drawn_regions(
    paths: Sequence[Path], proposals: ProposalCache, regions_per_photo: int, seed: int, bad: BadPhotos
) -> Iterator[tuple[Image, np.ndarray]]:
    """Photos that can be read, each with boxes [R, 4] drawn from its proposals."""
    generator = np.random.default_rng(seed)
    for path in paths:
        try:
            image = read_image(path)
        except ImageError as error:
            bad.add(str(error))
            continue
        boxes = proposals(image).boxes
        rows = generator.choice(len(boxes), min(regions_per_photo, len(boxes)), replace=False)
        yield image, boxes[rows]
