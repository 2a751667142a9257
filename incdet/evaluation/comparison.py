"""Comparison of two evaluations of the same images: a paired bootstrap says how sure the difference in mAP is."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from incdet.errors import DataError
from incdet.evaluation.stored_evaluation import RankedClass, StoredEvaluation
from incdet.ops.decimals import plain_number

_BLOCK = 1 << 22
"""Number of weights (sets times images or detections) that are held at a time. It bounds the memory."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The difference between run B and run A.

    Attributes:
        class_names: The C classes.
        mean_average_precision: mAP of A and of B.
        average_precision: [2, C] float64, AP per class of A and of B.
        interval: Limits of the middle 95 % of mAP(B) - mAP(A) over resampled sets of images.
        share_better: Share of the resampled sets in which B has the larger mAP, in [0, 1].
        wins: Number of classes in which A, and in which B, has the larger AP. ILSVRC ranked entries by classes won.
        num_samples: Number of resampled sets.
        seed: Seed of the resampling.
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
        """Returns plain numbers; NaN becomes null."""
        document = asdict(self)
        for key in ("mean_average_precision", "interval"):
            document[key] = [plain_number(value) for value in document[key]]
        document["share_better"] = plain_number(self.share_better)
        first, second = self.mean_average_precision
        rows = zip(self.class_names, *self.average_precision, strict=True)
        document["average_precision"] = {name: [plain_number(a), plain_number(b)] for name, a, b in rows}
        del document["class_names"]
        return document | {"difference": plain_number(second - first)}


def compare_evaluations(
    first: StoredEvaluation,
    second: StoredEvaluation,
    num_samples: int = 1000,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Returns the difference in mAP between two runs over the same images, and how sure it is.

    Each resampled set draws as many images as there are, with replacement, the same ones for both runs. A class without
    objects in a set is left out of that set's mean. The matching of an image does not depend on other images, so it is
    not repeated.

    Args:
        first: Run A.
        second: Run B.
        num_samples: Number of resampled sets.
        seed: Seed of the resampling.
        progress: Function that is called with the number of sets done.

    Raises:
        DataError: The runs differ in images, objects, classes or rules.
    """
    if first.ground_truth != second.ground_truth:
        raise DataError(
            f"the runs cannot be compared: A is {first.dataset} under {first.rules} rules ({first.num_images} images, "
            f"{len(first.class_names)} classes), B is {second.dataset} under {second.rules} rules "
            f"({second.num_images} images, {len(second.class_names)} classes), or their annotations differ"
        )
    resampled = _resampled_means((first, second), num_samples, seed, progress)
    differences = resampled[1] - resampled[0]
    average_precision = np.stack([first.average_precision, second.average_precision])
    # both runs have the same objects, so the same classes are NaN in both
    with_objects = average_precision[:, ~np.isnan(average_precision[0])]
    first_mean, second_mean = _means(average_precision.T)
    return Comparison(
        class_names=first.class_names,
        mean_average_precision=(float(first_mean), float(second_mean)),
        average_precision=average_precision,
        interval=_middle(differences),
        share_better=float((differences > 0).mean()) if len(differences) else float("nan"),
        wins=(int((with_objects[0] > with_objects[1]).sum()), int((with_objects[1] > with_objects[0]).sum())),
        num_samples=num_samples,
        seed=seed,
    )


def bootstrap_interval(
    evaluation: StoredEvaluation,
    num_samples: int = 1000,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[float, float]:
    """Returns the limits of the middle 95 % of mAP over resampled sets of images; NaN where no set has an object.

    Args:
        evaluation: The evaluation.
        num_samples: Number of resampled sets, drawn as in `compare_evaluations`.
        seed: Seed of the resampling.
        progress: Function that is called with the number of sets done.
    """
    return _middle(_resampled_means((evaluation,), num_samples, seed, progress)[0])


def _middle(values: np.ndarray) -> tuple[float, float]:
    """Returns the 2.5th and the 97.5th percentile, NaN without values."""
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _resampled_means(
    runs: tuple[StoredEvaluation, ...], num_samples: int, seed: int, progress: Callable[[int], None]
) -> np.ndarray:
    """Returns mAP [runs, S] on every resampled set in which an object is left."""
    generator = np.random.default_rng(seed)
    num_images = runs[0].num_images
    # as many sets at a time as the memory bound allows
    longest = max((len(entry.images) for run in runs for entry in run.classes), default=1)
    block_size = int(np.clip(_BLOCK // max(longest, num_images, 1), 1, num_samples))
    blocks = []
    for start in range(0, num_samples, block_size):
        count = min(block_size, num_samples - start)
        # drawing N images with replacement gives multinomial counts: weights [S, N], each row sums to N
        weights = generator.multinomial(num_images, np.full(num_images, 1 / num_images), count)
        blocks.append(np.stack([_weighted_means(run, weights) for run in runs]))
        progress(start + count)
    means = np.concatenate(blocks, axis=1)
    return means[:, ~np.isnan(means).any(axis=0)]


def _weighted_means(evaluation: StoredEvaluation, weights: np.ndarray) -> np.ndarray:
    """Returns mAP [S] for images that count weights [S, N] times."""
    columns = [weighted_average_precision(entry, weights, evaluation.rules) for entry in evaluation.classes]
    return _means(np.stack(columns))


def _means(rows: np.ndarray) -> np.ndarray:
    """Returns the mean of every column over its numbers; NaN where it has none."""
    counts = (~np.isnan(rows)).sum(axis=0)
    return np.where(counts > 0, np.nansum(rows, axis=0) / np.maximum(counts, 1), np.nan)


def weighted_average_precision(entry: RankedClass, weights: np.ndarray, rules: str) -> np.ndarray:
    """Returns AP [S] of a class for images that count weights [S, N] times; NaN where that leaves no object."""
    num_required = weights[:, entry.object_images].sum(axis=1).astype(np.float64)
    num_required[num_required == 0] = np.nan
    # a detection counts as often as its image: [S, D]
    counted = weights[:, entry.images]
    # precision falls between the objects found, so only its values at TRUE detections matter: [S, T]
    num_counted = np.cumsum(counted, axis=1)[:, entry.found]
    gained = counted[:, entry.found]
    num_found = np.cumsum(gained, axis=1)
    precision = num_found / np.maximum(num_counted, 1)
    if rules == "voc07":
        recall = num_found / num_required[:, None]
        best = [np.where(recall >= step / 10, precision, 0).max(axis=1, initial=0) for step in range(11)]
        # the NaN of a set without objects is carried over
        return np.mean(best, axis=0) + 0 * num_required
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return (gained * envelope).sum(axis=1) / num_required
