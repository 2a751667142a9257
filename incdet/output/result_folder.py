"""A folder of results, which never loses earlier results and does what is missing when a command is repeated."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from incdet.errors import OutputError, reason
from incdet.output.photo_records import STATE, is_elsewhere, stored_records
from incdet.output.photo_records import PhotoRecord as PhotoRecord  # users of folders of results need it
from incdet.output.result_lines import NAMES as NAMES  # users of folders of results need it
from incdet.output.result_lines import (
    RESULT_SUFFIXES,
    StoredLines,
    differences_in_words,
    line_text,
    lines_of,
    write_lines,
)
from incdet.output.result_pictures import stored_run
from incdet.runtime.files import append_text, write_text
from incdet.runtime.folder_lock import FolderLock, lock_folder
from incdet.runtime.provenance import RUN_FILE, run_text


class ResultFolder:
    """A folder of JSON lines, one per photo, of the files of single photos, and of `run.json`, the run's description.

    Lines are added to `<name>.unfinished.jsonl`. At the end they are joined with those of earlier runs in
    `<name>.jsonl`, or in `.<name>.jsonl` where nobody asked for them. A run with the same description continues: photos
    that have a line are done. `run.json` also names the photos, so that another photo in the place of one is noticed.

    Attributes:
        path: The folder.
        done: Line by photo name, of this run and of earlier ones.
        records: Record by photo name.
        is_described: Whether an earlier run of incdet has described the folder, so that tables in it are its own.
        damage: Sentence about lines of earlier runs that are damaged; None where there are none.

    Args:
        path: The folder. Nothing is made or changed there before `begin`.
        name: Name of the results: "detections", "proposals" or "classifications".
        description: Everything that decides the results: configuration, versions, weights.
        photos: Identity of each photo by its name; None trusts the lines that are there.
        overwrite: Whether earlier results in the folder may be replaced. An interrupted run continues even so.
        numbered: Whether to take `<path>-2`, `<path>-3`, ... where the folder holds results of other settings or
            photos, instead of refusing or adding to them.

    Raises:
        OutputError: The folder holds results of other settings, or cannot be written to.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        description: Mapping[str, Any],
        photos: Mapping[str, str] | None = None,
        overwrite: bool = False,
        numbered: bool = False,
    ):
        self.name, self.overwrite = name, overwrite
        # as it is read back from the file
        self._description: dict[str, Any] = json.loads(run_text(description))
        self.path, number = path, 1
        self._seen = self._state_of_files()
        while numbered and not overwrite and (self._obstacle() or self._has_other_photos(photos)):
            number += 1
            self.path = path.with_name(f"{path.name}-{number}")
            self._seen = self._state_of_files()
        if not overwrite and (obstacle := self._obstacle()):
            raise OutputError(f"{obstacle}; give another folder with --output, or --overwrite to replace it")
        stored = stored_run(self.path)
        is_same = stored is not None and not self._differences(stored)
        self._continues = is_same and (not overwrite or self._unfinished.exists())
        self.is_described = stored is not None
        self.records = stored_records(stored) if stored is not None and self._continues else {}
        self._earlier = frozenset(self.records)
        files = [] if overwrite else [self._hidden, self._finished]
        known = lines_of(*files, self._unfinished) if self._continues else StoredLines()
        self.done, self.damage = known.lines, known.damage(self.path)
        for photo, identity in (photos or {}).items():
            # another photo in its place has no results yet
            if photo in self.done and self.records.get(photo, PhotoRecord()).identity != identity:
                if not overwrite and is_elsewhere(photo, self.records.get(photo)):
                    raise OutputError(
                        f"{self.path} holds the results of another {photo}, {self.records[photo].path}; give another "
                        "folder with --output, whole paths, or --overwrite to replace it"
                    )
                del self.done[photo]
        self._lock: FolderLock | None = None
        self._made = not self.path.exists()

    def begin(
        self,
        files: Mapping[str, Sequence[Path]],
        shared: Sequence[Path],
        inputs: Sequence[Path],
        records: Mapping[str, PhotoRecord] | None = None,
        json_file: Path | None = None,
    ) -> None:
        """Claims the folder, after making sure that nothing but earlier results will be replaced.

        A photo that is done, but has lost one of its files, is forgotten and done again.

        Args:
            files: Files of its own that each photo gets, by the photo's name.
            shared: Files about all photos that are going to be written.
            inputs: The photos, which must not be replaced.
            records: Record of each photo by its name.
            json_file: File outside the folder that the same run writes.

        Raises:
            OutputError: A file exists and may not be replaced, or is one of the inputs, or the folder cannot be
                written to.
        """
        originals = {file.resolve() for file in inputs}
        replaces = self.overwrite and self.is_described
        for photo, own_files in files.items():
            self._check(own_files, originals, replaces or photo in self._earlier)
            if not all(file.exists() for file in own_files):
                self.done.pop(photo, None)
        self._check(shared, originals, replaces or self._continues)
        self._lock_folder()
        for parent in {file.parent for own_files in files.values() for file in own_files}:
            # a linked folder inside would lead the results elsewhere
            if parent.is_symlink() and parent != self.path:
                raise OutputError(f"{parent} is a link to another folder; give another folder with --output")
        if not self._continues:
            # lines of unknown settings, which would be taken for those of this run if it is interrupted
            self._remove(self._unfinished, self._hidden)
            if self.is_described:
                # results of other commands in the folder would no longer agree with its description
                self._remove(*(self.path / f"{name}{suffix}" for name in NAMES for suffix in RESULT_SUFFIXES))
                self._remove(*(self.path / f".{name}.jsonl" for name in NAMES))
        else:
            # forgotten lines go first, so that nobody takes them for those of the photos that are recorded next
            for file in (self._hidden, self._finished, self._unfinished):
                if file.exists():
                    kept = {photo: line for photo, line in lines_of(file).lines.items() if photo in self.done}
                    write_lines(file, kept)
        self.records |= records or {}
        entries = {photo: asdict(record) for photo, record in self.records.items()}
        state = {"photos": entries} | ({} if json_file is None else {"json_file": str(json_file.resolve())})
        write_text(self.path / RUN_FILE, run_text(self._description | state))
        self._append("", create=True)

    def _lock_folder(self) -> None:
        if self._lock is None:
            self._lock = lock_folder(self.path, "hierarchy", "labels")
            # another run may have done some of the work between the look at the folder and the lock
            if self._state_of_files() != self._seen:
                self._unlock_folder()
                raise OutputError(f"another run has just written into {self.path}; run again")

    def _state_of_files(self) -> list[tuple[int, int] | None]:
        """Returns size and time of the files that a run changes, None for one that is not there."""
        files = (self.path / RUN_FILE, self._finished, self._hidden, self._unfinished)
        return [_state_of(file) for file in files]

    def _unlock_folder(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def _finished(self) -> Path:
        return self.path / f"{self.name}.jsonl"

    @property
    def _hidden(self) -> Path:
        return self.path / f".{self.name}.jsonl"

    @property
    def _unfinished(self) -> Path:
        return self.path / f"{self.name}.unfinished.jsonl"

    def _check(self, files: Sequence[Path], originals: set[Path], may_replace: bool) -> None:
        """Refuses files that would cost the user something."""
        for file in files:
            if file.resolve() in originals:
                raise OutputError(f"{file} is one of the photos given; choose another folder with --output")
            if file.exists() and not may_replace:
                why = f" and {self.path} holds no {RUN_FILE} of an earlier run" if self.overwrite else ""
                raise OutputError(f"{file} exists already{why}; give another folder with --output")

    def _obstacle(self) -> str | None:
        """The reason why the folder cannot take these results, or None."""
        stored = stored_run(self.path)
        if stored is not None:
            differences = self._differences(stored)
            return f"{self.path} holds results of other settings ({differences})" if differences else None
        for file in (self._finished, self._unfinished, self.path / RUN_FILE):
            if file.exists():
                return f"{file} exists already and the settings that it belongs to are not known"
        return None

    def _has_other_photos(self, photos: Mapping[str, str] | None) -> bool:
        """Whether the folder holds results of photos that are not given now."""
        stored = stored_run(self.path)
        if photos is None or stored is None:
            return False
        records = stored_records(stored)
        return any(photo not in photos or is_elsewhere(photo, record) for photo, record in records.items())

    def _differences(self, stored: Mapping[str, Any]) -> str:
        """Returns the first settings that differ from those of an earlier run, in words; empty where none does."""
        then, now = ({key: run[key] for key in run if key not in STATE} for run in (stored, self._description))
        return differences_in_words(then, now)

    def add(self, line: Mapping[str, Any]) -> None:
        """Appends one photo's results.

        Raises:
            OutputError: The disk is full or the folder went away.
        """
        self._append(line_text(line))
        self.done[line["image"]] = dict(line)

    def _append(self, text: str, create: bool = False) -> None:
        try:
            append_text(self._unfinished, text, create)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._unfinished}: {reason(error)}; run again once it can be written"
            ) from None

    def sort(self, photos: Sequence[str]) -> None:
        """Puts the lines of some photos, given by their names, first and into their order."""
        first = {photo: self.done[photo] for photo in photos if photo in self.done}
        self.done = first | self.done

    def finish(self, keep: bool = True) -> None:
        """Joins the lines of this run with those of earlier ones.

        Args:
            keep: Whether the lines are a result. Otherwise they stay in a hidden file, for a repetition of the command.
        """
        if not self._unfinished.exists():
            raise OutputError(f"{self._unfinished} went away during the run, and with it the results; run again")
        is_shown = keep or self._finished.exists()
        write_lines(self._finished if is_shown else self._hidden, self.done)
        self._remove(self._unfinished, *([self._hidden] if is_shown else []))
        self._unlock_folder()

    def discard(self) -> None:
        """Ends a run without results, so that the corrected command finds the folder as free as before.

        Where an earlier run described the folder, the description stays: pictures of that run are there, too.
        """
        empty = [file for file in (self._hidden, self._finished) if file.exists() and not lines_of(file).lines]
        self._remove(self._unfinished, *empty, *([] if self.is_described else [self.path / RUN_FILE]))
        self._unlock_folder()
        if self._made:
            # the folder stays where something else came into it meanwhile
            with suppress(OSError):
                self.path.rmdir()

    def remove(self) -> None:
        """Removes a folder that only kept the state of a run, which has ended."""
        self._remove(self._unfinished, self._hidden, self.path / RUN_FILE)
        self._unlock_folder()
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


def _state_of(file: Path) -> tuple[int, int] | None:
    """Returns size and time of a file; None where it is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
