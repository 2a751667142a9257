"""The photos of one command of `incdet`: worked on in turn, kept, never overwritten, resumed where they stopped."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from incdet.cli.console import failures_told, notes, print_line, progress_bar, tell_of_compilation, warning
from incdet.cli.given_photos import GivenPhotos
from incdet.cli.output_checks import DEFAULT_FOLDER, is_device
from incdet.cli.output_options import OutputOptions, state_folder
from incdet.cli.terminal_pictures import show_in_terminal
from incdet.errors import ImageError
from incdet.output.photo_lines import Line
from incdet.output.result_folder import PhotoRecord, ResultFolder
from incdet.output.result_lines import line_text
from incdet.output.result_pictures import picture_names
from incdet.output.tables import start_up_table, summary_table, timing_table
from incdet.runtime.counted_words import of_all
from incdet.runtime.files import write_text
from incdet.runtime.start_up import START_UP, process_age
from incdet.runtime.visible_text import visible

FILES = {
    "image": "{}.jpg",
    "voc": "{}.xml",
    "hierarchy": "hierarchy/{}.jpg",
    "yolo": "labels/{}.txt",
    "labelme": "{}.json",
    "crops": "crops/{}",
}
"""Kind of result -> name of the file, or of the folder of crops, that every photo gets; {} stands for the photo's own
name."""

SHARED = {"coco": "detections.coco.json", "csv": "detections.csv", "cvat": "detections.cvat.xml", "yolo": "classes.txt"}
"""Kind of result -> name of the file about all photos, besides the JSON lines."""

Done = tuple[Line, Mapping[str, float]]
"""The line of a photo and its seconds per stage."""

Worked = Done | ImageError
"""The results of a photo, or the error that it ended with."""


class Batch:
    """The photos of one command: each is worked on, failures are listed, results are kept and never overwritten.

    Attributes:
        options: Places of the results.
        kinds: Kinds of files that are written; without any, no folder is touched.
        name: Name of the results: "detections", "proposals" or "classifications".
        given: Photos as they were given.
        photos: Files of the photos, each once.
        failures: Sentences about photos that could not be read.
        lines: Lines of the photos that are done.
        seconds: Seconds per stage of the photos that this run has done.
        folder: Folder of the results; None where none is written.

    Args:
        given: The photos.
        options: Places of the results.
        kinds: Kinds of files that are written.
        name: Name of the JSON lines, such as "detections".
        description: Everything that decides the results.

    Raises:
        OutputError: Earlier results, or the photos themselves, would be overwritten.
    """

    def __init__(
        self,
        given: GivenPhotos,
        options: OutputOptions,
        kinds: tuple[str, ...],
        name: str,
        description: Mapping[str, Any],
    ):
        self.options, self.kinds, self.name = options, kinds, name
        self.given, self.photos, self.failures = given, given.files, list(given.failures)
        self.lines: list[Line] = []
        self.seconds: list[Mapping[str, float]] = []
        self._ready_after = self._first_result_after = 0.0
        self._json_file = Path(options.json_file) if options.json_file not in (None, "-") else None
        self.folder: ResultFolder | None = None
        self._state: ResultFolder | None = None
        self._records: dict[str, PhotoRecord] = {}
        if self.photos:
            self._claim_folder({**description, "timing": options.timing})
        if self._state is not None and self._state.damage is not None and not options.quiet:
            warning(self._state.damage)

    def _claim_folder(self, description: Mapping[str, Any]) -> None:
        """Makes the folder of the results, or the one that keeps the state of a run without."""
        options, name = self.options, self.name
        photos = {str(photo): self.given.identity(photo) for photo in self.photos}
        if self.kinds:
            place, numbered = options.folder or DEFAULT_FOLDER, options.folder is None
            self.folder = self._state = ResultFolder(place, name, description, photos, options.overwrite, numbered)
            self._records = self._make_records(self.folder, photos)
            shared = [self.folder.path / SHARED[kind] for kind in self.kinds if kind in SHARED]
            files = {str(photo): self._files_of(photo) for photo in self.photos}
            self.folder.begin(files, shared, self.photos, self._records, self._json_file)
        elif self._json_file is not None and not is_device(self._json_file):
            # an interrupted run must find what it has done, so it is kept beside the file until the end
            self._state = ResultFolder(state_folder(self._json_file), name, description, photos, overwrite=True)
            records = {photo: PhotoRecord(identity) for photo, identity in photos.items()}
            self._state.begin({}, [], self.photos, records, self._json_file)

    def _make_records(self, folder: ResultFolder, photos: Mapping[str, str]) -> dict[str, PhotoRecord]:
        """The record of every photo. Those that are known keep the names of their files."""
        earlier = {photo: record for photo, record in folder.records.items() if record.file}
        stems = picture_names(self.photos, {photo: record.file for photo, record in earlier.items()})
        used = {record.name for photo, record in earlier.items() if photo not in photos}
        records = {}
        for photo in self.photos:
            name = self.given.name_in_folder(photo)
            # two folders may hold photos of the same name
            name = str(photo) if name in used else name
            used.add(name)
            records[str(photo)] = PhotoRecord(photos[str(photo)], stems[photo], name, self.given.path_of(photo))
        return records

    def _files_of(self, photo: Path) -> list[Path]:
        return [file for kind in FILES if (file := self.file_of(photo, kind)) is not None]

    def file_of(self, photo: Path, kind: str) -> Path | None:
        """The file of its own that a photo gets for a kind of result; None where the kind is not saved."""
        if self.folder is None or kind not in self.kinds:
            return None
        return self.folder.path / FILES[kind].format(self._records[str(photo)].file)

    def run(self, work: Callable[[list[Path]], Iterator[Worked]], title: str) -> None:
        """Works on every photo that earlier runs have not finished; a photo that cannot be read is a failure.

        Args:
            work: Photos -> line and seconds of each, or the error that it ended with, in order.
            title: Title of the progress bar.
        """
        done = dict(self._state.done) if self._state else {}
        write = self._json_sink()
        results = work([photo for photo in self.photos if str(photo) not in done])
        tell_of_compilation(self.options.quiet)
        self._ready_after = process_age()
        with progress_bar(title, len(self.photos), self.options.quiet) as update:
            for number, photo in enumerate(self.photos):
                update(number, photo.name)
                line = done.get(str(photo))
                if line is None:
                    result = next(results)
                    if isinstance(result, ImageError):
                        self.failures.append(str(result))
                        continue
                    line = self._keep(*result)
                self.lines.append(line)
                write(line)
            update(len(self.photos), "")

    def _keep(self, line: Line, seconds: Mapping[str, float]) -> Line:
        self._first_result_after = self._first_result_after or process_age()
        self.seconds.append(seconds)
        if self._state:
            self._state.add(line)
        return line

    def finish(self, keep_lines: bool, write_shared: Callable[[ResultFolder], None] = lambda _: None) -> int:
        """Gives the results their final names and tells what was found, what failed, and where the results are.

        Args:
            keep_lines: Whether the JSON lines stay in the folder.
            write_shared: Function that writes the files about all photos of a folder. It is called before the run
                counts as finished, so that a repetition of an interrupted command calls it again.

        Returns:
            The exit code: 0, or 1 where a photo failed.
        """
        if self._json_file is not None and self.lines:
            write_text(self._json_file, "".join(map(line_text, self.lines)), follow_links=True)
        if self.folder and self.folder.done:
            self.folder.sort([str(photo) for photo in self.photos])
            write_shared(self.folder)
            self.folder.finish(keep_lines)
        elif self.folder:
            self.folder.discard()
        elif self._state:
            self._state.remove()
        if not self.options.quiet and self.lines:
            notes.print(summary_table(self.lines, self.name))
        if self.options.timing and self.seconds and not self.options.quiet:
            notes.print(
                timing_table(self.seconds), start_up_table(START_UP.parts(self._ready_after, self._first_result_after))
            )
        # those that were known before were told before
        failures_told(self.failures[len(self.given.failures) :])
        if not self.options.quiet:
            if self.failures:
                notes.print(f"{len(self.failures)} failed, {len(self.lines)} done", markup=False)
            num_earlier = len(self.lines) - len(self.seconds)
            if num_earlier:
                notes.print(f"done before: {of_all(num_earlier, len(self.photos), 'photo')}", markup=False)
            places = [str(place) for place in (self.folder and self.folder.path, self._json_file) if place]
            if places and self.lines:
                notes.print(f"results: {visible(' and '.join(places))}", markup=False)
        if self.options.show:
            pictures = [self.file_of(photo, "image") for photo in self.photos]
            show_in_terminal([file for file in pictures if file is not None and file.exists()])
        return 1 if self.failures else 0

    def _json_sink(self) -> Callable[[Line], None]:
        """A function that prints a line to stdout, or one that does nothing where --json is not "-"."""
        if self.options.json_file != "-":
            return lambda _: None
        # without a folder there is nobody left to work for, once the reader has gone
        is_alone = self.folder is None
        return lambda line: print_line(line, is_alone)


def one_by_one(work: Callable[[Path], Done]) -> Callable[[list[Path]], Iterator[Worked]]:
    """Work on a single photo -> work on photos, one after the other."""

    def work_on(photos: list[Path]) -> Iterator[Worked]:
        for photo in photos:
            try:
                yield work(photo)
            except ImageError as error:
                yield error

    return work_on
