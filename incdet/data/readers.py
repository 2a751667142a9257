"""Any collection -> `Dataset`."""

from enum import StrEnum
from pathlib import Path

from incdet.data.coco import read_coco_folder
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.ilsvrc import IlsvrcFiles, read_ilsvrc
from incdet.data.voc import read_voc
from incdet.errors import DataError


class Collection(StrEnum):
    """Layout of the data set's folder."""

    voc = "voc"
    coco = "coco"
    ilsvrc = "ilsvrc"


def read_dataset(
    collection: Collection,
    root: Path | str,
    split: str,
    files: IlsvrcFiles | None = None,
    cache: Path | None = None,
    num_processes: int = 1,
    warn: Warn = no_warning,
) -> Dataset:
    """A split of a collection in its official layout.

    Args:
        collection: whose layout.
        root: the collection's folder.
        split: its name there.
        files: ILSVRC only, see `read_ilsvrc`; so are the next two.
        cache: folder that keeps parsed annotations.
        num_processes: that parse them.
        warn: told what does not count.

    Raises:
        DataError: the folder, the split or an annotation is missing or malformed, or two photos have the same name.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"cannot read the data set {root}: there is no such folder; check --root")
    if collection == "ilsvrc":
        dataset = read_ilsvrc(root, split, files, cache, num_processes, warn)
    else:
        dataset = read_voc(root, split, warn) if collection == "voc" else read_coco_folder(root, split)
    _require_names(dataset)
    return dataset


def _require_names(dataset: Dataset) -> None:
    """Results go by the names of photos."""
    known: dict[str, Path] = {}
    for path, truth in dataset:
        if truth.image in known:
            both = f"{known[truth.image]} and {path}"
            raise DataError(f"{both} in {dataset.name} have the same name; give every photo a name of its own")
        known[truth.image] = path
