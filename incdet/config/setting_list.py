"""Every setting below a section, with its key, the values that it takes, its default and its meaning; its JSON schema.

Both are made from the sections alone, whose docstrings say what the settings mean.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from incdet.config.descriptions import inherited_descriptions, section_summary
from incdet.config.sections import Section, is_section

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "object": "keys and values",
}
"""Type in a JSON schema -> words for people."""

_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
"""Limit in a JSON schema -> word in front of its number."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: Dotted key.
        values: Values that it takes, in words.
        default: Default as YAML on one line; None where the setting must be given.
        meaning: Sentences of its description.
    """

    key: str
    values: str
    default: str | None
    meaning: str


def list_settings(section: type[Section], prefix: str = "") -> Iterator[Setting]:
    """Yields every setting below a section, those of inner sections in their place.

    Args:
        section: The section.
        prefix: Text before every key, default none.

    >>> from incdet.config.sections import ImagesConfig
    >>> setting = next(list_settings(ImagesConfig))
    >>> setting.key, setting.values, setting.default
    ('max_megapixels', 'number above 0', '100.0')
    """
    schema = section.model_json_schema()
    meanings = inherited_descriptions(section)
    for name, info in section.model_fields.items():
        inner = info.annotation
        if is_section(inner) and issubclass(inner, Section):
            yield from list_settings(inner, f"{prefix}{name}.")
        else:
            values = value_text(schema["properties"][name], schema.get("$defs", {}))
            yield Setting(prefix + name, values, default_text(info), sentences(meanings[name]))


def json_schema(section: type[Section], title: str) -> dict[str, Any]:
    """Makes the JSON schema of a configuration file, with the description of every key.

    Args:
        section: The class of the configuration.
        title: Title of the schema.
    """
    schema = section.model_json_schema()
    _describe(schema, section)
    for inner in inner_sections(section):
        _describe(schema["$defs"][inner.__name__], inner)
    return {"$schema": _DIALECT, **schema, "title": title}


def inner_sections(section: type[Section]) -> list[type[Section]]:
    """Returns all sections below one, each once and before those below it."""
    found: list[type[Section]] = []
    for info in section.model_fields.values():
        # a section may be one of several types, as in `PhotosConfig | None`
        for inner in (info.annotation, *getattr(info.annotation, "__args__", ())):
            if is_section(inner) and issubclass(inner, Section):
                found += [inner, *inner_sections(inner)]
    return list(dict.fromkeys(found))


def sentences(description: str) -> str:
    """Returns a description with a capital and YAML's word for None.

    >>> sentences("number of steps; None is all.")
    'Number of steps; null is all.'
    """
    text = re.sub(r"\bNone\b", "null", description)
    return text[:1].upper() + text[1:]


def value_text(schema: Mapping[str, Any], definitions: Mapping[str, Any], quote: str = "") -> str:
    """Returns what a key takes, in words.

    Args:
        schema: The key's JSON schema.
        definitions: Definitions that it refers to, by name.
        quote: Text around literal values, default none.
    """
    if "$ref" in schema:
        return value_text(definitions[schema["$ref"].rpartition("/")[2]], definitions, quote)
    if "anyOf" in schema:
        return " or ".join(value_text(kind, definitions, quote) for kind in schema["anyOf"])
    if "const" in schema:
        return f"{quote}{schema['const']}{quote}"
    if "enum" in schema:
        return ", ".join(f"{quote}{choice}{quote}" for choice in schema["enum"])
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return "list of: " + "; ".join(value_text(kind, definitions, quote) for kind in schema["prefixItems"])
        return f"list of: {value_text(schema['items'], definitions, quote)}"
    if schema["type"] == "boolean":
        return f"{quote}true{quote}, {quote}false{quote}"
    if schema["type"] == "null":
        return f"{quote}null{quote}"
    limits = [f" {word} {schema[key]:g}" for key, word in _BOUNDS.items() if key in schema]
    return _TYPES[schema["type"]] + "".join(limits)


def default_text(info: FieldInfo) -> str | None:
    """Returns a default as YAML writes it on one line; None where the setting must be given."""
    return None if info.is_required() else yaml_text(info.default)


def yaml_text(value: Any) -> str:
    """Returns a value as YAML writes it on one line.

    >>> yaml_text(("lab", "hsv")), yaml_text(None)
    ('[lab, hsv]', 'null')
    """
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000)
    return text.strip().removesuffix("...").strip()


def _describe(schema: dict[str, Any], section: type[Section]) -> None:
    """Writes the descriptions of a section and of its keys into its schema."""
    schema["description"] = section_summary(section)
    for name, meaning in inherited_descriptions(section).items():
        schema["properties"][name]["description"] = sentences(meaning)
