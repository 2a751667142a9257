"""Stochastic gradient descent with momentum: settings, learning rate at every step, parameter groups."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from incdet.config.sections import Section, Unit

if TYPE_CHECKING:
    # settings are checked without torch, which takes longer to import than everything else
    from torch import nn

AUTO_EPOCHS = 12
"""Number of passes over the data of a training whose length is "auto"."""

AUTO_STEPS = (150, 500)
"""Smallest and largest number of its steps."""


class OptimizationConfig(Section):
    """Length, size and rate of the steps.

    Attributes:
        steps: number of steps of the run; either `steps` or `epochs` is given. "auto" takes 12 passes over the data,
            but between 150 and 500 steps, unless `epochs` is given.
        epochs: number of passes over the data.
        batch_size: number of samples per step and process; the steps of N processes have N times as many samples.
        learning_rate: highest rate of the layers that start from trained weights, or of all layers where none do.
        new_layer_factor: factor by which new layers on top of trained ones learn faster (R-CNN: 10).
        schedule: course of the rate after the warm-up: a half cosine to zero, stairs, or a constant rate that falls
            linearly to zero at the end.
        stair_epochs: number of epochs between two stairs (paper: 8).
        stair_drop: share of the rate that is lost at every stair (paper: 4 %).
        fall_share: share of the steps, the last ones, in which the schedule "linear-fall" lets the rate fall.
        momentum: share of the last update that the next one keeps.
        weight_decay: share of a weight, times the rate, that every step takes away; biases keep theirs.
        warmup_steps: number of steps in which the rate rises linearly to the highest one.
        average_decay: share of the old average that the parameter averaging keeps at a step.
        gradient_limit: largest norm of the gradient; larger gradients are scaled down to it.
    """

    replaces: ClassVar[Mapping[str, tuple[str, ...]]] = {"steps": ("epochs",), "epochs": ("steps",)}

    steps: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    epochs: float | None = Field(None, gt=0)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(0.001, gt=0)
    new_layer_factor: float = Field(10.0, gt=0)
    schedule: Literal["half-cosine", "stairs", "linear-fall"] = "half-cosine"
    stair_epochs: float = Field(8.0, gt=0)
    stair_drop: float = Field(0.04, ge=0, lt=1)
    fall_share: float = Field(0.3, gt=0, le=1)
    momentum: Unit = 0.9
    weight_decay: float = Field(0.0002, ge=0)
    warmup_steps: int = Field(0, ge=0)
    average_decay: Unit = 0.998
    gradient_limit: float = Field(10.0, gt=0)

    @model_validator(mode="after")
    def _one_length(self) -> "OptimizationConfig":
        if self.steps != "auto" and (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self

    def num_steps(self, steps_per_epoch: float) -> int:
        """Returns the number of steps of the run.

        Args:
            steps_per_epoch: number of steps that make one pass over the data.
        """
        if isinstance(self.steps, int):
            return self.steps
        if self.epochs is not None:
            return max(round(self.epochs * steps_per_epoch), 1)
        fewest, most = AUTO_STEPS
        return min(max(round(AUTO_EPOCHS * steps_per_epoch), fewest), most)


class LearningRate:
    """The learning rate at every step of a run.

    Args:
        config: schedule of the rate.
        steps_per_epoch: number of steps that make one pass over the data.

    Attributes:
        steps: number of steps of the run.
    """

    def __init__(self, config: OptimizationConfig, steps_per_epoch: float):
        self.config, self._steps_per_epoch = config, steps_per_epoch
        self.steps = config.num_steps(steps_per_epoch)

    def __call__(self, step: int) -> float:
        """Returns the rate of the layers that start from trained weights, at step 0, 1, 2, ..."""
        config = self.config
        if step < config.warmup_steps:
            # neither the first step of the rise nor the step after it wastes a rate: 1/(n+1), ..., n/(n+1), then 1
            return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
        if config.schedule == "stairs":
            stairs = math.floor(step / self._steps_per_epoch / config.stair_epochs)
            return config.learning_rate * (1 - config.stair_drop) ** stairs
        if config.schedule == "linear-fall":
            # 1 until the fall begins; the last step still has a rate, the one after it would have none
            return config.learning_rate * min((self.steps - step) / (config.fall_share * self.steps), 1)
        progress = (step - config.warmup_steps) / max(self.steps - config.warmup_steps, 1)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def parameter_groups(
    network: "nn.Module", new_layers: tuple[str, ...], config: OptimizationConfig
) -> list[dict[str, Any]]:
    """Returns groups for torch's optimisers: new and old layers, with and without decay.

    Args:
        network: the network that is trained.
        new_layers: beginnings of the names of the layers that learn faster.
        config: the factor of new layers, and the decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        factor = config.new_layer_factor if name.startswith(new_layers) else 1.0
        # vectors are biases and the parameters of normalisation, which have no decay
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
