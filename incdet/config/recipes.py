"""The training recipes that travel with incdet: one YAML file for each experiment, found by its name."""

from pathlib import Path

import incdet
from incdet.config.near_names import nearest_names
from incdet.errors import ConfigurationError


def recipes() -> dict[str, Path]:
    """Name -> file of every shipped recipe, in alphabetical order."""
    package = Path(incdet.__file__).parent
    # installed from a wheel, they lie in the package; in a clone, beside it
    folder = next((place for place in (package / "configs", package.parent / "configs") if place.is_dir()), None)
    return {} if folder is None else {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_recipe(name_or_file: str) -> Path:
    """The file of a recipe.

    Args:
        name_or_file: Name of a shipped recipe, or any YAML file. A file in the way of a name wins.

    Raises:
        ConfigurationError: There is no such file and no such recipe; names the nearest ones.
    """
    file = Path(name_or_file)
    if file.is_file():
        return file
    shipped = recipes()
    name = file.stem if file.suffix in (".yaml", ".yml") else name_or_file
    if name_or_file in shipped:
        return shipped[name_or_file]
    nearest = [f"'{near}'" for near in nearest_names(name, shipped, 3)]
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"shipped are {', '.join(shipped)}"
    raise ConfigurationError(f"there is no file and no shipped recipe '{name_or_file}'; {hint}")


def recipe_summary(file: Path) -> str:
    """The first sentence of a recipe's header, on one line."""
    header: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        header.append(line.removeprefix("# "))
    first, _, _ = " ".join(header).partition(". ")
    return first.rstrip(".")
