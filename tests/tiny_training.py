"""A training small enough to be run, killed and resumed in seconds; as a program: `tiny_training.py FOLDER STEP`.

After this step (0: never) the program waits for the end of its input before it goes on. With `torchrun` the processes
share a batch of 8 samples, and compute in double precision.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from incdet.networks.inception import Dropout
from incdet.runtime.distributed import Processes, joined_processes
from incdet.training.loop import Schedule, Task, Trainer, prefetched
from incdet.training.optimization import OptimizationConfig

STEPS = 40
CONFIGURATION = {"seed": 3, "steps": STEPS}


class TinyNetwork(nn.Module):
    """Two layers with dropout between them, so that the random numbers of a step matter."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 32)
        self.dropout = Dropout(0.1)
        self.output = nn.Linear(32, 1)

    def forward(self, inputs):
        return self.output(self.dropout(self.hidden(inputs).relu()))


def draw(step):
    """Inputs [8, 6] and the sums [8, 1] that the network shall learn."""
    inputs = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
    return inputs, inputs.sum(dim=1, keepdim=True)


def losses(network, batch):
    inputs, targets = batch
    return {"squared_error": (network(inputs) - targets).square()[:, 0]}


def names(batch):
    return [f"sample {number}" for number in range(len(batch[0]))]


def validate(network):
    inputs, targets = draw(-1)
    with torch.no_grad():
        error = F.mse_loss(network(inputs), targets)
        return {"error": float(error), "norm": float(network.output.weight.norm())}


def make_trainer(folder, steps=STEPS, processes=None):
    processes = processes or Processes()
    torch.manual_seed(0)
    network = TinyNetwork()

    def draw_share(step):
        return tuple(part[processes.rank :: processes.count] for part in draw(step))

    task = Task(network, ("output.",), 8 * 10, prefetched(draw_share), losses, names, validate)
    size = 8 // processes.count
    config = OptimizationConfig(steps=steps, batch_size=size, learning_rate=0.02, new_layer_factor=4, average_decay=0.9)
    return Trainer(task, config, Schedule(log_every=5, checkpoint_every=10), folder, 3, processes)


def main(folder, wait_after):
    def progress(step, terms):
        print(step, flush=True)
        if step == wait_after:
            sys.stdin.read()

    with joined_processes("cpu") as processes:
        if "WORLD_SIZE" in os.environ:
            torch.set_default_dtype(torch.float64)
        trainer = make_trainer(folder, processes=processes)
        trainer.resume(CONFIGURATION)
        trainer.run(progress)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
