"""PASCAL VOC: `Annotations/*.xml`, `ImageSets/Main/<split>.txt`, `JPEGImages/*.jpg`."""

from pathlib import Path

from incdet.data.dataset import Dataset
from incdet.data.xml_annotations import VOC_BOXES, read_annotation, read_image_names

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
    names = read_image_names(root / "ImageSets" / "Main" / f"{split}.txt")
    class_ids = {name: index for index, name in enumerate(class_names)}
    ground_truths = [read_annotation(root / "Annotations" / f"{name}.xml", class_ids, VOC_BOXES) for name in names]
    paths = tuple(root / "JPEGImages" / f"{name}.jpg" for name in names)
    return Dataset(f"{root.resolve().name} {split}", class_names, paths, tuple(ground_truths))
