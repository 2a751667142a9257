"""The values that flow through the pipeline: small, frozen, checked when made.

Shape letters, used in every docstring: H height, W width, B batch, R regions, N boxes, C classes (without background),
M models. Boxes are float32 [N, 4], x1 y1 x2 y2 in pixels of the upright original image, 0-based and half-open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


def require(condition: bool, owner: object, expected: str, got: object) -> None:
    """Raises ValueError that names the value's class, what was expected and what came."""
    if not condition:
        raise ValueError(f"{type(owner).__name__}: expected {expected}, got {got}")


def require_array(owner: object, name: str, dtype: Any, *shape: int | None) -> None:
    """Checks dtype and shape of a field; None stands for any length."""
    array = getattr(owner, name)
    letters = ", ".join("N" if size is None else str(size) for size in shape)
    expected = f"{name} to be a {np.dtype(dtype).name} array [{letters}]"
    got = f"{type(array).__name__} {getattr(array, 'dtype', '')} {list(getattr(array, 'shape', ()))}"
    matches = isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == len(shape)
    matches = matches and all(want in (None, size) for want, size in zip(shape, array.shape, strict=True))
    require(matches, owner, expected, got)


def require_boxes(owner: object, boxes: np.ndarray) -> None:
    """Checks that `owner.boxes` are [N, 4] float32, finite, with their corners in order."""
    require_array(owner, "boxes", np.float32, None, 4)
    require(bool(np.isfinite(boxes).all()), owner, "finite boxes", "NaN or infinity")
    ordered = bool((boxes[:, 2:] >= boxes[:, :2]).all())
    require(ordered, owner, "boxes with x1 <= x2 and y1 <= y2", "a box with its corners exchanged")


@dataclass(frozen=True, eq=False)
class Image:
    """An upright photo.

    Attributes:
        pixels: [H, W, 3] uint8, RGB; copied where they are a view that does not lie row by row in memory.
        name: where it came from, as the user gave it (a path), or "array", "bytes".
    """

    pixels: np.ndarray
    name: str = "array"

    def __post_init__(self) -> None:
        require_array(self, "pixels", np.uint8, None, None, 3)
        require(self.pixels.size > 0, self, "at least one pixel", list(self.pixels.shape))
        # torch takes no view that runs backwards, like OpenCV's pixels[:, :, ::-1]
        object.__setattr__(self, "pixels", np.ascontiguousarray(self.pixels))

    @property
    def height(self) -> int:
        """H, in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """W, in pixels."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True, eq=False)
class Proposals:
    """Boxes that may hold an object, best first, whatever its class.

    Attributes:
        boxes: [N, 4] float32, xyxy pixels.
        scores: [N] float32, descending; comparable only within one source.
        sources: [N] str array: the proposer that made each box ("selective_search", "multibox").
    """

    boxes: np.ndarray
    scores: np.ndarray
    sources: np.ndarray

    def __post_init__(self) -> None:
        require_boxes(self, self.boxes)
        require_array(self, "scores", np.float32, len(self.boxes))
        matches = self.sources.dtype.kind == "U" and self.sources.shape == (len(self.boxes),)
        require(matches, self, f"sources to be a str array [{len(self.boxes)}]", self.sources.dtype)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Any) -> Proposals:
        """A slice, boolean mask or integer array selects rows."""
        return Proposals(self.boxes[index], self.scores[index], self.sources[index])


@dataclass(frozen=True, eq=False)
class RegionScores:
    """Class probabilities of every region of an image; what NMS and the evaluation can be repeated from.

    Attributes:
        boxes: [R, 4] float32, xyxy pixels: the proposals, or where a regression has moved them.
        probabilities: [R, C] float32 in [0, 1], background dropped (a row sums to at most 1).
        by_network: [N, R, C], the same, of every network: the first stage, if any, and the members, which have its
            answer where they did not look; None where that was not kept.
    """

    boxes: np.ndarray
    probabilities: np.ndarray
    by_network: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_boxes(self, self.boxes)
        require_array(self, "probabilities", np.float32, len(self.boxes), None)
        for values in (self.probabilities, self.by_network):
            inside = values is None or bool(((values >= 0) & (values <= 1 + 1e-6)).all())
            require(inside, self, "probabilities in [0, 1]", "a value outside")
        if self.by_network is not None:
            require_array(self, "by_network", np.float32, None, *self.probabilities.shape)

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class Classification:
    """What a whole photo shows.

    Attributes:
        image: the image's name.
        width, height: the image's size in pixels.
        probabilities: [C] float32 in [0, 1].
        class_names: the C classes, without background.
    """

    image: str
    width: int
    height: int
    probabilities: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        require_array(self, "probabilities", np.float32, len(self.class_names))
        inside = bool(((self.probabilities >= 0) & (self.probabilities <= 1 + 1e-6)).all())
        require(inside, self, "probabilities in [0, 1]", "a value outside")

    def best(self, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable classes with their probabilities, best first; equal ones by class id."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.class_names[class_id], float(self.probabilities[class_id])) for class_id in order]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The annotated objects of one image.

    Attributes:
        image: the image's name in its data set: the file's stem.
        width, height: the size the boxes refer to, in pixels.
        boxes: [N, 4] float32, xyxy pixels.
        class_ids: [N] int64, index into the data set's class names.
        ignored: [N] bool: neither required nor wrong to find (VOC `difficult`, COCO `iscrowd`).
    """

    image: str
    width: int
    height: int
    boxes: np.ndarray
    class_ids: np.ndarray
    ignored: np.ndarray

    def __post_init__(self) -> None:
        require_boxes(self, self.boxes)
        require_array(self, "class_ids", np.int64, len(self.boxes))
        require_array(self, "ignored", np.bool_, len(self.boxes))

    def __len__(self) -> int:
        return len(self.boxes)

    def rescaled(self, width: int, height: int) -> GroundTruth:
        """The same objects for a file of another size than the annotation states: the pixels are right."""
        return replace(
            self,
            width=width,
            height=height,
            boxes=rescaled_boxes(self.boxes, (self.width, self.height), (width, height)),
        )


def rescaled_boxes(boxes: np.ndarray, size: tuple[int, int], new_size: tuple[int, int]) -> np.ndarray:
    """Boxes [N, 4] as they lie in the same image at another size; where a size is not stated (0), as they are.

    Args:
        boxes: [N, 4] float32, xyxy pixels of the image at `size`.
        size: (width, height) in pixels.
        new_size: (width, height) in pixels.
    """
    if size == new_size or min(*size, *new_size) < 1:
        return boxes
    return boxes * np.array([new_size[0] / size[0], new_size[1] / size[1]] * 2, np.float32)


def require_class_ids(owner: object, class_ids: np.ndarray, class_names: tuple[str, ...]) -> None:
    inside = bool(((class_ids >= 0) & (class_ids < len(class_names))).all())
    require(inside, owner, f"class ids 0..{len(class_names) - 1}", class_ids.tolist()[:5])
