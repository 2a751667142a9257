"""Plain values of a configuration, before they are checked: from YAML files and `dotted.key=value` settings."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from incdet.errors import ConfigurationError, reason


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: PyYAML's own takes `1e-3` for text, because it has no dot."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)

_NOT_YAML = (yaml.YAMLError, ValueError, TypeError, RecursionError)
"""What the parser raises, also on dates that do not exist and on tags that do not fit."""


def read_yaml(file: Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        ConfigurationError: it cannot be read, is not valid YAML, or holds something else than keys and values.
    """
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the configuration {file}: {reason(error)}; check the path") from None
    except _NOT_YAML as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(f"the configuration {file} is not valid YAML: {problem}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        found = type(values).__name__
        raise ConfigurationError(f"the configuration {file} holds a {found}; expected 'key: value' lines")
    return values


def apply_setting(values: dict[str, Any], setting: str) -> None:
    """Writes one `dotted.key=value` setting, whose value is YAML, into the values.

    Raises:
        ConfigurationError: it has no value, its value is not valid YAML, or a part of its key is no section.
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
        values[leaf] = yaml.load(text, _Loader)
    except _NOT_YAML:
        raise ConfigurationError(f"setting '{setting}': the value is not valid YAML") from None


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values with changes over them, section by section."""
    result = dict(values)
    for key, change in changes.items():
        inside = isinstance(change, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], change) if inside else change
    return result
