"""The presets as one table, on the screen, as JSON and in Markdown: what each does, how good and how fast it is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rich.table import Table

from incdet.config.presets import PRESETS, PresetName
from incdet.networks.preset_measurements import PresetMeasurement, load_preset_measurements

ABSENT = "-"
"""Text in place of what was not measured."""


class TimedPreset(NamedTuple):
    """The time of a preset on this machine.

    Attributes:
        seconds: Seconds a photo.
        engine: Library and precision of the networks.
    """

    seconds: float
    engine: str


def preset_table(timed: Mapping[PresetName, TimedPreset]) -> Table:
    """Returns the table for the screen.

    Args:
        timed: Times on this machine by preset; empty leaves their column out.
    """
    table = Table()
    table.add_column("preset", no_wrap=True)
    table.add_column("what it does")
    table.add_column("mAP", justify="right", no_wrap=True)
    table.add_column("measured on")
    if timed:
        table.add_column("seconds a photo here", justify="right")
    measured = load_preset_measurements()
    for name, preset in PRESETS.items():
        measurement = measured.get(name)
        cells = [name, preset.summary, _map_text(measurement), _origin_text(measurement)]
        if timed:
            cells.append(f"{timed[name].seconds:.2f} ({timed[name].engine})" if name in timed else ABSENT)
        table.add_row(*cells)
    return table


def preset_json(timed: Mapping[PresetName, TimedPreset]) -> dict[str, Any]:
    """Returns the same for programs, with the settings of each preset.

    Args:
        timed: Times on this machine by preset; may be empty.
    """
    measured = load_preset_measurements()
    facts: dict[str, Any] = {}
    for name, preset in PRESETS.items():
        measurement = measured.get(name)
        facts[name] = {"summary": preset.summary, "settings": preset.settings, "measured": None}
        if measurement is not None:
            facts[name]["measured"] = measurement.model_dump(mode="json", exclude={"settings", "weights"})
        if name in timed:
            facts[name]["here"] = timed[name]._asdict()
    return facts


def preset_markdown() -> str:
    """Returns the table of the documentation, with the seconds that were recorded."""
    lines = ["| preset | what it does | mAP | seconds a photo |", "|---|---|---|---|"]
    measured = load_preset_measurements()
    for name, preset in PRESETS.items():
        measurement = measured.get(name)
        seconds = ABSENT
        if measurement is not None and measurement.seconds is not None:
            seconds = f"{measurement.seconds:.2f} ({measurement.machine})"
        origin = f" ({_origin_text(measurement)})" if measurement is not None else ""
        lines.append(f"| `{name}` | {preset.summary} | {_map_text(measurement)}{origin} | {seconds} |")
    return "\n".join(lines) + "\n"


def _map_text(measurement: PresetMeasurement | None) -> str:
    if measurement is None:
        return ABSENT
    interval = measurement.interval
    # the middle 95 % over resampled photos
    return f"{measurement.mAP:.3f}" + ("" if interval is None else f", {interval[0]:.3f} .. {interval[1]:.3f}")


def _origin_text(measurement: PresetMeasurement | None) -> str:
    if measurement is None:
        return ABSENT
    return f"{measurement.dataset}, {measurement.num_images} photos, {measurement.engine}"
