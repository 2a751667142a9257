"""Detections: labelled boxes of one photo, and their forms for people, files and other libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from incdet.config.sections import ImagesConfig
from incdet.errors import ConfigurationError, ImageError, OutputError
from incdet.images import ImageSource, read_image
from incdet.ops.boxes import boxes_to_xywh
from incdet.ops.class_colors import class_mark
from incdet.ops.decimals import shortest_decimals
from incdet.ops.drawing import cut_boxes, draw_labelled_boxes
from incdet.ops.library_forms import LibraryForms
from incdet.runtime.files import write_text
from incdet.runtime.json_files import json_text
from incdet.runtime.picture_files import save_picture
from incdet.structures import (
    Image,
    require,
    require_array,
    require_boxes,
    require_class_ids,
    rescaled_boxes,
)

_PICTURES = (".jpg", ".jpeg", ".png")
"""Endings of the pictures that `Detections.save` writes."""

_MAX_LABELS = 3
"""Number of detections that a `repr` names."""


@dataclass(frozen=True, eq=False, repr=False)
class Detections(LibraryForms):
    """Labelled boxes of one image, best score first.

    Example:
        >>> found = detector.detect("photo.jpg")  # doctest: +SKIP
        >>> found  # doctest: +SKIP
        Detections(photo.jpg, 451x300, 2: cat 0.95, dog 0.80)
        >>> found.save("found.jpg")  # doctest: +SKIP

    Attributes:
        image: The image's name.
        width: The image's width in pixels.
        height: The image's height in pixels.
        boxes: [N, 4] float32, xyxy pixels.
        scores: [N] float32 in [0, 1].
        class_ids: [N] int64, index into `class_names`.
        class_names: The C classes, without background.
        seconds: Duration of each stage of the pipeline by its name; empty where it was not measured.
        photo: The photo, where it was no file: it is kept for `draw` and `crops`. A photo in a file is read again.
    """

    image: str
    width: int
    height: int
    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    class_names: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    photo: Image | None = None

    def __post_init__(self) -> None:
        require_boxes(self, self.boxes)
        require_array(self, "scores", np.float32, len(self.boxes))
        require_array(self, "class_ids", np.int64, len(self.boxes))
        inside = bool(((self.scores >= 0) & (self.scores <= 1 + 1e-6)).all())
        require(inside, self, "scores in [0, 1]", "a value outside")
        require_class_ids(self, self.class_ids, self.class_names)

    def rescaled(self, width: int, height: int) -> Detections:
        """Returns the same detections for the image at another size, such as an annotation states.

        Args:
            width: The new width in pixels; 0 states none and changes nothing.
            height: The new height in pixels; 0 states none and changes nothing.
        """
        if min(width, height) < 1:
            return self
        return replace(
            self,
            width=width,
            height=height,
            boxes=rescaled_boxes(self.boxes, (self.width, self.height), (width, height)),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Any) -> Detections:
        """Returns the detections that a slice, a boolean mask, an integer array or one number selects."""
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

    def __repr__(self) -> str:
        """Returns name and size of the photo, the number of detections, and the best ones."""
        best = [f"{label} {score:.2f}" for label, score in zip(self[:_MAX_LABELS].labels, self.scores, strict=False)]
        if len(self) > _MAX_LABELS:
            best.append("...")
        found = f"{len(self)}: {', '.join(best)}" if best else "0"
        return f"Detections({self.image}, {self.width}x{self.height}, {found})"

    def draw(self, photo: ImageSource | None = None) -> np.ndarray:
        """Draws boxes, labels and scores into the photo; the best detections lie on top.

        Args:
            photo: The photo of these detections. It may be left out where it is a file, or was given to `detect`.

        Returns:
            [H, W, 3] uint8, RGB; a copy.

        Raises:
            ImageError: The photo cannot be read, is not known, or has another size than the one of these detections.
        """
        marks = [class_mark(class_id) for class_id in self.class_ids]
        texts = [f"{label} {score:.2f}" for label, score in zip(self.labels, self.scores, strict=True)]
        return draw_labelled_boxes(self._pixels(photo), self.boxes, marks, texts)

    def crops(self, photo: ImageSource | None = None) -> list[np.ndarray]:
        """Cuts every detection out of the photo.

        Args:
            photo: The photo of these detections. It may be left out where it is a file, or was given to `detect`.

        Returns:
            One array [H, W, 3] uint8, RGB, of at least one pixel, for each detection; copies.

        Raises:
            ImageError: The photo cannot be read, is not known, or has another size than the one of these detections.
        """
        return cut_boxes(self._pixels(photo), self.boxes)

    def save(self, file: str | Path, photo: ImageSource | None = None) -> None:
        """Writes a picture with boxes (.jpg, .png), or the numbers of `to_dict` (.json). A file there is replaced.

        Args:
            file: The file. Its ending decides; its folder is made where it is missing.
            photo: The photo of these detections, which a picture needs. It may be left out where it is a file, or was
                given to `detect`.

        Raises:
            OutputError: The ending is another one, the file is the photo itself, or it cannot be written.
            ImageError: The photo cannot be read, is not known, or has another size than the one of these detections.
        """
        file = Path(file)
        ending = file.suffix.lower()
        if ending not in (*_PICTURES, ".json"):
            raise OutputError(f"cannot save detections as {file}: it ends in none of {' '.join(_PICTURES)} .json")
        given = [Path(photo)] if isinstance(photo, str | Path) else []
        if file.resolve() in [source.resolve() for source in (Path(self.image), *given)]:
            raise OutputError(f"cannot save detections as {file}: this is their photo; give another name")
        if ending == ".json":
            write_text(file, json_text(self.to_dict()))
        else:
            save_picture(file, self.draw(photo))

    def _pixels(self, photo: ImageSource | None) -> np.ndarray:
        """Returns the pixels [H, W, 3] of the photo that was given, or else is known."""
        if photo is None:
            photo = self.photo if self.photo is not None else Path(self.image)
            if isinstance(photo, Path) and not photo.is_file():
                raise ImageError(f"the photo of these detections, '{self.image}', is not known; give the photo")
        # the limit on a photo's size may have been raised where it was detected in
        limit = max(ImagesConfig().max_megapixels, self.width * self.height / 1e6)
        pixels = read_image(photo, ImagesConfig(max_megapixels=limit)).pixels
        height, width = pixels.shape[:2]
        if (width, height) != (self.width, self.height):
            raise ImageError(
                f"the photo has {width}x{height} pixels and these detections are of {self.image} with "
                f"{self.width}x{self.height}; give their photo, or use rescaled({width}, {height})"
            )
        return pixels

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, those of a line of `detections.jsonl`.

        The keys are image, width, height and detections; each detection has label, class_id, score and box (x1, y1, x2,
        y2 in pixels). Numbers are the shortest decimals that read back as the same float32.
        """
        boxes, scores = shortest_decimals(self.boxes), shortest_decimals(self.scores)
        entries = [
            {"label": label, "class_id": int(class_id), "score": score, "box": box}
            for label, class_id, score, box in zip(self.labels, self.class_ids, scores, boxes, strict=True)
        ]
        return {"image": self.image, "width": self.width, "height": self.height, "detections": entries}

    def to_coco(
        self, image_id: int | str | None = None, category_ids: Mapping[str, int] | None = None
    ) -> list[dict[str, Any]]:
        """Returns entries of a COCO results file: image_id, category_id, bbox [x, y, width, height], score.

        Args:
            image_id: Id of the image in the data set, default the image's name.
            category_ids: Id in the data set by class name, default class id + 1.

        Raises:
            ConfigurationError: A class that was found has no id.
        """
        if category_ids is not None and (missing := sorted(set(self.labels) - set(category_ids))):
            raise ConfigurationError(
                f"category_ids have no id of {', '.join(missing)}, found in {self.image}; give the ids of all classes"
            )
        boxes_xywh, scores = shortest_decimals(boxes_to_xywh(self.boxes)), shortest_decimals(self.scores)
        return [
            {
                "image_id": self.image if image_id is None else image_id,
                "category_id": int(class_id) + 1 if category_ids is None else category_ids[label],
                "bbox": bbox,
                "score": score,
            }
            for label, class_id, bbox, score in zip(self.labels, self.class_ids, boxes_xywh, scores, strict=True)
        ]
