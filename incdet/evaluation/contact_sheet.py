"""Detections of many photos on one sheet, from the best-understood photo to the worst, right and wrong told apart."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from incdet.data.dataset import Dataset
from incdet.errors import ImageError
from incdet.evaluation.average_precision import FALSE, TRUE, Evaluation
from incdet.evaluation.columns import half_open_boxes
from incdet.images import read_image

RIGHT, WRONG, MISSED = (60, 220, 90), (255, 70, 60), (255, 255, 255)

_TILE, _BORDER = 260, 4


def contact_sheet(
    evaluation: Evaluation, dataset: Dataset, threshold: float, columns: int = 6, rows: int = 5
) -> np.ndarray | None:
    """A picture [H, W, 3] uint8 RGB of photos at even steps of the ranking from few mistakes to many.

    Green are detections that found an object, red are false ones, white are required objects that none found; what
    counts neither way is left out. Photos that cannot be read are passed over; None where no photo can.

    Args:
        evaluation: of the data set.
        dataset: gives the photos.
        threshold: lowest score that is shown.
        columns: photos side by side.
        rows: photos one below the other.
    """
    readable = [index for index, path in enumerate(dataset.image_paths) if path.is_file()]
    order = np.array(readable)[np.argsort(mistakes(evaluation, threshold)[readable], kind="stable")]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, columns * rows).round().astype(int))] if readable else []
    tiles = [tile for image in chosen if (tile := _tile(evaluation, dataset, int(image), threshold)) is not None]
    if not tiles:
        return None
    height = -(-len(tiles) // columns) * (_TILE + _BORDER)
    sheet = PIL.Image.new("RGB", (min(columns, len(tiles)) * (_TILE + _BORDER), height), (32, 34, 38))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (column * (_TILE + _BORDER), row * (_TILE + _BORDER)))
    return np.array(sheet)


def mistakes(evaluation: Evaluation, threshold: float) -> np.ndarray:
    """[num_images] float64: false detections and missed objects of each image, over them and the objects found."""
    shown = evaluation.detections.scores >= threshold

    def per_image(images: np.ndarray) -> np.ndarray:
        return np.bincount(images, minlength=evaluation.num_images).astype(np.float64)

    false = per_image(evaluation.detections.images[shown & (evaluation.verdicts == FALSE)])
    found = per_image(evaluation.detections.images[shown & (evaluation.verdicts == TRUE)])
    missed = per_image(evaluation.objects.images[_missed(evaluation, shown)])
    return (false + missed) / np.maximum(false + missed + found, 1)


def _missed(evaluation: Evaluation, shown: np.ndarray) -> np.ndarray:
    """Rows of the required objects that no shown detection found."""
    found = evaluation.matches[shown & (evaluation.verdicts == TRUE)]
    required = np.flatnonzero(~evaluation.objects.ignored)
    return np.setdiff1d(required, found)


def _tile(evaluation: Evaluation, dataset: Dataset, image: int, threshold: float) -> PIL.Image.Image | None:
    try:
        picture = PIL.Image.fromarray(read_image(dataset.image_paths[image]).pixels)
    except ImageError:
        return None
    truth = dataset.ground_truths[image]
    # an annotation with a size of 0 states none
    stated = truth.width or picture.width, truth.height or picture.height
    shrinking = _TILE / max(picture.size)
    width, height = (max(round(side * shrinking), 1) for side in picture.size)
    picture = picture.resize((width, height), PIL.Image.Resampling.BOX)
    scale = np.array([width / stated[0], height / stated[1]] * 2)
    canvas, font = PIL.ImageDraw.Draw(picture), PIL.ImageFont.load_default(11)
    detections, objects = evaluation.detections, evaluation.objects
    shown = detections.scores >= threshold
    missed = _missed(evaluation, shown)
    missed = missed[objects.images[missed] == image]
    marks = [(objects.boxes_inclusive[row], MISSED, evaluation.class_names[objects.class_ids[row]]) for row in missed]
    here = np.flatnonzero(shown & (detections.images == image))
    for row in here[np.argsort(detections.scores[here])]:
        if evaluation.verdicts[row] in (TRUE, FALSE):
            color = RIGHT if evaluation.verdicts[row] == TRUE else WRONG
            text = f"{evaluation.class_names[detections.class_ids[row]]} {detections.scores[row]:.2f}"
            marks.append((detections.boxes_inclusive[row], color, text))
    for box, color, text in marks:
        x1, y1, x2, y2 = half_open_boxes(box[None])[0] * scale
        canvas.rectangle([x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)], outline=color, width=2)
        place = (float(x1) + 3, float(y1) + 2)
        canvas.rectangle(canvas.textbbox(place, text, font=font), fill=color)
        canvas.text(place, text, font=font, fill="black")
    return picture
