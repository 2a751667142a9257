"""The effective settings as YAML that explains itself: the description of every setting stands above it."""

import textwrap

import yaml

from incdet.config.descriptions import field_descriptions
from incdet.config.sections import Section

_WIDTH = 110


def commented_yaml(section: Section, indent: str = "") -> str:
    """The settings of a section as YAML with comments, which can be read again as a configuration.

    Args:
        section: The settings.
        indent: Spaces before every line.

    >>> from incdet.config.sections import ImagesConfig
    >>> print(commented_yaml(ImagesConfig()).splitlines()[-1])
    max_megapixels: 100.0
    """
    descriptions = field_descriptions(type(section))
    plain = section.model_dump(mode="json")
    lines: list[str] = []
    for name in type(section).model_fields:
        prefix = f"{indent}# "
        lines += textwrap.wrap(descriptions.get(name, ""), _WIDTH, initial_indent=prefix, subsequent_indent=prefix)
        value = getattr(section, name)
        if isinstance(value, Section):
            lines += [f"{indent}{name}:", commented_yaml(value, indent + "  ").rstrip("\n")]
        else:
            # a list in square brackets stands on one line, and so does its only entry, the value, without them
            text = yaml.safe_dump([plain[name]], default_flow_style=True, width=10**6).strip()
            lines.append(f"{indent}{name}: {text[1:-1]}")
    return "\n".join(lines) + "\n"
