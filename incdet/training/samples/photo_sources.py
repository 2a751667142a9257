"""Where a classifier's training photos come from: folders, tar shards, or the objects of a detection data set."""

import os
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from incdet.config.sections import Section
from incdet.data.class_names import read_class_list
from incdet.data.dataset import Dataset
from incdet.data.imagenet import LabelledPhotos, find_labelled_photos
from incdet.data.readers import Collection, read_dataset
from incdet.data.shards import ShardPhotos
from incdet.errors import ConfigurationError, DataError
from incdet.images import read_image
from incdet.structures import Image


class PhotosConfig(Section):
    """Photos of known classes.

    Attributes:
        layout: "folders" of photos, as `incdet evaluate-classification` reads them; "shards", tar files as WebDataset
            has them; "objects", the boxes of a detection data set, each a photo of its own.
        root: folder of the photos, the shards or the data set.
        classes: file of the classes, one a line; for WordNet ids with their names behind them. Without it, folders
            have the names of the folders, in alphabetical order. Objects have their data set's classes.
        labels: folders: a list of "<file> <class>", or ILSVRC's LOC_val_solution.csv.
        dataset, split: objects: as for `incdet evaluate`.
    """

    layout: Literal["folders", "shards", "objects"] = "folders"
    root: str
    classes: str | None = None
    labels: str | None = None
    dataset: Literal["voc", "coco", "ilsvrc"] = "voc"
    split: str = "train"


class PhotoSource(Protocol):
    """N photos of known classes.

    Attributes:
        class_names: the C classes.
        class_ids: [N] int64.
        groups: [N] int64; samples of one group, such as objects of one photo, belong on the same side of a split.
    """

    @property
    def class_names(self) -> tuple[str, ...]:
        """See above; so for the others."""

    @property
    def class_ids(self) -> np.ndarray: ...

    @property
    def groups(self) -> np.ndarray: ...

    def name(self, index: int) -> str:
        """What the photo is called in messages."""

    def read(self, index: int) -> Image:
        """The photo.

        Raises:
            ImageError: it cannot be read.
        """

    def order(self, generator: np.random.Generator) -> np.ndarray:
        """[N] every index once, in random order, such that reading in this order is fast."""


class FolderPhotos:
    """A `PhotoSource` of single files."""

    def __init__(self, photos: LabelledPhotos, class_names: tuple[str, ...]):
        self.class_names, self.class_ids = class_names, photos.class_ids
        self.groups = np.arange(len(photos.paths))
        # one array, which worker processes share; of a million objects each of them would soon have its own copy
        self._paths = np.array([os.fsencode(path) for path in photos.paths])

    def name(self, index: int) -> str:
        return os.fsdecode(bytes(self._paths[index]))

    def read(self, index: int) -> Image:
        return read_image(self.name(index))

    def order(self, generator: np.random.Generator) -> np.ndarray:
        return generator.permutation(len(self.class_ids))


class ObjectPhotos:
    """A `PhotoSource` of the objects of a detection data set, cut out of their photos; ignored ones are left out."""

    def __init__(self, dataset: Dataset):
        self.class_names, self._dataset = dataset.class_names, dataset
        rows = [(photo, row) for photo, truth in enumerate(dataset.ground_truths) for row in _usable(truth.ignored)]
        self.groups, self._rows = np.array(rows, np.int64).reshape(-1, 2).T
        self.class_ids = np.array([dataset.ground_truths[photo].class_ids[row] for photo, row in rows], np.int64)

    def name(self, index: int) -> str:
        return f"{self._dataset.image_paths[self.groups[index]]}, object {self._rows[index] + 1}"

    def read(self, index: int) -> Image:
        photo = self.groups[index]
        image = read_image(self._dataset.image_paths[photo])
        truth = self._dataset.ground_truths[photo].rescaled(image.width, image.height)
        left, top, right, bottom = truth.boxes[self._rows[index]].astype(int)
        left, top = min(max(left, 0), image.width - 1), min(max(top, 0), image.height - 1)
        return Image(image.pixels[top : max(bottom, top + 1), left : max(right, left + 1)], self.name(index))

    def order(self, generator: np.random.Generator) -> np.ndarray:
        return generator.permutation(len(self.class_ids))


def _usable(ignored: np.ndarray) -> list[int]:
    return np.flatnonzero(~ignored).tolist()


def open_photos(config: PhotosConfig) -> PhotoSource:
    """The photos that a configuration names.

    Raises:
        ConfigurationError: shards without a list of classes.
        ImageError: a folder without photos.
        DataError: photos, shards, annotations or lists are missing or malformed.
    """
    root = Path(config.root)
    if not root.is_dir():
        raise DataError(f"cannot read the photos in {root}: there is no such folder; check data.root")
    if config.layout == "objects":
        return ObjectPhotos(read_dataset(Collection(config.dataset), root, config.split))
    if config.layout == "shards":
        if config.classes is None:
            raise ConfigurationError(f"the shards in {root} hold class ids only; name the list of classes in classes")
        return ShardPhotos(root, read_class_list(Path(config.classes)))
    classes = _folder_names(root) if config.classes is None else read_class_list(Path(config.classes))
    labels = None if config.labels is None else Path(config.labels)
    return FolderPhotos(find_labelled_photos(root, classes, labels), classes)


def _folder_names(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(path.name for path in root.iterdir() if path.is_dir()))
    if not names:
        raise DataError(f"the folder {root} has no folders, one per class; make them, or name a list of classes")
    return names


def hold_out(source: PhotoSource, num_photos: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices for training and of samples kept out of it: those of `num_photos` photos, evenly spaced.

    Raises:
        ConfigurationError: nothing would be left.
    """
    groups = np.unique(source.groups)
    if num_photos >= len(groups):
        raise ConfigurationError(
            f"held_out is {num_photos}, but there are {len(groups)} photos in all; keep out fewer of them"
        )
    chosen = groups[np.linspace(0, len(groups) - 1, num_photos).round().astype(int)]
    kept_out = np.isin(source.groups, chosen)
    return np.flatnonzero(~kept_out), np.flatnonzero(kept_out)
