"""What a training was made from, in a few checksums: another data set must never go on with its checkpoint."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from incdet.data.dataset import Dataset


def identify_datasets(datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Returns names, classes and checksums of the photos and of the annotations of data sets.

    The folder of the data does not count, so that a data set may be moved.

    Args:
        datasets: The data sets, which have the same classes.
    """
    photos, annotations = hashlib.sha256(), hashlib.sha256()
    for dataset in datasets:
        photos.update(json.dumps([[str(image) for image in dataset.image_ids], dataset.name]).encode())
        for truth in dataset.ground_truths:
            head = [truth.image, truth.width, truth.height, len(truth), truth.num_impossible]
            annotations.update(json.dumps(head).encode(errors="surrogateescape"))
            for column in (truth.boxes, truth.class_ids, truth.ignored):
                annotations.update(np.ascontiguousarray(column).tobytes())
    return {
        "name": " and ".join(dataset.name for dataset in datasets),
        "classes": list(datasets[0].class_names),
        "photos": photos.hexdigest(),
        "annotations": annotations.hexdigest(),
    }


def identify_photos(
    name: str, class_names: Sequence[str], names: Sequence[str], class_ids: np.ndarray
) -> dict[str, Any]:
    """Returns the same of photos of known classes.

    Args:
        name: Name of the folder.
        class_names: The C classes.
        names: Names of the N photos, relative to the folder.
        class_ids: [N] int64.
    """
    photos = hashlib.sha256("\n".join(names).encode(errors="surrogateescape"))
    labels = hashlib.sha256(np.ascontiguousarray(class_ids).tobytes())
    return {
        "name": name,
        "classes": list(class_names),
        "photos": photos.hexdigest(),
        "annotations": labels.hexdigest(),
    }
