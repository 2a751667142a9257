"""A data set as every part of incdet sees it, whatever its files look like."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from incdet.structures import GroundTruth


@dataclass(frozen=True)
class Dataset:
    """Photos with their annotated objects.

    Attributes:
        name: for tables and messages ("voc2012-subset val").
        class_names: the C classes, in the order of the class ids.
        image_paths: one file per photo; a file may be missing (annotations without photos can still be evaluated).
        ground_truths: one per photo, in the same order.
    """

    name: str
    class_names: tuple[str, ...]
    image_paths: tuple[Path, ...]
    ground_truths: tuple[GroundTruth, ...]

    def __post_init__(self) -> None:
        if len(self.image_paths) != len(self.ground_truths):
            raise ValueError(f"Dataset: expected one path per image, got {len(self.image_paths)} paths")

    def __len__(self) -> int:
        return len(self.ground_truths)

    def __iter__(self) -> Iterator[tuple[Path, GroundTruth]]:
        return iter(zip(self.image_paths, self.ground_truths, strict=True))

    def subset(self, indices: list[int]) -> "Dataset":
        """The data set with only these photos, in this order."""
        paths = tuple(self.image_paths[index] for index in indices)
        return Dataset(self.name, self.class_names, paths, tuple(self.ground_truths[index] for index in indices))
