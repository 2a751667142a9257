"""Reading of configurations: YAML files and `dotted.key=value` settings become checked sections."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from incdet.config.near_names import edit_distance, nearest_names
from incdet.config.sections import Section, is_section
from incdet.config.yaml_text import MAX_YAML_BYTES, parse_yaml
from incdet.errors import ConfigurationError, reason

SectionType = TypeVar("SectionType", bound=Section)


def load_config(
    section: type[SectionType], file: Path | str | None = None, settings: Iterable[str] = ()
) -> SectionType:
    """Makes a configuration from an optional YAML file and settings.

    Args:
        section: The class of the configuration.
        file: The YAML file, default none.
        settings: Settings of the form `dotted.key=value`, which win over the file; later ones win over earlier ones.

    Raises:
        ConfigurationError: The file cannot be read, or a key, type or value is wrong; the message names the dotted key.
    """
    values = read_yaml(Path(file)) if file is not None else {}
    settings = list(settings)
    apply_settings(section, values, settings)
    return make_config(section, values, "configuration" if file is None else str(file), settings)


def apply_settings(section: type[Section], values: dict[str, Any], settings: Iterable[str]) -> None:
    """Writes settings into the values of a file, over which they win.

    Args:
        section: The class of the configuration.
        values: The values by key, changed in place.
        settings: Settings of the form `dotted.key=value`.

    Raises:
        ConfigurationError: As `apply_setting`.
    """
    settings = list(settings)
    # first all values of the file that would win over a setting, so that settings do not remove one another
    for setting in settings:
        _drop_overruled(section, values, setting.partition("=")[0].split("."))
    for setting in settings:
        apply_setting(values, setting)


def _drop_overruled(section: type[Section], values: dict[str, Any], path: Sequence[str]) -> None:
    """Removes values that a setting overrules although they have another key; see `Section.overrules`."""
    name, *rest = path
    info = section.model_fields.get(name)
    if not rest:
        for other in section.overrules(name):
            values.pop(other, None)
    elif info is not None and is_section(info.annotation) and isinstance(values.get(name), dict):
        assert issubclass(info.annotation, Section)
        _drop_overruled(info.annotation, values[name], rest)


def make_config(
    section: type[SectionType], values: Mapping[str, Any], origin: str, settings: Sequence[str] = ()
) -> SectionType:
    """Checks plain values against a section; lists become tuples.

    Args:
        section: The class of the configuration.
        values: The values by key, sections as mappings.
        origin: Their origin, for the message: a file, or "configuration".
        settings: Settings among the values, of the form `dotted.key=value`, which the message names where one is wrong.

    Raises:
        ConfigurationError: A key or value is wrong; the message names the dotted path and the nearest valid key.
    """
    try:
        return section.model_validate(_tuples(values))
    except RecursionError:
        raise ConfigurationError(f"{origin}: a value holds itself; write it out") from None
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(_key_parts(first))
        for setting in settings:
            if f"{path}.".startswith(setting.partition("=")[0] + "."):
                origin = f"setting '{setting}'"
        if first["type"] == "extra_forbidden":
            raise ConfigurationError(f"{origin}: unknown key '{path}'; {_nearest_key(section, path)}") from None
        found = repr(first["input"])[:60]
        # a key that takes several types has an error for each of them
        same_key = [other for other in error.errors() if _key_parts(other) == _key_parts(first)]
        rules = dict.fromkeys(_lower(other["msg"]).replace("tuple", "list") for other in same_key)
        raise ConfigurationError(f"{origin}: '{path}' is {found}, but {', or '.join(rules)}") from None


_PLAIN_TYPES = ("int", "float", "str", "bool")
"""Names of types as pydantic writes them."""


def _key_parts(error: Mapping[str, Any]) -> list[str]:
    """Returns the parts of the key of an error, without the name of the type that a value was taken for."""
    parts = [str(part) for part in error["loc"]]
    # where a key takes several types, such as a number or "auto", pydantic adds the type: 'int', "literal['auto']"
    is_type = parts[-1:] and (parts[-1] in _PLAIN_TYPES or "-" in parts[-1] or "[" in parts[-1])
    return parts[:-1] if is_type and error["type"] != "extra_forbidden" else parts


def _tuples(value: Any) -> Any:
    """Returns the value with tuples for lists: YAML has only lists, and the frozen configuration holds tuples."""
    if isinstance(value, Mapping):
        return {str(key): _tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return value


def valid_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Returns all dotted keys of a section, for messages and help.

    Args:
        section: The section.
        prefix: Text before every key, default none.
    """
    keys = []
    for name, info in section.model_fields.items():
        keys.append(prefix + name)
        if is_section(info.annotation):
            keys += valid_keys(info.annotation, f"{prefix}{name}.")
    return keys


def _nearest_key(section: type[BaseModel], path: str) -> str:
    """Returns a hint at the key that was probably meant by an unknown one."""
    keys = valid_keys(section)
    parent, _, leaf = path.rpartition(".")
    leaves = {key: key.rpartition(".")[2] for key in keys}
    siblings = [key for key in keys if key.rpartition(".")[0] == parent]
    # the same name in another section; of several, the outermost is meant most often
    near = sorted((key for key in keys if leaves[key] == leaf), key=lambda key: key.count("."))
    # a misspelt name in this section, in another one, or one word of a name
    near = near or _with_leaf(nearest_names(leaf, [leaves[key] for key in siblings]), siblings)
    near = near or _with_leaf(nearest_names(leaf, leaves.values()), keys)
    if len(near) > 1:
        # among equal names, that in the section most like the given one, or the outermost
        near = [min(near, key=lambda key: edit_distance(path, key)) if parent else near[0]]
    near = near or [key for key in keys if nearest_names(leaf, leaves[key].split("_"))][:3]
    if len(near) == 1:
        return f"did you mean '{near[0]}'?"
    if near:
        return f"did you mean one of {', '.join(near)}?"
    inside = siblings or list(section.model_fields)
    return f"valid keys: {', '.join(inside)}"


def _with_leaf(names: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Returns the keys that end in one of the names."""
    return [key for key in keys if key.rpartition(".")[2] in names]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def read_yaml(file: Path) -> dict[str, Any]:
    """Returns the keys and values of a YAML file.

    Raises:
        ConfigurationError: The file cannot be read, is not valid YAML, or does not hold keys and values.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_YAML_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {file}: {reason(error)}; check the path") from None
    try:
        values = parse_yaml(content)
    except ConfigurationError as error:
        raise ConfigurationError(f"the configuration {file} is not valid YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        found = type(values).__name__
        raise ConfigurationError(f"the configuration {file} holds a {found}; expected 'key: value' lines")
    return values


def apply_setting(values: dict[str, Any], setting: str) -> None:
    """Writes one setting into the values.

    Args:
        values: The values by key, changed in place.
        setting: Text of the form `dotted.key=value`; the value is YAML.

    Raises:
        ConfigurationError: The setting has no value, its value is not valid YAML, or a part of its key is no section.
    """
    path, separator, text = setting.partition("=")
    if not separator or not path:
        raise ConfigurationError(f"setting '{setting}' has no value; write key=value, for example device=cpu")
    *parents, leaf = path.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise ConfigurationError(f"setting '{setting}': '{parent}' is a value, not a section")
    try:
        values[leaf] = parse_yaml(text)
    except ConfigurationError:
        raise ConfigurationError(f"setting '{setting}': the value is not valid YAML") from None
