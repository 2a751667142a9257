"""A data set as every part of incdet sees it, whatever its files look like."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from incdet.config.class_choice import find_classes
from incdet.structures import GroundTruth

Warn = Callable[[str], None]
"""Takes one sentence about something in the data that a careful reader wants to know; may raise to be strict."""


def no_warning(_: str) -> None:
    """A `Warn` for callers who do not care."""


@dataclass(frozen=True)
class Dataset:
    """Photos with their annotated objects.

    Attributes:
        name: for tables and messages ("voc2012-subset val").
        class_names: the C classes, in the order of the class ids.
        image_paths: one file per photo; a file may be missing (annotations without photos can still be evaluated).
        ground_truths: one per photo, in the same order.
        image_ids: how the collection's result files name each photo: COCO's id, ILSVRC's index, VOC's file stem.
        category_ids: how they name each class: COCO's id, ILSVRC's 1..200.
        other_image_ids: ids of the photos that belong to the collection but not to this split; None where the
            collection's whole list is not known.
        coco_file: the COCO document that it was read from, if any.
        blacklist: (position of a photo, class id) that counts neither way (ILSVRC).
    """

    name: str
    class_names: tuple[str, ...]
    image_paths: tuple[Path, ...]
    ground_truths: tuple[GroundTruth, ...]
    image_ids: tuple[int | str, ...]
    category_ids: tuple[int, ...]
    other_image_ids: frozenset[int | str] | None = None
    coco_file: Path | None = None
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

    def without_classes(self, names: Sequence[str]) -> "Dataset":
        """The data set without the photos that show objects of these classes, marked as ignored or not.

        Raises:
            ConfigurationError: there is no such class.
        """
        left_out = find_classes(names, self.class_names, self.name)
        return self.subset([
            index for index, truth in enumerate(self.ground_truths) if not np.isin(truth.class_ids, left_out).any()
        ])  # fmt: skip

    def joined(self, other: "Dataset") -> "Dataset":
        """Both sets' photos, this one's first, to learn from: what names photos in result files is gone.

        Raises:
            ValueError: their classes differ.
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
        )

    def evenly_spaced(self, count: int | None) -> "Dataset":
        """So many of the photos, evenly spaced; all where there are no more or `count` is None."""
        if count is None or count >= len(self):
            return self
        return self.subset([number * len(self) // count for number in range(count)])

    def subset(self, indices: list[int]) -> "Dataset":
        """The data set with only these photos, in this order."""
        positions = {index: position for position, index in enumerate(indices)}
        return replace(
            self,
            coco_file=None,
            image_paths=tuple(self.image_paths[index] for index in indices),
            ground_truths=tuple(self.ground_truths[index] for index in indices),
            image_ids=tuple(self.image_ids[index] for index in indices),
            other_image_ids=(self.other_image_ids or frozenset())
            | set(self.image_ids) - {self.image_ids[index] for index in indices},
            blacklist=frozenset((positions[index], kind) for index, kind in self.blacklist if index in positions),
        )
