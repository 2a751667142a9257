"""mAP of one network for shared features under several settings of detection: photo sides, rounds, NMS and others.

    python experiments/compare_shared_settings.py --root VOC2012 --split held --json runs/shared_settings.json

The base has the settings of the weights and of `--set`. Every variant changes some of them and is compared with the
base by a paired bootstrap over the photos. Without `--variant` a fixed list is tried. Scores of regions are stored:
interrupted, the same command goes on where it stopped, several commands with other choices of `--only` share the
scores, and NMS and voting are tried without a network.

Choose settings on photos that are not judged afterwards. Photos of the training split that were kept out of training
rank the variants, but their mAP is no estimate of what other photos get: `googlenet-voc`, from which the shipped
network for shared features starts, saw all photos of the training split in its own training.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from paired_bootstrap import COLUMNS, NUM_SAMPLES, compared_numbers, judge
from rich.table import Column, Table
from shared_scores import SharedScores, SharedSettings

from incdet.cli.console import notes, progress_bar, run_program, table_console, warning, write_numbers
from incdet.config.loading import load_config
from incdet.data.dataset import Dataset
from incdet.data.readers import Collection, read_dataset
from incdet.detections import Detections
from incdet.errors import ConfigurationError, DataError
from incdet.images import read_image
from incdet.ops.decimals import plain_number
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.proposal_cache import ProposalCache

BASE = "base"
"""Name of the row that the others are compared with."""

VARIANTS = [
    "scores.photo_sides=[512]",
    "scores.photo_sides=[384]",
    "scores.photo_sides=[480]",
    "scores.photo_sides=[600]",
    "scores.photo_sides=[720]",
    "scores.photo_sides=[384,800]",
    "scores.photo_sides=[384,512,800]",
    "scores.photo_sides=[256,512,1024]",
    "region_side=96",
    "region_side=128",
    "region_side=160",
    "scores.rounds=1",
    "scores.rounds=2",
    "scores.rounds=3",
    "scores.box_deltas=false",
    "mirrored=true",
    "detections.iou_threshold=0.25",
    "detections.iou_threshold=0.35",
    "detections.iou_threshold=0.4",
    "detections.iou_threshold=0.45",
    "detections.voting_iou=null",
    "scores.region_iou=0.5",
    "scores.region_iou=0.8",
    "scores.region_iou=1",
    "detections.voting_iou=0.4",
    "detections.voting_iou=0.6",
    "detections.voting_iou=0.7",
]
"""The variants that are tried by default."""


def main(
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")] = Collection.voc,
    split: Annotated[str, typer.Option(help="Photos that are judged.")] = "train",
    photos: Annotated[int | None, typer.Option(min=1, help="Number of photos, evenly spaced (default: all).")] = None,
    weights: Annotated[str, typer.Option(help="Name or file of weights.")] = "googlenet-voc-shared",
    variants: Annotated[
        list[str] | None,
        typer.Option("--variant", help='Changes of the base, "key=value key=value"; repeat (default: a fixed list).'),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Try only variants that hold this text; repeat.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the base.")] = None,
    samples: Annotated[int, typer.Option(min=2, help="Number of resampled sets of photos.")] = NUM_SAMPLES,
    numbers_file: Annotated[Path | None, typer.Option("--json", help="File of the numbers; - is stdout.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder that keeps proposals and region scores.")] = Path(".cache"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Judge detections by one network for shared features under VOC's rules with several settings."""
    tried = _settings_by_name(variants or VARIANTS, only or [], settings or [])
    scores = SharedScores(weights, cache / "shared_scores")
    data = read_dataset(dataset, root, split, warn=warning).evenly_spaced(photos)
    if scores.record.classes != data.class_names:
        raise DataError(f"{weights} knows other classes than {data.name}; give weights that were trained for it")
    found = _detections(tried, scores, data, cache, quiet)
    rows = _rows(found, data, samples)
    _report(rows, data, weights, numbers_file)


def _settings_by_name(
    variants: Sequence[str], only: Sequence[str], settings: Sequence[str]
) -> dict[str, SharedSettings]:
    """The base and the chosen variants.

    Raises:
        ConfigurationError: a setting is unknown or wrong, or no variant holds the text.
    """
    chosen = variants
    if only:
        chosen = [variant for variant in variants if any(text in variant for text in only)]
    if not chosen:
        raise ConfigurationError(f"no variant holds {' or '.join(only)}; the variants are {', '.join(variants)}")
    tried = {BASE: load_config(SharedSettings, None, settings)}
    for variant in chosen:
        tried[variant] = load_config(SharedSettings, None, [*settings, *variant.split()])
    return tried


def _detections(
    tried: dict[str, SharedSettings], scores: SharedScores, data: Dataset, cache: Path, quiet: bool
) -> dict[str, list[Detections]]:
    """The detections of every variant in every photo."""
    caches = {}
    for name, settings in tried.items():
        caches[name] = ProposalCache(cache / "proposals", settings.proposals, settings.device, settings.scores)
    base = tried[BASE]
    with progress_bar("proposals", len(data), quiet) as update:
        for done, path in enumerate(caches[BASE].fill(data.image_paths, base.images), 1):
            update(done, path.name)
    found: dict[str, list[Detections]] = {name: [] for name in tried}
    with progress_bar("regions", len(data), quiet) as update:
        for done, (path, truth) in enumerate(data):
            update(done, truth.image)
            image = read_image(path, base.images)
            for name, settings in tried.items():
                scored = scores(settings, image, caches[name](image))
                entry = select_detections(scored, image, data.class_names, settings.detections)
                # the annotation may state another size than the photo has
                found[name].append(entry.rescaled(truth.width, truth.height))
        update(len(data), "")
    return found


def _rows(found: dict[str, list[Detections]], data: Dataset, num_samples: int) -> dict[str, list[float]]:
    """The numbers of every variant, in the order of `COLUMNS`."""
    base = judge(found[BASE], data, num_samples)
    return {name: compared_numbers(judge(entries, data, num_samples), base) for name, entries in found.items()}


def _report(rows: dict[str, list[float]], data: Dataset, weights: str, numbers_file: Path | None) -> None:
    objects = sum(int((~truth.ignored).sum()) for truth in data.ground_truths)
    title = f"{weights}, {data.name}: {len(data)} photos, {objects} objects"
    # long settings go on in the next line instead of being cut
    table = Table(Column("settings", overflow="fold"), *(Column(name, min_width=7) for name in COLUMNS), title=title)
    written = []
    for name, numbers in rows.items():
        table.add_row(name, *map(str.format, COLUMNS.values(), numbers))
        plain = [plain_number(number) for number in numbers]
        written.append({"settings": name, **dict(zip(COLUMNS, plain, strict=True))})
    table_console(numbers_file).print(table)
    write_numbers(numbers_file, json.dumps({"data": title, "rows": written}, indent=2) + "\n")
    if numbers_file not in (None, Path("-")):
        notes.print(f"wrote {numbers_file}", markup=False)


if __name__ == "__main__":
    run_program(main)
