"""Frames with boxes as a video file, which OpenCV encodes."""

from pathlib import Path

import cv2
import numpy as np

from incdet.errors import OutputError

DEFAULT_RATE = 10.0
"""Frames in a second where the source does not say how many it has."""

_CODECS = {".avi": "MJPG", ".webm": "VP80"}
"""Code of the codec by the ending of the file; all others get MPEG-4."""


class AnnotatedVideo:
    """A video that is written frame by frame. It takes its name at the end, or whenever it is closed before.

    Args:
        file: The file; its ending decides the format.
        frames_per_second: Frames in a second; 0 takes the default rate.
    """

    def __init__(self, file: Path, frames_per_second: float) -> None:
        self.file = file
        self._rate = frames_per_second or DEFAULT_RATE
        # the ending must stay, because OpenCV tells the format by it
        self._unfinished = file.with_name(f".incdet-unfinished.{file.name}")
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def add(self, pixels: np.ndarray) -> None:
        """Appends a frame.

        Args:
            pixels: [H, W, 3] uint8, RGB; a frame of another size than the first one is resized to it.

        Raises:
            OutputError: The file cannot be written, or OpenCV lacks the encoder.
        """
        if self._writer is None:
            self._writer = self._open(pixels.shape[1], pixels.shape[0])
        if (pixels.shape[1], pixels.shape[0]) != self._size:
            pixels = cv2.resize(pixels, self._size)
        self._writer.write(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finishes the file, which holds all frames so far; without any, there is none.

        Raises:
            OutputError: The file cannot be written, as on a full disk, which OpenCV does not tell.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        if not _is_readable(self._unfinished):
            self._unfinished.unlink(missing_ok=True)
            raise OutputError(
                f"cannot write {self.file}: what was encoded cannot be read again, as on a full disk; make room, or "
                "choose another place for it"
            )
        try:
            self._unfinished.replace(self.file)
        except OSError as error:
            raise OutputError(f"cannot write {self.file}: {error.strerror}; choose another place for it") from None

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        self._size = (width, height)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        code = cv2.VideoWriter.fourcc(*_CODECS.get(self.file.suffix.lower(), "mp4v"))
        writer = cv2.VideoWriter(str(self._unfinished), code, self._rate, self._size)
        if not writer.isOpened():
            self._unfinished.unlink(missing_ok=True)
            raise OutputError(
                f"cannot write {self.file}: OpenCV encodes no {self.file.suffix} of {width}x{height} pixels here; give "
                "a name that ends in .mp4 or .avi, or leave the video out with --save json"
            )
        return writer


def _is_readable(file: Path) -> bool:
    """Whether a video has a first frame."""
    capture = cv2.VideoCapture(str(file))
    try:
        return bool(capture.isOpened() and capture.read()[0])
    finally:
        capture.release()
