"""A folder of results, which never overwrites earlier results and continues an interrupted run."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from incdet.errors import OutputError, reason
from incdet.runtime.files import write_text
from incdet.runtime.provenance import RUN_FILE, run_text

NAMES = ("detections", "proposals", "classifications")
RESULT_SUFFIXES = (".jsonl", ".unfinished.jsonl", ".csv", ".coco.json")
"""Suffixes of the files that a run writes about all its photos."""

_MAX_STEM_BYTES = 200
"""Longest stem of a file name, in bytes. Names may have 255 bytes, and ours end in a number and a suffix."""


class ResultFolder:
    """A folder of JSON lines, one per photo, of the files of single photos, and of `run.json`, the run's description.

    Lines are added to `<name>.unfinished.jsonl`, which becomes `<name>.jsonl` at the end. An unfinished file of a run
    with the same description is continued.

    Attributes:
        path: The folder.
        done: Line by photo name, for the photos that an interrupted run finished.

    Args:
        path: The folder. Nothing is made or changed there before `begin`.
        name: Name of the results: "detections", "proposals" or "classifications".
        description: Everything that decides the results: configuration, versions, weights.
        overwrite: Whether earlier results in the folder may be replaced.
        numbered: Whether to take `<path>-2`, `<path>-3`, ... where the folder holds other results, instead of refusing.

    Raises:
        OutputError: The folder holds other results, or cannot be written to.
    """

    def __init__(
        self, path: Path, name: str, description: Mapping[str, Any], overwrite: bool = False, numbered: bool = False
    ):
        self.name, self.overwrite = name, overwrite
        self._description = run_text(description)
        self.path, number = path, 1
        while numbered and not overwrite and self._obstacle():
            number += 1
            self.path = path.with_name(f"{path.name}-{number}")
        if not overwrite and (obstacle := self._obstacle()):
            raise OutputError(f"{obstacle}; give another folder with --output, or --overwrite to replace it")
        self._resumes = self._unfinished.exists() and self._stored_description() == self._description
        self.done = self._earlier_lines() if self._resumes else {}
        self._made = self._resumes or not self.path.exists()

    def begin(self, files: Sequence[Path], inputs: Sequence[Path]) -> None:
        """Claims the folder, after making sure that nothing but earlier results will be replaced.

        Args:
            files: All files that are going to be written.
            inputs: The photos, which must not be replaced.

        Raises:
            OutputError: A file exists and may not be replaced, or is one of the inputs, or the folder cannot be
                written to.
        """
        originals = {file.resolve() for file in inputs}
        replaces = self._resumes or (self.overwrite and (self.path / RUN_FILE).exists())
        for file in files:
            if file.resolve() in originals:
                raise OutputError(f"{file} is one of the photos given; choose another folder with --output")
            if file.exists() and not replaces:
                why = f" and {self.path} holds no {RUN_FILE} of an earlier run" if self.overwrite else ""
                raise OutputError(f"{file} exists already{why}; give another folder with --output")
        if not self._resumes:
            # results of other commands in the folder would no longer agree with its description
            self._remove(*(self.path / f"{name}{suffix}" for name in NAMES for suffix in RESULT_SUFFIXES))
        write_text(self.path / RUN_FILE, self._description)
        self._append("")

    @property
    def _finished(self) -> Path:
        return self.path / f"{self.name}.jsonl"

    @property
    def _unfinished(self) -> Path:
        return self.path / f"{self.name}.unfinished.jsonl"

    def _obstacle(self) -> str | None:
        """The reason why the folder cannot take these results, or None."""
        description = self.path / RUN_FILE
        if self._finished.exists():
            return f"{self._finished} exists already"
        if description.exists() and not self._unfinished.exists():
            return f"{self.path} holds results already"
        if self._unfinished.exists() and self._stored_description() != self._description:
            return f"{self.path} holds an unfinished run with other settings"
        return None

    def _stored_description(self) -> str | None:
        """Returns the description of the folder's earlier run; None where it cannot be read."""
        try:
            return (self.path / RUN_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def _earlier_lines(self) -> dict[str, dict[str, Any]]:
        """Returns the finished lines of an interrupted run by photo name; a line cut short or damaged is dropped."""
        done = {}
        for text in self._unfinished.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                line = json.loads(text)
                done[line["image"]] = line
        write_text(self._unfinished, "".join(json.dumps(line) + "\n" for line in done.values()))
        return done

    def add(self, line: Mapping[str, Any]) -> None:
        """Appends one photo's results.

        Raises:
            OutputError: The disk is full or the folder went away.
        """
        self._append(json.dumps(line) + "\n")

    def _append(self, text: str) -> None:
        try:
            with self._unfinished.open("a", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._unfinished}: {reason(error)}; run again once it can be written"
            ) from None

    def finish(self, keep: bool = True) -> None:
        """Gives the file of lines its final name, or removes it where it was not asked for."""
        if keep:
            self._unfinished.replace(self._finished)
        else:
            self._remove(self._unfinished)

    def discard(self) -> None:
        """Removes the traces of a run without results, so that the corrected command finds the folder free."""
        self._remove(self._unfinished, self.path / RUN_FILE)
        if self._made:
            # the folder stays where something else came into it meanwhile
            with suppress(OSError):
                self.path.rmdir()

    def _remove(self, *files: Path) -> None:
        for file in filter(Path.exists, files):
            try:
                file.unlink()
            except OSError as error:
                raise OutputError(
                    f"cannot replace {file}: {reason(error)}; give another folder with --output"
                ) from None


def picture_names(photos: Sequence[Path]) -> dict[Path, str]:
    """Returns a different name for every photo: its stem, with a number where an earlier photo has the same stem.

    Upper and lower case count as the same, because the disks of macOS and Windows do not tell them apart.

    >>> sorted(picture_names([Path("a/x.jpg"), Path("b/x.jpg"), Path("y.png")]).values())
    ['x', 'x-2', 'y']
    """
    names: dict[Path, str] = {}
    used: set[str] = set()
    for photo in photos:
        stem = os.fsdecode(os.fsencode(photo.stem)[:_MAX_STEM_BYTES])
        name, number = stem, 1
        while name.casefold() in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name.casefold())
        names[photo] = name
    return names
