"""Detections of many photos on one sheet, from the photo with the fewest mistakes to the one with the most."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from incdet.data.dataset import Dataset
from incdet.data.photo_frame import turn_to_annotation
from incdet.errors import ImageError
from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.columns import half_open_boxes
from incdet.evaluation.rules import FALSE, TRUE
from incdet.images import read_image
from incdet.ops.class_colors import Color
from incdet.ops.even_spacing import evenly_spaced_with_ends

RIGHT, WRONG, MISSED = (60, 220, 90), (255, 70, 60), (255, 255, 255)
"""Colours (RGB) of detections that found an object, of false detections, and of missed objects."""

_TILE, _BORDER = 260, 4
"""Longest side of a photo on the sheet, and the space beside it, in pixels."""

_BACKGROUND = (32, 34, 38)

_Mark = tuple[np.ndarray, Color, str]
"""A box to draw: inclusive corners [4], its colour, its text."""


def contact_sheet(
    evaluation: Evaluation, dataset: Dataset, threshold: float, columns: int = 6, rows: int = 5
) -> np.ndarray | None:
    """Draws photos at even steps of the ranking from few mistakes to many.

    Detections that found an object are green, false ones are red, and required objects that no detection found are
    white. Detections that count neither way are left out. Photos that cannot be read are passed over.

    Args:
        evaluation: The evaluation.
        dataset: Its data set, for the photos.
        threshold: Lowest score that is shown, in [0, 1].
        columns: Number of photos side by side.
        rows: Number of photos one below the other.

    Returns:
        [H, W, 3] uint8 RGB; None where no photo can be read.
    """
    readable = [index for index, path in enumerate(dataset.image_paths) if path.is_file()]
    if not readable:
        return None
    order = np.array(readable)[np.argsort(mistakes(evaluation, threshold)[readable], kind="stable")]
    tiles = []
    for image in order[evenly_spaced_with_ends(len(order), columns * rows)].tolist():
        tile = _tile(evaluation, dataset, image, threshold)
        if tile is not None:
            tiles.append(tile)
    if not tiles:
        return None
    # rounded up, so that the last row may be incomplete
    num_rows = -(-len(tiles) // columns)
    width, height = min(columns, len(tiles)) * (_TILE + _BORDER), num_rows * (_TILE + _BORDER)
    sheet = PIL.Image.new("RGB", (width, height), _BACKGROUND)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (column * (_TILE + _BORDER), row * (_TILE + _BORDER)))
    return np.array(sheet)


def mistakes(evaluation: Evaluation, threshold: float) -> np.ndarray:
    """Returns the share of mistakes of each image, [num_images] float64 in [0, 1].

    It divides false detections and missed objects by the same plus the objects found.
    """
    shown = evaluation.detections.scores >= threshold

    def per_image(images: np.ndarray) -> np.ndarray:
        return np.bincount(images, minlength=evaluation.num_images).astype(np.float64)

    num_false = per_image(evaluation.detections.images[shown & (evaluation.verdicts == FALSE)])
    num_found = per_image(evaluation.detections.images[shown & (evaluation.verdicts == TRUE)])
    num_missed = per_image(evaluation.objects.images[_missed(evaluation, shown)])
    # an image without detections and objects has no mistakes
    return (num_false + num_missed) / np.maximum(num_false + num_missed + num_found, 1)


def _missed(evaluation: Evaluation, shown: np.ndarray) -> np.ndarray:
    """Returns the rows of the required objects that none of the shown detections found."""
    found = evaluation.matches[shown & (evaluation.verdicts == TRUE)]
    required = np.flatnonzero(evaluation.is_required)
    return np.setdiff1d(required, found)


def _tile(evaluation: Evaluation, dataset: Dataset, image: int, threshold: float) -> PIL.Image.Image | None:
    """Returns one photo, shrunk and with its boxes; None where it cannot be read."""
    path, truth = dataset.image_paths[image], dataset.ground_truths[image]
    try:
        picture = PIL.Image.fromarray(turn_to_annotation(read_image(path), truth, path))
    except ImageError:
        return None
    # an annotation with a size of 0 states none, and the photo's own size holds
    stated_width, stated_height = truth.width or picture.width, truth.height or picture.height
    factor = _TILE / max(picture.size)
    width, height = (max(round(side * factor), 1) for side in picture.size)
    picture = picture.resize((width, height), PIL.Image.Resampling.BOX)
    # boxes refer to the stated size, which may differ from the file's
    scale = np.array([width / stated_width, height / stated_height] * 2)
    canvas, font = PIL.ImageDraw.Draw(picture), PIL.ImageFont.load_default(11)
    for box, color, text in _marks(evaluation, image, threshold):
        x1, y1, x2, y2 = half_open_boxes(box[None])[0] * scale
        canvas.rectangle([x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)], outline=color, width=2)
        place = (float(x1) + 3, float(y1) + 2)
        canvas.rectangle(canvas.textbbox(place, text, font=font), fill=color)
        canvas.text(place, text, font=font, fill="black")
    return picture


def _marks(evaluation: Evaluation, image: int, threshold: float) -> list[_Mark]:
    """Returns the boxes of a photo in the order of drawing: missed objects first, the best detection on top."""
    detections, objects = evaluation.detections, evaluation.objects
    shown = detections.scores >= threshold
    missed = _missed(evaluation, shown)
    marks: list[_Mark] = []
    for row in missed[objects.images[missed] == image]:
        marks.append((objects.boxes_inclusive[row], MISSED, evaluation.class_names[objects.class_ids[row]]))
    here = np.flatnonzero(shown & (detections.images == image))
    for row in here[np.argsort(detections.scores[here])]:
        if evaluation.verdicts[row] in (TRUE, FALSE):
            color = RIGHT if evaluation.verdicts[row] == TRUE else WRONG
            text = f"{evaluation.class_names[detections.class_ids[row]]} {detections.scores[row]:.2f}"
            marks.append((detections.boxes_inclusive[row], color, text))
    return marks
