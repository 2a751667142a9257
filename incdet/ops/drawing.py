"""Drawing of boxes and labels into pixels, and cutting boxes out of them."""

import colorsys
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from incdet.ops.class_colors import ClassMark, Color, LineStyle, class_mark, text_color

_DASHES: dict[LineStyle, tuple[int, int]] = {"dashed": (6, 4), "dotted": (2, 2)}
"""Lengths of a dash and of the gap behind it, in widths of the line."""


def draw_labelled_boxes(
    pixels: np.ndarray, boxes: np.ndarray, marks: Sequence[ClassMark], texts: Sequence[str]
) -> np.ndarray:
    """Draws boxes with a label at the top of each; the first boxes lie on top.

    Args:
        pixels: [H, W, 3] uint8, RGB.
        boxes: [N, 4] float32, xyxy pixels.
        marks: N colours and lines of the boxes; the labels stand on the same colours.
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
        _draw_box(canvas, boxes[number], marks[number], picture, max(2, size // 7))
    for number in reversed(range(len(boxes))):
        _draw_label(canvas, boxes[number], marks[number].color, texts[number], font, picture)
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
        mark = ClassMark(_to_rgb(hue, 0.9, 0.95), "solid")
        _draw_box(canvas, box, mark, picture, max(1, _font_size(picture) // 14), has_edge=False)
    return np.array(picture)


def cut_boxes(pixels: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
    """Cuts boxes out of a photo, at least one pixel each.

    Args:
        pixels: [H, W, 3] uint8, RGB.
        boxes: [N, 4] float32, xyxy pixels; parts outside the photo are left out.

    Returns:
        N arrays [h, w, 3] uint8, RGB; copies.
    """
    height, width = pixels.shape[:2]
    cut = []
    for x1, y1, x2, y2 in np.rint(boxes).astype(np.int64).tolist():
        # a box may lie on the border, or be thinner than a pixel
        left, top = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
        cut.append(pixels[top : max(y2, top + 1), left : max(x2, left + 1)].copy())
    return cut


def class_color(class_id: int) -> Color:
    """Returns the colour of a class's boxes, the same in every photo."""
    return class_mark(class_id).color


def _font_size(picture: PIL.Image.Image) -> int:
    """Returns a size in pixels that suits the photo: 2.8 % of its longer side, within limits."""
    return int(np.clip(0.028 * max(picture.width, picture.height), 11, 60))


def _draw_box(
    canvas: PIL.ImageDraw.ImageDraw,
    box: np.ndarray,
    mark: ClassMark,
    picture: PIL.Image.Image,
    width: int,
    has_edge: bool = True,
) -> None:
    # boxes are half-open: the last pixel inside is x2 - 1
    x1, y1 = (round(float(value)) for value in box[:2])
    x2, y2 = (round(float(value)) - 1 for value in box[2:])
    x2, y2 = min(max(x1, x2), picture.width - 1), min(max(y1, y2), picture.height - 1)
    x1, y1 = min(x1, x2), min(y1, y2)
    if mark.line == "solid":
        canvas.rectangle([x1, y1, x2, y2], outline=mark.color, width=width)
        if has_edge and min(x2 - x1, y2 - y1) > 2 * width:
            # a fine line of another lightness inside, so that the box shows on a ground of its own colour
            inner = [x1 + width, y1 + width, x2 - width, y2 - width]
            canvas.rectangle(inner, outline=text_color(mark.color))
        return
    # gaps are filled with black or white, so that the line shows on any ground
    canvas.rectangle([x1, y1, x2, y2], outline=text_color(mark.color), width=width)
    dash, gap = (length * width for length in _DASHES[mark.line])
    for start, end in _dashes(x1, x2, dash, gap):
        for top in (y1, max(y2 - width + 1, y1)):
            canvas.rectangle([start, top, end, min(top + width - 1, y2)], fill=mark.color)
    for start, end in _dashes(y1, y2, dash, gap):
        for left in (x1, max(x2 - width + 1, x1)):
            canvas.rectangle([left, start, min(left + width - 1, x2), end], fill=mark.color)


def _dashes(first: int, last: int, dash: int, gap: int) -> Iterator[tuple[int, int]]:
    """Yields the first and the last pixel of every dash on a line; a dash lies at both ends."""
    length = last - first + 1
    num_gaps = max(round((length - dash) / (dash + gap)), 0)
    for number in range(num_gaps + 1):
        # dashes are spread evenly, so that the last one ends with the line
        start = first + round(number * (length - dash) / max(num_gaps, 1))
        yield start, min(start + dash - 1, last)


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
    canvas.text((x + margin - left, y + margin - top), text, font=font, fill=text_color(color))


def _to_rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
