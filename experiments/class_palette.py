"""The search for the colours of classes: as far apart as possible, also for people who see few colours.

    python experiments/class_palette.py --root VOC2012            # prints the table and the colours
    python experiments/class_palette.py --shipped                 # prints the table of the colours that are shipped

Candidates are all colours of a grid in sRGB that are neither dark, nor nearly white, nor greyish. Simulated annealing
chooses 20 of them whose smallest CIEDE2000 distance is largest: under protanopia and deuteranopia, and 1.5 times as
large under usual vision, where more distance can be had. They are given to the classes so that those which share
photos of the training split are far apart. More colours follow in groups of 20, each the candidate farthest from all
before it, where colours of boxes with other lines (solid, dashed, dotted) count as three times as far.
"""

import colorsys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from color_vision import VISIONS, color_distances, lab_colors, smallest_distance
from rich.table import Table

from incdet.cli.console import run_program, table_console
from incdet.data.dataset import Dataset
from incdet.data.readers import Collection, read_dataset
from incdet.errors import ConfigurationError
from incdet.ops.class_colors import GROUP, PALETTE, class_mark

COUNTS = (20, 60, 120, 200)
"""Numbers of classes whose colours are measured."""

USUAL_FACTOR = 1.5
"""Factor by which distances under usual vision shall exceed those under the others."""

LINE_FACTOR = 3.0
"""Factor by which the distance of two colours counts more where the lines of their boxes differ."""


def main(
    root: Annotated[Path | None, typer.Option(help="Folder of VOC's photos, whose classes share photos.")] = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="Measure the shipped colours only.")] = False,
    grid: Annotated[int, typer.Option(min=4, help="Steps of the grid along each side of sRGB.")] = 16,
    min_lightness: Annotated[float, typer.Option(min=0, max=100, help="Smallest L* of a colour.")] = 36.0,
    max_lightness: Annotated[float, typer.Option(min=0, max=100, help="Largest L* of a colour.")] = 93.0,
    min_chroma: Annotated[float, typer.Option(min=0, help="Smallest chroma of a colour.")] = 28.0,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the annealing.")] = 60_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the annealing.")] = 1,
) -> None:
    """Searches colours for classes and prints them with their smallest distances."""
    tables = {"golden section of hues": _golden_section(len(PALETTE))}
    if shipped:
        tables["shipped"] = np.array(PALETTE)
    elif root is None:
        raise ConfigurationError("which classes share photos is not known; give --root, or --shipped for the table")
    else:
        shared = shared_photos(read_dataset(Collection.voc, root, "train"))
        candidates = _candidates(grid, min_lightness, max_lightness, min_chroma)
        distances = _distances(candidates)
        chosen = _anneal(distances, GROUP, steps, np.random.default_rng(seed))
        chosen = chosen[_order(distances[np.ix_(chosen, chosen)], shared)]
        tables["found"] = candidates[_extend(distances, chosen, len(PALETTE))]
    table_console(None).print(_table(tables))
    if not shipped:
        print(" ".join(_hex(color) for color in tables["found"]))


def shared_photos(data: Dataset) -> np.ndarray:
    """Returns the number of photos that two classes share, [C, C]."""
    counts = np.zeros((len(data.class_names), len(data.class_names)))
    for truth in data.ground_truths:
        present = np.unique(truth.class_ids)
        counts[np.ix_(present, present)] += 1
    np.fill_diagonal(counts, 0)
    return counts


def _candidates(grid: int, min_lightness: float, max_lightness: float, min_chroma: float) -> np.ndarray:
    """Returns the colours to choose from, [N, 3] sRGB."""
    side = np.linspace(0, 255, grid).round()
    colors = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = lab_colors(colors)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    return colors[(lab[:, 0] >= min_lightness) & (lab[:, 0] <= max_lightness) & (chroma >= min_chroma)]


def _distances(colors: np.ndarray) -> np.ndarray:
    """Returns the distance that counts of every pair, [N, N]: the smallest one over the visions."""
    few = np.minimum(color_distances(colors, "protanopia"), color_distances(colors, "deuteranopia"))
    return np.minimum(few, color_distances(colors) / USUAL_FACTOR)


def _anneal(distances: np.ndarray, count: int, steps: int, generator: np.random.Generator) -> np.ndarray:
    """Returns the rows of `count` colours whose smallest distance is as large as was found.

    Args:
        distances: [N, N].
        count: number of colours.
        steps: number of colours that are exchanged, or tried.
        generator: source of chance.
    """
    chosen = generator.choice(len(distances), count, replace=False)
    best, best_distance = chosen.copy(), 0.0
    for step in range(steps):
        heat = 1 - step / steps
        own = distances[np.ix_(chosen, chosen)] + np.diag(np.full(count, np.inf))
        smallest = own.min(axis=1)
        if smallest.min() > best_distance:
            best, best_distance = chosen.copy(), float(smallest.min())
        # mostly one of the colours that are too near to another is exchanged
        is_bad = generator.random() < 0.7
        place = int(generator.choice(np.argsort(smallest)[:4]) if is_bad else generator.integers(count))
        others = np.delete(chosen, place)
        from_others = distances[:, others].min(axis=1)
        from_others[chosen] = -1
        # any of the farthest candidates, fewer and fewer of them
        num_farthest = max(1, int(40 * heat))
        candidate = int(generator.choice(np.argpartition(-from_others, num_farthest)[:num_farthest]))
        gain = from_others[candidate] - smallest[place]
        if gain >= 0 or generator.random() < np.exp(gain / (heat + 0.02)):
            chosen[place] = candidate
    return best


def _order(distances: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Returns an order of the colours in which classes that share many photos have distant ones.

    Args:
        distances: [C, C], distances of the colours.
        shared: [C, C], number of photos that two classes share.
    """
    order = np.arange(len(shared))
    weights = np.log1p(shared)
    nearness = 1 / (distances + np.diag(np.full(len(distances), np.inf)))

    def cost(order: np.ndarray) -> float:
        return float((weights * nearness[np.ix_(order, order)] ** 2).sum())

    improves = True
    while improves:
        improves = False
        for first, second in zip(*np.triu_indices(len(order), 1), strict=True):
            other = order.copy()
            other[[first, second]] = other[[second, first]]
            if cost(other) < cost(order) - 1e-12:
                order, improves = other, True
    return order


def _extend(distances: np.ndarray, chosen: np.ndarray, count: int) -> np.ndarray:
    """Returns the chosen rows and more after them, each far from all before it, above all from those of its line."""
    rows = chosen.tolist()
    lines = [class_mark(class_id).line for class_id in range(count)]
    while len(rows) < count:
        factors = [1.0 if lines[number] == lines[len(rows)] else LINE_FACTOR for number in range(len(rows))]
        rows.append(int((distances[:, rows] * factors).min(axis=1).argmax()))
    return np.array(rows)


def _golden_section(count: int) -> np.ndarray:
    """Returns `count` colours [N, 3] of hues that lie a golden section apart, a usual choice, for comparison."""
    hues = [(0.02 + number * 0.618034) % 1 for number in range(count)]
    return np.array([np.round(255 * np.array(colorsys.hsv_to_rgb(hue, 0.85, 0.95))) for hue in hues])


def _table(tables: dict[str, np.ndarray]) -> Table:
    """Returns the distances of the first colours of each choice: among boxes with equal lines, and among all."""
    table = Table(title="smallest CIEDE2000 distance of two colours")
    for heading in ("colours", "classes", "lines", *VISIONS):
        table.add_column(heading)
    for name, colors in tables.items():
        for count in COUNTS:
            lines = np.array([class_mark(class_id).line for class_id in range(count)])
            for kind, counts in (("equal", lines[:, None] == lines), ("any", np.ones((count, count), bool))):
                cells = [f"{smallest_distance(colors[:count], vision, counts):.1f}" for vision in VISIONS]
                table.add_row(name, str(count), kind, *cells)
    return table


def _hex(color: Iterable[float]) -> str:
    return "".join(f"{round(float(value)):02x}" for value in color)


if __name__ == "__main__":
    run_program(main)
