"""PASCAL VOC's layout: `Annotations/*.xml`, `ImageSets/Main/<split>.txt`, `JPEGImages/*.jpg`."""

from pathlib import Path

from incdet.data.annotation_set import read_annotations, unknown_objects
from incdet.data.class_names import read_class_list
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.xml_annotations import VOC_BOXES, read_image_list

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


CLASSES_FILE = "classes.txt"
"""Name of a file in the folder of own data: its classes, one per line, which replace VOC's."""


def read_voc(root: Path | str, split: str, warn: Warn = no_warning) -> Dataset:
    """Reads a split of a folder in VOC's layout. Own data in this form names its classes in `classes.txt`.

    Args:
        root: The folder.
        split: Name of the split in ImageSets/Main.
        warn: Function that is told about objects of unknown classes.

    Raises:
        DataError: The split or an annotation is missing or malformed, or a class is listed twice.
    """
    root = Path(root)
    own = root / CLASSES_FILE
    class_names = read_class_list(own) if own.is_file() else VOC_CLASSES
    # VOC's lists of single classes have a second column, 1 or -1, which says nothing about the annotations
    names = tuple(name for name, _ in read_image_list(root / "ImageSets" / "Main" / f"{split}.txt"))
    class_ids = {name: index for index, name in enumerate(class_names)}
    truths, unknown = read_annotations([root / "Annotations" / f"{name}.xml" for name in names], class_ids, VOC_BOXES)
    if unknown:
        warn(unknown_objects(unknown, str(own) if own.is_file() else "PASCAL VOC"))
    return Dataset(
        name=f"{root.resolve().name} {split}",
        class_names=class_names,
        image_paths=tuple(root / "JPEGImages" / f"{name}.jpg" for name in names),
        ground_truths=tuple(truths),
        image_ids=names,
        category_ids=tuple(range(1, len(class_names) + 1)),
    )
