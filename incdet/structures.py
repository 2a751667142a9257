"""The values that flow through the pipeline: small, frozen, checked when made.

Shape letters, used in every docstring: H height, W width, B batch, R regions, N boxes, C classes (without background),
M models. Boxes are float32 [N, 4], x1 y1 x2 y2 in pixels of the upright original image, 0-based and half-open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from incdet.images import ImageSource


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
class Detections:
    """Labelled boxes of one image, best score first.

    Attributes:
        image: the image's name.
        width, height: the image's size in pixels.
        boxes: [N, 4] float32, xyxy pixels.
        scores: [N] float32 in [0, 1].
        class_ids: [N] int64, index into `class_names`.
        class_names: the C classes, without background.
        seconds: how long each stage took; empty where not measured.
    """

    image: str
    width: int
    height: int
    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    class_names: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_boxes(self, self.boxes)
        require_array(self, "scores", np.float32, len(self.boxes))
        require_array(self, "class_ids", np.int64, len(self.boxes))
        inside = bool(((self.scores >= 0) & (self.scores <= 1 + 1e-6)).all())
        require(inside, self, "scores in [0, 1]", "a value outside")
        _require_class_ids(self, self.class_ids, self.class_names)

    def rescaled(self, width: int, height: int) -> Detections:
        """The same detections in the same image at another size, such as an annotation states; 0 states none."""
        if min(width, height) < 1:
            return self
        return replace(self, width=width, height=height, boxes=_rescaled_boxes(self, width, height))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Any) -> Detections:
        """A slice, boolean mask or integer array selects detections; a number selects one, still as `Detections`."""
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"detection {index} of {len(self)}")
            index = [index]
        boxes, scores, class_ids = self.boxes[index], self.scores[index], self.class_ids[index]
        return replace(self, boxes=boxes, scores=scores, class_ids=class_ids)

    @property
    def labels(self) -> list[str]:
        """The class name of each detection."""
        return [self.class_names[class_id] for class_id in self.class_ids]

    def draw(self, image: ImageSource) -> np.ndarray:
        """The photo with boxes, labels and scores drawn in: [H, W, 3] uint8 RGB."""
        from incdet.images import read_image
        from incdet.output.draw import draw_detections

        return draw_detections(read_image(image), self)

    def to_coco(
        self, image_id: int | str | None = None, category_ids: Mapping[str, int] | None = None
    ) -> list[dict[str, Any]]:
        """Entries of a COCO results file: image_id, category_id, bbox [x, y, width, height], score.

        Args:
            image_id: the id that the data set gives this image; its name where not given.
            category_ids: class name -> the data set's id; class id + 1 where not given.
        """
        from incdet.output.writers import coco_results

        return coco_results(self, self.image if image_id is None else image_id, category_ids)


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
        return replace(self, width=width, height=height, boxes=_rescaled_boxes(self, width, height))


def _rescaled_boxes(owner: Detections | GroundTruth, width: int, height: int) -> np.ndarray:
    """The boxes as they lie in the same image at another size; where none is stated (0), as they are."""
    if (width, height) == (owner.width, owner.height) or min(width, height, owner.width, owner.height) < 1:
        return owner.boxes
    return owner.boxes * np.array([width / owner.width, height / owner.height] * 2, np.float32)


def _require_class_ids(owner: object, class_ids: np.ndarray, class_names: tuple[str, ...]) -> None:
    inside = bool(((class_ids >= 0) & (class_ids < len(class_names))).all())
    require(inside, owner, f"class ids 0..{len(class_names) - 1}", class_ids.tolist()[:5])
