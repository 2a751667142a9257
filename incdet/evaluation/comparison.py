"""Two evaluations of the same images: is one better, and would it be on other images? A paired bootstrap answers."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from incdet.errors import DataError
from incdet.evaluation.average_precision import IGNORED, TRUE, Evaluation, plain_number
from incdet.runtime.files import load_arrays, save_arrays

FILE_NAME = "judgement.npz"
ARRAYS = (
    "head",
    "object_images",
    "object_classes",
    "detection_images",
    "detection_classes",
    "scores",
    "verdicts",
    "average_precision",
)
"""Of that file."""

_BLOCK = 1 << 22
"""Numbers that are held at a time; bounds the memory."""


@dataclass(frozen=True, eq=False)
class RankedClass:
    """One class of a judgement.

    Attributes:
        images: [D] int64, image of each counted detection, best score first, up to the last TRUE one.
        found: [D] bool, whether it is TRUE.
        object_images: [K] int64, image of each required object.
    """

    images: np.ndarray
    found: np.ndarray
    object_images: np.ndarray


@dataclass(frozen=True, eq=False)
class Judgement:
    """What `compare_judgements` needs of an evaluation.

    Attributes:
        rules, dataset: under which and on what it was made.
        class_names: the C classes.
        num_images: of the data set.
        ground_truth: checksum of images and objects; equal for evaluations that can be compared.
        classes: one entry per class.
        average_precision: [C] float64; NaN for a class without objects.
    """

    rules: str
    dataset: str
    class_names: tuple[str, ...]
    num_images: int
    ground_truth: str
    classes: tuple[RankedClass, ...]
    average_precision: np.ndarray


@dataclass(frozen=True, eq=False)
class Comparison:
    """How run B differs from run A.

    Attributes:
        class_names: the C classes.
        mean_average_precision: of A and of B.
        average_precision: [2, C] float64, of A and of B.
        interval: the middle 95 % of mAP(B) - mAP(A) over resampled sets of images.
        share_better: of the resampled sets, those in which B has the larger mAP.
        wins: classes in which A, and in which B, has the larger AP; the challenge ranked entries by classes won.
        num_samples, seed: of the bootstrap.
    """

    class_names: tuple[str, ...]
    mean_average_precision: tuple[float, float]
    average_precision: np.ndarray
    interval: tuple[float, float]
    share_better: float
    wins: tuple[int, int]
    num_samples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        document = asdict(self)
        for key in ("mean_average_precision", "interval"):
            document[key] = [plain_number(value) for value in document[key]]
        document["share_better"] = plain_number(self.share_better)
        first, second = self.mean_average_precision
        rows = zip(self.class_names, *self.average_precision, strict=True)
        document["average_precision"] = {name: [plain_number(a), plain_number(b)] for name, a, b in rows}
        del document["class_names"]
        return document | {"difference": plain_number(second - first)}


def save_judgement(file: Path, evaluation: Evaluation, dataset: str, image_names: Sequence[str]) -> None:
    """Stores what a later comparison needs, atomically.

    Raises:
        OutputError: the folder cannot be written to.
    """
    objects, detections = evaluation.objects, evaluation.detections
    required = ~objects.ignored | (evaluation.rules == "ilsvrc")
    terms = [evaluation.rules, evaluation.iou_threshold, sorted(evaluation.blacklist)]
    digest = hashlib.sha256(json.dumps([*terms, evaluation.class_names, list(image_names)]).encode())
    for column in (objects.images, objects.class_ids, objects.boxes_inclusive, required):
        digest.update(np.ascontiguousarray(column).tobytes())
    head: dict[str, Any] = {"rules": evaluation.rules, "dataset": dataset, "classes": evaluation.class_names}
    head |= {"images": len(image_names), "ground_truth": digest.hexdigest()}
    save_arrays(
        file,
        head=np.array(json.dumps(head)),
        object_images=objects.images[required].astype(np.int32),
        object_classes=objects.class_ids[required].astype(np.int32),
        detection_images=detections.images.astype(np.int32),
        detection_classes=detections.class_ids.astype(np.int32),
        scores=detections.scores,
        verdicts=evaluation.verdicts,
        average_precision=evaluation.average_precision,
    )


def load_judgement(folder: Path) -> Judgement:
    """Reads what `tools/eval_map.py --output` left in a folder.

    Raises:
        DataError: there is none, or it is damaged.
    """
    arrays = load_arrays(folder / FILE_NAME, *ARRAYS)
    if arrays is None:
        raise DataError(
            f"cannot read {folder / FILE_NAME}; give the --output folder of a tools/eval_map.py run under ilsvrc, voc "
            "or voc07 rules"
        )
    head = json.loads(str(arrays["head"]))
    classes = tuple(_ranked_class(arrays, class_id) for class_id in range(len(head["classes"])))
    return Judgement(
        rules=head["rules"],
        dataset=head["dataset"],
        class_names=tuple(head["classes"]),
        num_images=head["images"],
        ground_truth=head["ground_truth"],
        classes=classes,
        average_precision=arrays["average_precision"],
    )


def _ranked_class(arrays: dict[str, np.ndarray], class_id: int) -> RankedClass:
    rows = np.flatnonzero((arrays["detection_classes"] == class_id) & (arrays["verdicts"] != IGNORED))
    rows = rows[np.argsort(arrays["detection_images"][rows], kind="stable")]
    rows = rows[np.argsort(-arrays["scores"][rows], kind="stable")]
    found = arrays["verdicts"][rows] == TRUE
    # what comes after the last object found changes neither recall nor the envelope of precision
    length = int(np.flatnonzero(found)[-1]) + 1 if found.any() else 0
    object_images = arrays["object_images"][arrays["object_classes"] == class_id]
    return RankedClass(arrays["detection_images"][rows[:length]], found[:length], object_images)


def compare_judgements(
    first: Judgement,
    second: Judgement,
    num_samples: int = 1000,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """The difference in mAP between two runs over the same images, and how sure it is.

    Each of `num_samples` sets draws as many images as there are, with replacement, the same for both runs; a class
    without objects in a set is left out of that set's mean. Matching does not depend on other images, so it stays.

    Args:
        first: run A.
        second: run B.
        num_samples: resampled sets.
        seed: of the drawing.
        progress: called with the number of sets done.

    Raises:
        DataError: the runs differ in images, objects, classes or rules.
    """
    if first.ground_truth != second.ground_truth:
        raise DataError(
            f"the runs cannot be compared: A is {first.dataset} under {first.rules} rules ({first.num_images} images, "
            f"{len(first.class_names)} classes), B is {second.dataset} under {second.rules} rules "
            f"({second.num_images} images, {len(second.class_names)} classes), or their annotations differ"
        )
    resampled = _resampled_means((first, second), num_samples, seed, progress)
    differences = resampled[1] - resampled[0]
    low, high = _middle(differences)
    columns = np.stack([first.average_precision, second.average_precision])
    with_objects = columns[:, ~np.isnan(columns[0])]
    mean_a, mean_b = _means(columns.T)
    return Comparison(
        class_names=first.class_names,
        mean_average_precision=(float(mean_a), float(mean_b)),
        average_precision=columns,
        interval=(low, high),
        share_better=float((differences > 0).mean()) if len(differences) else float("nan"),
        wins=(int((with_objects[0] > with_objects[1]).sum()), int((with_objects[1] > with_objects[0]).sum())),
        num_samples=num_samples,
        seed=seed,
    )


def bootstrap_interval(
    judgement: Judgement, num_samples: int = 1000, seed: int = 0, progress: Callable[[int], None] = lambda _: None
) -> tuple[float, float]:
    """The middle 95 % of mAP over resampled sets of as many images, drawn as in `compare_judgements`; NaN if none has
    an object.
    """
    return _middle(_resampled_means((judgement,), num_samples, seed, progress)[0])


def _middle(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
    return float(low), float(high)


def _resampled_means(
    runs: tuple[Judgement, ...], num_samples: int, seed: int, progress: Callable[[int], None]
) -> np.ndarray:
    """mAP [runs, S] on every resampled set in which an object is left."""
    generator, num_images = np.random.default_rng(seed), runs[0].num_images
    longest = max((len(entry.images) for run in runs for entry in run.classes), default=1)
    size = int(np.clip(_BLOCK // max(longest, num_images, 1), 1, num_samples))
    parts = []
    for start in range(0, num_samples, size):
        count = min(size, num_samples - start)
        weights = generator.multinomial(num_images, np.full(num_images, 1 / num_images), count)
        parts.append(np.stack([_weighted_means(run, weights) for run in runs]))
        progress(start + count)
    joined = np.concatenate(parts, axis=1)
    return joined[:, ~np.isnan(joined).any(axis=0)]


def _weighted_means(judgement: Judgement, weights: np.ndarray) -> np.ndarray:
    """mAP [S] when image i counts weights[s, i] times."""
    columns = [weighted_average_precision(entry, weights, judgement.rules) for entry in judgement.classes]
    return _means(np.stack(columns))


def _means(rows: np.ndarray) -> np.ndarray:
    """The mean of every column over its numbers; NaN where it has none."""
    counts = (~np.isnan(rows)).sum(axis=0)
    return np.where(counts > 0, np.nansum(rows, axis=0) / np.maximum(counts, 1), np.nan)


def weighted_average_precision(entry: RankedClass, weights: np.ndarray, rules: str) -> np.ndarray:
    """AP [S] of a class when image i counts weights[s, i] times; NaN where that leaves no object."""
    required = weights[:, entry.object_images].sum(axis=1).astype(np.float64)
    required[required == 0] = np.nan
    counted = weights[:, entry.images]
    # precision falls between objects found, so that it is largest at one of them
    all_counted = np.cumsum(counted, axis=1)[:, entry.found]
    gained = counted[:, entry.found]
    found = np.cumsum(gained, axis=1)
    precision = found / np.maximum(all_counted, 1)
    if rules == "voc07":
        recall = found / required[:, None]
        best = [np.where(recall >= step / 10, precision, 0).max(axis=1, initial=0) for step in range(11)]
        return np.mean(best, axis=0) + 0 * required
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return (gained * envelope).sum(axis=1) / required
