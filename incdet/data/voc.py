"""PASCAL VOC: `Annotations/*.xml`, `ImageSets/Main/<split>.txt`, `JPEGImages/*.jpg`."""

from pathlib import Path

from incdet.data.annotation_set import read_annotations
from incdet.data.dataset import Dataset
from incdet.data.xml_annotations import VOC_BOXES, read_image_list

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def read_voc(root: Path | str, split: str, class_names: tuple[str, ...] = VOC_CLASSES) -> Dataset:
    """A split of a folder in VOC's layout; any class names work, so own data can take this form.

    Raises:
        DataError: the split or an annotation is missing or malformed.
    """
    root = Path(root)
    names = tuple(name for name, _ in read_image_list(root / "ImageSets" / "Main" / f"{split}.txt"))
    class_ids = {name: index for index, name in enumerate(class_names)}
    truths, _ = read_annotations([root / "Annotations" / f"{name}.xml" for name in names], class_ids, VOC_BOXES)
    return Dataset(
        name=f"{root.resolve().name} {split}",
        class_names=class_names,
        image_paths=tuple(root / "JPEGImages" / f"{name}.jpg" for name in names),
        ground_truths=tuple(truths),
        image_ids=names,
        category_ids=tuple(range(1, len(class_names) + 1)),
    )
