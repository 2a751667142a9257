"""The photos that judge a network in training: those of a split of their own, or some that are kept out of training."""

from pathlib import Path

from incdet.data.dataset import Dataset, Warn
from incdet.data.layouts import MissingSplitError, split_synonyms
from incdet.data.readers import Collection, read_dataset
from incdet.errors import DataError
from incdet.ops.even_spacing import evenly_spaced_with_ends

MAX_VALIDATION_PHOTOS = 32
"""Largest number of photos that are kept out of training where nothing else is said."""

MAX_SPLIT_PHOTOS = 100
"""Largest number of photos of a split of their own that judge a network where nothing else is said."""

USUAL_SPLIT = "val"
"""The split that judges a network by itself, where the data set has it."""


def find_validation_split(
    dataset: Dataset, collection: Collection, root: Path, split: str, warn: Warn
) -> Dataset | None:
    """Returns photos of the data set's own split for validation; None where it has none, or none that can be used.

    ILSVRC's is left alone: its 20,000 annotations take longer to read than they help.

    Args:
        dataset: Photos that are learnt.
        collection: Layout of the data set.
        root: Folder of the data set.
        split: Split that is learnt.
        warn: Function that is told why a split of that name cannot be used.
    """
    if collection == Collection.ilsvrc or split in split_synonyms(USUAL_SPLIT):
        return None
    try:
        return read_validation_split(dataset, collection, root, USUAL_SPLIT, None, warn)
    except MissingSplitError:
        return None
    except DataError as error:
        warn(f"photos of the split '{split}' are kept for validation, because '{USUAL_SPLIT}' cannot be used: {error}")
        return None


def read_validation_split(
    dataset: Dataset, collection: Collection, root: Path, split: str, wanted: int | None, warn: Warn
) -> Dataset:
    """Returns photos of a split that judge the network.

    Args:
        dataset: Photos that are learnt.
        collection: Layout of the data set.
        root: Folder of the data set.
        split: Split of the validation.
        wanted: Number of photos, evenly spaced by their names; None is all of them, but 100 at most.
        warn: Function that is told about peculiarities of the annotations.

    Raises:
        DataError: The split cannot be read, has other classes than the photos that are learnt, or shares photos with
            them.
    """
    validation = read_dataset(collection, root, split, warn=warn)
    # class ids of one split mean nothing in another with other names
    if validation.class_names != dataset.class_names:
        raise DataError(f"the splits {dataset.name} and {validation.name} differ in their classes; correct one of them")
    # descriptions in YOLO's layout often name one folder for both
    if set(validation.image_paths) & set(dataset.image_paths):
        raise DataError(
            f"the splits {dataset.name} and {validation.name} have photos in common, which cannot judge what was "
            "learnt from them; give other photos"
        )
    return validation.subset(_spread(validation, min(len(validation), MAX_SPLIT_PHOTOS if wanted is None else wanted)))


def num_validation_photos(num_photos: int, wanted: int | None) -> int:
    """Returns the number of photos that are kept out of training.

    >>> [num_validation_photos(number, None) for number in (1, 8, 40, 3482)]
    [0, 1, 4, 32]

    Args:
        num_photos: Number of photos of the split.
        wanted: `DataConfig.validation_images`; None is a tenth of the photos, between 1 and 32, but not the only one.
    """
    if wanted is not None:
        return wanted
    return min(max(num_photos // 10, 1), MAX_VALIDATION_PHOTOS, num_photos - 1)


def split_validation(
    dataset: Dataset, wanted: int | None, validation: Dataset | None = None
) -> tuple[Dataset, Dataset]:
    """Splits a data set into photos to train on and photos for validation, evenly spaced by their files' names.

    The same photos are chosen in every layout of a data set, whatever the order in which it lists them.

    Args:
        dataset: The photos.
        wanted: Number of photos for validation; see `num_validation_photos`.
        validation: Photos of another split, with which all photos of the data set are trained on; default none.

    Returns:
        The photos to train on and those for validation.

    Raises:
        DataError: No photo is left to train on.
    """
    if validation is not None:
        return dataset, validation
    num_validation = num_validation_photos(len(dataset), wanted)
    chosen = _spread(dataset, num_validation)
    training = sorted(set(range(len(dataset))) - set(chosen))
    if not training:
        raise DataError(
            f"no photo is left to train on: {dataset.name} has {len(dataset)}, and data.validation_images keeps "
            f"{num_validation} for validation; lower it, or give more photos"
        )
    return dataset.subset(training), dataset.subset(chosen)


def _spread(dataset: Dataset, count: int) -> list[int]:
    """Returns the indices of evenly spaced photos in the order of their names, ascending."""
    # the order of names is the same in every layout, that of lists and documents is not
    order = dataset.by_file_name()
    return sorted(order[place] for place in evenly_spaced_with_ends(len(order), count).tolist())
