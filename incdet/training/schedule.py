"""When a training logs, stores its state and validates."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """When the loop logs, stores its state and validates.

    Attributes:
        log_every: number of steps between two lines of the log; 0 is never.
        checkpoint_every: number of steps between two checkpoints; 0 is never.
        validate_every: number of steps between two validations; 0 validates at the end only.
        validate_without_averaging: whether validations judge the parameters as they are, too; the names of these
            numbers end in "_without_averaging".
    """

    log_every: int = 10
    checkpoint_every: int = 100
    validate_every: int = 0
    validate_without_averaging: bool = False
