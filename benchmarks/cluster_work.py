"""Work that costs nearly nothing, by which the overhead of a cluster's run is measured."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from incdet.cluster.part_photos import NamedPhoto
from incdet.errors import ImageError
from incdet.images import read_image
from incdet.output.photo_lines import Line
from incdet.runtime.provenance import versions


@dataclass(frozen=True)
class ReadingWork:
    """Photos are read, and one detection is made up for each."""

    kind: Literal["detections", "proposals"] = "detections"
    uses_gpu: bool = False

    def describe(self) -> dict[str, Any]:
        """Returns the versions alone."""
        return {"versions": versions(), "weights": {}}

    def start(self) -> "ReadingWork":
        """Returns itself: there is nothing to load."""
        return self

    def __call__(self, photos: Iterable[NamedPhoto], one_by_one: bool = False) -> Iterator[Line]:
        """Yields the line of every photo."""
        for photo in photos:
            assert not isinstance(photo.content, ImageError)
            image = read_image(photo.content)
            entry = {"label": "cat", "class_id": 7, "score": 0.5, "box": [0.0, 0.0, image.width / 2, 9.5]}
            yield {"image": photo.name, "width": image.width, "height": image.height, "detections": [entry]}


def seconds_without_cluster(photos: list[str]) -> float:
    """Returns the time that a loop takes for the same work on photos."""
    started = time.perf_counter()
    for _ in ReadingWork()(NamedPhoto(photo, photo) for photo in photos):
        pass
    return time.perf_counter() - started
