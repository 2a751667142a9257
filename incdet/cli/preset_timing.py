"""Seconds a photo of every preset on this machine, for `incdet info --presets --time`."""

import time
from pathlib import Path
from statistics import median

from incdet.config.presets import PRESETS, PresetName
from incdet.detector import Detector
from incdet.images import read_image
from incdet.output.preset_table import TimedPreset
from incdet.runtime.reporter import Reporter

_REPEATED_BELOW = 10.0
"""Seconds up to which a photo is detected in again, because short times vary more."""

_RUNS = 3


def time_presets(photo: Path, reporter: Reporter) -> dict[PresetName, TimedPreset]:
    """Detects in one photo with every preset, the fastest first.

    Args:
        photo: The photo.
        reporter: Takes the progress.

    Returns:
        Seconds from reading the photo to its detections, networks loaded and compiled before; of fast presets the
        median of three runs.

    Raises:
        ImageError: The photo cannot be read.
    """
    read_image(photo)
    timed: dict[PresetName, TimedPreset] = {}
    names = list(reversed(PRESETS))
    with reporter.progress("timing presets", len(names)) as update:
        for number, name in enumerate(names):
            update(number, name)
            timed[name] = _time(Detector.from_pretrained(preset=name), photo)
        update(len(names), "")
    return timed


def _time(detector: Detector, photo: Path) -> TimedPreset:
    # the first run compiles; a hundred regions are enough for that
    image = read_image(photo)
    detector.score(image, detector.propose(image)[:100])
    seconds = [_seconds_of_one_run(detector, photo)]
    while seconds[0] < _REPEATED_BELOW and len(seconds) < _RUNS:
        seconds.append(_seconds_of_one_run(detector, photo))
    return TimedPreset(round(median(seconds), 3), detector.engine.describe())


def _seconds_of_one_run(detector: Detector, photo: Path) -> float:
    started = time.perf_counter()
    detector.detect(photo)
    return time.perf_counter() - started
