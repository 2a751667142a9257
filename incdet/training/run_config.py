"""What every training's configuration says besides its data and its network."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from incdet.config.sections import Section
from incdet.training.loop import Schedule
from incdet.training.optimization import OptimizationConfig

_PLACES = ("root", "classes", "labels", "initial_weights", "weights")

MACHINE = frozenset({"device", "memory_gigabytes", "workers", "log_every", "checkpoint_every"})
"""Settings that suit the machine and do not decide the result; a resumed run may change them."""


class RunConfig(Section):
    """The part of a configuration that the loop reads.

    Attributes:
        optimization: how long, how large and how fast the steps are.
        log_every, checkpoint_every, validate_every: in steps; 0 validates at the end only.
        compare_averaging: also judge the parameters without averaging.
        seed: of everything random.
        device, precision: where and how precisely the network computes.
    """

    optimization: OptimizationConfig
    log_every: int = Field(10, ge=1)
    checkpoint_every: int = Field(100, ge=1)
    validate_every: int = Field(0, ge=0)
    compare_averaging: bool = False
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def schedule(self) -> Schedule:
        """When to log, store and validate."""
        return Schedule(self.log_every, self.checkpoint_every, self.validate_every, self.compare_averaging)

    def decisive(self) -> dict[str, Any]:
        """What a checkpoint belongs to: all that decides the result but the batch size of one process."""
        values = self.model_dump(mode="json", exclude=set(MACHINE))
        del values["optimization"]["batch_size"]
        return values

    def recipe(self) -> dict[str, Any]:
        """What is stored with the weights: where files lay is nobody's business, their names remain."""
        return _without_places(self.model_dump(mode="json", exclude=set(MACHINE)))


def _without_places(values: dict[str, Any]) -> dict[str, Any]:
    shortened = {}
    for key, value in values.items():
        if isinstance(value, dict):
            value = _without_places(value)
        elif key in _PLACES and value is not None:
            value = Path(value).name
        shortened[key] = value
    return shortened
