"""Detection in one video or camera: a line of JSON for every frame that is read, and a video with boxes."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from incdet.cli.console import INTERRUPTED, failures_told, notes, print_line, progress_bar, tell_of_compilation, warning
from incdet.cli.detection_batch import EnsembleChoice
from incdet.cli.output_options import OutputOptions
from incdet.cli.video_places import VideoPlaces
from incdet.config.sections import Config
from incdet.detections import Detections
from incdet.errors import OutputError, reason
from incdet.output.annotated_video import AnnotatedVideo
from incdet.output.photo_lines import detection_line, shown_detections
from incdet.output.tables import start_up_table, timing_table
from incdet.pipeline.video_frames import Video, VideoFrame
from incdet.runtime.counted_words import counted
from incdet.runtime.files import write_text
from incdet.runtime.provenance import run_text
from incdet.runtime.start_up import START_UP, process_age
from incdet.runtime.visible_text import visible

_MAX_LABELS = 6


def detect_in_video(
    video: Video, places: VideoPlaces, ensemble: EnsembleChoice, config: Config, options: OutputOptions
) -> int:
    """Detects in every n-th frame and returns the exit code: 0, or 1 where the video could not be read to its end.

    Args:
        video: The video; it is closed at the end.
        places: The files of the results.
        ensemble: The networks.
        config: Everything else that decides the detections.
        options: Output options; whether progress and times are told.

    Raises:
        IncdetError: The video or the weights cannot be used, or the results cannot be written.
    """
    with ExitStack() as stack:
        if places.lock is not None:
            stack.callback(places.lock.release)
        stack.callback(video.close)
        detector = ensemble.detector(config)
        if not options.quiet:
            notes.print(f"{detector.scorer.describe()} ({detector.engine.describe()})", markup=False)
        tell_of_compilation(options.quiet)
        run = VideoRun(video, places, detector.display_threshold, options, stack, ready_after=process_age())
        if places.description is not None:
            write_text(places.description, run_text(detector.describe() | {"video": video.name, "every": video.every}))
        frames: list[VideoFrame] = []

        def images() -> Iterator[Any]:
            for frame in video.frames():
                # the detector takes the next frame when the one before is done
                frames.append(frame)
                yield frame.image

        run.work((frames.pop(), photo.result) for photo in detector.photo_results(images()))
    run.tell()
    return failures_told([video.failure] if video.failure else [])


@dataclass
class VideoRun:
    """The results of one video, frame by frame.

    Attributes:
        video: The video.
        places: The files of the results.
        display_threshold: Lowest score of a detection that is drawn and written.
        options: Output options; whether progress and times are told.
        stack: Closes the files, however the run ends.
        ready_after: Age of the process, in seconds, when it began with the first frame.
        first_result_after: Age of the process when the first frame was done.
        num_frames: Number of frames that are done.
        labels: Number of frames in which each class is found.
        seconds: Seconds of each frame per stage, kept where they are told.
    """

    video: Video
    places: VideoPlaces
    display_threshold: float
    options: OutputOptions
    stack: ExitStack
    ready_after: float
    first_result_after: float = 0.0
    num_frames: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    seconds: list[Any] = field(default_factory=list)

    def work(self, results: Iterator[tuple[VideoFrame, Any]]) -> None:
        """Writes the results of all frames; what is written stays, however the run ends.

        Args:
            results: Frames with their detections.

        Raises:
            OutputError: A file cannot be written.
            ImageError: No frame can be read, or one is too large.
        """
        writers = self._open_lines()
        annotated = None
        if self.places.video is not None:
            annotated = AnnotatedVideo(self.places.video, self.video.frames_per_second / self.video.every)
            self.stack.callback(annotated.close)
        with progress_bar("detecting", self.video.num_frames, self.options.quiet) as update:
            try:
                for frame, everything in results:
                    if not isinstance(everything, Detections):
                        raise everything
                    found = shown_detections(everything, self.display_threshold)
                    if annotated is not None:
                        annotated.add(found.draw(frame.image))
                    line = self._line(frame, everything)
                    for write in writers:
                        write(line)
                    self._count(found)
                    update(self.num_frames, f"frame {frame.number}, {frame.seconds:.1f} s")
            except KeyboardInterrupt:
                self._tell_interruption()
                # what the command line says of other interrupted commands does not hold for a video
                raise SystemExit(INTERRUPTED) from None

    def _open_lines(self) -> list[Callable[[dict[str, Any]], None]]:
        """Opens the files of lines; returns a function for each that writes one line at once."""
        writers: list[Callable[[dict[str, Any]], None]] = []
        for file in self.places.lines:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                stream = self.stack.enter_context(file.open("w", encoding="utf-8"))
            except OSError as error:
                raise OutputError(f"cannot write {file}: {reason(error)}; choose another place for it") from None
            writers.append(partial(_append, stream, file))
        if self.places.to_stdout:
            is_alone = not self.places.all()
            writers.append(partial(print_line, is_alone=is_alone))
        return writers

    def _line(self, frame: VideoFrame, everything: Detections) -> dict[str, Any]:
        """Returns the line of a frame: that of a photo, with the place of the frame in the video."""
        line = detection_line(everything, self.display_threshold, self.options.timing)
        name = line.pop("image")
        return {"image": name, "frame": frame.number, "time": frame.seconds, **line}

    def _count(self, found: Detections) -> None:
        self.first_result_after = self.first_result_after or process_age()
        self.num_frames += 1
        # an object in several frames is found again in each, so frames are counted and not boxes
        self.labels.update(set(found.labels))
        if self.options.timing:
            self.seconds.append(found.seconds)

    def _tell_interruption(self) -> None:
        kept = " and ".join(str(file) for file in self.places.all()) or "what was printed"
        warning(
            f"interrupted after {self.num_frames} frames of {self.video.name}; they are kept in {kept}, and the same "
            "command with --overwrite begins again from the first frame"
        )

    def tell(self) -> None:
        """Tells what was found, and where it is."""
        if self.options.quiet:
            return
        common = ", ".join(
            f"{label} in {counted(count, 'frame')}" for label, count in self.labels.most_common(_MAX_LABELS)
        )
        notes.print(
            f"{counted(self.num_frames, 'frame')} of {visible(self.video.name)}: {common or 'nothing'}", markup=False
        )
        if self.options.timing and self.seconds:
            parts = START_UP.parts(self.ready_after, self.first_result_after)
            notes.print(timing_table(self.seconds), start_up_table(parts))
        places = " and ".join(str(file) for file in self.places.all())
        if places:
            notes.print(f"results: {visible(places)}", markup=False)


def _append(stream: TextIO, file: Path, line: dict[str, Any]) -> None:
    try:
        stream.write(json.dumps(line) + "\n")
        stream.flush()
    except OSError as error:
        raise OutputError(f"cannot write {file}: {reason(error)}; choose another place for it") from None
