"""The settings that every training has besides its data and its network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from incdet.config.sections import Section
from incdet.training.optimization import OptimizationConfig
from incdet.training.schedule import Schedule

_PATH_SETTINGS = frozenset({"root", "classes", "labels", "initial_weights", "weights"})
"""Settings whose value is a path."""

MACHINE_SETTINGS = frozenset(
    {"device", "memory_gigabytes", "workers", "log_every", "checkpoint_every", "max_bad_share"}
)
"""Settings that suit the machine or its files and do not decide the result; a resumed run may change them."""


class RunConfig(Section):
    """The part of a training's configuration that does not depend on its task.

    Attributes:
        optimization: length, size and rate of the steps.
        log_every: number of steps between two lines of the log.
        checkpoint_every: number of steps between two checkpoints.
        validate_every: number of steps between two validations; 0 validates at the end only.
        validate_without_averaging: whether validations judge the parameters without averaging, too.
        seed: seed of everything random.
        device: device that computes the network; "auto" is the GPU where one works.
        precision: type in which the network computes; "auto" is bfloat16 where the device computes it natively.
        workers: number of processes that read photos and make samples; 0 makes them in the process that trains. None
            is one, or, where a GPU trains, all cores but one.
        max_bad_share: largest share of the photos that cannot be used, because they are damaged or contradict their
            annotations; others take their places. More of them end the training.
    """

    command: ClassVar[str] = ""
    """Name of the training on the command line, after `incdet train`."""

    old_names: ClassVar[Mapping[str, str]] = {"compare_averaging": "validate_without_averaging"}

    optimization: OptimizationConfig
    log_every: int = Field(10, ge=1)
    checkpoint_every: int = Field(100, ge=1)
    validate_every: int = Field(0, ge=0)
    validate_without_averaging: bool = False
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    workers: int | None = Field(None, ge=0)
    max_bad_share: float = Field(0.5, ge=0, le=1)

    def schedule(self) -> Schedule:
        """Returns when the loop logs, stores and validates."""
        return Schedule(self.log_every, self.checkpoint_every, self.validate_every, self.validate_without_averaging)

    def decisive(self) -> dict[str, Any]:
        """Returns the settings that decide the result, which a checkpoint belongs to.

        The batch size of one process is left out: the trainer adds the number of samples of all processes together.
        So are the folders of the data, which may be moved: what the data is is compared by its checksums.
        """
        values = _without_roots(self.model_dump(mode="json", exclude=set(MACHINE_SETTINGS)))
        del values["optimization"]["batch_size"]
        return values

    def recipe(self) -> dict[str, Any]:
        """Returns the settings that are stored with the weights."""
        return _without_folders(self.model_dump(mode="json", exclude=set(MACHINE_SETTINGS)))


def _without_roots(values: dict[str, Any]) -> dict[str, Any]:
    """The settings without the folders of the data."""
    left = {}
    for key, value in values.items():
        if key != "root":
            left[key] = _without_roots(value) if isinstance(value, dict) else value
    return left


def _without_folders(values: dict[str, Any]) -> dict[str, Any]:
    """The settings with the names of files only: the folders of one machine mean nothing on another."""
    shortened = {}
    for key, value in values.items():
        # sections hold paths, too, such as data.root
        if isinstance(value, dict):
            value = _without_folders(value)
        elif key in _PATH_SETTINGS and value is not None:
            value = Path(value).name
        shortened[key] = value
    return shortened
