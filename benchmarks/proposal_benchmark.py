"""What `benchmarks/benchmark.py proposals` and `proposal-scaling` measure, and how it is told."""

import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import skimage.segmentation
from rich.table import Table

from incdet.config.sections import SelectiveSearchConfig
from incdet.data.voc import VOC_CLASSES
from incdet.data.xml_annotations import VOC_BOXES, read_annotation
from incdet.evaluation.recall import coverage_at, measure_coverage
from incdet.proposers.colors import convert_colors
from incdet.proposers.segmentation import order_edges, segment
from incdet.proposers.selective_search import group_all, make_frame, propose
from incdet.runtime.provenance import peak_memory_gigabytes
from incdet.structures import GroundTruth, Image, Proposals

ENGINES = {"incdet": ("incdet", 1), "incdet_two_threads": ("incdet", 2), "opencv": ("opencv", 1)}
"""Name -> engine and threads."""


SCALING_MEGAPIXELS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 6.0, 12.0)


@dataclass(frozen=True, eq=False)
class PhotoMeasurement:
    """Seconds and proposals of each engine, and seconds and number of superpixels of each segmentation."""

    seconds: dict[str, float]
    proposals: dict[str, Proposals]
    segmentation_seconds: dict[str, float]
    superpixels: dict[str, int]


def measure_photo(image: Image, config: SelectiveSearchConfig, runs: int) -> PhotoMeasurement:
    """Runs all engines and both segmentations in turn, once for warm-up, and takes their medians."""
    engines = {
        name: partial(propose, image, config.model_copy(update={"engine": engine}), threads)
        for name, (engine, threads) in ENGINES.items()
    }
    channels = convert_colors(make_frame(image, config.width), config.color_spaces[0])
    k = config.k[0] * config.superpixel_scale
    colors = np.ascontiguousarray(channels.transpose(1, 2, 0))
    # scikit-image scales colours to 0..1, and its k by 1 / 255 to match
    segmentations = {
        "incdet": lambda: segment(order_edges(channels, config.sigma), k, int(k)),
        "scikit-image": lambda: skimage.segmentation.felzenszwalb(colors, k, config.sigma, int(k), channel_axis=2),
    }
    seconds, proposals = _take_turns(engines, runs)
    segmentation_seconds, labels = _take_turns(segmentations, runs)
    return PhotoMeasurement(
        seconds, proposals, segmentation_seconds, {name: int(found.max()) + 1 for name, found in labels.items()}
    )


def _take_turns(peers: Mapping[str, Callable[[], Any]], runs: int) -> tuple[dict[str, float], dict[str, Any]]:
    """(median seconds, last result) of each peer; the first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    results = {}
    for _ in range(runs + 1):
        for name, work in peers.items():
            started = time.perf_counter()
            results[name] = work()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}, results


def start_up_seconds() -> dict[str, float]:
    """Seconds until the first proposals of a new process: when nothing is compiled yet, and when all is."""
    code = (
        "import numpy as np; from incdet.structures import Image\n"
        "from incdet.config.sections import SelectiveSearchConfig\n"
        "from incdet.proposers.selective_search import propose\n"
        "propose(Image(np.zeros((64, 64, 3), np.uint8)), SelectiveSearchConfig())"
    )
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], env=os.environ | {"NUMBA_CACHE_DIR": folder}, check=True)
            seconds.append(time.perf_counter() - started)
    return {"first_process_seconds": seconds[0], "second_process_seconds": seconds[1]}


def proposal_numbers(files: Sequence[Path], measured: Sequence[PhotoMeasurement]) -> dict[str, Any]:
    """Medians over the photos and their ratios; coverage of the photos that have an annotation."""
    numbers: dict[str, Any] = {"photos": len(files)}
    truths = [_annotation(file) for file in files]
    for name in ENGINES:
        found = [photo.proposals[name] for photo in measured]
        shortest = [min(len(boxes) for boxes in photo.proposals.values()) for photo in measured]
        numbers[name] = {
            "seconds": statistics.median(photo.seconds[name] for photo in measured),
            "boxes": statistics.mean(map(len, found)),
            **_coverages(truths, found, "coverage"),
            **_coverages(
                truths, [boxes[:n] for boxes, n in zip(found, shortest, strict=True)], "coverage_at_same_number"
            ),
        }
    numbers["segmentation"] = {
        name: {
            "seconds": statistics.median(photo.segmentation_seconds[name] for photo in measured),
            "superpixels": statistics.mean(photo.superpixels[name] for photo in measured),
        }
        for name in measured[0].superpixels
    }
    peer, segmentation = numbers["opencv"]["seconds"], numbers["segmentation"]
    return numbers | {
        "ratio_to_opencv": peer / numbers["incdet"]["seconds"],
        "ratio_to_opencv_two_threads": peer / numbers["incdet_two_threads"]["seconds"],
        "ratio_to_scikit_image": segmentation["scikit-image"]["seconds"] / segmentation["incdet"]["seconds"],
    }


def _annotation(file: Path) -> GroundTruth | None:
    xml = file.parent.parent / "Annotations" / f"{file.stem}.xml"
    class_ids = {name: number for number, name in enumerate(VOC_CLASSES)}
    return read_annotation(xml, class_ids, VOC_BOXES) if xml.is_file() else None


def _coverages(truths: Sequence[GroundTruth | None], found: Sequence[Proposals], name: str) -> dict[str, float]:
    pairs = [(truth, boxes) for truth, boxes in zip(truths, found, strict=True) if truth is not None]
    if not pairs:
        return {}
    coverage = measure_coverage([truth for truth, _ in pairs], [boxes for _, boxes in pairs])
    return {
        name: coverage_at(coverage.best),
        f"mean_best_overlap{name.removeprefix('coverage')}": float(coverage.best.mean()),
    }


def proposals_table(numbers: dict[str, Any]) -> Table:
    """Engines and segmentations, the ratios below."""
    ratio, two = numbers["ratio_to_opencv"], numbers["ratio_to_opencv_two_threads"]
    caption = (
        f"OpenCV / incdet: {ratio:.1f} with one thread, {two:.1f} with two; "
        f"scikit-image / incdet: {numbers['ratio_to_scikit_image']:.1f}; first proposals of a new process after "
        f"{numbers['first_process_seconds']:.1f} s, of the next one after {numbers['second_process_seconds']:.1f} s"
    )
    table = Table(title=f"{numbers['photos']} photos: medians per photo, one thread", caption=caption)
    table.add_column("")
    for heading in ("seconds", "boxes", "coverage", "coverage at the same number"):
        table.add_column(heading, justify="right")
    for name in ENGINES:
        row = numbers[name]
        shares = [f"{row[key]:.4f}" if key in row else "-" for key in ("coverage", "coverage_at_same_number")]
        table.add_row(
            name.replace("_", ", ", 1).replace("_", " "), f"{row['seconds']:.3f}", f"{row['boxes']:.0f}", *shares
        )
    for name, row in numbers["segmentation"].items():
        table.add_row(f"segmentation, {name}", f"{row['seconds']:.3f}", f"{row['superpixels']:.0f}", "", "")
    return table


def measure_frame(image: Image, megapixels: float) -> dict[str, float]:
    """Seconds of the default search on the image as a frame of this size, after a small one for warm-up."""
    config = SelectiveSearchConfig()
    scale = math.sqrt(megapixels * 1e6 / (image.width * image.height))
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    frame = np.asarray(PIL.Image.fromarray(image.pixels).resize(size, PIL.Image.Resampling.BICUBIC))
    group_all(frame[:64, :64].copy(), config, 1)
    started = time.perf_counter()
    groupings = group_all(frame, config, 1)
    seconds = time.perf_counter() - started
    superpixels = statistics.mean(int(grouping.labels.max()) + 1 for grouping in groupings)
    return {
        "megapixels": megapixels,
        "seconds": seconds,
        "seconds_per_megapixel": seconds / megapixels,
        "superpixels": superpixels,
        "peak_gigabytes": peak_memory_gigabytes(),
    }


def scaling_table(rows: Sequence[dict[str, float]]) -> Table:
    """A row per size."""
    table = Table(title="selective search by the size of its frame, one thread")
    for heading in ("megapixels", "seconds", "seconds per megapixel", "superpixels", "peak GB"):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = (f"{row['megapixels']:g}", f"{row['seconds']:.2f}", f"{row['seconds_per_megapixel']:.2f}")
        table.add_row(*cells, f"{row['superpixels']:.0f}", f"{row['peak_gigabytes']:.2f}")
    return table
