"""Detections as files of labelling programs: YOLO's text files, LabelMe's JSON and CVAT's XML."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from xml.etree import ElementTree

import numpy as np

from incdet.detections import Detections
from incdet.ops.decimals import shortest_decimals
from incdet.output.writers import xml_text

_YOLO_DIGITS = 8
"""Decimals of YOLO's shares: of a photo of 10,000 pixels a hundred-millionth is a ten-thousandth of a pixel."""

LABELME_VERSION = "5.0.0"
"""Version of LabelMe's form that is written."""

CVAT_VERSION = "1.1"
"""Version of CVAT's form "CVAT for images" that is written."""


def yolo_text(detections: Detections) -> str:
    """Returns YOLO's labels of one photo, a line for each detection: class, centre x and y, width, height.

    The numbers are shares of the photo's sides. Scores are left out, because readers of labels expect five columns.
    """
    low, high = np.split(detections.boxes.astype(np.float64), 2, axis=1)
    sides = np.array([detections.width, detections.height])
    columns = np.concatenate([(low + high) / 2 / sides, (high - low) / sides], axis=1)
    rows = zip(detections.class_ids.tolist(), columns.tolist(), strict=True)
    return "".join(f"{class_id} {' '.join(f'{value:.{_YOLO_DIGITS}f}' for value in row)}\n" for class_id, row in rows)


def labelme_document(detections: Detections) -> dict[str, Any]:
    """Returns LabelMe's JSON of one photo: a rectangle for each detection, its score in the description."""
    scores = shortest_decimals(detections.scores)
    shapes: list[dict[str, Any]] = []
    for label, score, box in zip(detections.labels, scores, shortest_decimals(detections.boxes), strict=True):
        shapes.append(
            {
                "label": label,
                "points": [box[:2], box[2:]],
                "group_id": None,
                "description": f"score {score}",
                "shape_type": "rectangle",
                "flags": {},
            }
        )
    return {
        "version": LABELME_VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": PurePath(detections.image).name,
        "imageData": None,
        "imageHeight": detections.height,
        "imageWidth": detections.width,
    }


def cvat_xml(found: Iterable[Detections]) -> str:
    """Returns CVAT's XML ("CVAT for images") of all photos: boxes in pixels, which CVAT marks as made by a program.

    CVAT takes it as annotations of a task that has these photos and labels. The score of a box is an attribute, which
    CVAT keeps where the label has an attribute of that name and ignores elsewhere.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = CVAT_VERSION
    for number, detections in enumerate(found):
        photo = {"id": str(number), "name": xml_text(detections.image)}
        size = {"width": str(detections.width), "height": str(detections.height)}
        image = ElementTree.SubElement(root, "image", photo | size)
        scores = shortest_decimals(detections.scores)
        for label, score, box in zip(detections.labels, scores, shortest_decimals(detections.boxes), strict=True):
            corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), map(str, box), strict=True))
            marks = {"label": xml_text(label), "source": "auto", "occluded": "0", "z_order": "0"}
            element = ElementTree.SubElement(image, "box", marks | corners)
            ElementTree.SubElement(element, "attribute", name="score").text = str(score)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
