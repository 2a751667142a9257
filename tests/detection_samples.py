"""Detections and photos for tests of writers and drawing."""

import numpy as np

from incdet.detections import Detections
from incdet.structures import Image

CLASSES = ("cat", "dog", "cow")


def detections(boxes, scores, class_ids, image="photos/a.jpg", size=(100, 80)):
    return Detections(
        image=image,
        width=size[0],
        height=size[1],
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        class_ids=np.array(class_ids, np.int64),
        class_names=CLASSES,
    )


def random_detections(seed, count=20):
    generator = np.random.default_rng(seed)
    corners = np.sort(generator.uniform(0, 80, (count, 2, 2)), axis=1)
    return detections(corners.reshape(-1, 4), generator.random(count), generator.integers(0, 3, count))


def grey(width=100, height=80):
    return Image(np.full((height, width, 3), 90, np.uint8), "grey")
