"""Drawing of boxes and labels into pixels."""

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
    """Draws boxes with a label at the top of each; the first boxes lie on top.

    Args:
        pixels: [H, W, 3] uint8, RGB.
        boxes: [N, 4] float32, xyxy pixels.
        colors: N colours of the boxes and of the ground of their labels.
        texts: N labels.

    Returns:
        [H, W, 3] uint8, RGB; a copy.
    """
    picture = PIL.Image.fromarray(pixels)
    canvas = PIL.ImageDraw.Draw(picture)
    size = _font_size(picture)
    font = PIL.ImageFont.load_default(size)
    # all boxes come first, so that no box crosses a label; the last one drawn lies on top
    for number in reversed(range(len(boxes))):
        _draw_box(canvas, boxes[number], colors[number], picture, max(2, size // 7))
    for number in reversed(range(len(boxes))):
        _draw_label(canvas, boxes[number], colors[number], texts[number], font, picture)
    return np.array(picture)


def draw_boxes_by_rank(pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Draws boxes from yellow (the first) to blue (the last); the first boxes lie on top.

    Args:
        pixels: [H, W, 3] uint8, RGB.
        boxes: [N, 4] float32, xyxy pixels.

    Returns:
        [H, W, 3] uint8, RGB; a copy.
    """
    picture = PIL.Image.fromarray(pixels)
    canvas = PIL.ImageDraw.Draw(picture)
    for rank, box in reversed(list(enumerate(boxes))):
        hue = 0.15 + 0.5 * rank / max(len(boxes) - 1, 1)
        _draw_box(canvas, box, _to_rgb(hue, 0.9, 0.95), picture, max(1, _font_size(picture) // 14))
    return np.array(picture)


def class_color(class_id: int) -> Color:
    """Returns a class's colour. Hues of successive classes are a golden section apart, so that neighbours differ."""
    return _to_rgb(0.02 + int(class_id) * 0.618034, 0.85, 0.95)


def _font_size(picture: PIL.Image.Image) -> int:
    """Returns a size in pixels that suits the photo: 2.8 % of its longer side, within limits."""
    return int(np.clip(0.028 * max(picture.width, picture.height), 11, 60))


def _draw_box(
    canvas: PIL.ImageDraw.ImageDraw, box: np.ndarray, color: Color, picture: PIL.Image.Image, width: int
) -> None:
    # boxes are half-open: the last pixel inside is x2 - 1
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
    """Draws a label above the box, or inside it at the top of the photo; moved left where it would leave the photo."""
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    margin = max(2, int(bottom - top) // 4)
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    x = min(max(float(box[0]), 0), max(picture.width - width, 0))
    y = float(box[1]) - height
    y = y if y >= 0 else max(float(box[1]), 0)
    canvas.rectangle([x, y, x + width, y + height], fill=color)
    # the luma of BT.601 decides between black and white text
    brightness = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    fill = "black" if brightness > 140 else "white"
    canvas.text((x + margin - left, y + margin - top), text, font=font, fill=fill)


def _to_rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
