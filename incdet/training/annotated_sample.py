"""Some photos of a data set, evenly spaced, from which numbers beside the weights are calculated."""

from dataclasses import dataclass, replace
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
        photos: The photos where they were read before, as `loaded` does.
    """

    collection: Collection
    root: Path
    split: str
    num_photos: int
    photos: Dataset | None = None

    def read(self, reporter: Reporter) -> Dataset:
        """The photos with their annotations.

        Raises:
            DataError: The data set cannot be read.
        """
        if self.photos is not None:
            return self.photos
        dataset = read_dataset(self.collection, self.root, self.split, warn=reporter.warn)
        return dataset.subset(evenly_spaced(len(dataset), self.num_photos))

    def loaded(self, reporter: Reporter) -> "PhotoSample":
        """The sample with its photos, so that a wrong data set is an error before torch and networks are loaded.

        Raises:
            DataError: The data set cannot be read.
        """
        return replace(self, photos=self.read(reporter))

    def describe(self) -> str:
        """Data set and split, for the notes in a file."""
        return f"{self.collection.value} {self.split}"
