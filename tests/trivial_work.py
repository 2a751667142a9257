"""Work that a cluster's tests give to workers: it needs no network, and some photos kill the worker that reads them."""

import io
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from incdet.cluster.cluster_run import RunRequest
from incdet.cluster.photo_inputs import PhotoInputs
from incdet.cluster.worker_slots import WorkerChoice
from incdet.errors import ImageError
from incdet.output.photo_lines import error_line


@dataclass(frozen=True)
class TrivialWork:
    """One detection in every photo, whose score follows from the photo's mean.

    Attributes:
        deaths: Folder that counts deaths; photos called `poison` kill every worker, photos called `once` the first one.
        seconds: Time that a photo takes.
        setting: Setting of the description.
    """

    deaths: str
    seconds: float = 0.0
    setting: int = 0
    kind: str = "detections"
    uses_gpu: bool = False

    def describe(self):
        return {"versions": {"incdet": "0"}, "weights": {}, "configuration": {"setting": self.setting}}

    def start(self):
        def lines(photos, one_by_one=False):
            for photo in photos:
                if isinstance(photo.content, ImageError):
                    yield error_line(photo.name, str(photo.content))
                    continue
                self._die(photo.name)
                time.sleep(self.seconds)
                try:
                    content = photo.content
                    picture = PIL.Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
                    yield line_of_picture(photo.name, picture)
                except OSError:
                    yield error_line(photo.name, f"cannot read {photo.name}")

        return lines

    def _die(self, name):
        stem = Path(name).stem
        mark = Path(self.deaths, stem)
        if stem == "poison" or (stem == "once" and not mark.exists()):
            mark.write_text(mark.read_text() + "x" if mark.exists() else "x")
            os._exit(1)


def line_of_picture(name, picture):
    mean = picture.convert("L").resize((1, 1)).getpixel((0, 0))
    width, height = picture.size
    found = {"label": "cat", "class_id": 7, "score": mean / 255, "box": [0.0, 0.5, width / 3, float(height)]}
    return {"image": name, "width": width, "height": height, "detections": [found]}


def expected_lines(folder):
    photos = sorted(folder.rglob("*.png"))
    return {str(photo): line_of_picture(str(photo), PIL.Image.open(photo)) for photo in photos}


def save_photo(file, grey):
    PIL.Image.fromarray(np.full((6, 8), grey * 10, np.uint8)).save(file)


def request_of(work, paths, place, **more):
    inputs = PhotoInputs([str(path) for path in paths])
    choice = WorkerChoice(num_workers=2)
    return RunRequest(work, inputs, inputs.given, inputs.local_places(), str(place), workers=choice, **more)
