"""Seconds per stage."""

import pytest

from incdet.runtime import stopwatch
from incdet.runtime.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second whenever it is read."""
    seconds = iter(range(100))
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: float(next(seconds)))


def test_stages_stand_in_their_order_and_add_up(clock):
    watch = Stopwatch({"images": 0.5})
    for name in ("scores", "proposals", "scores"):
        with watch.stage(name):
            pass
    assert list(watch.seconds.items()) == [("images", 0.5), ("scores", 2.0), ("proposals", 1.0)]


def test_a_stage_that_fails_adds_nothing_and_the_given_seconds_stay_as_they_are(clock):
    given = {"images": 0.5}
    watch = Stopwatch(given)
    with pytest.raises(OSError, match="gone"), watch.stage("images"):
        raise OSError("gone")
    with watch.stage("images"):
        pass
    assert (watch.seconds, given) == ({"images": 1.5}, {"images": 0.5})
