"""Detection on a cluster of three nodes while raylets, workers and the command itself are killed at random moments.

    python experiments/cluster_failures.py --folder runs/cluster_failures --runs 20

Three real Ray nodes run on this machine, each in a network namespace of its own where that is possible (as root on
Linux). Every run detects in the same small photos, is hit by `kill -9`, is repeated until it ends by itself, and its
rows are compared with those of `incdet detect` without a cluster. Interrupted, the same command goes on with the next
run.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import PIL.Image
import skimage.data
import typer
from cluster_nodes import ClusterNodes, workers_below
from rich.table import Table

from incdet.cli.console import notes, run_program
from incdet.cluster.part_files import read_part
from incdet.output.result_lines import parse_line

KINDS = ("raylet", "worker", "command", "raylet and command")
"""Processes that are killed, in turn."""

SETTINGS = ("proposals.limit=24", "proposals.methods=[selective_search]", "scores.photo_sides=[96]")

OPTIONS = ("--preset", "fast", *(word for setting in SETTINGS for word in ("--set", setting)))
"""A detector with real networks that takes a fraction of a second for a small photo."""


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes:
        number: Number of the run, which decides its random moments.
        killed: Processes that were killed.
        after: Seconds after the start of the command at which they were.
        parts_before: Number of parts that were done then.
        commands: Number of times that the command was given.
        rows: Number of rows at the end.
        photos: Number of different photos in them.
        different: Number of rows that differ from those of one machine.
        seconds: Time until the end.
    """

    number: int
    killed: str
    after: float
    parts_before: int
    commands: int
    rows: int
    photos: int
    different: int
    seconds: float


def main(
    folder: Annotated[Path, typer.Option(help="Folder of the photos, the results and the table.")],
    runs: Annotated[int, typer.Option(min=1, help="Number of runs.")] = 20,
    photos: Annotated[int, typer.Option(min=2, help="Number of photos.")] = 500,
    side: Annotated[int, typer.Option(help="Width and height of a photo.")] = 64,
    part_size: Annotated[int, typer.Option(help="Photos of a part.")] = 20,
    latest: Annotated[float, typer.Option(help="Latest moment of a kill, in seconds after the start.")] = 25.0,
) -> int:
    """Kill processes of a cluster at random moments and compare the rows with those of one machine."""
    folder.mkdir(parents=True, exist_ok=True)
    make_photos(folder / "photos", photos, side)
    reference = lines_of_one_machine(folder)
    stored = folder / "outcomes.jsonl"
    outcomes = [json.loads(line) for line in stored.read_text().splitlines()] if stored.exists() else []
    with ClusterNodes(3, folder / "nodes") as nodes:
        for number in range(len(outcomes), runs):
            outcome = one_run(nodes, folder, number, part_size, latest, reference)
            outcomes.append(asdict(outcome))
            with stored.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(outcomes[-1]) + "\n")
            notes.print(json.dumps(outcomes[-1]), markup=False)
    notes.print(table_of(outcomes))
    is_good = all(each["rows"] == each["photos"] == photos and not each["different"] for each in outcomes)
    return 0 if is_good else 1


def make_photos(folder: Path, count: int, side: int) -> None:
    """Makes small photos: parts of two photos that scikit-image ships."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    shipped = Path(skimage.data.__file__).parent
    originals = [PIL.Image.open(shipped / name).convert("RGB") for name in ("astronaut.png", "chelsea.png")]
    for number in range(count):
        file = folder / f"{number:04d}.jpg"
        photo = originals[number % 2]
        left, top = (int(generator.integers(0, length // 3)) for length in photo.size)
        if not file.exists():
            photo.crop((left, top, *photo.size)).resize((side, side)).save(file, quality=92)


def lines_of_one_machine(folder: Path) -> dict[str, Any]:
    """Returns the lines of `incdet detect` without a cluster by photo; computed once."""
    file = folder / "one_machine.jsonl"
    if not file.exists():
        command = [sys.executable, "-m", "incdet", "detect", str(folder / "photos"), *OPTIONS, "--json", str(file)]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        notes.print(f"one machine: {time.perf_counter() - started:.1f} s", markup=False)
    lines = [parse_line(text) for text in file.read_text(encoding="utf-8").splitlines()]
    return {line["image"]: line for line in lines}


def one_run(
    nodes: ClusterNodes, folder: Path, number: int, part_size: int, latest: float, reference: dict[str, Any]
) -> Outcome:
    """Detects on the cluster, kills something at a random moment, and goes on until the command ends by itself."""
    nodes.start_missing()
    place = folder / "found"
    shutil.rmtree(place, ignore_errors=True)
    command = [sys.executable, "-m", "incdet", "detect", str(folder / "photos"), *OPTIONS, "--quiet"]
    command += ["--cluster", nodes.address, "--output", str(place), "--part-size", str(part_size)]
    moment = random.Random(number)
    kind, after = KINDS[number % len(KINDS)], moment.uniform(2, latest)
    started = time.perf_counter()
    process = nodes.run_at_head(command)
    while time.perf_counter() - started < after and process.poll() is None:
        time.sleep(0.05)
    parts_before = len(list(place.glob("part-*")))
    killed = kill_one(nodes, process, kind, moment)
    after = time.perf_counter() - started
    num_commands = 1
    while process.wait() != 0:
        if num_commands == 5:
            raise RuntimeError(f"run {number} did not end after {num_commands} commands: {process.returncode}")
        nodes.start_missing()
        process, num_commands = nodes.run_at_head(command), num_commands + 1
    seconds = time.perf_counter() - started
    lines = [
        line for part in sorted(place.glob("part-*")) for line in read_part(part.read_bytes(), "parquet", "detections")
    ]
    names = Counter(line["image"] for line in lines)
    different = sum(line != reference.get(line["image"]) for line in lines)
    return Outcome(
        number,
        killed,
        round(after, 1),
        parts_before,
        num_commands,
        len(lines),
        len(names),
        different,
        round(seconds, 1),
    )


def kill_one(nodes: ClusterNodes, process: "subprocess.Popen[bytes]", kind: str, moment: random.Random) -> str:
    """Kills processes of a kind and returns what was killed."""
    if process.poll() is not None:
        return "nothing: the run had ended"
    killed = []
    if kind == "worker":
        workers = [worker for raylet in nodes.raylets() for worker in workers_below(raylet)]
        if not workers:
            return "nothing: no worker was there"
        os.kill(moment.choice(workers), signal.SIGKILL)
        killed.append("worker")
    if "raylet" in kind:
        # the head's node stays, as the command and Ray's own state are there
        os.kill(moment.choice(nodes.raylets()[1:]), signal.SIGKILL)
        killed.append("raylet")
    if "command" in kind:
        process.kill()
        killed.append("command")
    return " and ".join(killed)


def table_of(outcomes: list[dict[str, Any]]) -> Table:
    """Returns the table of all runs."""
    table = Table(title="kill -9 on a cluster of three nodes")
    for name in Outcome.__dataclass_fields__:
        table.add_column(name.replace("_", " "), justify="left" if name == "killed" else "right")
    for outcome in outcomes:
        table.add_row(*(str(outcome[name]) for name in Outcome.__dataclass_fields__))
    return table


if __name__ == "__main__":
    run_program(main)
