"""The base of all sections of the configuration: strict keys, old names, and values that win over others."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, TypeGuard

from pydantic import BaseModel, ConfigDict, model_validator


def is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a field's type is a section, which holds further keys."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


class Section(BaseModel):
    """Base of all sections of the configuration. It refuses unknown keys and values of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    old_names: ClassVar[Mapping[str, str]] = {}
    """New names of keys by their names of one version ago, which are still accepted with a warning."""

    replaces: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Keys by the key that takes their place: earlier values of them, such as those of a file, end where it is set."""

    @classmethod
    def overrules(cls, key: str) -> tuple[str, ...]:
        """Returns the keys whose earlier values end where this key is set: its other names, and what it replaces.

        >>> from incdet.config.sections import SelectiveSearchConfig
        >>> SelectiveSearchConfig.overrules("strategies")
        ('color_spaces', 'similarities', 'k')
        """
        new_name = cls.old_names.get(key, key)
        same = [name for name in (new_name, *cls.old_names) if cls.old_names.get(name, name) == new_name]
        return (*(name for name in same if name != key), *cls.replaces.get(key, ()))

    @model_validator(mode="before")
    @classmethod
    def _take_old_names_and_empty_sections(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = dict(values)
        for old, new in cls.old_names.items():
            if old not in values:
                continue
            if new in values:
                raise ValueError(f"'{old}' is the old name of '{new}', and both are given; keep '{new}'")
            warnings.warn(f"the setting '{old}' is now called '{new}'; the old name goes in 0.3", FutureWarning, 2)
            values[new] = values.pop(old)
        # in YAML, `proposals:` with nothing below it is None, and stands for the defaults of the section
        sections = {name for name, info in cls.model_fields.items() if is_section(info.annotation)}
        return {key: {} if value is None and key in sections else value for key, value in values.items()}


def merged(section: type[Section], values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values with changes that win over them, section by section.

    Args:
        section: The class of the configuration.
        values: The values by key, sections as mappings.
        changes: The changes, in the same form.
    """
    result = dict(values)
    for key in changes:
        for other in section.overrules(key):
            result.pop(other, None)
    for key, change in changes.items():
        info = section.model_fields.get(key)
        earlier = result.get(key)
        if info is not None and is_section(info.annotation) and isinstance(change, Mapping):
            assert issubclass(info.annotation, Section)
            result[key] = merged(info.annotation, earlier if isinstance(earlier, Mapping) else {}, change)
        else:
            result[key] = change
    return result
