"""`incdet config`: the effective settings of a detector, and the training recipes that are shipped."""

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from incdet.cli.completions import complete_recipe
from incdet.cli.options import ConfigFile, PresetOption, Settings, preset_setting

if TYPE_CHECKING:
    from incdet.config.sections import Section

INSTEAD = "Instead of settings"
"""Title of a panel of options."""

EXAMPLES = (
    "incdet config --set detections.iou_threshold=0.4 > detector.yaml",
    "incdet config --keys --of regions",
)


class Subject(StrEnum):
    """What is configured."""

    detector = "detector"
    regions = "regions"
    multibox = "multibox"
    classifier = "classifier"


Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="A shipped recipe, which is printed with its comments.",
        show_default=False,
        autocompletion=complete_recipe,
    ),
]
ListRecipes = Annotated[bool, typer.Option("--list", help="Names of the shipped recipes.", rich_help_panel=INSTEAD)]
Keys = Annotated[
    bool,
    typer.Option("--keys", help="Every key on a line: values, default, meaning.", rich_help_panel=INSTEAD),
]
Schema = Annotated[
    bool,
    typer.Option("--schema", help="JSON schema of a configuration file.", rich_help_panel=INSTEAD),
]
Of = Annotated[
    Subject,
    typer.Option(
        "--of", help="With --keys or --schema: the detector, or a training by its command.", rich_help_panel=INSTEAD
    ),
]


def config(
    name: Name = None,
    preset: PresetOption = None,
    config_file: ConfigFile = None,
    settings: Settings = None,
    list_recipes: ListRecipes = False,
    keys: Keys = False,
    schema: Schema = False,
    of: Of = Subject.detector,
) -> None:
    """Print the effective settings of a detector, explained, as YAML, or a shipped recipe of a training."""
    from incdet.errors import ConfigurationError

    if sum((name is not None, list_recipes, keys, schema)) > 1:
        raise ConfigurationError("NAME, --list, --keys and --schema exclude each other; give one of them")
    if (name is not None or list_recipes or keys or schema) and (config_file is not None or settings or preset):
        raise ConfigurationError(
            "--preset, --config and --set belong to the settings of a detector; leave out NAME, --list, --keys and "
            "--schema"
        )
    if of != Subject.detector and not keys and not schema:
        raise ConfigurationError("--of belongs to --keys and --schema; add one of them")
    if list_recipes:
        _print_recipes()
    elif name is not None:
        from incdet.config.recipes import find_recipe
        from incdet.runtime.text_files import read_text

        print(read_text(find_recipe(name), "the configuration", "save it as UTF-8"), end="")
    elif keys:
        _print_keys(of)
    elif schema:
        from incdet.config.setting_list import json_schema

        print(json.dumps(json_schema(_section(of), f"Settings of incdet: {of.value}"), indent=2))
    else:
        from incdet.config.commented_yaml import commented_yaml
        from incdet.config.loading import load_config
        from incdet.config.sections import Config

        print(commented_yaml(load_config(Config, config_file, [*preset_setting(preset), *(settings or ())])), end="")


def _print_recipes() -> None:
    """Prints the name and the first sentence of every shipped recipe."""
    from incdet.config.recipes import recipe_summary, recipes

    for recipe, file in recipes().items():
        print(f"{recipe}: {recipe_summary(file)}")


def _print_keys(of: Subject) -> None:
    """Prints a line for every setting, for people and for grep."""
    from incdet.config.setting_list import list_settings

    for setting in list_settings(_section(of)):
        default = "required" if setting.default is None else f"default {setting.default}"
        print(f"{setting.key} ({setting.values}; {default}): {setting.meaning}")


def _section(of: Subject) -> "type[Section]":
    """The class of a configuration."""
    if of == Subject.regions:
        from incdet.training.region_training_config import RegionsTrainingConfig

        return RegionsTrainingConfig
    if of == Subject.multibox:
        from incdet.training.multibox_training_config import MultiBoxTrainingConfig

        return MultiBoxTrainingConfig
    if of == Subject.classifier:
        from incdet.training.classifier_training_config import ClassifierTrainingConfig

        return ClassifierTrainingConfig
    from incdet.config.sections import Config

    return Config
