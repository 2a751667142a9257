"""Stochastic gradient descent with momentum: its settings, its learning rate at every step, its parameter groups."""

import math
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import nn

from incdet.config.sections import Section, Unit


class OptimizationConfig(Section):
    """How long, how large and how fast the steps are.

    Attributes:
        steps: number of batches in all; or `epochs`, of which only one is given.
        epochs: number of passes over the data.
        batch_size: samples per step and process; N processes take steps of N times as many.
        learning_rate: highest rate of the layers that start from trained weights, or of all where none do.
        new_layer_factor: new layers on top of trained ones learn this many times faster (R-CNN: 10).
        schedule: after the warm-up the rate falls as a half cosine to zero, or in stairs.
        stair_epochs, stair_drop: in stairs it loses this share of itself every so many epochs (paper: 4 % every 8).
        warmup_steps: steps until the highest rate, to which it rises linearly.
        average_decay: of the parameter averaging.
        gradient_limit: gradients are scaled down to this norm at most.
    """

    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(0.001, gt=0)
    new_layer_factor: float = Field(10.0, gt=0)
    schedule: Literal["half-cosine", "stairs"] = "half-cosine"
    stair_epochs: float = Field(8.0, gt=0)
    stair_drop: float = Field(0.04, ge=0, lt=1)
    momentum: Unit = 0.9
    weight_decay: float = Field(0.0002, ge=0)
    warmup_steps: int = Field(0, ge=0)
    average_decay: Unit = 0.998
    gradient_limit: float = Field(10.0, gt=0)

    @model_validator(mode="after")
    def _one_length(self) -> "OptimizationConfig":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class LearningRate:
    """The learning rate at every step of a run.

    Args:
        config: its schedule.
        steps_per_epoch: so many batches are one pass over the data.

    Attributes:
        steps: length of the run.
    """

    def __init__(self, config: OptimizationConfig, steps_per_epoch: float):
        self.config, self._steps_per_epoch = config, steps_per_epoch
        self.steps = config.steps or max(round((config.epochs or 0) * steps_per_epoch), 1)

    def __call__(self, step: int) -> float:
        """The rate of the layers that start from trained weights, at step 0, 1, 2, ..."""
        config = self.config
        if step < config.warmup_steps:
            return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
        if config.schedule == "stairs":
            stairs = math.floor(step / self._steps_per_epoch / config.stair_epochs)
            return config.learning_rate * (1 - config.stair_drop) ** stairs
        progress = (step - config.warmup_steps) / max(self.steps - config.warmup_steps, 1)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def parameter_groups(
    network: nn.Module, new_layers: tuple[str, ...], config: OptimizationConfig
) -> list[dict[str, Any]]:
    """Groups for torch's optimisers: new and old layers, with and without decay (biases and normalisation have none).

    Args:
        network: whose parameters are trained.
        new_layers: beginnings of the names of those that learn faster.
        config: how much faster, and the decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        factor = config.new_layer_factor if name.startswith(new_layers) else 1.0
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
