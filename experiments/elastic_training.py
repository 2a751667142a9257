"""Shows that a training under torchrun survives `kill -9`: the losses before and after, and the same weights.

    python experiments/elastic_training.py --root VOC2012

Some photos of the data set are written into tar shards. Two processes train MultiBox from them, once in one go and once
with `torchrun --max-restarts 1` and a process that is killed in the middle. Both trainings read the shards through
fsspec, at an address.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from incdet.cli.console import notes, run_program
from incdet.data.collection import Collection
from incdet.data.readers import read_dataset
from incdet.data.shard_writer import write_object_shards
from incdet.errors import DataError

STEPS, CHECKPOINT_EVERY = 12, 4
KILLED_AFTER = 6
"""Number of steps in the log when a process is killed."""

Losses = dict[int, float]
"""Number of the step -> loss."""


def main(
    root: Annotated[Path, typer.Option(help="Folder of the data set.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the data set.")] = Collection.voc,
    split: Annotated[str, typer.Option(help="Split that is learnt.")] = "train",
    num_photos: Annotated[int, typer.Option(min=4, help="Number of photos.")] = 24,
    killed_rank: Annotated[int, typer.Option(min=0, max=1, help="Process that is killed.")] = 1,
) -> None:
    """Trains twice and prints the losses."""
    photos = read_dataset(dataset, root, split).evenly_spaced(num_photos)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        list(write_object_shards(photos, folder / "shards", "train", photos_in_shard=8))
        address = f"file://{folder / 'shards'}"
        whole, _ = train(address, folder / "whole", None)
        after, before = train(address, folder / "cut", killed_rank)
        notes.print(table_of(whole, before, after))
        files = [folder / run / "weights.safetensors" for run in ("whole", "cut")]
        is_same = files[0].read_bytes() == files[1].read_bytes()
    notes.print(f"weights at the end: {'the same, bit for bit' if is_same else 'DIFFERENT'}")
    if not is_same or whole != after:
        raise DataError("the training with a killed process ended otherwise than the one in one go; look at its log")


def train(address: str, folder: Path, killed_rank: int | None) -> tuple[Losses, Losses]:
    """Trains by two processes and returns the losses, and those before a process was killed.

    Args:
        address: Address of the shards.
        folder: Folder of the run.
        killed_rank: Process that is killed after `KILLED_AFTER` steps; None lets all live.

    Raises:
        DataError: The training fails.
    """
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    settings = {
        "optimization.steps": STEPS,
        "optimization.batch_size": 1,
        "checkpoint_every": CHECKPOINT_EVERY,
        "log_every": 1,
        "data.validation_images": 1,
        "device": "cpu",
    }
    command = [sys.executable, *launcher, "-m", "incdet", "train", "multibox", "shared_multibox_voc", "--quiet"]
    command += ["--dataset", "shards", "--root", address, "--split", "train", "--output", str(folder)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        before = {} if killed_rank is None else kill_after_some_steps(process, folder, killed_rank)
        code = process.wait()
    if code:
        raise DataError(f"the training in {folder} ended with the exit code {code}; its messages are above")
    return losses_of(folder), before


def kill_after_some_steps(process: "subprocess.Popen[bytes]", folder: Path, killed_rank: int) -> Losses:
    """Kills a process of a training once `KILLED_AFTER` steps are logged, and returns the losses until then."""
    while process.poll() is None:
        losses = losses_of(folder)
        if len(losses) >= KILLED_AFTER:
            os.kill(find_process(process.pid, killed_rank), signal.SIGKILL)
            return losses
        time.sleep(0.05)
    return {}


def find_process(parent: int, rank: int) -> int:
    """Returns the id of the process of a rank that torchrun, the parent, has started.

    Raises:
        DataError: There is no such process.
    """
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    for child in children:
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise DataError(f"torchrun, process {parent}, has no process of rank {rank}; run again")


def losses_of(folder: Path) -> Losses:
    """Returns the loss of every step in the log of a run; none before it begins."""
    file = folder / "log.jsonl"
    if not file.exists():
        return {}
    losses = {}
    # the last line may be written just now
    for line in file.read_text().splitlines(keepends=True):
        entry: dict[str, Any] = json.loads(line) if line.endswith("\n") else {}
        if "location" in entry:
            losses[int(entry["step"])] = entry["location"] + entry["confidence"]
    return losses


def table_of(whole: Losses, before: Losses, after: Losses) -> Table:
    """Returns the losses step by step."""
    table = Table("step", "in one go", "until kill -9", "after the restart", title="loss")
    first = max(before, default=0) // CHECKPOINT_EVERY * CHECKPOINT_EVERY
    for step, loss in whole.items():
        again = f"{after[step]:.6f}" if step > first else ""
        table.add_row(str(step), f"{loss:.6f}", f"{before[step]:.6f}" if step in before else "", again)
    return table


if __name__ == "__main__":
    run_program(main)
