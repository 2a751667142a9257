"""The measurements of `benchmarks/benchmark.py shared-features`: feature maps of the photo against a crop per region.

All contenders take turns on the same photos, each in a process of its own. incdet's detectors and the textbook loop
classify the same proposals. torchvision's detectors have random weights, which cost the same arithmetic as trained
ones, and as many boxes as the released settings allow; see `make_torchvision_detector`.
"""

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from contender_processes import ContenderProcesses
from detection_benchmark import matrix_rates
from detection_peers import TEXTBOOK, PhotoSeconds
from rich.table import Table
from shared_features_contenders import ContenderPlan, find_pairs

from incdet.images import read_image

NETWORK_STAGES = ("features", "regions", "scores")
"""Stages of incdet's networks, the pooling or cutting of regions included."""

STAGES = ("read", "proposals", *NETWORK_STAGES, "detections")

Measured = Mapping[Path, Sequence[PhotoSeconds]]
"""Photo -> what each round measured."""


def measure_contenders(
    photos: Sequence[Path],
    crops_limit: int,
    plans: Mapping[str, ContenderPlan],
    device: torch.device,
    runs: int,
    report: Callable[[int, str], None],
) -> dict[str, Any]:
    """Measures all contenders, which take turns on every photo in every round.

    Args:
        photos: the photos.
        crops_limit: number of first photos that contenders on crops see.
        plans: the contenders; see `find_contenders`.
        device: the device that computes.
        runs: number of rounds after the warm-up.
        report: takes the share of the work that is done, in percent, and a note.

    Returns:
        The numbers for `--json`, `seconds_table`, `factor_lines` and `work_lines`.
    """
    results: dict[str, dict[Path, list[PhotoSeconds]]] = {name: {} for name in plans}
    memory: dict[str, float] = {}
    rates: list[dict[str, float]] = []
    turns = [
        (photo, name)
        for number, photo in enumerate(photos)
        for name, plan in plans.items()
        if number < crops_limit or not plan.on_crops
    ]
    with ContenderProcesses({name: plan.make for name, plan in plans.items()}) as processes:
        _warm_up(processes, photos, plans, report)
        for run in range(runs):
            # in every round, because the speed of a shared machine changes
            rates.append(matrix_rates(device))
            for number, (photo, name) in enumerate(turns):
                done = 100 * (run + 1 + number / len(turns)) / (runs + 1)
                report(int(done), f"round {run + 1}: {photo.name}, {name}")
                seconds, memory[name] = processes.run(name, photo)
                results[name].setdefault(photo, []).append(seconds)
        report(100, "")
    matrix_rate = {precision: statistics.median(rate[precision] for rate in rates) for precision in rates[0]}
    rows = {}
    for name, plan in plans.items():
        rows[name] = summarise(results[name], matrix_rate.get(plan.precision)) | {"peak_gigabytes": memory[name]}
    factors = []
    for pair in find_pairs(list(plans)):
        factors.append(pair._asdict() | compare(results[pair.fast], results[pair.slow], pair.what))
    return {
        "device": str(device),
        "threads": torch.get_num_threads(),
        "runs": runs,
        "matrix_rates": matrix_rate,
        "contenders": rows,
        "factors": factors,
    }


def _warm_up(
    processes: ContenderProcesses,
    photos: Sequence[Path],
    plans: Mapping[str, ContenderPlan],
    report: Callable[[int, str], None],
) -> None:
    """Lets every contender load its networks and prepare itself for the sizes of the photos."""
    with tempfile.TemporaryDirectory() as folder:
        thumbnail = Path(folder) / "warm-up.png"
        PIL.Image.fromarray(read_image(photos[0]).pixels).resize((16, 12)).save(thumbnail)
        for name, plan in plans.items():
            # crops have one size, so that one photo is enough, and the textbook loop would take minutes for it
            seen = [thumbnail] if name == TEXTBOOK else photos[:1] if plan.on_crops else photos
            for photo in seen:
                report(0, f"warm-up: {photo.name}, {name}")
                processes.run(name, photo)


def summarise(measured: Measured, matrix_rate: float | None) -> dict[str, Any]:
    """Computes the figures of a contender: medians over the rounds, then means over the photos.

    Args:
        measured: the measurements of every round.
        matrix_rate: multiply-adds a second of a large matrix product in the contender's precision; None where it is
            not known.

    Returns:
        "seconds" by stage, "seconds_per_photo", "photos" and "regions", and where multiply-adds are counted, "work":
        stage -> "multiply_adds" per photo, "per_second" and, with a matrix rate, "share_of_matrix_rate".
    """
    first_runs = [runs[0] for runs in measured.values()]
    seconds = {}
    for stage in first_runs[0].stages:
        medians = [statistics.median(run.stages[stage] for run in runs) for runs in measured.values()]
        seconds[stage] = statistics.fmean(medians)
    row: dict[str, Any] = {
        "photos": len(measured),
        "regions": statistics.fmean(run.regions for run in first_runs),
        "seconds": seconds,
        "seconds_per_photo": sum(seconds.values()),
    }
    counts = [run.multiply_adds for run in first_runs if run.multiply_adds is not None]
    if not counts:
        return row
    row["work"] = {}
    for stage in counts[0]:
        multiply_adds = statistics.fmean(count[stage] for count in counts)
        work = {"multiply_adds": multiply_adds, "per_second": multiply_adds / seconds[stage]}
        if matrix_rate is not None:
            work["share_of_matrix_rate"] = work["per_second"] / matrix_rate
        row["work"][stage] = work
    return row


def compare(fast: Measured, slow: Measured, what: str) -> dict[str, float]:
    """Computes how many times faster one contender is, on the photos that both saw.

    Args:
        fast: the measurements of every round of the contender with shared features.
        slow: the same of the other one.
        what: "networks" compares `NETWORK_STAGES`, "photo" all stages.

    Returns:
        "factor", the median over the rounds, and the "lowest" and "highest" of a round. A round's factor is the
        seconds of all photos by the one over those by the other, measured within minutes of each other.
    """
    photos = [photo for photo in fast if photo in slow]

    def seconds_of(measured: Measured, number: int) -> float:
        total = 0.0
        for photo in photos:
            stages = measured[photo][number].stages
            total += sum(stages[stage] for stage in stages if what == "photo" or stage in NETWORK_STAGES)
        return total

    num_rounds = len(fast[photos[0]])
    factors = [seconds_of(slow, number) / seconds_of(fast, number) for number in range(num_rounds)]
    return {"factor": statistics.median(factors), "lowest": min(factors), "highest": max(factors)}


def seconds_table(numbers: Mapping[str, Any]) -> Table:
    """Makes a table of seconds for people."""
    title = f"seconds a photo, {numbers['device']}, {numbers['threads']} threads, median of {numbers['runs']} rounds"
    table = Table(title=title)
    table.add_column("", no_wrap=True)
    for heading in ("photos", "boxes", *STAGES, "total", "peak GB"):
        table.add_column(heading, justify="right")
    for name, row in numbers["contenders"].items():
        stages = [f"{row['seconds'][stage]:.2f}" if stage in row["seconds"] else "" for stage in STAGES]
        total, memory = f"{row['seconds_per_photo']:.2f}", f"{row['peak_gigabytes']:.2f}"
        table.add_row(name, str(row["photos"]), f"{row['regions']:.0f}", *stages, total, memory)
    return table


def factor_lines(numbers: Mapping[str, Any]) -> list[str]:
    """Says what was left out and how many times faster shared features are, one line each."""
    lines = [f"left out: {name}, because {reason}" for name, reason in numbers["skipped"].items()]
    for row in numbers["factors"]:
        goal = ""
        if row["goal"] is not None:
            goal = f", goal {row['goal']:.0f}: {'reached' if row['factor'] >= row['goal'] else 'missed'}"
        span = f"{row['lowest']:.2f} to {row['highest']:.2f}"
        lines.append(f"{row['what']}: {row['fast']} over {row['slow']}: {row['factor']:.2f} times ({span}){goal}")
    return lines


def work_lines(numbers: Mapping[str, Any]) -> list[str]:
    """Says how much is computed and how much of what the processor can do that is, one line each."""
    meanings = {"features": "photo", "scores": "regions"}
    lines = []
    for name, row in numbers["contenders"].items():
        parts = []
        for stage, work in row.get("work", {}).items():
            part = f"{meanings[stage]} {work['multiply_adds'] / 1e9:.1f} G at {work['per_second'] / 1e9:.1f} G a second"
            if "share_of_matrix_rate" in work:
                part += f" ({work['share_of_matrix_rate']:.2f} of the matrix product)"
            parts.append(part)
        if parts:
            lines.append(f"multiply-adds, {name}: {'; '.join(parts)}")
    rates = ", ".join(f"{name} {rate / 1e9:.1f} G" for name, rate in numbers["matrix_rates"].items())
    return [*lines, f"matrix product, multiply-adds a second: {rates}"]
