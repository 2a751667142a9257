"""`incdet classify`: photos -> the classes of what they show."""

from typing import Annotated

import typer

from incdet.cli.options import (
    NETWORKS,
    RESULTS,
    ConfigFile,
    DeviceOption,
    JsonLines,
    OutputFolder,
    Overwrite,
    Paths,
    QuietTable,
    Settings,
    Timing,
    device_setting,
)

EXAMPLES = (
    "incdet classify photo.jpg --weights imagenet.safetensors",
    "incdet classify holiday/ --weights one.safetensors --weights other.safetensors --crops 10 --top 3",
)

KINDS = ("json",)
"""Files that can be saved."""

Crops = Annotated[
    int,
    typer.Option(
        "--crops", metavar="N", help="Crops of a photo that are classified: 1, 10 or 144.", rich_help_panel=NETWORKS
    ),
]
Top = Annotated[
    int, typer.Option("--top", min=1, metavar="K", help="Number of classes that are told.", rich_help_panel=RESULTS)
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights of whole photos (incdet weights import); repeat the option for an ensemble.",
        rich_help_panel=NETWORKS,
    ),
]


def classify(
    paths: Paths,
    output: OutputFolder = None,
    json_file: JsonLines = None,
    top: Top = 5,
    overwrite: Overwrite = False,
    weights: Weights = None,
    crops: Crops = 1,
    device: DeviceOption = None,
    config: ConfigFile = None,
    settings: Settings = None,
    timing: Timing = False,
    quiet: QuietTable = False,
) -> int:
    """Name what a whole photo shows: the most probable classes, averaged over crops and networks."""
    from incdet.config.loading import load_config
    from incdet.config.sections import Config

    effective = load_config(Config, config, [*device_setting(device), *(settings or ())])
    from incdet.cli.given_photos import GivenPhotos
    from incdet.cli.output_options import OutputOptions
    from incdet.config.crop_counts import choose_crops
    from incdet.networks.chosen_weights import check_classifier

    (num_crops,) = choose_crops([crops])
    options = OutputOptions(output, None, json_file, overwrite, timing, quiet)
    kinds = options.kinds(KINDS)
    given = GivenPhotos(paths, effective.images)
    options.check(given, kinds)
    check_classifier(weights or (), effective)
    if not given.files:
        return 1
    from incdet.cli.finished_runs import nothing_to_do
    from incdet.networks.shipped_weights import find_weights
    from incdet.runtime.file_hashes import named_hashes
    from incdet.runtime.provenance import describe_run

    hashes = named_hashes([find_weights(name) for name in weights or ()])
    if nothing_to_do(
        given, kinds, "classifications", options, describe_run(effective, hashes, crops=num_crops, top=top)
    ):
        return 0
    # the networks' library is loaded once the arguments are known to be right
    from incdet.cli.classification_batch import classify_photos

    return classify_photos(given, kinds, weights or (), num_crops, top, effective, options)
