"""How long region scores take: one network and the ensemble, with either engine, taking turns on every photo."""

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.table import Table

from incdet.config import Config, make_config
from incdet.detector import Detector
from incdet.images import read_image
from incdet.networks.weights import FIRST_STAGE

Detectors = dict[str, Detector]


def make_detectors() -> tuple[Detectors, dict[str, float]]:
    """Name -> detector, and the seconds that loading each took."""
    detectors: Detectors = {}
    seconds: dict[str, float] = {}
    for engine in ("torch", "openvino"):
        if engine == "openvino" and find_spec("openvino") is None:
            continue
        config = make_config(Config, {"scores": {"engine": engine}, "device": "cpu"}, "benchmark")
        for name, weights in ((f"one network, {engine}", (FIRST_STAGE,)), (f"first stage and ensemble, {engine}", ())):
            started = time.perf_counter()
            detectors[name] = Detector.from_pretrained(*weights, config=config)
            seconds[name] = time.perf_counter() - started
    return detectors, seconds


def measure_scores(files: list[Path], runs: int, report: Callable[[int, str], None]) -> list[dict[str, Any]]:
    """One row per detector: seconds per photo (median of the runs, mean over the photos), loading, and the ratio.

    Args:
        files: the photos.
        runs: of each detector on each photo.
        report: called with the number of photos done and the next photo's name.
    """
    detectors, loading = make_detectors()
    proposers = next(iter(detectors.values())).proposers
    medians: dict[str, list[float]] = {name: [] for name in detectors}
    num_regions = 0
    for done, file in enumerate(files):
        report(done, file.name)
        image = read_image(file)
        proposals = proposers(image)
        num_regions += len(proposals)
        if done == 0:
            for detector in detectors.values():
                detector.score(image, proposals[:128])
        seconds: dict[str, list[float]] = {name: [] for name in detectors}
        for _ in range(runs):
            for name, detector in detectors.items():
                started = time.perf_counter()
                detector.score(image, proposals)
                seconds[name].append(time.perf_counter() - started)
        for name, values in seconds.items():
            medians[name].append(statistics.median(values))
    report(len(files), "")
    means = {name: statistics.fmean(values) for name, values in medians.items()}
    reference = next(iter(means.values()))
    return [
        {
            "detector": name,
            "seconds_per_photo": mean,
            "regions_per_second": num_regions / len(files) / mean,
            "times_the_first": mean / reference,
            "loading_seconds": loading[name],
        }
        for name, mean in means.items()
    ]


def scores_table(rows: list[dict[str, Any]], num_photos: int) -> Table:
    """The rows for people."""
    table = Table(title=f"region scores, {num_photos} photos")
    table.add_column("detector")
    for heading in ("s per photo", "regions per s", "times the first", "s to load"):
        table.add_column(heading, justify="right")
    for row in rows:
        numbers = row["seconds_per_photo"], row["regions_per_second"], row["times_the_first"], row["loading_seconds"]
        table.add_row(row["detector"], *(f"{number:.2f}" for number in numbers))
    return table
