"""The jobs that are killed, all of them tiny: detection, proposals by two processes, three trainings, evaluation."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import yaml
from robustness_kills import KilledJob
from skimage.data import chelsea

from incdet.cli.app import main
from incdet.config.recipes import recipes
from incdet.config.sections import ImagesConfig, ProposalsConfig
from incdet.networks.shipped_weights import find_weights
from incdet.output.result_lines import line_text
from incdet.pipeline.proposal_cache import ProposalCache

NUM_PHOTOS = 6

_FEW = ("--set", "proposals.methods=[selective_search]", "--set", "proposals.limit=4")


def make_data(root: Path) -> None:
    """Makes a data set in VOC's layout, folders of classes, stored detections and configurations of trainings."""
    photos = root / "voc" / "JPEGImages"
    for folder in (
        photos,
        root / "voc/Annotations",
        root / "voc/ImageSets/Main",
        root / "classes/cat",
        root / "classes/sky",
    ):
        folder.mkdir(parents=True)
    pixels = np.asarray(chelsea())[:280:2, :420:2]  # type: ignore[no-untyped-call]
    lines = []
    for number in range(NUM_PHOTOS):
        name = f"{number:02}"
        picture = PIL.Image.fromarray(np.roll(pixels, 9 * number, axis=1))
        picture.save(photos / f"{name}.jpg", quality=95)
        picture.save(root / "classes" / ("cat", "sky")[number % 2] / f"{name}.jpg", quality=90)
        corners = "<xmin>20</xmin><ymin>10</ymin><xmax>190</xmax><ymax>139</ymax>"
        size = f"<size><width>{picture.width}</width><height>{picture.height}</height></size>"
        text = f"<annotation>{size}<object><name>cat</name><bndbox>{corners}</bndbox></object></annotation>"
        (root / "voc" / "Annotations" / f"{name}.xml").write_text(text)
        found = [{"label": "cat", "class_id": 7, "score": 0.5 + number / 20, "box": [20.5, 9, 180, 130]}]
        lines.append({"image": name, "width": picture.width, "height": picture.height, "detections": found})
    for split in ("train", "val"):
        (root / "voc" / "ImageSets" / "Main" / f"{split}.txt").write_text(
            "".join(f"{i:02}\n" for i in range(NUM_PHOTOS))
        )
    (root / "found.jsonl").write_text("".join(map(line_text, lines)))
    for name, changes in _TRAININGS.items():
        values = yaml.safe_load(recipes()[name].read_text(encoding="utf-8"))
        (root / f"{name}.yaml").write_text(yaml.safe_dump(_changed(values, changes)))


_DATA = {"root": "voc", "validation_images": 1, "validation_proposals": 2}
_OFTEN = {"checkpoint_every": 1, "log_every": 1, "workers": 0, "validate_every": 0}

_TRAININGS: dict[str, dict[str, Any]] = {
    "rejection_voc": _OFTEN | {
        "data": _DATA, "initial_weights": "googlenet-voc-1", "frozen_stages": 4,
        "proposals": {"selective_search": {"engine": "incdet"}},
        "optimization": {"steps": 4, "batch_size": 2, "warmup_steps": 0},
    },
    "multibox_voc": _OFTEN | {
        "data": _DATA, "initial_weights": "googlenet-voc-1",
        "optimization": {"steps": 4, "batch_size": 1, "warmup_steps": 0},
    },
    "classifier_voc": _OFTEN | {
        "data": {"layout": "folders", "root": "classes", "dataset": None, "split": None},
        "validation_images": 2, "size": 96,
        "optimization": {"epochs": None, "steps": 5, "batch_size": 2, "warmup_steps": 0},
    },
}  # fmt: skip
"""Recipe -> what is changed, so that it takes seconds; None removes a key."""


def _changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for key, value in changes.items():
        if value is None:
            values.pop(key, None)
        elif isinstance(value, dict):
            values[key] = _changed(values.get(key, {}), value)
        else:
            values[key] = value
    return values


def _program(*arguments: str) -> Callable[[], None]:
    def run() -> None:
        sys.argv = ["incdet", *arguments]
        main()

    return run


def _fill_cache() -> None:
    cache = ProposalCache("cache", ProposalsConfig(methods=("selective_search",), limit=50))
    photos = sorted(Path("voc/JPEGImages").iterdir())
    for _ in cache.fill(photos, ImagesConfig(), num_processes=2):
        pass


def jobs() -> list[KilledJob]:
    """Returns the jobs. Everything is loaded here, so that forked processes begin at once."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import incdet.detector
    import incdet.evaluation.dataset_evaluation
    import incdet.training.training_checks
    import incdet.training.training_runs  # noqa: F401

    find_weights("googlenet-voc-1")
    data = ("--dataset", "voc", "--root", "voc", "--split", "val")
    detect = ("detect", "voc/JPEGImages", "--weights", "googlenet-voc-1", *_FEW, "--score-threshold", "0.01")
    detected = ("found/*",)
    trained = ("run/**/weights.safetensors",)
    evaluated = tuple(f"report/{name}" for name in ("*.jsonl", "*.npz", "confusion.csv", "errors.json", "*.html"))
    judge = ("evaluate", *data, "--cache", "cache", "--output", "report")
    return [
        KilledJob("detect", 25, _program(*detect, "--output", "found", "--save", "image,json,csv,coco,voc"), detected),
        KilledJob("proposals, two processes", 30, _fill_cache, ("cache/*/*.npz",)),
        KilledJob("evaluate stored detections", 20, _program(*judge, "--predictions", "found.jsonl"), evaluated),
        KilledJob("evaluate a detector", 12, _program(*judge, "--weights", "googlenet-voc-1", *_FEW), evaluated),
        KilledJob(
            "train classifier", 8, _program("train", "classifier", "classifier_voc.yaml", "--output", "run"), trained
        ),
        KilledJob(
            "train regions",
            8,
            _program("train", "regions", "rejection_voc.yaml", "--cache", "cache", "--output", "run"),
            trained,
        ),
        KilledJob("train multibox", 8, _program("train", "multibox", "multibox_voc.yaml", "--output", "run"), trained),
    ]
