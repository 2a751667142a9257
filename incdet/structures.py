"""The values that flow through the pipeline. They are small and frozen, and they are checked when they are made.

Shape letters of every docstring: H height, W width, B batch, R regions, N boxes, P priors, C classes (without
background), M members. Boxes are float32 [N, 4], x1 y1 x2 y2 in pixels of the upright original image, 0-based and
half-open.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

LARGEST_COORDINATE = 1e9
"""Largest coordinate in files, in pixels. No image is larger, so a larger number is a mistake."""


def require(condition: bool, owner: object, expected: str, got: object) -> None:
    """Raises ValueError unless the condition holds.

    Args:
        condition: The condition.
        owner: The value that is checked; the message names its class.
        expected: The condition in words.
        got: The value that breaks it.
    """
    if not condition:
        raise ValueError(f"{type(owner).__name__}: expected {expected}, got {got}")


def require_array(owner: object, name: str, dtype: Any, *shape: int | None) -> None:
    """Checks dtype and shape of a field.

    Args:
        owner: The value that is checked.
        name: Name of the field.
        dtype: The expected dtype.
        shape: The expected lengths; None stands for any length.
    """
    array = getattr(owner, name)
    letters = ", ".join("N" if size is None else str(size) for size in shape)
    expected = f"{name} to be a {np.dtype(dtype).name} array [{letters}]"
    got = f"{type(array).__name__} {getattr(array, 'dtype', '')} {list(getattr(array, 'shape', ()))}"
    matches = isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == len(shape)
    matches = matches and all(want in (None, size) for want, size in zip(shape, array.shape, strict=True))
    require(matches, owner, expected, got)


def require_boxes(owner: object, boxes: np.ndarray) -> None:
    """Checks that `owner.boxes` are [N, 4] float32 and finite, and that their corners are in order."""
    require_array(owner, "boxes", np.float32, None, 4)
    require(bool(np.isfinite(boxes).all()), owner, "finite boxes", "NaN or infinity")
    ordered = bool((boxes[:, 2:] >= boxes[:, :2]).all())
    require(ordered, owner, "boxes with x1 <= x2 and y1 <= y2", "a box with its corners exchanged")


@dataclass(frozen=True, eq=False)
class Image:
    """An upright photo.

    Attributes:
        pixels: [H, W, 3] uint8, RGB. A view that does not lie row by row in memory is copied.
        name: The image's path as the user gave it, or "array", "bytes" or "picture"; default "array".
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

    def apart_from(self, source: object) -> Image:
        """Returns the photo with pixels of its own where they are those of an array, which others may change.

        Args:
            source: The photo as it was given. Whoever reads a video may use one array for all frames.
        """
        is_borrowed = isinstance(source, np.ndarray) and np.shares_memory(self.pixels, source)
        return Image(self.pixels.copy(), self.name) if is_borrowed else self


@dataclass(frozen=True, eq=False)
class Proposals:
    """Boxes that may hold an object of any class, best first.

    Attributes:
        boxes: [N, 4] float32, xyxy pixels.
        scores: [N] float32, descending within each source; not comparable between sources.
        sources: [N] str, the proposer of each box ("selective_search", "multibox").
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
        """Returns the proposals that a slice, a boolean mask or an integer array selects."""
        return Proposals(self.boxes[index], self.scores[index], self.sources[index])


@dataclass(frozen=True, eq=False)
class RegionScores:
    """Class probabilities of every region of an image. NMS and evaluation can be repeated from them.

    Attributes:
        boxes: [R, 4] float32, xyxy pixels: the proposals, moved by box deltas where a network has them.
        probabilities: [R, C] float32 in [0, 1]. The background is left out, so a row sums to at most 1.
        by_network: [M, R, C] float32 in [0, 1], the probabilities of each network, or None where they were not kept.
            The rejection network comes first, if the detector has one, then the members. Where a region did not reach
            a member, its row is that of the rejection network. Of a namer see `NamingScorer` and
            `RenamingScorer`.
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
    """The class probabilities of a whole photo.

    Attributes:
        image: The image's name.
        width: The image's width in pixels.
        height: The image's height in pixels.
        probabilities: [C] float32 in [0, 1].
        class_names: The C classes, without background.
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
        """Returns the k most probable classes with their probabilities, best first; equal ones by class id."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.class_names[class_id], float(self.probabilities[class_id])) for class_id in order]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The annotated objects of one image.

    Attributes:
        image: The image's name in its data set: the file's stem.
        width: Width of the image to which the boxes refer, in pixels; 0 where the annotation states none.
        height: Height of the same image, in pixels; 0 where the annotation states none.
        boxes: [N, 4] float32, xyxy pixels.
        class_ids: [N] int64, index into the data set's class names.
        ignored: [N] bool, whether the object is neither required nor wrong to find (VOC `difficult`, COCO `iscrowd`).
        num_impossible: Number of further objects whose boxes are impossible, so that nobody knows where they are;
            default 0. Training takes no background from such a photo.
    """

    image: str
    width: int
    height: int
    boxes: np.ndarray
    class_ids: np.ndarray
    ignored: np.ndarray
    num_impossible: int = 0

    def __post_init__(self) -> None:
        require_boxes(self, self.boxes)
        require_array(self, "class_ids", np.int64, len(self.boxes))
        require_array(self, "ignored", np.bool_, len(self.boxes))

    def __len__(self) -> int:
        return len(self.boxes)

    def rescaled(self, width: int, height: int) -> GroundTruth:
        """Returns the same objects for an image of another size.

        Some annotations state another size than their file has. The pixels decide.

        Args:
            width: The new width in pixels.
            height: The new height in pixels.
        """
        return replace(
            self,
            width=width,
            height=height,
            boxes=rescaled_boxes(self.boxes, (self.width, self.height), (width, height)),
        )


def rescaled_boxes(boxes: np.ndarray, size: tuple[int, int], new_size: tuple[int, int]) -> np.ndarray:
    """Returns boxes [N, 4] float32 for the same image at another size; unchanged where a size is not stated (0).

    Args:
        boxes: [N, 4] float32, xyxy pixels of the image at `size`.
        size: Width and height in pixels.
        new_size: New width and height in pixels.
    """
    if size == new_size or min(*size, *new_size) < 1:
        return boxes
    return boxes * np.array([new_size[0] / size[0], new_size[1] / size[1]] * 2, np.float32)


def require_class_ids(owner: object, class_ids: np.ndarray, class_names: tuple[str, ...]) -> None:
    """Checks that class ids [N] lie in 0..C-1."""
    inside = bool(((class_ids >= 0) & (class_ids < len(class_names))).all())
    require(inside, owner, f"class ids 0..{len(class_names) - 1}", class_ids.tolist()[:5])
