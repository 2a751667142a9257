"""Results as short tables for the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from rich.markup import escape
from rich.table import Table

from incdet.runtime.counted_words import counted
from incdet.runtime.provenance import peak_memory_gigabytes
from incdet.runtime.visible_text import visible

_MAX_PHOTOS = 20
_MAX_LABELS = 6

_HINTS = (0.75, 0.5, 0.3, 0.2)
"""Thresholds that are suggested where nothing reaches the one that was asked for; what scores less is hardly right."""


def summary_table(lines: Sequence[Mapping[str, Any]], name: str) -> Table:
    """Returns a row per photo with its best labels and their scores; of many photos only the first ones.

    Args:
        lines: One line per photo, made by `detections_json`, `proposals_json` or `classification_json`.
        name: "detections", "proposals" or "classifications".
    """
    table = Table()
    table.add_column("photo", overflow="fold")
    table.add_column(name, justify="right")
    if name != "proposals":
        table.add_column("best", overflow="fold")
    for line in lines[:_MAX_PHOTOS]:
        found = line[name]
        labels = [f"{escape(entry['label'])} {entry['score']:.2f}" for entry in found[:_MAX_LABELS] if "label" in entry]
        best = ", ".join(labels) + (", ..." if len(found) > _MAX_LABELS else "")
        if "best_below" in line:
            best = _hint(line["best_below"])
        cells = [escape(visible(Path(line["image"]).name)), str(len(found)), best]
        # proposals have no labels and no third column
        table.add_row(*cells[: len(table.columns)])
    if len(lines) > _MAX_PHOTOS:
        counts = Counter(entry.get("label") for line in lines for entry in line[name])
        total = sum(counts.values())
        common = ", ".join(f"{escape(label)} x {count}" for label, count in counts.most_common(_MAX_LABELS) if label)
        table.add_section()
        table.add_row(*[counted(len(lines), "photo"), str(total), common][: len(table.columns)])
    return table


def _hint(best: Mapping[str, Any]) -> str:
    """Returns how near the best detection came to the threshold, and the threshold to try.

    >>> _hint({"score_threshold": 0.75, "label": "person", "score": 0.69})
    'Nothing from 0.75 on; the best is person 0.69: try --score-threshold 0.5.'
    >>> _hint({"score_threshold": 0.55, "label": "bottle", "score": 0.1253})
    'Nothing likely was found: the best is bottle 0.13.'
    """
    threshold, score = best["score_threshold"], best["score"]
    found = f"the best is {escape(best['label'])} {_score_below(score, (threshold, *_HINTS))}"
    lower = next((hint for hint in _HINTS if hint <= score), None)
    if lower is None:
        return f"Nothing likely was found: {found}."
    return f"Nothing from {threshold:g} on; {found}: try --score-threshold {lower:g}."


def _score_below(score: float, thresholds: Sequence[float]) -> str:
    """Returns a score with two decimals, or more where it would look like a threshold that it does not reach.

    >>> _score_below(0.3695, (0.55,)), _score_below(0.5496, (0.55,))
    ('0.37', '0.5496')
    """
    missed = [threshold for threshold in thresholds if score < threshold]
    for num_decimals in range(2, 8):
        text = f"{score:.{num_decimals}f}"
        if all(float(text) < threshold for threshold in missed):
            return text
    return f"{score}"


def timing_table(seconds: Sequence[Mapping[str, float]]) -> Table:
    """Returns the mean seconds per photo of every stage, their share, and the process's peak memory.

    Args:
        seconds: Seconds of each stage by its name, one entry per photo.
    """
    # a photo without regions has fewer stages
    names = dict.fromkeys(stage for entry in seconds for stage in entry)
    stages = {stage: mean(entry.get(stage, 0.0) for entry in seconds) for stage in names}
    total = sum(stages.values())
    table = Table(title=f"seconds per photo, mean of {len(seconds)}; peak memory {peak_memory_gigabytes():.2f} GB")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    for stage, value in stages.items():
        table.add_row(stage, f"{value:.3f}", f"{value / max(total, 1e-9):.0%}")
    table.add_section()
    table.add_row("total", f"{total:.3f}", "")
    return table


def start_up_table(seconds: Mapping[str, float]) -> Table:
    """Returns the seconds from the start of the process to its first result, part by part.

    Args:
        seconds: Seconds by part, in the order in which they are told.
    """
    table = Table(title="start-up, once for each run")
    table.add_column("part")
    table.add_column("seconds", justify="right")
    for part, value in seconds.items():
        table.add_row(part, f"{value:.3f}")
    return table
