"""The numbers that evaluations under all rules have in common, as JSON."""

from typing import Any, Protocol

import numpy as np

from incdet.ops.decimals import plain_number


class Results(Protocol):
    """The common part of an evaluation under ILSVRC's, VOC's or COCO's rules."""

    @property
    def rules(self) -> str: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def mean_average_precision(self) -> float: ...
    @property
    def median_average_precision(self) -> float: ...
    @property
    def average_precision(self) -> np.ndarray: ...
    @property
    def num_objects(self) -> np.ndarray: ...
    @property
    def num_images(self) -> int: ...
    @property
    def num_detections(self) -> int: ...


def results_json(results: Results) -> dict[str, Any]:
    """Returns plain numbers at full precision; the AP of a class without objects is null."""
    return {
        "rules": results.rules,
        "mAP": plain_number(results.mean_average_precision),
        "median_AP": plain_number(results.median_average_precision),
        "ap": dict(zip(results.class_names, map(plain_number, results.average_precision), strict=True)),
        "num_images": results.num_images,
        "num_detections": results.num_detections,
        "num_ground_truth": int(results.num_objects.sum()),
    }
