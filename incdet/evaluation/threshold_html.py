"""The part of the report about detections over a threshold: their number, precision, recall, and confusion matrix."""

from collections.abc import Sequence

import numpy as np

from incdet.evaluation.confusion import BACKGROUND_NAME, ConfusionMatrix
from incdet.evaluation.operating_points import OperatingPoint
from incdet.ops.decimals import shown_number
from incdet.runtime.visible_text import escape_html

_MAX_CLASSES = 40
"""Number of classes up to which the whole matrix is shown; of more classes it would be wider than any screen."""

_MAX_CONFUSIONS = 15

THRESHOLD_STYLE = """
.matrix { font-size: .8rem } .matrix th, .matrix td { padding: .15rem .35rem; min-width: 1.2rem }
.matrix thead th span { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block }
"""


def threshold_section(points: Sequence[OperatingPoint], matrix: ConfusionMatrix) -> str:
    """Returns the section.

    Args:
        points: Precision and recall at several thresholds, rising, that of the matrix among them.
        matrix: The confusion matrix.
    """
    shown = next(point for point in points if point.score_threshold == matrix.score_threshold)
    head = f"<p>{escape_html(shown.describe()).capitalize()}.</p>"
    return f"<h2>Detections over a threshold</h2>{head}{_points_table(points)}{_confusions(matrix)}"


def _points_table(points: Sequence[OperatingPoint]) -> str:
    rows = ""
    for point in points:
        precision, recall = shown_number(point.precision, 3), shown_number(point.recall, 3)
        cells = (f"{point.score_threshold:g}", f"{point.num_detections:,}", precision, recall)
        rows += f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    names = ("score from", "detections", "precision", "recall")
    headings = "".join(f'<th scope="col">{name}</th>' for name in names)
    return scrolling_table(f"<table><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>", names[0])


def scrolling_table(table: str, name: str) -> str:
    """Returns a table in a frame that scrolls on narrow screens, by the keyboard, too.

    Args:
        table: The table as HTML.
        name: Word for the rows, as HTML; a screen reader says it.
    """
    return f'<div class="wide" role="region" aria-label="table by {name}" tabindex="0">{table}</div>'


def _confusions(matrix: ConfusionMatrix) -> str:
    """Returns the matrix of the classes that occur, and in words its largest numbers beside the diagonal."""
    # a class that neither objects nor detections have says nothing
    occurs = (matrix.counts.sum(axis=0) + matrix.counts.sum(axis=1)) > 0
    occurs[-1] = True
    rows = np.flatnonzero(occurs)
    parts = [
        "<h3>Confusion matrix</h3><p>Rows are the classes of objects, columns those of detections. The last row counts "
        "detections where no object is, the last column objects that no detection found.</p>"
    ]
    if len(rows) <= _MAX_CLASSES + 1:
        parts.append(_matrix_table(matrix, rows))
    else:
        parts.append(f"<p>The whole matrix of {len(rows) - 1} classes is in confusion.csv.</p>")
    confusions = [
        f"{escape_html(wanted)} taken for {escape_html(found)} ({count})"
        for wanted, found, count in matrix.confusions()[:_MAX_CONFUSIONS]
    ]
    parts.append(
        f"<p>Most often: {', '.join(confusions)}.</p>" if confusions else "<p>No class is taken for another.</p>"
    )
    return "".join(parts)


def _matrix_table(matrix: ConfusionMatrix, rows: np.ndarray) -> str:
    names = [escape_html(name) for name in (*matrix.class_names, BACKGROUND_NAME)]
    headings = "".join(f'<th scope="col"><span>{names[column]}</span></th>' for column in rows)
    # the ground of a cell tells its share of the row, whatever the number of objects of the class
    shares = matrix.counts / np.maximum(matrix.counts.sum(axis=1, keepdims=True), 1)
    lines = []
    for row in rows:
        cells = [_cell(int(matrix.counts[row, column]), shares[row, column], row == column) for column in rows]
        lines.append(f'<tr><th scope="row">{names[row]}</th>{"".join(cells)}</tr>')
    body = "".join(lines)
    return scrolling_table(
        f'<table class="matrix"><thead><tr><td></td>{headings}</tr></thead><tbody>{body}</tbody></table>',
        "object and detection",
    )


def _cell(count: int, share: float, is_right: bool) -> str:
    """Returns a cell of the matrix: blue where classes agree, orange elsewhere, empty for nothing."""
    if not count:
        return "<td></td>"
    color = "47, 111, 171" if is_right else "216, 120, 30"
    return f'<td style="background: rgba({color}, {0.1 + 0.5 * share:.2f})">{count:,}</td>'
