"""Boxes and labels drawn into photos."""

import colorsys
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from incdet.runtime.files import atomic_file
from incdet.structures import Detections, Image, Proposals

Color = tuple[int, int, int]

_SHOWN_PROPOSALS = 100
_LONGEST_JPEG_SIDE = 65_500


def draw_detections(image: Image, detections: Detections) -> np.ndarray:
    """The photo [H, W, 3] uint8 RGB with every detection's box, label and score; the best lie on top."""
    picture = PIL.Image.fromarray(image.pixels)
    canvas = PIL.ImageDraw.Draw(picture)
    size = _font_size(image)
    font = PIL.ImageFont.load_default(size)
    colors = [class_color(class_id) for class_id in detections.class_ids]
    texts = [f"{label} {score:.2f}" for label, score in zip(detections.labels, detections.scores, strict=True)]
    # all boxes first, so that no box crosses a label
    for box, color in reversed(list(zip(detections.boxes, colors, strict=True))):
        _draw_box(canvas, box, color, image, max(2, size // 7))
    for box, color, text in reversed(list(zip(detections.boxes, colors, texts, strict=True))):
        _draw_label(canvas, box, color, text, font, image)
    return np.array(picture)


def draw_proposals(image: Image, proposals: Proposals, shown: int = _SHOWN_PROPOSALS) -> np.ndarray:
    """The photo [H, W, 3] uint8 RGB with the best proposals' boxes, from yellow (best) to blue."""
    picture = PIL.Image.fromarray(image.pixels)
    canvas = PIL.ImageDraw.Draw(picture)
    boxes = proposals.boxes[:shown]
    for rank, box in reversed(list(enumerate(boxes))):
        hue = 0.15 + 0.5 * rank / max(len(boxes) - 1, 1)
        _draw_box(canvas, box, _to_rgb(hue, 0.9, 0.95), image, max(1, _font_size(image) // 14))
    return np.array(picture)


def class_color(class_id: int) -> Color:
    """A class's colour, far from its neighbours': hues a golden section apart."""
    return _to_rgb(0.02 + int(class_id) * 0.618034, 0.85, 0.95)


def save_picture(file: Path, pixels: np.ndarray) -> None:
    """Writes [H, W, 3] uint8 RGB as JPEG, atomically; a side beyond what JPEG can hold is shrunk to it.

    Raises:
        OutputError: the folder cannot be written to.
    """
    picture = PIL.Image.fromarray(pixels)
    picture.thumbnail((_LONGEST_JPEG_SIDE, _LONGEST_JPEG_SIDE))
    with atomic_file(file) as stream:
        picture.save(stream, "JPEG", quality=92)


def _font_size(image: Image) -> int:
    return int(np.clip(0.028 * max(image.width, image.height), 11, 60))


def _draw_box(canvas: PIL.ImageDraw.ImageDraw, box: np.ndarray, color: Color, image: Image, width: int) -> None:
    # half-open boxes: the last pixel inside is x2 - 1
    x1, y1 = (round(float(value)) for value in box[:2])
    x2, y2 = (round(float(value)) - 1 for value in box[2:])
    x2, y2 = min(max(x1, x2), image.width - 1), min(max(y1, y2), image.height - 1)
    canvas.rectangle([min(x1, x2), min(y1, y2), x2, y2], outline=color, width=width)


def _draw_label(
    canvas: PIL.ImageDraw.ImageDraw,
    box: np.ndarray,
    color: Color,
    text: str,
    font: PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont,
    image: Image,
) -> None:
    """Above the box, or inside it at the top of the photo; moved left where it would leave the photo."""
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    margin = max(2, int(bottom - top) // 4)
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    x = min(max(float(box[0]), 0), max(image.width - width, 0))
    y = float(box[1]) - height
    y = y if y >= 0 else max(float(box[1]), 0)
    canvas.rectangle([x, y, x + width, y + height], fill=color)
    brightness = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    fill = "black" if brightness > 140 else "white"
    canvas.text((x + margin - left, y + margin - top), text, font=font, fill=fill)


def _to_rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
