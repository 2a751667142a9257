"""Image ids in files of detections, looked up in the split of a data set."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from incdet.data.dataset import Dataset, Warn
from incdet.errors import DataError
from incdet.runtime.counted_words import counted, first_ones, of_all

ABSENT, _OTHER = -1, -2
"""Positions of ids that nobody knows, and of images that belong to the collection but not to the split."""


def look_up(values: Iterable[Any], positions: Mapping[Any, int]) -> np.ndarray:
    """Returns the position of each value [N] int64, `ABSENT` where it has none."""
    return np.array([positions.get(value, ABSENT) for value in values], np.int64)


def image_positions(image_ids: Iterable[int | str], dataset: Dataset) -> np.ndarray:
    """Returns each image's position in the split [N] int64; below 0 for images that the split lacks.

    Args:
        image_ids: Ids as the collection numbers its images, or names of images.
        dataset: The split.
    """
    # an id wins over a name, and both over the images of other splits
    positions: dict[int | str, int] = dict.fromkeys(dataset.other_image_ids or (), _OTHER)
    positions |= {truth.image: position for position, truth in enumerate(dataset.ground_truths)}
    positions |= {image: position for position, image in enumerate(dataset.image_ids)}
    return look_up(image_ids, positions)


def leave_out_other_images(
    positions: np.ndarray, image_ids: Sequence[int | str], file: Path, dataset: Dataset, warn: Warn
) -> np.ndarray:
    """Returns a mask [D] bool of the detections on images of the split; a warning counts the others.

    Args:
        positions: [D] int64, position of each detection's image, below 0 for images that the split lacks.
        image_ids: The id or name of each detection's image, for the message.
        file: The file of the detections.
        dataset: The split.
        warn: Function that is told how many detections are left out.

    Raises:
        DataError: No detection lies on an image of the split, so the file belongs to another one.
    """
    inside = positions >= 0
    if inside.all():
        return inside
    others = list(dict.fromkeys(image_ids[row] for row in np.flatnonzero(~inside).tolist()))
    first = first_ones(others)
    num_outside = int((~inside).sum())
    count = f"{of_all(num_outside, len(inside), 'detection')} in {file} {'is' if num_outside == 1 else 'are'}"
    where = f"{counted(len(others), 'image')} that {dataset.name} lacks ({first})"
    if not inside.any():
        raise DataError(f"{count} on {where}; check --split and --predictions")
    warn(f"{count} on {where}: left out")
    return inside
