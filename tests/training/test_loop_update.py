"""The numbers of a training step, computed by hand."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from tiny_training import log_of
from torch import Tensor, nn

from incdet.training.loop import Task, Trainer
from incdet.training.optimization import OptimizationConfig
from incdet.training.schedule import Schedule

RATES = np.array([0.5, 1, 0.75, 0.25]) * 0.1
"""One step of warm-up, then the half cosine of the other three."""

FACTOR, MOMENTUM, DECAY, AVERAGE_DECAY, LIMIT = 3.0, 0.6, 0.05, 0.2, 4.0

CONFIG = OptimizationConfig(
    steps=4,
    batch_size=5,
    learning_rate=0.1,
    warmup_steps=1,
    new_layer_factor=FACTOR,
    momentum=MOMENTUM,
    weight_decay=DECAY,
    average_decay=AVERAGE_DECAY,
    gradient_limit=LIMIT,
)


class TwoLayers(nn.Module):
    """Two linear layers side by side, of which the second is new."""

    def __init__(self):
        super().__init__()
        self.old, self.new = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, inputs):
        return self.old(inputs)[:, 0], self.new(inputs)[:, 0]

    def numbers(self, state=None):
        """[2, 3] float64: for each layer its weights and, last, its bias."""
        state = state or self.state_dict()
        rows = [torch.cat([state[f"{name}.weight"][0], state[f"{name}.bias"]]) for name in ("old", "new")]
        return torch.stack(rows).numpy().copy()


class Batch(NamedTuple):
    """Inputs [5, 2] and what is wanted [5]."""

    inputs: Tensor
    wanted: Tensor
    names: tuple[str, ...] = ("",) * 5


def draw(step):
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    return Batch(inputs, torch.randn(5, generator=generator, dtype=torch.float64) * 2)


def losses(network, batch):
    """Two terms: the squared error of both layers' sum, and of the new layer alone."""
    old, new = network(batch.inputs)
    return {"together": (old + new - batch.wanted).square(), "alone": (new - batch.wanted).square()}


def by_hand(weights):
    """What `losses` and SGD make of weights [2, 3], in NumPy.

    Returns:
        Weights and their average after all steps, the terms [4, 2] and the gradients' norms [4] before they are cut.
    """
    velocity, average, terms, norms = np.zeros_like(weights), weights.copy(), [], []
    for step, rate in enumerate(RATES):
        batch = draw(step)
        inputs, wanted = batch.inputs.numpy(), batch.wanted.numpy()
        inputs = np.concatenate([inputs, np.ones((5, 1))], axis=1)
        together, alone = inputs @ weights.sum(axis=0) - wanted, inputs @ weights[1] - wanted
        terms.append([(together**2).mean(), (alone**2).mean()])
        first, second = (2 * (error[:, None] * inputs).mean(axis=0) for error in (together, alone))
        gradient = np.stack([first, first + second])
        norms.append(np.linalg.norm(gradient))
        gradient *= min(LIMIT / norms[-1], 1)
        gradient[:, :2] += DECAY * weights[:, :2]
        velocity = MOMENTUM * velocity + gradient
        weights = weights - rate * np.array([[1], [FACTOR]]) * velocity
        kept = min(AVERAGE_DECAY, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * weights
    return weights, average, np.array(terms), np.array(norms)


def test_steps_are_those_of_gradient_descent_computed_by_hand(tmp_path):
    torch.manual_seed(0)
    network = TwoLayers().double()
    weights, average, terms, norms = by_hand(network.numbers())
    assert norms.min() < LIMIT * 0.9 < LIMIT * 1.1 < norms.max(), "some gradients shall be cut, and some not"
    task = Task(network, ("new.",), 20, lambda steps: map(draw, steps), losses, lambda _: {})
    trainer, seen = Trainer(task, CONFIG, Schedule(log_every=2), tmp_path, seed=0), []
    trainer.resume({})
    trainer.run(lambda step, values: seen.append([values["together"], values["alone"]]))
    assert network.numbers() == pytest.approx(weights, rel=1e-5)
    assert network.numbers(trainer.average.state()) == pytest.approx(average, rel=1e-5)
    assert np.array(seen) == pytest.approx(terms, rel=1e-5)
    logged = [entry for entry in log_of(tmp_path) if "together" in entry]
    assert [entry["step"] for entry in logged] == [2, 4]
    assert [entry["learning_rate"] for entry in logged] == pytest.approx(RATES[[1, 3]])
    means = terms.reshape(2, 2, 2).mean(axis=1)
    assert np.array([[entry["together"], entry["alone"]] for entry in logged]) == pytest.approx(means, abs=1e-4)
