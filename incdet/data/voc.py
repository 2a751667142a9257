"""PASCAL VOC: `Annotations/*.xml`, `ImageSets/Main/<split>.txt`, `JPEGImages/*.jpg`."""

from pathlib import Path

from incdet.data.annotation_set import read_annotations, unknown_objects
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.xml_annotations import VOC_BOXES, read_image_list
from incdet.errors import DataError
from incdet.storage import read_text

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


CLASSES_FILE = "classes.txt"
"""In the folder of own data: its classes, one in a line, instead of VOC's."""


def read_voc(root: Path | str, split: str, warn: Warn = no_warning) -> Dataset:
    """A split of a folder in VOC's layout; own data in this form names its classes in `classes.txt`.

    Args:
        root: the folder.
        split: its name in ImageSets/Main.
        warn: told about objects of unknown classes.

    Raises:
        DataError: the split or an annotation is missing or malformed, or a class is listed twice.
    """
    root = Path(root)
    class_names: tuple[str, ...] = VOC_CLASSES
    known = "PASCAL VOC"
    if (root / CLASSES_FILE).is_file():
        known = str(root / CLASSES_FILE)
        lines = read_text(root / CLASSES_FILE, "the classes", "give one in a line").splitlines()
        class_names = tuple(line.strip() for line in lines if line.strip())
        if not class_names or len(set(class_names)) < len(class_names):
            found = f"{len(class_names)} lines with {len(set(class_names))} different names"
            raise DataError(f"{known} has {found}; expected every class once")
    names = tuple(name for name, _ in read_image_list(root / "ImageSets" / "Main" / f"{split}.txt"))
    class_ids = {name: index for index, name in enumerate(class_names)}
    truths, unknown = read_annotations([root / "Annotations" / f"{name}.xml" for name in names], class_ids, VOC_BOXES)
    if unknown:
        warn(unknown_objects(unknown, known))
    return Dataset(
        name=f"{root.resolve().name} {split}",
        class_names=class_names,
        image_paths=tuple(root / "JPEGImages" / f"{name}.jpg" for name in names),
        ground_truths=tuple(truths),
        image_ids=names,
        category_ids=tuple(range(1, len(class_names) + 1)),
    )
