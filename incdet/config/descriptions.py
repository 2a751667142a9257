"""Descriptions of settings, read from the `Attributes:` of their section's docstring."""

import inspect
import re

from incdet.config.sections import Section

_ENTRY = re.compile(r"(\w+): (.+)")


def field_descriptions(section: type[Section]) -> dict[str, str]:
    """Returns the description of every setting of a section by its name, in one line each.

    >>> from incdet.config.sections import ImagesConfig
    >>> field_descriptions(ImagesConfig)["max_megapixels"].partition(".")[0]
    'Largest photo that is read, in millions of pixels'
    """
    lines = inspect.cleandoc(section.__doc__ or "").splitlines()
    if "Attributes:" not in lines:
        return {}
    descriptions: dict[str, str] = {}
    name = ""
    for line in lines[lines.index("Attributes:") + 1 :]:
        indent = len(line) - len(line.lstrip())
        entry = _ENTRY.fullmatch(line.strip())
        if indent == 4 and entry:
            name = entry[1]
            descriptions[name] = entry[2]
        elif indent > 4 and name:
            # an entry goes on in lines that are indented more
            descriptions[name] += " " + line.strip()
        else:
            # anything else, such as a blank line, ends the list
            break
    return descriptions


def inherited_descriptions(section: type[Section]) -> dict[str, str]:
    """Returns the description of every setting of a section, those of the sections that it inherits from included."""
    descriptions: dict[str, str] = {}
    for base in section.__mro__:
        if issubclass(base, Section):
            descriptions = field_descriptions(base) | descriptions
    return descriptions


def section_summary(section: type[Section]) -> str:
    """Returns the first paragraph of a section's docstring in one line."""
    return inspect.cleandoc(section.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
