"""Seconds per stage of the pipeline."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Stopwatch:
    """Measures the stages of the pipeline; a stage that runs several times gets the sum.

    Args:
        seconds: seconds measured earlier, by stage; None is none.

    Attributes:
        seconds: seconds by stage, in the order in which the stages first ran.

    Example:
        >>> watch = Stopwatch({"images": 0.5})
        >>> with watch.stage("proposals"):
        ...     found = sum(range(1000))
        >>> list(watch.seconds)
        ['images', 'proposals']
    """

    def __init__(self, seconds: Mapping[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = dict(seconds or {})

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time that the block takes to a stage; a block that raises an error adds nothing."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def added_seconds(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Adds up the seconds of two parts of the pipeline, by stage.

    >>> added_seconds({"scores": 1.0}, {"features": 0.25, "scores": 0.5})
    {'scores': 1.5, 'features': 0.25}
    """
    seconds = dict(first)
    for stage, more in second.items():
        seconds[stage] = seconds.get(stage, 0.0) + more
    return seconds
