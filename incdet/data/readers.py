"""Any collection -> `Dataset`."""

from pathlib import Path
from typing import Literal

from incdet.data.coco import read_coco_folder
from incdet.data.dataset import Dataset
from incdet.data.ilsvrc import read_ilsvrc
from incdet.data.voc import read_voc
from incdet.errors import DataError

Collection = Literal["voc", "coco", "ilsvrc"]


def read_dataset(collection: Collection, root: Path | str, split: str) -> Dataset:
    """A split of a collection in its official layout.

    Raises:
        DataError: the folder, the split or an annotation is missing or malformed.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"cannot read the data set {root}: there is no such folder; check --root")
    readers = {"voc": read_voc, "coco": read_coco_folder, "ilsvrc": read_ilsvrc}
    return readers[collection](root, split)
