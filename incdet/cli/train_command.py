"""`incdet train`: region classifiers, MultiBox and classifiers of whole photos, and the curves of their trainings.

Every training is interrupted by Ctrl-C without loss: the same command goes on from the state that was stored. With
several GPUs or machines, `torchrun --nproc-per-node 8 -m incdet train ...` starts as many processes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incdet.cli.options import DATA, RESULTS, SETTINGS, Quiet, examples

if TYPE_CHECKING:
    from incdet.training.training_runs import TrainingOptions

app = typer.Typer(no_args_is_help=True)

Recipe = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="A shipped recipe (incdet config --list), or a YAML file.", show_default=False
    ),
]
RunFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.", rich_help_panel=RESULTS)]
RecipeSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting over the recipe's: optimization.steps=100; repeatable.",
        rich_help_panel=SETTINGS,
    ),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Write TensorBoard's events, too.", rich_help_panel=RESULTS)
]
Members = Annotated[
    int | None,
    typer.Option(
        "--members", min=1, help="Train an ensemble of this size, one member after another.", rich_help_panel=DATA
    ),
]
Member = Annotated[
    int | None,
    typer.Option("--member", min=1, help="Train this one of the ensemble's members only.", rich_help_panel=DATA),
]
ProposalFolder = Annotated[Path, typer.Option("--cache", help="Folder of the proposal cache.", rich_help_panel=DATA)]


@app.command(
    epilog=examples(
        "incdet train regions regions_voc --output runs/regions_voc --members 6",
        "incdet train regions regions_voc --set data.root=VOCdevkit/VOC2012 --set optimization.steps=100",
    )
)
def regions(
    recipe: Recipe,
    output: RunFolder = Path("runs/regions"),
    members: Members = None,
    member: Member = None,
    cache: ProposalFolder = Path(".cache/proposals"),
    settings: RecipeSettings = None,
    tensorboard: TensorBoard = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune GoogLeNet on regions: the networks that name what proposals show.

    Proposals are computed once and kept. Several members go into OUTPUT/member-1, member-2, and so on.
    """
    from incdet.config.loading import load_config
    from incdet.config.recipes import find_recipe
    from incdet.errors import ConfigurationError
    from incdet.training.region_training_config import RegionsTrainingConfig
    from incdet.training.training_runs import train_regions

    config = load_config(RegionsTrainingConfig, find_recipe(recipe), settings or ())
    if member is not None and members is not None:
        raise ConfigurationError("--member and --members exclude each other; give one of them")
    numbers = list(range(1, members + 1)) if members is not None else []
    if member is not None:
        numbers = [member]
    trainings = [(config.member(number), output / f"member-{number}") for number in numbers]
    train_regions(trainings or [(config, output)], cache, _options(tensorboard, quiet))


@app.command(
    epilog=examples(
        "incdet train multibox multibox_voc --output runs/multibox_voc",
        "incdet train multibox mine.yaml --set data.root=VOCdevkit/VOC2012 --tensorboard",
    )
)
def multibox(
    recipe: Recipe,
    output: RunFolder = Path("runs/multibox"),
    settings: RecipeSettings = None,
    tensorboard: TensorBoard = False,
    quiet: Quiet = False,
) -> None:
    """Train MultiBox, the network that proposes boxes of any class."""
    from incdet.config.loading import load_config
    from incdet.config.recipes import find_recipe
    from incdet.training.multibox_training_config import MultiBoxTrainingConfig
    from incdet.training.training_runs import train_multibox

    config = load_config(MultiBoxTrainingConfig, find_recipe(recipe), settings or ())
    train_multibox(config, output, _options(tensorboard, quiet))


@app.command(
    epilog=examples(
        "incdet train classifier classifier_voc --output runs/classifier_voc",
        "torchrun --nproc-per-node 8 -m incdet train classifier googlenet_imagenet --output runs/googlenet",
    )
)
def classifier(
    recipe: Recipe,
    output: RunFolder = Path("runs/classifier"),
    settings: RecipeSettings = None,
    tensorboard: TensorBoard = False,
    quiet: Quiet = False,
) -> None:
    """Train a classifier of whole photos, such as GoogLeNet on ImageNet."""
    from incdet.config.loading import load_config
    from incdet.config.recipes import find_recipe
    from incdet.training.classifier_training_config import ClassifierTrainingConfig
    from incdet.training.training_runs import train_classifier

    config = load_config(ClassifierTrainingConfig, find_recipe(recipe), settings or ())
    train_classifier(config, output, _options(tensorboard, quiet))


RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.", show_default=False)]
Picture = Annotated[Path, typer.Option("--output", "-o", help="File of the picture (PNG).", rich_help_panel=RESULTS)]


@app.command(
    epilog=examples(
        "incdet train plot runs/multibox_voc",
        "incdet train plot runs/regions_voc/member-1 runs/regions_voc/member-2 --output curves.png",
    )
)
def plot(folders: RunFolders, output: Picture = Path("training.png")) -> None:
    """Draw losses and validations over the steps, of runs that are over or still going on."""
    from incdet.runtime.optional_packages import require_package

    require_package("matplotlib", "curves", "train")
    from incdet.cli.console import notes
    from incdet.runtime.files import atomic_file
    from incdet.training.run_log import read_curves
    from incdet.training.run_plots import training_plot

    picture = training_plot({str(folder): read_curves(folder) for folder in folders})
    with atomic_file(output) as stream:
        stream.write(picture)
    notes.print(f"wrote {output}", markup=False)


def _options(tensorboard: bool, quiet: bool) -> "TrainingOptions":
    """What does not decide the result; of several processes, only the first one shows progress."""
    from incdet.cli.console import reporter
    from incdet.training.training_runs import TrainingOptions

    return TrainingOptions(tensorboard, reporter(quiet))
