"""`incdet weights record` and `record-preset`: what was measured is written beside the weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

RecordedFile = Annotated[
    Path,
    typer.Argument(
        metavar="WEIGHTS", help="Weights; the file is replaced by one with the longer record.", show_default=False
    ),
]
Numbers = Annotated[
    Path,
    typer.Argument(
        metavar="NUMBERS",
        help="File that incdet evaluate --json or incdet coverage --json wrote for these weights.",
        show_default=False,
    ),
]
EvaluationFolder = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Folder of incdet evaluate --preset NAME --output.", show_default=False),
]
Times = Annotated[
    Path | None,
    typer.Option(
        "--times",
        metavar="TIMES",
        help="File that incdet info --presets --time PHOTO --json printed: also the seconds of the preset.",
    ),
]
Machine = Annotated[
    str | None,
    typer.Option("--machine", metavar="TEXT", help="With --times: the machine and the photo, in a few words."),
]


def record(weights: RecordedFile, numbers: Numbers) -> None:
    """Add a data set's mAP or coverage to what the record says was measured; the tensors stay as they are."""
    from incdet.cli.console import notes
    from incdet.evaluation.measurements import record_measurement

    notes.print(f"{weights}: {record_measurement(weights, numbers)}", markup=False)


def record_preset(run: EvaluationFolder, numbers: Numbers, times: Times = None, machine: Machine = None) -> None:
    """Add the mAP of a preset to the measurements that are shipped, which incdet info --presets prints."""
    from incdet.cli.console import notes
    from incdet.errors import ConfigurationError
    from incdet.evaluation import measurements

    if (times is None) != (machine is None):
        raise ConfigurationError("--times and --machine belong together; give both, or leave both out")
    measured_times = None if times is None or machine is None else measurements.PresetTimes(times, machine)
    notes.print(measurements.record_preset(run, numbers, measured_times), markup=False)


RECORD_COMMANDS: tuple[tuple[str, Callable[..., Any], tuple[str, ...]], ...] = (
    (
        "record",
        record,
        (
            "incdet weights record runs/regions_voc/weights.safetensors numbers.json",
            "incdet weights record runs/multibox_voc/weights.safetensors coverage.json",
        ),
    ),
    (
        "record-preset",
        record_preset,
        (
            "incdet weights record-preset runs/default numbers.json",
            "incdet weights record-preset runs/fast fast.json --times times.json --machine 'a laptop'",
        ),
    ),
)
"""Name, function and examples of each command."""
