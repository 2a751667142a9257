"""The form in which every part of incdet sees a data set, whatever the form of its files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from incdet.config.class_choice import find_classes
from incdet.errors import DataError
from incdet.ops.even_spacing import evenly_spaced
from incdet.runtime.counted_words import counted, first_ones
from incdet.runtime.shard_photos import ShardPhoto
from incdet.structures import GroundTruth

Warn = Callable[[str], None]
"""A function that takes one sentence about a peculiarity of the data; it may raise an error to be strict."""


def no_warning(_: str) -> None:
    """Ignores the sentence: a `Warn` for callers who do not need it."""


@dataclass(frozen=True, eq=False)
class CocoObjects:
    """The objects of an image with the numbers of COCO's document, which COCO's rules take as they are.

    Attributes:
        boxes_xywh: [N, 4] float64, left, top, width and height in pixels.
        areas: [N] float64, areas of the objects' outlines in square pixels.
    """

    boxes_xywh: np.ndarray
    areas: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """Photos with their annotated objects.

    Attributes:
        name: Name for tables and messages ("voc2012-subset val").
        class_names: The C classes, in the order of the class ids.
        image_paths: One file per photo. A file may be missing: annotations without photos can still be evaluated.
        ground_truths: One per photo, in the same order.
        image_ids: The photos' ids in the collection's result files: COCO's id, ILSVRC's index, VOC's file stem.
        category_ids: The classes' ids in the same files: COCO's id, ILSVRC's 1..200.
        other_image_ids: Ids of the photos that belong to the collection but not to this split; None where the
            collection's whole list is not known.
        coco_objects: The objects of each photo as COCO's document states them; None for other layouts.
        rules: Rules under which the collection is evaluated by default.
        blacklist: Pairs of photo position and class id that count neither way (ILSVRC).
    """

    name: str
    class_names: tuple[str, ...]
    image_paths: tuple[Path, ...]
    ground_truths: tuple[GroundTruth, ...]
    image_ids: tuple[int | str, ...]
    category_ids: tuple[int, ...]
    other_image_ids: frozenset[int | str] | None = None
    coco_objects: tuple[CocoObjects, ...] | None = None
    rules: Literal["voc", "ilsvrc", "coco"] = "voc"
    blacklist: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        for what, column in (("path", self.image_paths), ("image id", self.image_ids)):
            if len(column) != len(self.ground_truths):
                raise ValueError(f"Dataset: expected one {what} per image, got {len(column)}")
        if len(self.category_ids) != len(self.class_names):
            raise ValueError(f"Dataset: expected one category id per class, got {len(self.category_ids)}")

    def __len__(self) -> int:
        return len(self.ground_truths)

    def __iter__(self) -> Iterator[tuple[Path, GroundTruth]]:
        return iter(zip(self.image_paths, self.ground_truths, strict=True))

    def require_classes(self, class_names: tuple[str, ...]) -> None:
        """Makes sure that a detector knows exactly the classes of the data set, in the same order.

        Args:
            class_names: Classes of the detector.

        Raises:
            DataError: It knows other classes, or numbers them differently.
        """
        if class_names != self.class_names:
            known = f"{counted(len(class_names), 'class', 'classes')} ({first_ones(class_names)})"
            own = f"{counted(len(self.class_names), 'class', 'classes')} ({first_ones(self.class_names)})"
            raise DataError(
                f"the detector knows {known}, but {self.name} has {own}; give weights that were trained for it"
            )

    def without_classes(self, names: Sequence[str]) -> "Dataset":
        """Returns the data set without the photos that show objects of these classes, ignored objects included.

        Raises:
            ConfigurationError: The data set has no such class.
        """
        left_out = find_classes(names, self.class_names, self.name)
        kept = []
        for index, truth in enumerate(self.ground_truths):
            if not np.isin(truth.class_ids, left_out).any():
                kept.append(index)
        return self.subset(kept)

    def joined(self, other: "Dataset") -> "Dataset":
        """Returns both sets' photos, this one's first, as training data. Photos are numbered anew, 0, 1, 2, ...

        Raises:
            ValueError: Their classes differ.
        """
        if other.class_names != self.class_names:
            raise ValueError("Dataset: expected two sets with the same classes to join")
        return Dataset(
            f"{self.name} and {other.name}",
            self.class_names,
            self.image_paths + other.image_paths,
            self.ground_truths + other.ground_truths,
            tuple(range(len(self) + len(other))),
            self.category_ids,
            rules=self.rules,
        )

    def evenly_spaced(self, count: int | None) -> "Dataset":
        """Returns `count` photos at equal steps; the whole data set where it has no more or `count` is None."""
        if count is None or count >= len(self):
            return self
        return self.subset(evenly_spaced(len(self), count))

    def by_file_name(self) -> list[int]:
        """Returns the indices of the photos in the order of their files' names without ending.

        The same photos have this order in every layout, while files of annotations list them in any. Photos in shards
        go by the names that they had before.
        """

        def name(index: int) -> str:
            path = self.image_paths[index]
            return self.ground_truths[index].image if isinstance(path, ShardPhoto) else path.stem

        return sorted(range(len(self)), key=name)

    def subset(self, indices: list[int]) -> "Dataset":
        """Returns the data set with only these photos, in this order."""
        positions = {index: position for position, index in enumerate(indices)}
        image_ids = tuple(self.image_ids[index] for index in indices)
        objects = self.coco_objects
        # detections on the photos left out are no error in a file of predictions
        left_out = set(self.image_ids) - set(image_ids)
        return replace(
            self,
            coco_objects=tuple(objects[index] for index in indices) if objects is not None else None,
            image_paths=tuple(self.image_paths[index] for index in indices),
            ground_truths=tuple(self.ground_truths[index] for index in indices),
            image_ids=image_ids,
            other_image_ids=(self.other_image_ids or frozenset()) | left_out,
            blacklist=frozenset((positions[index], kind) for index, kind in self.blacklist if index in positions),
        )
