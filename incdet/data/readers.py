"""The reader for every collection: VOC, COCO, ILSVRC, YOLO and tar shards become the same `Dataset`."""

from pathlib import Path
from typing import Literal

from incdet.data.coco import read_coco_folder
from incdet.data.collection import Collection as Collection  # callers of `read_dataset` need it
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.ilsvrc import IlsvrcFiles, read_ilsvrc
from incdet.data.layouts import require_folder
from incdet.data.object_shards import read_object_shards
from incdet.data.voc import read_voc
from incdet.data.yolo import read_yolo
from incdet.errors import ConfigurationError, DataError
from incdet.runtime.addresses import find_address


def read_dataset(
    collection: Collection | Literal["voc", "coco", "ilsvrc", "yolo", "shards"],
    root: Path | str,
    split: str,
    files: IlsvrcFiles | None = None,
    cache: Path | None = None,
    num_processes: int = 1,
    warn: Warn = no_warning,
) -> Dataset:
    """Reads a split of a collection in its official layout.

    Args:
        collection: The layout.
        root: The collection's folder; of shards, it may be an address such as s3://bucket/folder.
        split: Name of the split, such as "val".
        files: Replacements of ILSVRC's class map and blacklist; ignored for other layouts.
        cache: Folder of the cache of parsed annotations, default none; used for ILSVRC.
        num_processes: Number of processes that parse annotations, default 1; used for ILSVRC.
        warn: Function that is told about objects that do not count.

    Example:
        >>> dataset = read_dataset("voc", "VOC2012", "val")  # doctest: +SKIP
        >>> len(dataset), dataset.class_names[0]  # doctest: +SKIP
        (5823, 'aeroplane')

    Raises:
        ConfigurationError: There is no such layout.
        DataError: The folder, the split or an annotation is missing or malformed, or two photos have the same name.
    """
    if collection == "shards" or find_address(root) is not None:
        dataset = _read_shards(collection, root, split, warn)
        _require_different_names(dataset)
        return dataset
    root = Path(root)
    require_folder(root)
    if collection == "ilsvrc":
        dataset = read_ilsvrc(root, split, files, cache, num_processes, warn)
    elif collection == "voc":
        dataset = read_voc(root, split, warn)
    elif collection == "coco":
        dataset = read_coco_folder(root, split, warn)
    elif collection == "yolo":
        dataset = read_yolo(root, split, warn)
    else:
        raise ConfigurationError(
            f"there is no layout of data sets '{collection}'; give voc, coco, yolo, ilsvrc or shards"
        )
    _require_different_names(dataset)
    return dataset


def _read_shards(collection: Collection | str, root: Path | str, split: str, warn: Warn) -> Dataset:
    """Reads shards from a folder or an address.

    Raises:
        DataError: Other layouts than shards are wanted at an address, or the shards cannot be read.
    """
    address = find_address(root)
    if address is None:
        require_folder(Path(root))
    elif collection != "shards":
        raise DataError(
            f"cannot read {address} in the layout {collection}: at addresses, data sets lie in tar shards; write them "
            "with incdet.data.shard_writer, or download the data set"
        )
    return read_object_shards(root, split, warn)


def _require_different_names(dataset: Dataset) -> None:
    """Raises DataError where two photos have the same name, because files of results identify photos by their names."""
    known: dict[str, Path] = {}
    for path, truth in dataset:
        if truth.image in known:
            both = f"{known[truth.image]} and {path}"
            raise DataError(f"{both} in {dataset.name} have the same name; give every photo a name of its own")
        known[truth.image] = path
