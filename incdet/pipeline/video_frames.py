"""Every n-th frame of a video file or a camera, as photos; OpenCV decodes them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2

from incdet.errors import ImageError, reason
from incdet.runtime.video_names import camera_number
from incdet.structures import Image

_COMPLETE_SHARE = 0.9
"""Share of the stated number of frames from which a video counts as whole; files state the number roughly."""

# messages of the decoders would mix with those of the program
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")


class VideoFrame(NamedTuple):
    """One frame.

    Attributes:
        number: Number of the frame in the video, from 0.
        seconds: Time of the frame since the beginning, in seconds.
        image: The frame as a photo.
    """

    number: int
    seconds: float
    image: Image


class Video:
    """A video file or a camera, opened.

    Attributes:
        name: The path as it was given.
        every: Distance of two frames that are read.
        frames_per_second: Frames of the video in a second; 0 where it does not say.
        num_frames: Number of frames that will be read; None where nobody knows, as with a camera.
        failure: Sentence about frames that could not be read, after the others have been; None without any.

    Args:
        path: A file, or `camera:0`.
        every: Distance of two frames that are read, from 1.

    Raises:
        ImageError: The file is missing or no video, or there is no such camera.
    """

    def __init__(self, path: str, every: int = 1) -> None:
        self.name, self.every = path, every
        self._camera = camera_number(path)
        if self._camera is None:
            _require_file(path)
            self._capture = cv2.VideoCapture(path, cv2.CAP_ANY)
        else:
            self._capture = cv2.VideoCapture(self._camera)
        if not self._capture.isOpened():
            raise ImageError(self._unopened())
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        # files without a rate state 0, infinity or nonsense
        self.frames_per_second = float(rate) if 0 < rate < 1000 else 0.0
        stated = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._stated_frames = int(stated) if self._camera is None and 0 < stated < 1e9 else 0
        self.num_frames = -(-self._stated_frames // every) if self._stated_frames else None
        self.failure: str | None = None

    def frames(self) -> Iterator[VideoFrame]:
        """Yields every n-th frame, the first one first; a camera has no end. One frame is in memory at a time.

        Raises:
            ImageError: Not a single frame can be read.
        """
        started = time.perf_counter()
        number = 0
        # frames in between are taken from the file, too, but not turned into pictures
        while self._capture.grab():
            if number % self.every == 0:
                seconds = time.perf_counter() - started if self._camera is not None else self._seconds_of(number)
                is_read, pixels_bgr = self._capture.retrieve()
                if not is_read:
                    break
                rgb = cv2.cvtColor(pixels_bgr, cv2.COLOR_BGR2RGB)
                yield VideoFrame(number, round(seconds, 3), Image(rgb, f"{self.name}#{number}"))
            number += 1
        if number == 0:
            raise ImageError(
                f"cannot read {self.name}: it opens as a video, but no frame can be decoded; it has none, or its codec "
                f"is missing here ({self._codec()}); convert it to H.264 in MP4"
            )
        if self._camera is not None:
            self.failure = f"{self.name} gives no more frames after {number}; check the camera"
        elif number < self._stated_frames * _COMPLETE_SHARE:
            self.failure = (
                f"{self.name} ends after {number} of {self._stated_frames} frames: the rest is damaged or cut off; get "
                "a whole copy"
            )

    def close(self) -> None:
        """Gives the file or the camera back."""
        self._capture.release()

    def _seconds_of(self, number: int) -> float:
        """Returns the time of the frame that was taken last."""
        stated = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if stated > 0 or number == 0 or not self.frames_per_second:
            return max(stated, 0.0)
        return number / self.frames_per_second

    def _codec(self) -> str:
        """Returns the four letters by which the file names its codec."""
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        letters = code.to_bytes(4, "little", signed=code < 0).decode("ascii", "replace").strip("\0 ")
        return f"'{letters}'" if letters.isprintable() and letters else "of unknown name"

    def _unopened(self) -> str:
        if self._camera is not None:
            return f"cannot open {self.name}: no such camera, or another program uses it; give another one, or a file"
        return f"cannot read {self.name}: OpenCV finds no video in it; check the file, or convert it to H.264 in MP4"


def _require_file(path: str) -> None:
    """Raises ImageError where a path is no file that holds something."""
    try:
        status = Path(path).stat()
        if Path(path).is_dir():
            raise ImageError(f"cannot read {path} as a video: it is a folder; give the file")
        if status.st_size == 0:
            raise ImageError(f"cannot read {path}: the file is empty (0 bytes); get a whole copy")
        with Path(path).open("rb"):
            pass
    except FileNotFoundError:
        raise ImageError(f"cannot read {path}: there is no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot read {path}: {reason(error)}; check the file's name and permissions") from None
