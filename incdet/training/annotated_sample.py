"""Some photos of a data set, evenly spaced, from which numbers beside the weights are calculated."""

from dataclasses import dataclass
from pathlib import Path

from incdet.data.collection import Collection
from incdet.data.dataset import Dataset
from incdet.data.readers import read_dataset
from incdet.ops.even_spacing import evenly_spaced
from incdet.runtime.reporter import Reporter


@dataclass(frozen=True)
class PhotoSample:
    """Which photos.

    Attributes:
        collection: Layout of the data set's folder.
        root: The folder.
        split: Split of photos that are not used to evaluate.
        num_photos: Number of photos, evenly spaced over the split; all where it has fewer.
    """

    collection: Collection
    root: Path
    split: str
    num_photos: int

    def read(self, reporter: Reporter) -> Dataset:
        """The photos with their annotations.

        Raises:
            DataError: The data set cannot be read.
        """
        dataset = read_dataset(self.collection, self.root, self.split, warn=reporter.warn)
        return dataset.subset(evenly_spaced(len(dataset), self.num_photos))

    def describe(self) -> str:
        """Data set and split, for the notes in a file."""
        return f"{self.collection.value} {self.split}"
