"""`incdet train`: region classifiers, MultiBox and classifiers of whole photos, and the curves of their trainings.

Every training is interrupted by Ctrl-C without loss: the same command goes on from the state that was stored. With
several GPUs or machines, `torchrun --nproc-per-node 8 -m incdet train ...` starts as many processes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incdet.cli.completions import complete_recipe, complete_weights
from incdet.cli.old_options import CommandWithOldOptions
from incdet.cli.options import DATA, NETWORKS, RESULTS, SETTINGS, DeviceOption, Quiet, device_setting, examples
from incdet.data.collection import Collection

if TYPE_CHECKING:
    from incdet.training.training_options import TrainingOptions

app = typer.Typer(no_args_is_help=True)

Recipe = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A shipped recipe (incdet config --list), or a YAML file.",
        show_default=False,
        autocompletion=complete_recipe,
    ),
]
RunFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.", rich_help_panel=RESULTS)]
RecipeSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting, which wins over the recipe and other options: optimization.steps=100; repeatable.",
        rich_help_panel=SETTINGS,
    ),
]
RecipeDataset = Annotated[
    Collection | None,
    typer.Option("--dataset", help="Layout of the folder (default: the recipe's).", rich_help_panel=DATA),
]
RecipeRoot = Annotated[
    Path | None,
    typer.Option(
        "--root", help="Folder of the photos, or address of tar shards (default: the recipe's).", rich_help_panel=DATA
    ),
]
RecipeSplit = Annotated[
    str | None,
    typer.Option("--split", help="Split that is learnt (default: the recipe's).", rich_help_panel=DATA),
]
InitialWeights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="NAME_OR_FILE",
        autocompletion=complete_weights,
        help="Weights from which training starts (default: the recipe's).",
        rich_help_panel=NETWORKS,
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
    cls=CommandWithOldOptions,
    epilog=examples(
        "incdet train regions own_data --root FOLDER --output runs/own",
        "incdet train regions regions_voc --root VOCdevkit/VOC2012 --members 6 --set optimization.steps=100",
    ),
)
def regions(
    recipe: Recipe,
    output: RunFolder = Path("runs/regions"),
    dataset: RecipeDataset = None,
    root: RecipeRoot = None,
    split: RecipeSplit = None,
    members: Members = None,
    member: Member = None,
    cache: ProposalFolder = Path(".cache/proposals"),
    weights: InitialWeights = None,
    device: DeviceOption = None,
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
    from incdet.training.training_checks import check_region_trainings

    given = [*_data_settings(dataset, root, split, weights), *device_setting(device), *(settings or ())]
    config = load_config(RegionsTrainingConfig, find_recipe(recipe), given)
    if member is not None and members is not None:
        raise ConfigurationError("--member and --members exclude each other; give one of them")
    numbers = list(range(1, members + 1)) if members is not None else []
    if member is not None:
        numbers = [member]
    trainings = [(config.member(number, given), output / f"member-{number}") for number in numbers]
    trainings = trainings or [(config, output)]
    options = _options(tensorboard, quiet)
    with _asking_for_root(recipe, config.data.root, given):
        check_region_trainings(trainings, cache, options)
    # torch is loaded once the arguments are known to be right
    from incdet.training.training_runs import train_regions

    train_regions(trainings, cache, options)


@app.command(
    cls=CommandWithOldOptions,
    epilog=examples(
        "incdet train multibox multibox_voc --output runs/multibox_voc",
        "incdet train multibox mine.yaml --root VOCdevkit/VOC2012 --tensorboard",
    ),
)
def multibox(
    recipe: Recipe,
    output: RunFolder = Path("runs/multibox"),
    dataset: RecipeDataset = None,
    root: RecipeRoot = None,
    split: RecipeSplit = None,
    weights: InitialWeights = None,
    device: DeviceOption = None,
    settings: RecipeSettings = None,
    tensorboard: TensorBoard = False,
    quiet: Quiet = False,
) -> None:
    """Train MultiBox, the network that proposes boxes of any class."""
    from incdet.config.loading import load_config
    from incdet.config.recipes import find_recipe
    from incdet.training.multibox_training_config import MultiBoxTrainingConfig
    from incdet.training.training_checks import check_multibox_training

    given = [*_data_settings(dataset, root, split, weights), *device_setting(device), *(settings or ())]
    config = load_config(MultiBoxTrainingConfig, find_recipe(recipe), given)
    options = _options(tensorboard, quiet)
    with _asking_for_root(recipe, config.data.root, given):
        check_multibox_training(config, output, options)
    # torch is loaded once the arguments are known to be right
    from incdet.training.training_runs import train_multibox

    train_multibox(config, output, options)


@app.command(
    cls=CommandWithOldOptions,
    epilog=examples(
        "incdet train classifier classifier_voc --output runs/classifier_voc",
        "torchrun --nproc-per-node 8 -m incdet train classifier googlenet_imagenet --output runs/googlenet",
    ),
)
def classifier(
    recipe: Recipe,
    output: RunFolder = Path("runs/classifier"),
    dataset: RecipeDataset = None,
    root: RecipeRoot = None,
    split: RecipeSplit = None,
    weights: InitialWeights = None,
    device: DeviceOption = None,
    settings: RecipeSettings = None,
    tensorboard: TensorBoard = False,
    quiet: Quiet = False,
) -> None:
    """Train a classifier of whole photos, such as GoogLeNet on ImageNet."""
    from incdet.config.loading import load_config
    from incdet.config.recipes import find_recipe
    from incdet.training.classifier_training_config import ClassifierTrainingConfig
    from incdet.training.training_checks import check_classifier_training

    given = [*_data_settings(dataset, root, split, weights), *device_setting(device), *(settings or ())]
    config = load_config(ClassifierTrainingConfig, find_recipe(recipe), given)
    options = _options(tensorboard, quiet)
    check_classifier_training(config, output, options)
    # torch is loaded once the arguments are known to be right
    from incdet.training.training_runs import train_classifier

    train_classifier(config, output, options)


RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.", show_default=False)]
Picture = Annotated[Path, typer.Option("--output", "-o", help="File of the picture (PNG).", rich_help_panel=RESULTS)]


@app.command(
    cls=CommandWithOldOptions,
    epilog=examples(
        "incdet train plot runs/multibox_voc",
        "incdet train plot runs/regions_voc/member-1 runs/regions_voc/member-2 --output curves.png",
    ),
)
def plot(folders: RunFolders, output: Picture = Path("training.png")) -> None:
    """Draw losses and validations over the steps, of runs that are over or still going on."""
    from incdet.runtime.files import atomic_file, require_writable_file
    from incdet.runtime.optional_packages import require_package
    from incdet.training.run_log import read_curves

    require_package("matplotlib", "curves", "train")
    require_writable_file(output)
    curves = {str(folder): read_curves(folder) for folder in folders}
    # plots are loaded once the arguments are known to be right
    from incdet.cli.console import notes
    from incdet.training.run_plots import training_plot

    picture = training_plot(curves)
    with atomic_file(output) as stream:
        stream.write(picture)
    notes.print(f"wrote {output}", markup=False)


def _data_settings(dataset: Collection | None, root: Path | None, split: str | None, weights: str | None) -> list[str]:
    """The settings of a recipe that options stand for; none where they were not given."""
    from incdet.config.yaml_text import quoted
    from incdet.runtime.addresses import find_address

    # a path has lost one of the slashes of an address
    place = None if root is None else find_address(root) or root
    values = {"data.dataset": dataset, "data.root": place, "data.split": split, "initial_weights": weights}
    return [f"{key}={quoted(str(value))}" for key, value in values.items() if value is not None]


@contextmanager
def _asking_for_root(recipe: str, root: str, given: list[str]) -> Iterator[None]:
    """Asks for --root where the data cannot be read because the recipe's own folder is not there.

    Args:
        recipe: The recipe.
        root: The folder of the photos.
        given: The settings that were given, of the form KEY=VALUE.
    """
    from incdet.errors import DataError
    from incdet.runtime.addresses import find_address

    try:
        yield
    except DataError:
        if find_address(root) or Path(root).exists() or any(setting.startswith("data.root=") for setting in given):
            raise
        raise DataError(
            f"cannot train by the recipe {recipe}: its own folder of photos, {root}, is not there; "
            "give yours: --root FOLDER"
        ) from None


def _options(tensorboard: bool, quiet: bool) -> "TrainingOptions":
    """What does not decide the result; of several processes, only the first one shows progress."""
    from incdet.cli.console import reporter
    from incdet.training.training_options import TrainingOptions

    return TrainingOptions(tensorboard, reporter(quiet))
