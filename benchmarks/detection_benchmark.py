"""The measurements of `benchmarks/benchmark.py detect`: incdet beside the textbook loop and torchvision's detectors."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from contender_processes import ContenderProcesses, make_incdet
from detection_peers import TEXTBOOK, TORCHVISION_DETECTORS, Contender, PhotoSeconds, make_peer
from rich.table import Table

from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.images import read_image
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.engines.selection import openvino_works_on
from incdet.networks.shipped_weights import REJECTION_NETWORK
from incdet.networks.summary import summarize
from incdet.runtime.device import choose_device, choose_precision


def contenders(peers: bool, exact: bool, settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """All contenders that can run on this machine: name -> the settings that make it.

    Args:
        peers: whether the textbook loop and torchvision's detectors take part.
        exact: whether the ensemble with thresholds of 0, which classifies every region by every network, takes part.
        settings: settings `dotted.key=value` for incdet's detectors.
    """
    device = choose_device(load_config(Config, settings=settings).device)
    engines = {"torch": ["scores.engine=torch"]}
    if openvino_works_on(device):
        native = str(choose_precision("auto", device)).removeprefix("torch.")
        engines["openvino"] = ["scores.engine=openvino", f"scores.precision={native}"]
        engines["openvino int8"] = ["scores.engine=openvino", "scores.precision=int8"]
    found: dict[str, dict[str, Any]] = {}
    if peers:
        found |= {name: {"peer": name, "device": device} for name in (TEXTBOOK, *TORCHVISION_DETECTORS)}
    for name, engine in engines.items():
        chosen = ["scores.features=cropped", *settings, *engine]
        six = {"weights": [], "settings": chosen, "device": device}
        found[f"one network, {name}"] = six | {"weights": [REJECTION_NETWORK]}
        found[f"six networks, {name}"] = six
        if exact:
            zero = [f"scores.{threshold}=0" for threshold in ("min_probability", "half_resolution_min_probability")]
            found[f"six networks exactly, {name}"] = six | {"settings": [*chosen, *zero]}
    return found


def _maker(what: Mapping[str, Any]) -> Callable[[], Contender]:
    """What makes a contender from its settings; see `contenders`."""
    if "peer" in what:
        return partial(make_peer, what["peer"], what["device"])
    return partial(make_incdet, what["weights"], what["settings"])


def measure_detection(
    photos: list[Path], named: Mapping[str, Mapping[str, Any]], runs: int, report: Callable[[int, str], None]
) -> dict[str, Any]:
    """Measures every contender on every photo, in turn, each in a process of its own.

    Args:
        photos: the photos.
        named: the contenders; see `contenders`.
        runs: number of runs of each contender on each photo; the median counts.
        report: function that is called with the number of turns done and the next turn.

    Raises:
        IncdetError: a contender cannot be made or cannot read a photo.
    """
    (device,) = {what["device"] for what in named.values()}
    results: dict[str, dict[Path, list[PhotoSeconds]]] = {name: {photo: [] for photo in photos} for name in named}
    memory: dict[str, float] = {}
    turns = [(run, photo, name) for run in range(runs) for photo in photos for name in named]
    with ContenderProcesses({name: _maker(what) for name, what in named.items()}) as processes:
        with tempfile.TemporaryDirectory() as folder:
            thumbnail = Path(folder) / "warm-up.png"
            PIL.Image.fromarray(read_image(photos[0]).pixels).resize((16, 12)).save(thumbnail)
            for done, (name, what) in enumerate(named.items()):
                report(done, f"warm-up: {name}")
                # a network of ours is made ready when a region first reaches it; peers would take minutes
                processes.run(name, thumbnail if "peer" in what else photos[0])
        rates = matrix_rates(device)
        for done, (_, photo, name) in enumerate(turns, len(named)):
            report(done, f"{photo.name}: {name}")
            seconds, memory[name] = processes.run(name, photo)
            results[name][photo].append(seconds)
        report(len(named) + len(turns), "")
    rows = {name: _figures(results[name], memory[name], rates, named[name]) for name in named}
    return {"device": str(device), "matrix_rates": rates, **_ratios(rows), "contenders": rows}


def _figures(
    measured: Mapping[Path, list[PhotoSeconds]], memory: float, rates: Mapping[str, float], what: Mapping[str, Any]
) -> dict[str, Any]:
    """The figures of a contender: medians over the runs, means over the photos."""
    stages = {
        stage: statistics.fmean(statistics.median(run.stages[stage] for run in runs) for runs in measured.values())
        for stage in next(iter(measured.values()))[0].stages
    }
    total = sum(stages.values())
    regions = statistics.fmean(runs[0].regions for runs in measured.values())
    found = {"seconds": stages, "seconds_per_photo": total, "photos_per_second": 1 / total, "peak_gigabytes": memory}
    if "scores" not in stages:  # torchvision's detectors tell the total alone
        return found
    classifying = stages["regions"] + stages["scores"]
    found |= {"regions": regions, "regions_per_second": regions / classifying}
    device = what["device"]
    if device.type == "cpu":  # a GPU cuts crops while this process waits for its networks
        found["crops_share"] = stages["regions"] / classifying
    native = str(choose_precision("auto", device)).removeprefix("torch.")
    given = [
        setting.partition("=")[2] for setting in what.get("settings", ()) if setting.startswith("scores.precision=")
    ]
    precision = given[-1] if given else native
    # nothing is known of the rate in eight bits
    if len(what.get("weights", ())) == 1 and precision in rates:
        done = regions / stages["scores"] * multiply_adds()
        found["multiply_adds_per_second"] = done
        found["share_of_matrix_rate"] = done / rates[precision]
    return found


def _ratios(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Factors by which contenders are faster than the textbook loop, and the cost of six networks beside one."""
    ratios: dict[str, Any] = {}
    if TEXTBOOK in rows:
        peer = rows[TEXTBOOK]
        ours = {name: row for name, row in rows.items() if name not in (TEXTBOOK, *TORCHVISION_DETECTORS)}
        ratios["regions_per_second_ratio"] = {
            name: row["regions_per_second"] / peer["regions_per_second"]
            for name, row in ours.items()
            if name.startswith("one network") and "regions_per_second" in row
        }
        ratios["end_to_end_ratio"] = {
            name: peer["seconds_per_photo"] / row["seconds_per_photo"] for name, row in ours.items()
        }
    ratios["six_to_one_ratio"] = {
        engine: _classifying(rows[f"six networks, {engine}"]) / _classifying(row)
        for name, row in rows.items()
        if (engine := name.removeprefix("one network, ")) != name
    }
    return ratios


def _classifying(row: Mapping[str, Any]) -> float:
    return row["seconds"]["regions"] + row["seconds"]["scores"]


@cache
def multiply_adds() -> float:
    """Multiply-adds of GoogLeNet on one region (Table 1 of the paper, computed)."""
    return float(summarize(ARCHITECTURES["table"]).multiply_adds)


def matrix_rates(device: torch.device, size: int | None = None, runs: int = 7) -> dict[str, float]:
    """Multiply-adds per second of torch's matrix product by precision, the best that the hardware gives.

    Args:
        device: the device that multiplies.
        size: side of the square matrices; None keeps the device busy for longer than it takes to start.
        runs: number of runs after one for warm-up; the best one counts.
    """
    size = size or (2048 if device.type == "cpu" else 8192)
    rates = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        if dtype == torch.bfloat16 and choose_precision("auto", device) != dtype:
            continue
        matrix = torch.randn(size, size, device=device, dtype=dtype)
        seconds = []
        for _ in range(runs + 1):
            started = time.perf_counter()
            matrix @ matrix
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        rates[name] = size**3 / min(seconds[1:])
    return rates


def cold_start_seconds(photo: Path, runs: int, settings: Sequence[str]) -> dict[str, float]:
    """Engine -> seconds from the start of `incdet detect` to the end of its first photo, with few proposals."""
    device = choose_device(load_config(Config, settings=settings).device)
    engines = ["torch", *(["openvino"] if openvino_works_on(device) else [])]
    few = ["proposals.limit=16", "proposals.methods=[selective_search]"]
    options = ["--quiet", *(part for setting in (*settings, *few) for part in ("--set", setting))]
    found = {}
    for engine in engines:
        seconds = []
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "incdet", "detect", str(photo.resolve()), "--engine", engine, *options]
                started = time.perf_counter()
                subprocess.run([*command, "--json", "-"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
                seconds.append(time.perf_counter() - started)
        found[engine] = statistics.median(seconds)
    return found


def detection_table(numbers: Mapping[str, Any], num_photos: int) -> Table:
    """The numbers as a table for people."""
    table = Table(title=f"detection, {num_photos} photos, {numbers['device']}: seconds per photo")
    table.add_column("")
    headings = ("read", "proposals", "regions", "scores", "detections", "total", "regions/s", "peak GB", "times faster")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, row in numbers["contenders"].items():
        stages = [f"{row['seconds'][stage]:.2f}" if stage in row["seconds"] else "" for stage in headings[:5]]
        per_second = f"{row['regions_per_second']:.1f}" if "regions_per_second" in row else ""
        ratio = numbers.get("end_to_end_ratio", {}).get(name)
        cells = f"{row['seconds_per_photo']:.2f}", per_second, f"{row['peak_gigabytes']:.2f}"
        table.add_row(name, *stages, *cells, f"{ratio:.2f}" if ratio else "")
    return table


def ratio_lines(numbers: Mapping[str, Any]) -> list[str]:
    """The sentences below the table."""
    lines = [
        f"regions per second over the textbook loop's: {name} {ratio:.2f}"
        for name, ratio in numbers.get("regions_per_second_ratio", {}).items()
    ]
    lines += [
        f"classifying with six networks over one, {name}: {ratio:.2f}"
        for name, ratio in numbers["six_to_one_ratio"].items()
    ]
    for name, row in numbers["contenders"].items():
        if "share_of_matrix_rate" in row:
            done, share = row["multiply_adds_per_second"] / 1e9, row["share_of_matrix_rate"]
            lines.append(f"{name}: {done:.1f} G multiply-adds per second, {share:.2f} of the matrix rate")
    rates = ", ".join(f"{name} {rate / 1e9:.1f} G" for name, rate in numbers["matrix_rates"].items())
    lines.append(f"matrix rate (multiply-adds per second): {rates}")
    cold = ", ".join(f"{engine} {seconds:.1f} s" for engine, seconds in numbers["cold_start_seconds"].items())
    return [*lines, f"incdet detect from its start to the end of a photo with 16 proposals: {cold}"]
