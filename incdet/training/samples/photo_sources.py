"""The photos that a classifier learns from: folders, tar shards, or the objects of a detection data set."""

import os
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from incdet.config.sections import Section
from incdet.data.class_names import read_class_list
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.imagenet import LabelledPhotos, find_labelled_photos
from incdet.data.photo_frame import fit_to_photo
from incdet.data.readers import Collection, read_dataset
from incdet.data.shards import ShardPhotos
from incdet.errors import ConfigurationError, DataError
from incdet.images import read_image
from incdet.ops.even_spacing import evenly_spaced_with_ends
from incdet.runtime.counted_words import counted
from incdet.runtime.photo_search import is_hidden_folder
from incdet.structures import Image


class PhotosConfig(Section):
    """Photos of known classes.

    Attributes:
        layout: "folders" of photos, as `incdet evaluate-classification` reads them; "shards", tar files as WebDataset
            writes them; "objects", the boxes of a detection data set, each a photo of its own.
        root: folder of the photos, the shards or the data set.
        classes: file of the classes, one on each line; WordNet ids may be followed by their names. None takes the
            names of the folders in alphabetical order. Objects have the classes of their data set.
        labels: file of lines "<file> <class>", or ILSVRC's LOC_val_solution.csv; None takes a photo's folder as its
            class. Only for folders.
        dataset: layout of the detection data set, as for `incdet evaluate`. Only for objects.
        split: split of the detection data set. Only for objects.
    """

    layout: Literal["folders", "shards", "objects"] = "folders"
    root: str
    classes: str | None = None
    labels: str | None = None
    dataset: Literal["voc", "coco", "ilsvrc", "yolo"] = "voc"
    split: str = "train"


class PhotoSource(Protocol):
    """N photos of known classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the C classes."""

    @property
    def class_ids(self) -> np.ndarray:
        """[N] int64, class of every photo."""

    @property
    def groups(self) -> np.ndarray:
        """[N] int64; samples of one group, such as objects of one photo, belong on the same side of a split."""

    def name(self, index: int) -> str:
        """Name of the photo in messages."""

    def read(self, index: int) -> Image:
        """Reads the photo.

        Raises:
            ImageError: the photo cannot be read.
        """

    def order(self, generator: np.random.Generator) -> np.ndarray:
        """Returns every index once, [N] int64, in a random order in which reading is fast."""


class FolderPhotos:
    """A `PhotoSource` of single files."""

    def __init__(self, photos: LabelledPhotos, class_names: tuple[str, ...]):
        self.class_names, self.class_ids = class_names, photos.class_ids
        self.groups = np.arange(len(photos.paths))
        # one array and not a list of a million objects: counting references to objects copies the memory that the
        # workers share
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
        # the same photos are kept out of training whatever the order in which the annotations list them
        dataset = dataset.subset(dataset.by_file_name())
        self.class_names, self._dataset = dataset.class_names, dataset
        # of every sample, the photo and the object's row in the photo's annotation; ignored objects get no sample
        rows = [np.flatnonzero(~truth.ignored) for truth in dataset.ground_truths]
        counts = [len(rows_of_photo) for rows_of_photo in rows]
        self.groups = np.repeat(np.arange(len(rows)), counts)
        self._rows = np.concatenate([np.zeros(0, np.int64), *rows])
        class_ids = [truth.class_ids[~truth.ignored] for truth in dataset.ground_truths]
        self.class_ids = np.concatenate([np.zeros(0, np.int64), *class_ids])

    def name(self, index: int) -> str:
        return f"{self._dataset.image_paths[self.groups[index]]}, object {self._rows[index] + 1}"

    def read(self, index: int) -> Image:
        photo = self.groups[index]
        image = read_image(self._dataset.image_paths[photo])
        path = self._dataset.image_paths[photo]
        truth = fit_to_photo(self._dataset.ground_truths[photo], image.width, image.height, path)
        left, top, right, bottom = truth.boxes[self._rows[index]].astype(int)
        # boxes beyond the border or thinner than a pixel still give a photo of one pixel at least
        left, top = min(max(left, 0), image.width - 1), min(max(top, 0), image.height - 1)
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        return Image(image.pixels[top:bottom, left:right], self.name(index))

    def order(self, generator: np.random.Generator) -> np.ndarray:
        return generator.permutation(len(self.class_ids))


def open_photos(config: PhotosConfig, warn: Warn = no_warning) -> PhotoSource:
    """Opens the photos that a configuration names.

    Args:
        config: the choice of the photos.
        warn: takes a sentence about every oddity of the files.

    Raises:
        ConfigurationError: shards come without a list of classes.
        ImageError: a folder has no photos.
        DataError: photos, shards, annotations or lists are missing or malformed, or there is nothing in them.
    """
    root = Path(config.root)
    if not root.is_dir():
        raise DataError(f"cannot read the photos in {root}: there is no such folder; check data.root")
    source = _open_layout(config, root, warn)
    if not len(source.class_ids):
        what = "photos of known classes"
        if config.layout == "objects":
            what = f"objects that count in its split '{config.split}'"
        raise DataError(f"cannot use the data in {root}: there are no {what}; check the annotations and the classes")
    return source


def _open_layout(config: PhotosConfig, root: Path, warn: Warn) -> PhotoSource:
    """Opens the photos as their layout asks; see `open_photos`."""
    if config.layout == "objects":
        return ObjectPhotos(read_dataset(Collection(config.dataset), root, config.split, warn=warn))
    if config.layout == "shards":
        if config.classes is None:
            raise ConfigurationError(f"the shards in {root} hold class ids only; name the list of classes in classes")
        return ShardPhotos(root, read_class_list(Path(config.classes)))
    classes = _folder_names(root) if config.classes is None else read_class_list(Path(config.classes))
    labels = None if config.labels is None else Path(config.labels)
    return FolderPhotos(find_labelled_photos(root, classes, labels, warn), classes)


def _folder_names(root: Path) -> tuple[str, ...]:
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    names = tuple(name for name in folders if not is_hidden_folder(name))
    if not names:
        raise DataError(f"the folder {root} has no folders, one per class; make them, or name a list of classes")
    return names


def hold_out_photos(source: PhotoSource, num_photos: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits a source into samples to train on and samples of evenly spaced photos that are kept out of training.

    Args:
        source: the photos.
        num_photos: number of photos that are kept out, with all their samples.

    Returns:
        Indices of the samples for training and of those kept out, int64.

    Raises:
        ConfigurationError: nothing would be left to train on.
    """
    groups = np.unique(source.groups)
    if num_photos >= len(groups):
        raise ConfigurationError(
            f"validation_images is {num_photos}, but the data has only {counted(len(groups), 'photo')}; keep out fewer"
        )
    # whole photos are kept out: objects of one photo on both sides would make the validation too easy
    chosen = groups[evenly_spaced_with_ends(len(groups), num_photos)]
    kept_out = np.isin(source.groups, chosen)
    return np.flatnonzero(~kept_out), np.flatnonzero(kept_out)
