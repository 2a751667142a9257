"""A training small enough to be run, killed and resumed in seconds; as a program: `tiny_training.py FOLDER STEP`.

After this step (0: never) the program waits for the end of its input before it goes on. With `torchrun` the processes
share a batch of 8 samples, and compute in double precision. With `KILLED_RANK` in the environment, the process of this
rank dies after `KILLED_STEP` steps, unless `torchrun` has started the processes again already.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from incdet.networks.dropout import Dropout
from incdet.runtime.distributed import Processes, joined_processes
from incdet.training.loop import Task, Trainer
from incdet.training.optimization import OptimizationConfig
from incdet.training.schedule import Schedule

STEPS = 40
KILLED_STEP = 27
CONFIGURATION = {"seed": 3, "steps": STEPS}
HERE = Path(__file__).parent


class TinyNetwork(nn.Module):
    """Two layers with dropout between them, so that the random numbers of a step matter."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 32)
        self.dropout = Dropout(0.1)
        self.output = nn.Linear(32, 1)

    def forward(self, inputs):
        return self.output(self.dropout(self.hidden(inputs).relu()))


class TinyBatch(NamedTuple):
    """Inputs [8, 6], the sums [8, 1] that the network shall learn, and what the samples are called."""

    inputs: Tensor
    targets: Tensor
    names: list[str]


def draw(step, rank=0, count=1):
    """What a process takes of the batch of a step."""
    inputs = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))[rank::count]
    return TinyBatch(inputs, inputs.sum(dim=1, keepdim=True), [f"sample {number}" for number in range(8)][rank::count])


def losses(network, batch):
    return {"squared_error": (network(batch.inputs) - batch.targets).square()[:, 0]}


def validate(network):
    inputs, targets, _ = draw(-1)
    with torch.no_grad():
        error = F.mse_loss(network(inputs), targets)
        return {"error": float(error), "norm": float(network.output.weight.norm())}


def make_trainer(folder, steps=STEPS, processes=None):
    processes = processes or Processes()
    torch.manual_seed(0)
    network = TinyNetwork()

    def batches(coming):
        return (draw(step, processes.rank, processes.count) for step in coming)

    task = Task(network, ("output.",), 8 * 10, batches, losses, validate)
    size = 8 // processes.count
    config = OptimizationConfig(steps=steps, batch_size=size, learning_rate=0.02, new_layer_factor=4, average_decay=0.9)
    return Trainer(task, config, Schedule(log_every=5, checkpoint_every=10), folder, 3, processes)


def nothing(step, terms):
    """A progress callback that does not interrupt."""


def interrupt_after(last):
    """A progress callback that interrupts after a step."""

    def progress(step, terms):
        if step == last:
            raise KeyboardInterrupt

    return progress


def trained(folder, **more):
    trainer = make_trainer(folder, **more)
    trainer.resume(CONFIGURATION)
    trainer.run(nothing)
    return trainer


def stopped_at(folder, step):
    """A training that was interrupted after a step."""
    trainer = make_trainer(folder)
    trainer.resume(CONFIGURATION)
    try:
        trainer.run(interrupt_after(step))
    except KeyboardInterrupt:
        return trainer
    raise AssertionError("the training was not interrupted")


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def log_without_speeds(folder):
    """The log but for what the machine decides, which belongs to the entries about training steps alone."""
    entries = log_of(folder)
    for entry in entries:
        assert ("samples_per_second" in entry) == ("squared_error" in entry)
        assert entry.pop("samples_per_second", 1) > 0
    return entries


def state_of(folder):
    return load_file(folder / "checkpoint.safetensors")


def assert_identical(state, other):
    assert state.keys() == other.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, other[name]), name


def start_program(folder, launcher=(), wait_after=0, killed_rank=""):
    """The program, which waits after this step until its input is closed, as `communicate` does."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]), "OMP_NUM_THREADS": "1"}
    environment["KILLED_RANK"] = str(killed_rank)
    command = [sys.executable, *launcher, str(HERE / "tiny_training.py"), str(folder), str(wait_after)]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=environment, text=True, **streams)


def main(folder, wait_after):
    is_killed = (
        os.environ.get("KILLED_RANK") == os.environ.get("RANK") and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    )

    def progress(step, terms):
        print(f"{step}\n", end="", flush=True)
        if step == wait_after:
            sys.stdin.read()
        if is_killed and step == KILLED_STEP:
            os.kill(os.getpid(), signal.SIGKILL)

    with joined_processes("cpu") as processes:
        if "WORLD_SIZE" in os.environ:
            torch.set_default_dtype(torch.float64)
        trainer = make_trainer(folder, processes=processes)
        trainer.resume(CONFIGURATION)
        trainer.run(progress)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
