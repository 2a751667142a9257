"""Small annotation files of data sets, for tests."""

from pathlib import Path
from xml.sax.saxutils import escape


def write(file: Path, text: str | bytes) -> Path:
    """Writes a file with its folders and returns its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def xml(objects: list, width: object = 40, height: object = 30) -> str:
    """Returns an annotation with objects (name, (xmin, ymin, xmax, ymax), difficult)."""
    parts = [f"<size><width>{width}</width><height>{height}</height></size>"]
    for name, box, difficult in objects:
        corners = "".join(f"<{key}>{v}</{key}>" for key, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        parts.append(f"<object><name>{escape(name)}</name><difficult>{difficult}</difficult>")
        parts.append(f"<part><name>head</name><bndbox>{corners}</bndbox></part><bndbox>{corners}</bndbox></object>")
    return f"<annotation>{''.join(parts)}</annotation>"


def coco(**changes: object) -> dict:
    """Returns a COCO document with three objects on three images, with other values for some of its keys."""
    annotations = [
        {"image_id": 7, "category_id": 18, "bbox": [1.5, 2, 3, 4], "iscrowd": 0},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 2, 1], "iscrowd": 1},
        {"image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]},
    ]
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 20, "height": 10} for number in (9, 7, 8)]
    categories = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]
    return {"images": images, "annotations": annotations, "categories": categories} | changes
