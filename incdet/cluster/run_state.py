"""The state of a run at the place of its results: its settings, and the parts that are done."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from incdet.cluster.listing_parts import LISTING_FILE, STATE_FOLDER, listing_name
from incdet.cluster.part_files import Format, part_name, part_number, read_part
from incdet.cluster.part_worker import failures_name, note_name
from incdet.cluster.result_store import ResultStore, open_store, write_content
from incdet.errors import OutputError
from incdet.output.photo_lines import Line
from incdet.output.result_lines import differences_in_words
from incdet.runtime.addresses import is_address
from incdet.runtime.files import require_writable_folder
from incdet.runtime.folder_lock import lock_folder
from incdet.runtime.provenance import RUN_FILE, run_text

RUN_NAME = f"{STATE_FOLDER}/{RUN_FILE}"
"""File of everything that decides the results."""

SUCCESS_NAME = "_SUCCESS"
"""Empty file that is there when all parts are, as Hadoop and Spark write it."""

PROBE_NAME = f"{STATE_FOLDER}/probe"
"""File by which nodes show that they see a folder of results."""


class RunState:
    """The results and the state of a run, begun or continued.

    Args:
        place: Folder or address of the results.
        form: Form of the results.
        kind: Name of the results, "detections" or "proposals".

    Attributes:
        store: The place.
        form: Form of the results.
        kind: Name of the results.
        done: Numbers of the parts that are done.
        part_size: Number of photos of a part in an earlier run; None where there was none.

    Raises:
        IncdetError: The place cannot be used.
    """

    def __init__(self, place: str, form: Format, kind: str) -> None:
        self.store: ResultStore = open_store(place)
        self.form, self.kind = form, kind
        self.done: set[int] = set()
        self.part_size: int | None = None
        self._held = ExitStack()
        if not is_address(place):
            if Path(place).is_file():
                raise OutputError(f"cannot put results into {place}: it is a file; give a folder with --output")
            require_writable_folder(Path(place))

    def begin(self, description: Mapping[str, Any], inputs: Sequence[str], overwrite: bool) -> None:
        """Claims the place and finds out what an earlier run has done.

        Args:
            description: Everything that decides the results.
            inputs: Inputs as they were given.
            overwrite: Whether earlier results are removed.

        Raises:
            OutputError: The place holds results of other settings or inputs, or something else.
        """
        if not is_address(self.store.place):
            self._held.enter_context(lock_folder(Path(self.store.place)))
        run = {**description, "inputs": list(inputs), "format": self.form}
        if overwrite:
            self._remove_everything()
        stored = self._stored()
        if stored is not None:
            self.part_size = stored.pop("part_size", None)
            differences = differences_in_words(stored, json.loads(run_text(run)))
            if differences:
                raise OutputError(
                    f"{self.store.place} holds results of other settings ({differences}); give another place with "
                    "--output, or --overwrite to replace them"
                )
        self.done = {number for name in self.store.names() if (number := part_number(name, self.form)) is not None}
        if stored is None:
            if self.done or self.store.read(RUN_FILE) is not None:
                raise OutputError(
                    f"{self.store.place} holds results whose settings are not known; give another place with --output"
                )
            self._run = run
        else:
            self._run = {**run, "part_size": self.part_size}
        write_content(self.store, PROBE_NAME, b"")

    def keep_part_size(self, part_size: int) -> None:
        """Stores the description of the run with the size of its parts, before the first part is listed."""
        self.part_size = part_size
        write_content(self.store, RUN_NAME, run_text({**self._run, "part_size": part_size}).encode())

    def end(self) -> None:
        """Marks the results as complete, removes the traces of the work, and lets the place go."""
        own_folders = (f"{STATE_FOLDER}/{name}" for name in ("careful", "failed", "listing"))
        self.store.remove_temporaries("", STATE_FOLDER, *own_folders)
        for name in list(self.store.names(f"{STATE_FOLDER}/careful")):
            self.store.remove(f"{STATE_FOLDER}/careful/{name}")
        self.store.remove(PROBE_NAME)
        write_content(self.store, SUCCESS_NAME, b"")
        self._held.close()

    def discard(self) -> None:
        """Removes the traces of a run that found no photo, and lets the place go."""
        self._remove_everything()
        self.release()

    def release(self) -> None:
        """Lets the place go as it is, without a trace where nothing was begun."""
        self.store.remove(PROBE_NAME)
        if not is_address(self.store.place):
            # a folder with something in it stays
            with suppress(OSError):
                Path(self.store.place, STATE_FOLDER).rmdir()
        self._held.close()

    def forget(self, number: int) -> None:
        """Removes the results of a part."""
        self.store.remove(part_name(number, self.form))
        self.store.remove(failures_name(number))
        self.done.discard(number)

    def noted_position(self, number: int) -> int | None:
        """Returns the position of the photo that a careful worker has begun with last; None where it noted none."""
        content = self.store.read(note_name(number))
        return None if content is None else int(content)

    def forget_note(self, number: int) -> None:
        """Removes the note of a careful worker."""
        self.store.remove(note_name(number))

    def failures(self) -> Iterator[Line]:
        """Yields the lines of all photos without a result, part by part."""
        for name in sorted(self.store.names(f"{STATE_FOLDER}/failed")):
            for text in (self.store.read(f"{STATE_FOLDER}/failed/{name}") or b"").decode().splitlines():
                yield json.loads(text)

    def lines(self) -> Iterator[Line]:
        """Yields the lines of all photos in the order of the listing, one part in memory at a time."""
        for number in sorted(self.done):
            content = self.store.read(part_name(number, self.form))
            if content is None:
                raise OutputError(f"part {number} of {self.store.place} went away; run again")
            yield from read_part(content, self.form, self.kind)

    def _stored(self) -> dict[str, Any] | None:
        content = self.store.read(RUN_NAME)
        try:
            return None if content is None else dict(json.loads(content))
        except (ValueError, TypeError):
            raise OutputError(
                f"{RUN_NAME} in {self.store.place} is damaged; give another place with --output, or --overwrite"
            ) from None

    def _remove_everything(self) -> None:
        """Removes the results and the state of an earlier run, the mark of completeness first."""
        self.store.remove(SUCCESS_NAME)
        for form in ("parquet", "jsonl"):
            for name in list(self.store.names()):
                if part_number(name, form) is not None:
                    self.store.remove(name)
        self.store.remove(LISTING_FILE)
        number = 0
        while self.store.read(listing_name(number)) is not None:
            self.store.remove(listing_name(number))
            number += 1
        for folder in ("failed", "careful"):
            for name in list(self.store.names(f"{STATE_FOLDER}/{folder}")):
                self.store.remove(f"{STATE_FOLDER}/{folder}/{name}")
        self.store.remove(RUN_NAME)
