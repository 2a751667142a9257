"""The lines of results, one photo each: written with a checksum, by which a single flipped bit is noticed."""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from incdet.runtime.files import write_text

NAMES = ("detections", "proposals", "classifications")
"""Names of the results of commands."""

RESULT_SUFFIXES = (".jsonl", ".unfinished.jsonl", ".csv", ".coco.json", ".cvat.xml")
"""Suffixes of the files that a run writes about all its photos."""

CHECKSUM = "crc32"
"""Key of the checksum, which is the last one of a line. Lines of earlier versions and of other programs have none."""

_MAX_DIFFERENCES = 2
"""Number of settings that the message about other settings names."""

_END = re.compile(rf', "{CHECKSUM}": "([0-9a-f]{{8}})"\}}\s*$')


_MAX_END = 60
"""Length of the end of a line in which the checksum stands, white space behind it included."""


def line_text(line: Mapping[str, Any]) -> str:
    """Returns a line of a file, its end included: JSON with a CRC-32 of the same JSON without it."""
    text = json.dumps(line)
    return f'{text[:-1]}, "{CHECKSUM}": "{_checksum(text)}"}}\n'


def parse_line(text: str) -> dict[str, Any]:
    """Returns the values of a line without its checksum, which is compared where there is one.

    Raises:
        ValueError: The text is no JSON object, or its checksum is another one.
        RecursionError: It is nested too deeply.
    """
    line = json.loads(text)
    if not isinstance(line, dict):
        raise ValueError("the line is no object with keys")
    if CHECKSUM not in line:
        return line
    stored = line.pop(CHECKSUM)
    # the text itself is compared where it has the form that `line_text` gives: writing it again would take long
    end = _END.search(text, max(len(text) - _MAX_END, 0))
    unsigned = json.dumps(line) if end is None else text[: end.start()].lstrip() + "}"
    if stored != _checksum(unsigned):
        raise ValueError(
            f"the checksum is another one: the line is damaged, or was edited; remove '{CHECKSUM}' from a line that is "
            "right as it is"
        )
    return line


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode(errors='surrogatepass')):08x}"


@dataclass
class StoredLines:
    """Lines that are there already.

    Attributes:
        lines: Line by photo name.
        num_damaged: Number of lines that are left out because they are damaged. One that was cut off by the end of a
            process does not count.
    """

    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    num_damaged: int = 0

    def damage(self, owner: Path) -> str | None:
        """Returns a sentence about the damaged lines of a folder, None where there are none."""
        if not self.num_damaged:
            return None
        lines = "1 line is" if self.num_damaged == 1 else f"{self.num_damaged:,} lines are"
        return f"{lines} damaged in {owner}: left out, and their photos are done again where given"


def lines_of(*files: Path) -> StoredLines:
    """Returns the lines of files, later ones in place of earlier ones."""
    stored = StoredLines()
    for file in filter(Path.exists, files):
        # a line has a line break at its end, or was cut off
        *texts, rest = file.read_text(encoding="utf-8", errors="replace").split("\n")
        has_checksums = any(_END.search(text) for text in texts)
        for text in texts:
            line = _result(text, has_checksums)
            if line is not None:
                stored.lines[line["image"]] = line
            elif text.strip():
                stored.num_damaged += 1
        line = _result(rest, has_checksums)
        if line is not None:
            stored.lines[line["image"]] = line
    return stored


def _result(text: str, has_checksum: bool) -> dict[str, Any] | None:
    """Returns a line of results, a named photo with its size and a list of entries; None for anything else.

    Args:
        text: The line.
        has_checksum: Whether a line without a checksum is damaged, because others of the file have one.
    """
    if has_checksum and not _END.search(text):
        return None
    try:
        line = parse_line(text)
    except (ValueError, RecursionError):
        return None
    sizes = (line.get("width", 0), line.get("height", 0))
    has_size = all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes)
    entries = next((line[name] for name in NAMES if name in line), None)
    has_entries = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    return line if isinstance(line.get("image"), str) and has_size and has_entries else None


def write_lines(file: Path, lines: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes lines by photo name."""
    write_text(file, "".join(map(line_text, lines.values())))


def flat_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flat_settings(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def differences_in_words(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns the first settings that differ between two runs, in words; empty where none does.

    >>> differences_in_words({"device": "cpu", "scores": {"rounds": 1}}, {"device": "cpu", "scores": {"rounds": 2}})
    'scores.rounds is 1 there and 2 now'

    Args:
        then: Settings of the earlier run, nested.
        now: Settings of this run, nested.
    """
    flat_then, flat_now = flat_settings(then), flat_settings(now)
    different = [key for key in sorted(flat_then.keys() | flat_now.keys()) if flat_then.get(key) != flat_now.get(key)]
    words = [f"{key} is {flat_then.get(key)} there and {flat_now.get(key)} now" for key in different[:_MAX_DIFFERENCES]]
    return ", ".join([*words, *(["..."] if len(different) > _MAX_DIFFERENCES else [])])
