"""Whole runs of `incdet evaluate` on generated detections, and pycocotools as the peer."""

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from rich.table import Table

from incdet.data.ilsvrc import read_ilsvrc
from incdet.errors import IncdetError
from incdet.evaluation.columns import DetectionColumns, object_columns
from incdet.evaluation.submission import submission_text
from incdet.runtime.files import write_text
from incdet.runtime.provenance import gigabytes_of

EVAL_MAP = Path(__file__).parents[1] / "tools" / "eval_map.py"

Row = dict[str, float | int | str]


def evaluation_jobs(sizes: Sequence[int], peer_limit: int) -> list[tuple[int, str]]:
    """All pairs of a number of detections and the rules that judge them; pycocotools gets at most `peer_limit`."""
    return [(size, rules) for size in sizes for rules in ("ilsvrc", "coco") if rules == "ilsvrc" or size <= peer_limit]


def measure_evaluation(
    root: Path, split: str, jobs: Sequence[tuple[int, str]], runs: int, report: Callable[[int, str], None]
) -> list[Row]:
    """Measures the jobs; each run is a process of its own that reads the file, judges and prints.

    Args:
        root: ILSVRC DET in its official layout.
        split: name of the split.
        jobs: the measurements, as `evaluation_jobs` makes them.
        runs: number of runs of each job after one for warm-up; the median counts.
        report: takes the number of runs done and a note.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        data = ["--dataset", "ilsvrc", "--root", str(root.resolve()), "--split", split, "--cache", f"{folder}/cache"]
        # in a process of its own: the kernel adds what a parent holds to the peak of its children
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            for size in dict.fromkeys(size for size, _ in jobs):
                pool.submit(_write_detections, Path(folder) / f"{size}.txt", root, split, size).result()
        for number, (size, rules) in enumerate(jobs):
            report(number * (runs + 1), f"{size:,} {rules}")
            command = [*data, "--predictions", f"{folder}/{size}.txt", "--rules", rules]
            # the first run warms the caches of annotations and files
            measured = [_measure(command) for _ in range(runs + 1)][1:]
            seconds, gigabytes = (statistics.median(column) for column in zip(*measured, strict=True))
            rows.append({"detections": size, "rules": rules, "seconds": seconds, "gigabytes": gigabytes})
        report(len(jobs) * (runs + 1), "")
    return rows


def _write_detections(file: Path, root: Path, split: str, count: int) -> None:
    """Submission text with objects moved by some of their size and chance boxes; scores of three digits make ties."""
    dataset = read_ilsvrc(root, split)
    objects, generator = object_columns(dataset.ground_truths), np.random.default_rng(count)
    rows = generator.integers(len(objects), size=count)
    boxes = objects.boxes_inclusive[rows]
    sides = np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
    boxes = np.round(boxes + generator.normal(0, 0.15, boxes.shape) * sides)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    near = generator.random(count) < 0.4
    images = np.where(near, objects.images[rows], generator.integers(len(dataset), size=count))
    right = near & (generator.random(count) < 0.8)
    chance = generator.integers(len(dataset.class_names), size=count)
    class_ids = np.where(right, objects.class_ids[rows], chance)
    scores = np.round(np.clip(generator.beta(1, 6, count) + near * generator.random(count) / 2, 0, 1), 3)
    write_text(file, submission_text(DetectionColumns(images, class_ids, scores, boxes), dataset))


def _measure(arguments: list[str]) -> tuple[float, float]:
    """(seconds, peak gigabytes) of a run of `incdet evaluate`.

    Raises:
        IncdetError: it failed.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, str(EVAL_MAP), *arguments, "--quiet"], stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status != 0:
            errors.seek(0)
            raise IncdetError(f"eval_map.py failed: {errors.read().decode().strip()}")
    return seconds, gigabytes_of(usage.ru_maxrss)


def evaluation_table(rows: list[Row]) -> Table:
    """The numbers as a table for people."""
    table = Table(title="incdet evaluate: whole process, median")
    for heading in ("detections", "rules", "seconds", "peak GB"):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = f"{row['seconds']:.2f}", f"{row['gigabytes']:.2f}"
        table.add_row(f"{row['detections']:,}", "ilsvrc" if row["rules"] == "ilsvrc" else "coco (pycocotools)", *cells)
    return table
