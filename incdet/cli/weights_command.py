"""`incdet weights`: files of weights are imported, made smaller, and given the files that belong beside them."""

from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.completions import complete_weights
from incdet.cli.old_options import CommandWithOldOptions
from incdet.cli.options import (
    DATA,
    SETTINGS,
    Cache,
    DatasetLayout,
    DatasetRoot,
    Seed,
    TrainingSplit,
    examples,
)
from incdet.cli.record_commands import RECORD_COMMANDS
from incdet.data.collection import Collection
from incdet.runtime.counted_words import counted

app = typer.Typer(no_args_is_help=True)

Source = Annotated[
    Path,
    typer.Argument(help="A .caffemodel, a .safetensors or a PyTorch state dict.", show_default=False),
]
ClassList = Annotated[
    Path, typer.Option("--class-list", help="synset_words.txt: '<wnid> <names>' in the order of the columns.")
]
ImportedFile = Annotated[Path, typer.Option("--output", "-o", help="File of the incdet weights.")]


@app.command(
    "import",
    cls=CommandWithOldOptions,
    epilog=examples(
        "incdet weights import bvlc_googlenet.caffemodel --class-list synset_words.txt --output imagenet.safetensors",
        "incdet weights import googlenet-1378be20.pth --class-list synset_words.txt --output torchvision.safetensors",
    ),
)
def import_weights(source: Source, class_list: ClassList, output: ImportedFile) -> None:
    """Turn a GoogLeNet of others into incdet weights: BVLC's (Caffe) or torchvision's.

    The result classifies ImageNet's 1000 classes and starts the training of detectors.
    """
    from incdet.cli.console import notes
    from incdet.data.imagenet import read_synset_words
    from incdet.networks.record_files import require_weights_file
    from incdet.runtime.files import require_writable_file

    names = [wnid for wnid, _ in read_synset_words(class_list)]
    require_weights_file(source)
    require_writable_file(output)
    # torch is loaded once the arguments are known to be right
    import torch

    from incdet.networks.importers.import_googlenet import import_googlenet
    from incdet.networks.weights import save_weights

    network, record = import_googlenet(source, names)
    save_weights(output, network.state_dict(), record, torch.float32)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    notes.print(
        f"{record.architecture}: {counted(len(names), 'class', 'classes')}, {parameters:,} parameters -> {output}",
        markup=False,
    )


LargeFile = Annotated[
    Path,
    typer.Argument(metavar="WEIGHTS", help="A region classifier that incdet train regions wrote.", show_default=False),
]
SmallFile = Annotated[Path, typer.Option("--output", "-o", help="The smaller file.", show_default=False)]


@app.command(
    cls=CommandWithOldOptions,
    epilog=examples(
        "incdet weights quantize runs/regions_voc/member-1/weights.safetensors -o googlenet-voc-1.safetensors",
        "incdet weights quantize runs/mine/weights.safetensors --output mine.safetensors",
    ),
)
def quantize(weights: LargeFile, output: SmallFile) -> None:
    """Store a region classifier in eight bits per weight, as the ensemble's members are shipped.

    Stages that training left as they were stay in float16, so that the members of an ensemble go on sharing them.
    """
    from incdet.cli.console import notes
    from incdet.errors import OutputError
    from incdet.networks.record_files import load_classifier_record, require_weights_file
    from incdet.runtime.files import require_writable_file

    require_weights_file(weights)
    load_classifier_record(weights)
    if output.resolve() == weights.resolve():
        raise OutputError(f"{output} is the file of the weights itself, which lose precision; give another file")
    require_writable_file(output)
    # torch is loaded once the arguments are known to be right
    from incdet.networks.quantized_files import quantize_file

    quantize_file(weights, output)
    before, after = (file.stat().st_size / 1e6 for file in (weights, output))
    notes.print(f"wrote {output}: {after:.1f} MB instead of {before:.1f}", markup=False)


WeightsList = Annotated[
    list[str],
    typer.Argument(
        metavar="WEIGHTS...",
        help="Names or files of region classifiers.",
        show_default=False,
        autocompletion=complete_weights,
    ),
]
NumPhotos = Annotated[
    int, typer.Option("--photos", min=1, help="Number of photos, evenly spaced over the split.", rich_help_panel=DATA)
]
NumRegions = Annotated[
    int,
    typer.Option("--regions", min=1, help="Regions of each photo, drawn from its proposals.", rich_help_panel=DATA),
]
ProposalFolder = Annotated[Path, typer.Option("--cache", help="Folder that keeps proposals.", rich_help_panel=DATA)]


@app.command(
    cls=CommandWithOldOptions,
    epilog=examples(
        "incdet weights calibrate googlenet-voc --root VOCdevkit/VOC2012 --split train",
        "incdet weights calibrate mine.safetensors --dataset coco --root coco --split train2017 --photos 64",
    ),
)
def calibrate(
    weights: WeightsList,
    root: DatasetRoot,
    dataset: DatasetLayout = Collection.voc,
    split: TrainingSplit = "train",
    photos: NumPhotos = 32,
    regions: NumRegions = 8,
    seed: Seed = 0,
    cache: ProposalFolder = Path(".cache/proposals"),
) -> None:
    """Measure what eight bits must stand for in a region classifier, on photos it was trained on.

    The numbers are written beside the weights (NAME.int8.json), where --set scores.precision=int8 finds them.
    """
    from incdet.cli.console import reporter
    from incdet.networks.record_files import load_classifier_record
    from incdet.networks.shipped_weights import find_weights
    from incdet.runtime.files import require_writable_folder
    from incdet.training.annotated_sample import PhotoSample

    require_writable_folder(cache)
    for name in weights:
        load_classifier_record(find_weights(name))
        # the result goes beside the weights
        require_writable_folder(find_weights(name).parent)
    sample = PhotoSample(dataset, root, split, photos).loaded(reporter())
    # torch is loaded once the arguments are known to be right
    from incdet.training.int8_calibration import calibrate as calibrate_weights

    calibrate_weights(weights, sample, regions, seed, cache, reporter())


WeightsName = Annotated[
    str,
    typer.Argument(
        metavar="WEIGHTS",
        help="Name or file of a region classifier.",
        show_default=False,
        autocompletion=complete_weights,
    ),
]
FittingPhotos = Annotated[
    int, typer.Option("--photos", min=2, help="Number of photos, evenly spaced over the split.", rich_help_panel=DATA)
]
MaxRegions = Annotated[
    int, typer.Option("--regions", min=1, help="Regions of each photo at most.", rich_help_panel=DATA)
]
ProposalSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the proposals, such as multibox.limit=100; repeatable.",
        rich_help_panel=SETTINGS,
    ),
]


@app.command(
    "fit-boxes",
    cls=CommandWithOldOptions,
    epilog=examples(
        "incdet weights fit-boxes googlenet-voc --root VOCdevkit/VOC2012 --split train",
        "incdet weights fit-boxes mine.safetensors --dataset coco --root coco --split train2017 --photos 400",
    ),
)
def fit_boxes(
    weights: WeightsName,
    root: DatasetRoot,
    dataset: DatasetLayout = Collection.voc,
    split: TrainingSplit = "train",
    photos: FittingPhotos = 800,
    regions: MaxRegions = 16,
    seed: Seed = 0,
    settings: ProposalSettings = None,
    cache: Cache = Path(".cache"),
) -> None:
    """Fit the bounding-box regression of a region classifier, on photos it was trained on.

    The regression is written beside the weights (NAME.boxes.safetensors), where detection finds it; --set
    scores.box_deltas=false leaves regions as they were proposed.
    """
    from incdet.cli.console import notes, reporter
    from incdet.config.loading import load_config
    from incdet.config.sections import ProposalsConfig
    from incdet.networks.chosen_weights import check_proposers
    from incdet.networks.record_files import load_classifier_record
    from incdet.networks.shipped_weights import find_weights
    from incdet.runtime.files import require_writable_folder
    from incdet.training.annotated_sample import PhotoSample

    # the whole photo is enough of MultiBox for boxes to learn from, and takes a fraction of the time
    quick = ["multibox.weights=multibox-voc", "multibox.crop_sides=[]"]
    proposals = load_config(ProposalsConfig, None, [*quick, *(settings or ())])
    require_writable_folder(cache)
    load_classifier_record(find_weights(weights))
    # the result goes beside the weights
    require_writable_folder(find_weights(weights).parent)
    check_proposers(proposals)
    sample = PhotoSample(dataset, root, split, photos).loaded(reporter())
    # torch is loaded once the arguments are known to be right
    from incdet.training.fitting_run import fit_box_regression, fit_table

    fit = fit_box_regression(weights, sample, regions, seed, proposals, cache, reporter())
    notes.print(fit_table(fit))
    tried = ", ".join(f"{value:g}: {score:.4f}" for value, score in fit.scores.items())
    notes.print(f"mean Jaccard index by penalty: {tried}", markup=False)


for _name, _function, _examples in RECORD_COMMANDS:
    app.command(_name, cls=CommandWithOldOptions, epilog=examples(*_examples))(_function)
