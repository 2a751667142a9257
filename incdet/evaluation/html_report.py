"""One self-contained HTML page that explains an evaluation: numbers, costs, curves and the worst mistakes."""

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image

from incdet.data.dataset import Dataset
from incdet.data.photo_frame import turn_to_annotation
from incdet.errors import ImageError
from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.columns import half_open_boxes, inclusive_areas
from incdet.evaluation.confusion import ConfusionMatrix
from incdet.evaluation.error_analysis import ERROR_NAMES, TIDE_NOTE, ErrorAnalysis
from incdet.evaluation.operating_points import THRESHOLDS, operating_points
from incdet.evaluation.plots import missing_plots
from incdet.evaluation.precision_recall import envelope_at
from incdet.evaluation.rules import FALSE
from incdet.evaluation.threshold_html import THRESHOLD_STYLE, scrolling_table, threshold_section
from incdet.images import read_image
from incdet.ops.decimals import shown_number
from incdet.runtime.counted_words import counted
from incdet.runtime.visible_text import escape_html

_MAX_TILES = 24
_MAX_TILES_PER_CLASS = 3
_THUMBNAIL = 280
"""Longest side of an embedded photo, in pixels."""

_RECALLS = np.linspace(0, 1, 41)
"""Recalls at which the small curve of a class is drawn."""

_OBJECT_COLOR, _DETECTION_COLOR = "#1fa34a", "#e03131"

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fdfdfc; --soft: #667; --line: #d8dade; --bar: #2f6fab; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --paper: #16191e; --soft: #9aa; --line: #363b44; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
p, figcaption { color: var(--soft) } .number { font-size: 2.4rem; font-weight: 650; color: var(--ink) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
tbody th { font-weight: normal }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left } td svg { vertical-align: middle }
.bar { display: block; height: .8rem; background: var(--bar); border-radius: 2px }
.wide { overflow-x: auto } .plots, .tiles { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start }
img { max-width: 100%; height: auto }
.plots div { max-width: 100%; max-height: 26rem; overflow-y: auto }
.plots img { width: 31rem; background: white; border-radius: 4px }
figure { margin: 0; width: min(12.5rem, calc(50% - .5rem)) }
figure svg { width: 100%; max-height: 14rem; background: #8883; border-radius: 3px }
figcaption { font-size: .82rem; overflow-wrap: anywhere } figcaption b { color: var(--ink) }
"""


def html_report(
    evaluation: Evaluation, analysis: ErrorAnalysis, matrix: ConfusionMatrix, dataset: Dataset, plots: Sequence[bytes]
) -> str:
    """Returns the page. It fetches nothing: photos and plots are embedded.

    Args:
        evaluation: The evaluation.
        analysis: Its error analysis.
        matrix: Its confusion matrix.
        dataset: The data set, for names and photos. A photo that cannot be read becomes an empty frame with boxes.
        plots: PNG images, shown as they are; may be empty.
    """
    title = escape_html(f"{dataset.name}: mAP {shown_number(evaluation.mean_average_precision)}")
    body = [
        f"<h1>{escape_html(dataset.name)}</h1>",
        f'<div><span class="number">{shown_number(evaluation.mean_average_precision)}</span> mAP, '
        f"median AP {shown_number(evaluation.median_average_precision)}</div>",
        f"<p>{evaluation.rules} rules: {counted(evaluation.num_images, 'image')}, "
        f"{counted(len(evaluation.detections), 'detection')}, "
        f"{counted(int(evaluation.num_objects.sum()), 'object')} of "
        f"{counted(int((evaluation.num_objects > 0).sum()), 'class', 'classes')}.</p>",
        "<h2>What costs mAP</h2>",
        _errors(analysis),
        "<h2>By object size</h2>",
        _sizes(analysis),
        threshold_section(operating_points(evaluation, sorted({*THRESHOLDS, matrix.score_threshold})), matrix),
        "<h2>Curves and classes</h2>",
        f'<div class="plots">{"".join(_picture(plot) for plot in plots)}</div>' + _missing_plots(plots),
        _classes(evaluation),
        "<h2>Worst false detections</h2><p>The most confident ones, at most three per class: red is the detection, "
        "green are the annotated objects.</p>",
        _tiles(_false_tiles(evaluation, analysis, dataset)),
        "<h2>Largest missed objects</h2><p>No detection found them, and no localisation or classification error is "
        "close to them.</p>",
        _tiles(_missed_tiles(evaluation, analysis, dataset)),
    ]
    # names of classes and data sets are the user's, so they are escaped wherever they appear
    head = f'<meta charset="utf-8"><title>{title}</title><meta name="viewport" content="width=device-width">'
    page = "\n".join(body)
    style = _STYLE + THRESHOLD_STYLE
    head += f"<style>{style}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{page}\n</main></body></html>\n'


def _missing_plots(plots: Sequence[bytes]) -> str:
    """Returns the sentence in place of plots that could not be drawn."""
    sentence = missing_plots()
    return "" if plots or sentence is None else f"<p>{escape_html(sentence).capitalize()}.</p>"


def _table(headings: Sequence[str], rows: Iterator[str]) -> str:
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    return scrolling_table(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>", headings[0])


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _errors(analysis: ErrorAnalysis) -> str:
    # bars are relative to the largest cost; a cost may be NaN (no objects) or negative (a mended error may move down)
    largest = max(*np.nan_to_num(list(analysis.costs.values())), 1e-9)
    ranked = sorted(analysis.costs.items(), key=lambda item: -item[1])
    rows = (
        _row(
            name,
            shown_number(points / 100, sign="+"),
            f"{analysis.counts[name]:,}",
            _bar(max(float(np.nan_to_num(points)), 0) / largest),
        )
        for name, points in ranked
    )
    return _table(("error", "mAP gained", "number", "compared"), rows) + f"<p>{TIDE_NOTE}</p>"


def _bar(share: float) -> str:
    return f'<span class="bar" style="width:{14 * share:.2f}rem"></span>'


def _sizes(analysis: ErrorAnalysis) -> str:
    rows = (
        _row(
            size.name,
            shown_number(size.mean_average_precision),
            shown_number(size.recall),
            f"{size.num_objects:,}",
        )
        for size in analysis.sizes
    )
    text = "Small is below 32 x 32 pixels, large from 96 x 96 pixels."
    return _table(("objects", "mAP", "recall", "number"), rows) + f"<p>{text}</p>"


def _classes(evaluation: Evaluation) -> str:
    counts = np.bincount(evaluation.detections.class_ids, minlength=len(evaluation.class_names))
    present = np.flatnonzero(evaluation.num_objects)
    ranked = present[np.argsort(-evaluation.average_precision[present], kind="stable")].tolist()
    rows = (
        _row(
            escape_html(evaluation.class_names[class_id]),
            f"{evaluation.average_precision[class_id]:.4f}",
            f"{evaluation.recall[class_id]:.4f}",
            f"{evaluation.num_objects[class_id]:,}",
            f"{counts[class_id]:,}",
            _sparkline(envelope_at(*evaluation.curve(class_id), _RECALLS)),
        )
        for class_id in ranked
    )
    return _table(("class", "AP", "recall", "objects", "detections", "precision over recall"), rows)


def _sparkline(curve: np.ndarray) -> str:
    # y grows downwards in SVG; one unit is kept free above the line's highest point
    points = " ".join(f"{100 * x:.1f},{20 - 19 * y:.1f}" for x, y in zip(_RECALLS, curve, strict=True))
    line = f'<polyline points="0,20 {points} 100,20" fill="#2f6fab44" stroke="#2f6fab"/>'
    return f'<svg aria-hidden="true" width="100" height="21" viewBox="0 0 100 21">{line}</svg>'


def _tiles(tiles: Iterator[str]) -> str:
    return f'<div class="tiles">{"".join(tiles) or "<p>There are none.</p>"}</div>'


def _false_tiles(evaluation: Evaluation, analysis: ErrorAnalysis, dataset: Dataset) -> Iterator[str]:
    detections = evaluation.detections
    false = np.flatnonzero(evaluation.verdicts == FALSE)
    # the most confident mistakes cost most precision
    chosen = _spread(false[np.argsort(-detections.scores[false], kind="stable")], detections.class_ids)
    for row in chosen:
        image, name = int(detections.images[row]), evaluation.class_names[detections.class_ids[row]]
        target = analysis.targets[row]
        # the caption names the type, and the object that the detection should have been
        kind = ERROR_NAMES[analysis.kinds[row]]
        if target >= 0:
            kind += f", object: {evaluation.class_names[evaluation.objects.class_ids[target]]}"
        caption = f"<b>{escape_html(name)}</b> {detections.scores[row]:.3f}<br>{escape_html(kind)}"
        objects = evaluation.objects.boxes_inclusive[evaluation.objects.images == image]
        yield _tile(dataset, image, objects, detections.boxes_inclusive[row : row + 1], caption)


def _missed_tiles(evaluation: Evaluation, analysis: ErrorAnalysis, dataset: Dataset) -> Iterator[str]:
    objects, missed = evaluation.objects, analysis.missed
    areas = inclusive_areas(objects.boxes_inclusive[missed])
    chosen = _spread(missed[np.argsort(-areas, kind="stable")], objects.class_ids)
    for row in chosen:
        caption = f"<b>{escape_html(evaluation.class_names[objects.class_ids[row]])}</b>"
        yield _tile(
            dataset, int(objects.images[row]), objects.boxes_inclusive[row : row + 1], np.zeros((0, 4)), caption
        )


def _spread(rows: np.ndarray, class_ids: np.ndarray) -> list[int]:
    """Returns the first rows, at most three of every class."""
    taken: Counter[int] = Counter()
    chosen: list[int] = []
    for row in rows.tolist():
        if len(chosen) == _MAX_TILES:
            break
        class_id = int(class_ids[row])
        if taken[class_id] < _MAX_TILES_PER_CLASS:
            taken[class_id] += 1
            chosen.append(row)
    return chosen


def _tile(dataset: Dataset, image: int, objects: np.ndarray, detections: np.ndarray, caption: str) -> str:
    truth = dataset.ground_truths[image]
    picture = _read_photo(dataset, image)
    # the drawing has the annotation's size, to which the boxes refer; the photo is stretched to it
    # an annotation with a size of 0 states none, and the photo's own size holds
    photo_width, photo_height = (1, 1) if picture is None else picture.size
    width, height = truth.width or photo_width, truth.height or photo_height
    stroke = max(width, height) / 90
    boxes = [(box, _OBJECT_COLOR) for box in half_open_boxes(objects)]
    boxes += [(box, _DETECTION_COLOR) for box in half_open_boxes(detections)]
    shapes = "".join(_rectangle(box, color, stroke) for box, color in boxes)
    if picture is not None:
        data = base64.b64encode(_thumbnail(picture)).decode()
        href = f"data:image/jpeg;base64,{data}"
        shapes = f'<image width="{width}" height="{height}" preserveAspectRatio="none" href="{href}"/>' + shapes
    drawing = f'<svg aria-hidden="true" viewBox="0 0 {width} {height}">{shapes}</svg>'
    return f"<figure>{drawing}<figcaption>{caption}<br>{escape_html(truth.image)}</figcaption></figure>"


def _rectangle(box: np.ndarray, color: str, stroke: float) -> str:
    x1, y1, x2, y2 = (float(value) for value in box)
    place = f'x="{x1:.1f}" y="{y1:.1f}" width="{max(x2 - x1, 0):.1f}" height="{max(y2 - y1, 0):.1f}"'
    return f'<rect {place} fill="none" stroke="{color}" stroke-width="{stroke:.2f}"/>'


def _read_photo(dataset: Dataset, image: int) -> PIL.Image.Image | None:
    """Returns a photo as its annotation turns it, or None where it cannot be read."""
    path = dataset.image_paths[image]
    if not path.is_file():
        return None
    try:
        return PIL.Image.fromarray(turn_to_annotation(read_image(path), dataset.ground_truths[image], path))
    except ImageError:
        return None


def _thumbnail(picture: PIL.Image.Image) -> bytes:
    """Returns a picture as a small JPEG."""
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return stream.getvalue()


def _picture(png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return f'<div><img alt="plot of the numbers in the table" src="data:image/png;base64,{data}"></div>'
