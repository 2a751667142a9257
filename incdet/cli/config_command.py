"""`incdet config`: the effective settings of a detector, and the training recipes that are shipped."""

from typing import Annotated

import typer

from incdet.cli.options import SETTINGS, ConfigFile, Settings

EXAMPLES = (
    "incdet config --set detections.iou_threshold=0.4 > detector.yaml",
    "incdet config regions_voc > mine.yaml",
)

Name = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="A shipped recipe, which is printed with its comments.", show_default=False),
]
ListRecipes = Annotated[
    bool, typer.Option("--list", help="Instead: the names of the shipped recipes.", rich_help_panel=SETTINGS)
]


def config(
    name: Name = None, list_recipes: ListRecipes = False, config_file: ConfigFile = None, settings: Settings = None
) -> None:
    """Print the effective settings of a detector, explained, as YAML, or a shipped recipe of a training."""
    from incdet.config.recipes import find_recipe, recipe_summary, recipes
    from incdet.errors import ConfigurationError

    if (name is not None or list_recipes) and (config_file is not None or settings):
        raise ConfigurationError("--config and --set belong to the settings of a detector; leave out NAME and --list")
    if list_recipes:
        for recipe, file in recipes().items():
            print(f"{recipe}: {recipe_summary(file)}")
    elif name is not None:
        print(find_recipe(name).read_text(encoding="utf-8"), end="")
    else:
        from incdet.config.commented_yaml import commented_yaml
        from incdet.config.loading import load_config
        from incdet.config.sections import Config

        effective = load_config(Config, config_file, settings or ())
        print(commented_yaml(effective), end="")
