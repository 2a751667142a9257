"""Writes docs/configuration.md: every setting with its type, its default and its meaning, from the code's docstrings.

python docs/generate_configuration.py

Run it after a setting or its docstring has changed; a test compares the page with what this program would write.
"""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from incdet.config.sections import Config, Section, is_section
from incdet.training.classification_task import ClassifierTrainingConfig
from incdet.training.multibox_task import MultiBoxTrainingConfig
from incdet.training.region_task import RegionsTrainingConfig

PAGE = Path(__file__).with_name("configuration.md")

INTRODUCTION = """\
# Configuration

This page is written by `python docs/generate_configuration.py` from the docstrings of the settings; edit those, not it.

Every setting has a dotted key. It is given in a YAML file or on the command line, where the command line wins:

```yaml
# detector.yaml, used as: incdet detect photo.jpg --config detector.yaml
proposals:
  methods: [selective_search]
detections:
  iou_threshold: 0.4
```

```sh
incdet detect photo.jpg --set detections.iou_threshold=0.4 --set 'proposals.methods=[multibox]'
incdet config --set detections.iou_threshold=0.4        # prints the effective settings as YAML
incdet config regions_voc                               # prints a shipped recipe of a training, with its comments
```

An unknown key, a wrong type or a value out of range is an error that names the key, what was expected and the nearest
valid key. The effective settings are stored beside every result, in `run.json`.

A setting that was renamed keeps its old name for one version, with a warning; the old names go in 0.3:

| old name | name now |
|---|---|
"""

ROOTS: tuple[tuple[str, str, type[Section]], ...] = (
    ("Detection", "Settings of `incdet detect`, `propose`, `classify`, `evaluate` and `coverage`.", Config),
    (
        "Training region classifiers",
        "Settings of `incdet train regions`; the shipped recipes are `rejection_voc`, `rejection_voc_longer`, "
        "`regions_voc` and `regions_ilsvrc`.",
        RegionsTrainingConfig,
    ),
    (
        "Training MultiBox",
        "Settings of `incdet train multibox`; the shipped recipe is `multibox_voc`.",
        MultiBoxTrainingConfig,
    ),
    (
        "Training classifiers of whole photos",
        "Settings of `incdet train classifier`; the shipped recipes are `classifier_voc` and `googlenet_imagenet`.",
        ClassifierTrainingConfig,
    ),
)
"""Title, introduction and settings of each part of the page."""


def configuration_page() -> str:
    """The whole page, in Markdown."""
    headings: dict[type[Section], str] = {}
    parts = [INTRODUCTION + _old_names_table()]
    for title, introduction, root in ROOTS:
        parts.append(f"## {title}\n\n{introduction}\n\n" + _table(root, "", headings, title))
        parts += _sections(root, "", headings, title)
    return "\n".join(parts)


def _sections(section: type[Section], prefix: str, headings: dict[type[Section], str], title: str) -> list[str]:
    """A part of the page for every section below this one that has not been described before."""
    parts = []
    for name, info in section.model_fields.items():
        inner = info.annotation
        if not is_section(inner) or not issubclass(inner, Section):
            continue
        heading = headings.setdefault(inner, f"{title}: {prefix}{name}")
        if heading != f"{title}: {prefix}{name}":
            continue  # described in an earlier part, to which the table links
        path = f"{prefix}{name}."
        summary, _ = parse_docstring(inspect.getdoc(inner) or "")
        parts.append(f"### {heading}\n\n{summary}\n\n" + _table(inner, path, headings, title))
        parts += _sections(inner, path, headings, title)
    return parts


def _table(section: type[Section], prefix: str, headings: dict[type[Section], str], title: str) -> str:
    """A row for each key of one section."""
    meanings = _meanings(section)
    schema = section.model_json_schema()
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, info in section.model_fields.items():
        inner = info.annotation
        if is_section(inner) and issubclass(inner, Section):
            heading = headings.get(inner, f"{title}: {prefix}{name}")
            default = "" if info.default is None or _is_usual(inner, info.default) else _differences(inner, info.default)
            meaning = meanings.get(name, "")
            lines.append(f"| `{prefix}{name}` | [section](#{slug(heading)}) | {default} | {_cell(meaning)} |")
            continue
        value = _value_text(schema["properties"][name], schema.get("$defs", {}))
        default = "required" if info.is_required() else _default_text(info.default)
        lines.append(f"| `{prefix}{name}` | {value} | {default} | {_cell(meanings.get(name, ''))} |")
    return "\n".join(lines) + "\n"


def missing_meanings() -> list[str]:
    """Class and key of every setting without an entry in its docstring; sections are described by their own class."""
    missing = []
    waiting: list[type[Section]] = [root for _, _, root in ROOTS]
    for section in waiting:
        meanings = _meanings(section)
        for name, info in section.model_fields.items():
            inner = info.annotation
            if is_section(inner) and issubclass(inner, Section):
                if inner not in waiting:
                    waiting.append(inner)
            elif not meanings.get(name):
                missing.append(f"{section.__name__}.{name}")
    return missing


def _meanings(section: type[Section]) -> dict[str, str]:
    """Key -> meaning, from the docstrings of the class and of those that it inherits from."""
    meanings: dict[str, str] = {}
    for base in section.__mro__:
        if issubclass(base, Section):
            _, entries = parse_docstring(inspect.cleandoc(base.__doc__ or ""))
            meanings = {**entries, **meanings}
    return meanings


def parse_docstring(text: str) -> tuple[str, dict[str, str]]:
    """What stands before "Attributes:", and the entries below it; an entry of several names belongs to each.

    >>> parse_docstring("Summary.\\n\\nAttributes:\\n    first, second: Their meaning\\n        goes on.")
    ('Summary.', {'first': 'Their meaning goes on.', 'second': 'Their meaning goes on.'})
    """
    summary, _, attributes = text.partition("Attributes:")
    entries: dict[str, str] = {}
    names: list[str] = []
    for line in attributes.splitlines():
        start = re.match(r" {4}(\w+(?:, \w+)*): (.*)", line)
        if start:
            names = start[1].split(", ")
            entries |= dict.fromkeys(names, start[2].strip())
        elif names and line.startswith(" " * 8):
            entries |= {name: f"{entries[name]} {line.strip()}" for name in names}
    return " ".join(summary.split()), entries


def _value_text(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a key takes, from its JSON schema, in words."""
    if "$ref" in schema:
        return _value_text(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        kinds = [_value_text(kind, definitions) for kind in schema["anyOf"]]
        return " or ".join("`null`" if kind == "null" else kind for kind in kinds)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return "list of " + ", ".join(_value_text(kind, definitions) for kind in schema["prefixItems"])
        return f"list of: {_value_text(schema['items'], definitions)}"
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true`, `false`"}
    names |= {"object": "keys and values", "null": "null"}
    return names[schema["type"]] + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return "".join(f" {word} {schema[key]:g}" for key, word in words.items() if key in schema)


def _default_text(value: Any) -> str:
    """A default as YAML writes it on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000).strip().removesuffix("...").strip()
    return f"`{text}`"


def _is_usual(section: type[Section], value: Any) -> bool:
    return not isinstance(value, section) or value == section()


def _differences(section: type[Section], value: Section) -> str:
    """The keys in which a section's default is another than the section itself says."""
    usual = section()
    changed = {name: getattr(value, name) for name in section.model_fields}
    changed = {name: own for name, own in changed.items() if own != getattr(usual, name)}
    return ", ".join(f"`{name}`: {_default_text(own)}" for name, own in changed.items())


def _old_names_table() -> str:
    rows = []
    waiting: list[tuple[str, type[Section]]] = [("", root) for _, _, root in ROOTS]
    for prefix, section in waiting:
        for old, new in section.old_names.items():
            row = f"| `{prefix}{old}` | `{prefix}{new}` |"
            if row not in rows:
                rows.append(row)
        for name, info in section.model_fields.items():
            inner = info.annotation
            if is_section(inner) and issubclass(inner, Section):
                waiting.append((f"{prefix}{name}.", inner))
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    """A sentence as a table's cell takes it: with a capital, and without what would end the cell."""
    return (text[:1].upper() + text[1:]).replace("|", "\\|")


def slug(heading: str) -> str:
    """The anchor that Markdown renderers give a heading.

    >>> slug("Detection: proposals.multibox")
    'detection-proposalsmultibox'
    """
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(configuration_page(), encoding="utf-8")
    print(f"wrote {PAGE}")
