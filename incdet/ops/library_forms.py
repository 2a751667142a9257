"""Labelled boxes in the forms of other libraries, each of which is loaded only when its form is asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from incdet.errors import DataError, PackageError
from incdet.runtime.optional_packages import is_installed


class LibraryForms:
    """What `Detections` become for other libraries, and come from."""

    if TYPE_CHECKING:
        image: str
        boxes: np.ndarray
        scores: np.ndarray
        class_ids: np.ndarray

        @property
        def labels(self) -> list[str]:
            """The class name of each detection."""

    def to_supervision(self) -> Any:
        """Returns supervision's `Detections`, with the class names in `data["class_name"]`.

        Raises:
            PackageError: supervision is not installed.
        """
        _require("supervision")
        import supervision

        names = {"class_name": np.array(self.labels, dtype=str)}
        return supervision.Detections(self.boxes.copy(), None, self.scores.copy(), self.class_ids.copy(), data=names)

    def to_pandas(self) -> Any:
        """Returns pandas' `DataFrame` with a row for each box: image, label, class_id, score, x1, y1, x2, y2.

        Raises:
            PackageError: pandas is not installed.
        """
        _require("pandas")
        import pandas

        columns: dict[str, Any] = {"image": [self.image] * len(self.boxes), "label": self.labels}
        columns |= {"class_id": self.class_ids, "score": self.scores}
        columns |= {name: self.boxes[:, number] for number, name in enumerate(("x1", "y1", "x2", "y2"))}
        return pandas.DataFrame(columns)

    def to_torchvision(self) -> dict[str, Any]:
        """Returns tensors as torchvision's detectors do: boxes, scores, and labels from 1 on, as 0 is background."""
        import torch

        arrays = {"boxes": self.boxes, "scores": self.scores, "labels": self.class_ids + 1}
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}

    @classmethod
    def from_supervision(cls, found: Any, image: str, width: int, height: int, class_names: Sequence[str]) -> Self:
        """Takes supervision's `Detections`; the best score comes first.

        Args:
            found: The detections. Names in `data["class_name"]`, where they have them, decide the class; otherwise
                `class_id` does. Without `confidence` every score is 1.
            image: The image's name.
            width: The image's width in pixels.
            height: The image's height in pixels.
            class_names: The C classes.

        Raises:
            DataError: There is no class, or an unknown one.
        """
        boxes = np.asarray(found.xyxy, np.float32).reshape(-1, 4)
        confidence = np.ones(len(boxes)) if found.confidence is None else found.confidence
        scores = np.asarray(confidence, np.float32)
        class_ids = _class_ids_of(found, tuple(class_names), len(boxes))
        order = np.argsort(-scores, kind="stable")
        make: Any = cls
        return make(image, width, height, boxes[order], scores[order], class_ids[order], tuple(class_names))


def _class_ids_of(found: Any, class_names: tuple[str, ...], count: int) -> np.ndarray:
    """Returns the class ids [N] int64 of supervision's detections; see `LibraryForms.from_supervision`."""
    names = (found.data or {}).get("class_name")
    if names is not None:
        known = {name: class_id for class_id, name in enumerate(class_names)}
        unknown = sorted({str(name) for name in names} - known.keys())
        if unknown:
            raise DataError(f"supervision's detections have the class '{unknown[0]}'; known are {', '.join(known)}")
        return np.array([known[str(name)] for name in names], np.int64)
    if found.class_id is None and count > 0:
        raise DataError("supervision's detections have no class_id and no class_name; give them one of both")
    class_ids = np.asarray([] if found.class_id is None else found.class_id, np.int64)
    if len(class_ids) and not (class_ids.min() >= 0 and class_ids.max() < len(class_names)):
        found_range = f"{class_ids.min()} to {class_ids.max()}"
        raise DataError(f"supervision's class ids are {found_range}; expected 0 to {len(class_names) - 1}")
    return class_ids


def _require(package: str) -> None:
    if not is_installed(package):
        raise PackageError(f"this form needs {package}, which is not installed; run: pip install {package}")
