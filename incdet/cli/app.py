"""The command line: detect, propose, classify and info. Machine output on stdout, the rest on stderr."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.console import call_with_sentence

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Finds objects in photos as the system that won ILSVRC 2014: selective search, GoogLeNet, per-class NMS.",
)


class Device(StrEnum):
    """Where networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class EngineName(StrEnum):
    """What computes networks."""

    auto = "auto"
    torch = "torch"
    openvino = "openvino"


def _folder(text: str) -> Path:
    """What an option names; an empty text would be the current folder, which nobody means by it."""
    if not text:
        raise typer.BadParameter("the path is empty; give a folder")
    return Path(text)


Paths = Annotated[list[str], typer.Argument(metavar="PATH...", help="Photos, folders of photos, or glob patterns.")]
OutputFolder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Folder for the results (default: incdet-output).", metavar="DIR", parser=_folder
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write JSON lines to FILE too; '-' is stdout. Alone, it is all that is written."
    ),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Configuration in YAML.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting over the file's: detections.iou_threshold=0.4."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result in the output folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table; errors only.")]
Timing = Annotated[bool, typer.Option("--timing", help="Seconds per stage and peak memory, also in the JSON.")]


@app.command()
def detect(
    paths: Paths,
    output: OutputFolder = None,
    save: Annotated[
        str | None,
        typer.Option(metavar="KINDS", help="Comma-separated: image,json,coco,csv,voc (default: image,json)."),
    ] = None,
    json_file: Json = None,
    score_threshold: Annotated[
        float | None, typer.Option(metavar="X", help="Lowest probability shown and saved (default: 0.75).")
    ] = None,
    classes: Annotated[str | None, typer.Option(metavar="A,B", help="Look for these classes only.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME_OR_FILE", help="Other weights than the shipped; repeat the option for an ensemble."),
    ] = None,
    members: Annotated[
        int | None, typer.Option(metavar="N", help="Networks of the shipped ensemble that are averaged (default: all).")
    ] = None,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="The first --weights only pick the regions that the others look at.")
    ] = False,
    device: Annotated[Device | None, typer.Option(help="Where the networks run (default: auto).")] = None,
    engine: Annotated[
        EngineName | None, typer.Option(help="What computes them (default: auto, OpenVINO on a CPU that has it).")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Processes that read photos and propose regions ahead (default: fitting)."
        ),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    overwrite: Overwrite = False,
    timing: Timing = False,
    quiet: Quiet = False,
) -> int:
    """Find objects; pictures with boxes and detections.jsonl go to incdet-output/ unless told otherwise."""
    from incdet.cli.commands import EnsembleChoice, run_detect
    from incdet.cli.photo_batch import OutputOptions
    from incdet.config.class_choice import split_names
    from incdet.config.loading import load_config
    from incdet.config.sections import Config

    more = list(settings or [])
    if score_threshold is not None:
        more.append(f"detections.display_threshold={score_threshold}")
    if classes is not None:
        more.append(f"detections.classes={json.dumps(split_names(classes))}")
    if device is not None:
        more.append(f"device={device.value}")
    if engine is not None:
        more.append(f"scores.engine={engine.value}")
    options = OutputOptions(output, save, json_file, overwrite, timing, quiet)
    ensemble = EnsembleChoice(tuple(weights or ()), members, cascade)
    effective = load_config(Config, config, more)
    if score_threshold is not None and score_threshold < effective.detections.score_threshold:
        # what is asked for must be kept
        effective = load_config(Config, config, [*more, f"detections.score_threshold={score_threshold}"])
    return run_detect(paths, ensemble, effective, options, workers)


@app.command()
def propose(
    paths: Paths,
    output: OutputFolder = None,
    save: Annotated[
        str | None, typer.Option(metavar="KINDS", help="Comma-separated: image,json,hierarchy (default: image,json).")
    ] = None,
    show_hierarchy: Annotated[
        bool, typer.Option("--show-hierarchy", help="Draw segmentations and how their regions merge, too.")
    ] = False,
    json_file: Json = None,
    config: ConfigFile = None,
    settings: Settings = None,
    overwrite: Overwrite = False,
    timing: Timing = False,
    quiet: Quiet = False,
) -> int:
    """Propose regions that may hold an object, best first, without classifying them."""
    from incdet.cli.commands import run_propose
    from incdet.cli.photo_batch import OutputOptions
    from incdet.config.loading import load_config
    from incdet.config.sections import Config

    options = OutputOptions(output, save, json_file, overwrite, timing, quiet)
    return run_propose(paths, load_config(Config, config, settings or ()), options, show_hierarchy)


@app.command()
def classify(
    paths: Paths,
    output: OutputFolder = None,
    json_file: Json = None,
    crops: Annotated[int, typer.Option(metavar="N", help="Pieces of a photo that are looked at: 1, 10 or 144.")] = 1,
    top: Annotated[int, typer.Option(min=1, metavar="K", help="How many classes are told.")] = 5,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Weights of whole photos (tools/import_weights.py); repeat for an ensemble."),
    ] = None,
    device: Annotated[Device | None, typer.Option(help="Where the networks run (default: auto).")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    overwrite: Overwrite = False,
    timing: Timing = False,
    quiet: Quiet = False,
) -> int:
    """Name what a whole photo shows: the most probable classes, averaged over crops and networks."""
    from incdet.classifier import KNOWN_CROPS
    from incdet.cli.commands import run_classify
    from incdet.cli.photo_batch import OutputOptions
    from incdet.config.loading import load_config
    from incdet.config.sections import Config
    from incdet.errors import ConfigurationError

    chosen = next((known for known in KNOWN_CROPS if known == crops), None)
    if chosen is None:
        raise ConfigurationError(f"--crops is {crops}; expected 1, 10 or 144")
    more = [*(settings or ()), *([] if device is None else [f"device={device.value}"])]
    options = OutputOptions(output, None, json_file, overwrite, timing, quiet)
    return run_classify(paths, weights or (), chosen, top, load_config(Config, config, more), options)


@app.command()
def info(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on stdout.")] = False,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Instead: Table 1 of the paper, computed for this network; 'all' lists them."
        ),
    ] = None,
) -> int:
    """Versions, devices, shipped weights, and whether OpenCV's selective search is there, too."""
    import yaml

    from incdet.cli.installation import installation

    if network is not None:
        from incdet.output.network_tables import show_networks

        show_networks(network, as_json)
        return 0
    facts = installation()
    text = json.dumps(facts, indent=2) if as_json else yaml.safe_dump(facts, sort_keys=False, width=120).rstrip()
    print(text)
    return 0 if facts["weights"] else 3


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from incdet import __version__

        print(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the `incdet` program."""
    call_with_sentence(app)


if __name__ == "__main__":
    main()
