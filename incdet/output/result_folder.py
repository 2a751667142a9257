"""A folder of results that never overwrites an earlier one and goes on where an interrupted run stopped."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from incdet.errors import OutputError, reason
from incdet.runtime.files import write_text

DESCRIPTION = "run.json"

NAMES = ("detections", "proposals", "classifications")
RESULT_SUFFIXES = (".jsonl", ".unfinished.jsonl", ".csv", ".coco.json")
"""Of the files that a run writes about all its photos."""

_LONGEST_STEM = 200
"""In bytes."""


class ResultFolder:
    """JSON lines, one per photo, with what made them (`run.json`) beside them, and files of single photos.

    Lines are added to `<name>.unfinished.jsonl`, which becomes `<name>.jsonl` at the end. An unfinished file of a run
    with the same description is continued.

    Attributes:
        path: the folder.
        done: photo's name -> its line, of the photos that an interrupted run finished.

    Args:
        path: where; nothing is made or changed there before `begin`.
        name: of the results: "detections", "proposals" or "classifications".
        description: everything that decides the results: configuration, versions, weights.
        overwrite: whether an earlier result in the folder may be replaced.
        numbered: take `<path>-2`, `<path>-3`, ... where the folder holds other results, instead of refusing.

    Raises:
        OutputError: the folder holds other results, or cannot be written to.
    """

    def __init__(
        self, path: Path, name: str, description: Mapping[str, Any], overwrite: bool = False, numbered: bool = False
    ):
        self.name, self.overwrite = name, overwrite
        self._description = json.dumps(description, indent=2, sort_keys=True) + "\n"
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
        """Claims the folder, after making sure that nothing but an earlier result will be replaced.

        Args:
            files: everything that is going to be written.
            inputs: what must not be.

        Raises:
            OutputError: a file exists and may not be replaced, or is one of the inputs, or the folder cannot be
                written to.
        """
        originals = {file.resolve() for file in inputs}
        replaces = self._resumes or (self.overwrite and (self.path / DESCRIPTION).exists())
        for file in files:
            if file.resolve() in originals:
                raise OutputError(f"{file} is one of the photos given; choose another folder with --output")
            if file.exists() and not replaces:
                why = f" and {self.path} holds no {DESCRIPTION} of an earlier run" if self.overwrite else ""
                raise OutputError(f"{file} exists already{why}; give another folder with --output")
        if not self._resumes:
            self._remove(*(self.path / f"{name}{suffix}" for name in NAMES for suffix in RESULT_SUFFIXES))
        write_text(self.path / DESCRIPTION, self._description)
        self._append("")

    @property
    def _finished(self) -> Path:
        return self.path / f"{self.name}.jsonl"

    @property
    def _unfinished(self) -> Path:
        return self.path / f"{self.name}.unfinished.jsonl"

    def _obstacle(self) -> str | None:
        """Why the folder cannot take these results, if it cannot."""
        description = self.path / DESCRIPTION
        if self._finished.exists():
            return f"{self._finished} exists already"
        if description.exists() and not self._unfinished.exists():
            return f"{self.path} holds results already"
        if self._unfinished.exists() and self._stored_description() != self._description:
            return f"{self.path} holds an unfinished run with other settings"
        return None

    def _stored_description(self) -> str | None:
        """What the folder's earlier run wrote about itself; None where that cannot be read."""
        try:
            return (self.path / DESCRIPTION).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def _earlier_lines(self) -> dict[str, dict[str, Any]]:
        """What an interrupted run with the same description has finished; a line cut short or damaged is dropped."""
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
            OutputError: the disk is full or the folder went away.
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
        """Gives the lines their final name, or removes them where nobody asked for them."""
        if keep:
            self._unfinished.replace(self._finished)
        else:
            self._remove(self._unfinished)

    def discard(self) -> None:
        """Leaves nothing behind of a run without results, so that the corrected command finds the folder free."""
        self._remove(self._unfinished, self.path / DESCRIPTION)
        if self._made:
            with suppress(OSError):  # something else came into it meanwhile
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
    """A different name for every photo: its stem, numbered where two photos share one, but for small and big letters,
    which disks of macOS and Windows do not tell apart.

    >>> sorted(picture_names([Path("a/x.jpg"), Path("b/x.jpg"), Path("y.png")]).values())
    ['x', 'x-2', 'y']
    """
    names: dict[Path, str] = {}
    used: set[str] = set()
    for photo in photos:
        # file names may have 255 bytes, ours end in a number and a suffix
        stem = os.fsdecode(os.fsencode(photo.stem)[:_LONGEST_STEM])
        name, number = stem, 1
        while name.casefold() in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name.casefold())
        names[photo] = name
    return names
