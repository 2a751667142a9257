"""Boxes and labels drawn into pixels."""

import colorsys
from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

Color = tuple[int, int, int]
"""Red, green and blue from 0 to 255."""


def draw_labelled_boxes(
    pixels: np.ndarray, boxes: np.ndarray, colors: Sequence[Color], texts: Sequence[str]
) -> np.ndarray:
    """The picture with boxes and a label at the top of each; the first boxes lie on top.

    Args:
        pixels: [H, W, 3] uint8, RGB.
        boxes: [N, 4] float32, xyxy pixels.
        colors: N colours, of each box and the ground of its label.
        texts: N labels.

    Returns:
        [H, W, 3] uint8, RGB; a copy.
    """
    picture = PIL.Image.fromarray(pixels)
    canvas = PIL.ImageDraw.Draw(picture)
    size = _font_size(picture)
    font = PIL.ImageFont.load_default(size)
    # all boxes first, so that no box crosses a label
    for box, color in reversed(list(zip(boxes, colors, strict=True))):
        _draw_box(canvas, box, color, picture, max(2, size // 7))
    for box, color, text in reversed(list(zip(boxes, colors, texts, strict=True))):
        _draw_label(canvas, box, color, text, font, picture)
    return np.array(picture)


def draw_boxes_by_rank(pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The picture [H, W, 3] uint8 RGB with boxes [N, 4] in it, from yellow (the first) to blue (the last)."""
    picture = PIL.Image.fromarray(pixels)
    canvas = PIL.ImageDraw.Draw(picture)
    for rank, box in reversed(list(enumerate(boxes))):
        hue = 0.15 + 0.5 * rank / max(len(boxes) - 1, 1)
        _draw_box(canvas, box, _to_rgb(hue, 0.9, 0.95), picture, max(1, _font_size(picture) // 14))
    return np.array(picture)


def class_color(class_id: int) -> Color:
    """A class's colour, far from its neighbours': hues a golden section apart."""
    return _to_rgb(0.02 + int(class_id) * 0.618034, 0.85, 0.95)


def _font_size(picture: PIL.Image.Image) -> int:
    return int(np.clip(0.028 * max(picture.width, picture.height), 11, 60))


def _draw_box(
    canvas: PIL.ImageDraw.ImageDraw, box: np.ndarray, color: Color, picture: PIL.Image.Image, width: int
) -> None:
    # half-open boxes: the last pixel inside is x2 - 1
    x1, y1 = (round(float(value)) for value in box[:2])
    x2, y2 = (round(float(value)) - 1 for value in box[2:])
    x2, y2 = min(max(x1, x2), picture.width - 1), min(max(y1, y2), picture.height - 1)
    canvas.rectangle([min(x1, x2), min(y1, y2), x2, y2], outline=color, width=width)


def _draw_label(
    canvas: PIL.ImageDraw.ImageDraw,
    box: np.ndarray,
    color: Color,
    text: str,
    font: PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont,
    picture: PIL.Image.Image,
) -> None:
    """Above the box, or inside it at the top of the photo; moved left where it would leave the photo."""
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    margin = max(2, int(bottom - top) // 4)
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    x = min(max(float(box[0]), 0), max(picture.width - width, 0))
    y = float(box[1]) - height
    y = y if y >= 0 else max(float(box[1]), 0)
    canvas.rectangle([x, y, x + width, y + height], fill=color)
    brightness = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    fill = "black" if brightness > 140 else "white"
    canvas.text((x + margin - left, y + margin - top), text, font=font, fill=fill)


def _to_rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
