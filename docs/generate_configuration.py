"""Writes docs/configuration.md: every setting with its type, its default and its meaning, from the code's docstrings.

python docs/generate_configuration.py

Run it after a setting or its docstring has changed; a test compares the page with what this program would write.
"""

import re
from pathlib import Path
from typing import Any

from incdet.config.descriptions import inherited_descriptions, section_summary
from incdet.config.sections import Config, Section, is_section
from incdet.config.setting_list import sentences, value_text, yaml_text
from incdet.output.preset_table import preset_markdown
from incdet.training.classifier_training_config import ClassifierTrainingConfig
from incdet.training.multibox_training_config import MultiBoxTrainingConfig
from incdet.training.region_training_config import RegionsTrainingConfig
from incdet.training.run_config import RunConfig

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
incdet config --keys                                    # every key on a line: values, default, meaning
incdet config --schema > detector.schema.json           # JSON schema, for editors and other programs
incdet config --schema --of regions                     # the same for a training: regions, multibox, classifier
```

An editor with a language server for YAML completes and explains keys where a file begins with
`# yaml-language-server: $schema=detector.schema.json`.

A setting on the command line wins over everything else: over the file, over a recipe's `members`, and over other
options, such as `--device`. A key that stands for several others, as `strategies` does, or takes the place of another
one, as `optimization.steps` does of `epochs`, replaces those of the file.

An unknown key, a wrong type or a value out of range is an error that names the key, what was expected and the nearest
valid key. The effective settings are stored beside every result, in `run.json`.

## Presets

A preset is a named set of settings: `--preset fast`, or `preset: fast` in a file. Every setting that is given itself,
in the file or by `--set`, wins over it.

{presets}
mAP is followed by the middle 95 % over resampled photos; a dash stands for what has not been measured with the settings
and weights of today. How mAP was measured is in [results.md](results.md). The seconds are what `incdet info --presets
--time` printed; [speed.md](speed.md) compares them with other detectors.

```sh
incdet detect photo.jpg --preset fast
incdet detect photo.jpg --preset paper --members 1      # one of the six networks
incdet info --presets                                   # this table
incdet info --presets --time photo.jpg                  # with the seconds of each on this machine
incdet config --preset paper                            # all settings, as YAML
```

`--members N` takes the first N of the six networks on crops: with `paper` they alone see every region, with `default`
they stand behind the network on shared features. `fast` has no other network, so that a number above 1 is an error.

## Old names

A setting that was renamed keeps its old name for one version, with a warning; the old names go in 0.3:

| old name | name now |
|---|---|
"""

ROOTS: tuple[tuple[str, str, type[Section]], ...] = (
    ("Detection", "Settings of `incdet detect`, `propose`, `classify`, `evaluate` and `coverage`.", Config),
    ("Every training", "Settings that all trainings below have, too.", RunConfig),
    (
        "Training region classifiers",
        "Settings of `incdet train regions`; the shipped recipes are `shared_voc`, `own_data` and `regions_ilsvrc200` "
        "for shared features, and `rejection_voc`, `rejection_voc_longer`, `regions_voc` and `regions_ilsvrc` for "
        "crops.",
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
    parts = [INTRODUCTION.replace("{presets}", preset_markdown()) + _old_names_table()]
    for title, introduction, root in ROOTS:
        parts.append(f"## {title}\n\n{introduction}\n\n" + _table(root, "", headings, title))
        parts += _inner_parts(root, "", headings, title)
    return "\n".join(parts)


def missing_meanings(root: type[Section]) -> list[str]:
    """Class and key of every setting below a section that its docstring does not describe."""
    missing = []
    for section in [root, *(inner for _, inner in _inner_sections(root))]:
        described = {*dict(_inner_sections(section)), *inherited_descriptions(section)}
        missing += [f"{section.__name__}.{key}" for key in section.model_fields if key not in described]
    return missing


def _inner_sections(section: type[Section], prefix: str = "") -> list[tuple[str, type[Section]]]:
    """Key and class of every section below this one, each before those below it."""
    found: list[tuple[str, type[Section]]] = []
    for name, info in section.model_fields.items():
        inner = info.annotation
        if is_section(inner) and issubclass(inner, Section):
            found += [(f"{prefix}{name}", inner), *_inner_sections(inner, f"{prefix}{name}.")]
    return found


def _inner_parts(section: type[Section], prefix: str, headings: dict[type[Section], str], title: str) -> list[str]:
    """A part of the page for every section below this one, unless an earlier part describes it."""
    parts = []
    for path, inner in _inner_sections(section, prefix):
        heading = f"{title}: {path}"
        if headings.setdefault(inner, heading) == heading:
            summary = section_summary(inner)
            parts.append(f"### {heading}\n\n{summary}\n\n" + _table(inner, f"{path}.", headings, title))
    return parts


def _table(section: type[Section], prefix: str, headings: dict[type[Section], str], title: str) -> str:
    """A row for each key of one section; those that every training has stand in a table of their own."""
    meanings, schema = inherited_descriptions(section), section.model_json_schema()
    inner_sections = dict(_inner_sections(section))
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, info in section.model_fields.items():
        if section is not RunConfig and issubclass(section, RunConfig) and name in RunConfig.model_fields:
            continue
        if name in inner_sections:
            inner = inner_sections[name]
            value = f"[section](#{slug(headings.get(inner, f'{title}: {prefix}{name}'))})"
            default = _differences(inner, info.default)
        else:
            value = value_text(schema["properties"][name], schema.get("$defs", {}), "`")
            default = "required" if info.is_required() else f"`{yaml_text(info.default)}`"
        lines.append(f"| `{prefix}{name}` | {value} | {default} | {_cell(meanings.get(name, ''))} |")
    return "\n".join(lines) + "\n"


def _differences(section: type[Section], value: Any) -> str:
    """The keys in which a section's default is another than the section itself says."""
    if not isinstance(value, section):
        return ""
    usual = section()
    keys = [key for key in section.model_fields if getattr(value, key) != getattr(usual, key)]
    return ", ".join(f"`{key}`: `{yaml_text(getattr(value, key))}`" for key in keys)


def _old_names_table() -> str:
    rows = []
    for _, _, root in ROOTS:
        for path, section in [("", root), *((f"{path}.", inner) for path, inner in _inner_sections(root))]:
            rows += [f"| `{path}{old}` | `{path}{new}` |" for old, new in section.old_names.items()]
    return "\n".join(dict.fromkeys(rows)) + "\n"


def _cell(text: str) -> str:
    """A description as a table's cell takes it: without what would end the cell."""
    return sentences(text).replace("|", "\\|").replace("<", "\\<")


def slug(heading: str) -> str:
    """The anchor that Markdown renderers give a heading.

    >>> slug("Detection: proposals.multibox")
    'detection-proposalsmultibox'
    """
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(configuration_page(), encoding="utf-8")
    print(f"wrote {PAGE}")
