"""The lines of a folder of results, one photo each: written whole, and read with damaged ones left out."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from incdet.runtime.files import write_text

NAMES = ("detections", "proposals", "classifications")
"""Names of the results of commands."""

RESULT_SUFFIXES = (".jsonl", ".unfinished.jsonl", ".csv", ".coco.json")
"""Suffixes of the files that a run writes about all its photos."""


def lines_of(*files: Path) -> dict[str, dict[str, Any]]:
    """Returns the lines of files by photo name, later ones in place of earlier ones; damaged ones are dropped."""
    done: dict[str, dict[str, Any]] = {}
    for file in filter(Path.exists, files):
        for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError):
                line = json.loads(text)
                if _is_result(line):
                    done[line["image"]] = line
    return done


def _is_result(line: Any) -> bool:
    """Whether a value is a line of results: a named photo with its size and a list of entries."""
    if not isinstance(line, dict) or not isinstance(line.get("image"), str):
        return False
    sizes = (line.get("width", 0), line.get("height", 0))
    has_size = all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes)
    entries = next((line[name] for name in NAMES if name in line), None)
    return has_size and isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)


def write_lines(file: Path, lines: Mapping[str, Mapping[str, Any]]) -> None:
    write_text(file, "".join(json.dumps(line) + "\n" for line in lines.values()))


def flat_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flat_settings(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
