"""The video among the paths of a command, and the places of its results, known before any network is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from incdet.cli.output_checks import DEFAULT_FOLDER, refuse_address
from incdet.cli.output_options import OutputOptions
from incdet.errors import ConfigurationError, OutputError
from incdet.runtime.files import require_writable_file, require_writable_folder
from incdet.runtime.folder_lock import LOCK_FILE, FolderLock, lock_folder
from incdet.runtime.provenance import RUN_FILE
from incdet.runtime.video_names import VIDEO_SUFFIXES, is_video

KINDS = ("image", "json")
"""Results of a video that can be saved; "image" is the video with boxes."""


def only_video(paths: Sequence[str]) -> str | None:
    """Returns the video or camera among the paths of a command; None where all are photos.

    Raises:
        ConfigurationError: A video stands beside other paths.
    """
    videos = [path for path in paths if is_video(path)]
    if videos and len(paths) > 1:
        raise ConfigurationError(f"{videos[0]} is a video, which is detected in by itself; leave out the other paths")
    return videos[0] if videos else None


@dataclass(frozen=True)
class VideoPlaces:
    """The files of one video's results.

    Attributes:
        video: The video with boxes; None where it is not written.
        lines: File of JSON lines; None where there is none.
        description: `run.json`; None where only single files were asked for.
        to_stdout: Whether the lines are printed, too.
        lock: Keeps other runs out of the folder of the results; None where only single files are written.
    """

    video: Path | None
    lines: tuple[Path, ...]
    description: Path | None
    to_stdout: bool
    lock: FolderLock | None = None

    def all(self) -> list[Path]:
        """Returns every file that is written."""
        return [file for file in (self.video, *self.lines, self.description) if file is not None]


def choose_places(path: str, options: OutputOptions) -> VideoPlaces:
    """Chooses the files of the results, and makes sure that they can be written.

    Args:
        path: The video as it was given.
        options: Places that the user named.

    Raises:
        ConfigurationError: A kind of result is unknown, or has no place.
        OutputError: A file is there already, or cannot be written, or another run writes into the folder.
    """
    kinds = options.kinds(KINDS)
    refuse_address(options.folder, "--output")
    refuse_address(None if options.json_file is None else Path(options.json_file), "--json")
    to_stdout = options.json_file == "-"
    lines = [] if options.json_file is None or to_stdout else [Path(options.json_file)]
    video = description = lock = None
    if options.folder is not None and options.folder.suffix.lower() in VIDEO_SUFFIXES:
        # the name of the video alone
        video = options.folder
        if options.save is not None and kinds != ("image",):
            raise ConfigurationError(
                f"--save {options.save} has no place beside the one video {video}; give a folder with --output, or "
                "leave out --save and name a file for the lines with --json"
            )
    elif kinds:
        folder = options.folder
        if folder is None:
            folder, lock = _lock_free_folder()
        else:
            require_writable_folder(folder)
            lock = lock_folder(folder)
        name = path.replace(":", "-") if path.startswith("camera:") else Path(path).stem
        video = folder / f"{name}.mp4" if "image" in kinds else None
        lines += [folder / "detections.jsonl"] if "json" in kinds else []
        description = folder / RUN_FILE
    places = VideoPlaces(video, tuple(lines), description, to_stdout, lock)
    if len({file.resolve() for file in places.all()}) < len(places.all()):
        raise OutputError(f"{lines[0]} is a file of the run itself; give another file with --json")
    for file in places.all():
        if file.resolve() == Path(path).resolve():
            raise OutputError(f"{file} is the video itself; give another place with --output or --json")
        if file.exists() and file.is_file() and not options.overwrite:
            raise OutputError(f"{file} exists already; give another place, or --overwrite")
        require_writable_file(file)
    return places


def _lock_free_folder() -> tuple[Path, FolderLock]:
    """Makes the first numbered folder that is not there yet, and locks it, so that no other run takes it, too."""
    folder, number = DEFAULT_FOLDER, 1
    while True:
        if not folder.exists():
            require_writable_folder(folder)
            try:
                return folder, lock_folder(folder)
            except OutputError:
                # otherwise a run that began at the same moment has made the folder
                if not (folder / LOCK_FILE).exists():
                    raise
        number += 1
        folder = DEFAULT_FOLDER.with_name(f"{DEFAULT_FOLDER.name}-{number}")
