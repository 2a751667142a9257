"""Variants of the head on shared features, trained alike on frozen feature maps: context, pooling from 3b, box deltas.

    OMP_NUM_THREADS=1 python experiments/compare_shared_heads.py --root VOC2012 --train-split fit --split held \
        --photos 600 --steps 1500 --json runs/shared_heads.json

Stages 1 to 4 stay those of the weights, so that the feature maps of every photo, at one photo side of 512, are computed
once and kept in memory: 2.3 MB for each, and 5.2 MB more with those after module 3b. Every variant starts from the
weights and sees the same photos, regions and dropout in the same order. In detection, regions are judged once. The
recipe is `own_data`, `--set` changes it; `--judge` changes the detector that judges. Results are stored one by one:
interrupted, the same command goes on with the next variant, and commands with other choices of `--only` share them.

Photos of the training split that are kept out here rank the variants, but their mAP is no estimate of what other photos
get: `googlenet-voc`, from which the shipped network for shared features starts, saw all photos of the training split in
its own training.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
from head_training import MapsOf, cached_maps, cells_of, detect_with_head, early_scale, seconds_per_region, train_head
from head_variants import RegionHead, make_heads, prepare_head
from paired_bootstrap import COLUMNS, Judged, compared_numbers, judge
from rich.table import Table

from incdet.cli.console import notes, progress_bar, run_program, table_console, warning, write_numbers
from incdet.config.loading import load_config
from incdet.config.recipes import find_recipe
from incdet.config.sections import Config
from incdet.data.dataset import Dataset
from incdet.data.readers import Collection, read_dataset
from incdet.errors import ConfigurationError, DataError, WeightsError
from incdet.images import read_image
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import fingerprint
from incdet.networks.weights import load_network
from incdet.ops.decimals import plain_number
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.files import load_arrays, save_arrays
from incdet.runtime.provenance import versions
from incdet.training.photo_proposals import PhotoProposals
from incdet.training.region_training_config import RegionsTrainingConfig
from incdet.training.shared_region_task import SharedRegionsTask

CONTROL, EARLY = "control", "3b and 4e"
"""Names of the variant that the others are compared with, and of the one that needs the feature maps after 3b."""

SCALE_PHOTOS = 8
"""Number of training photos whose feature maps tell the scale of those after module 3b."""

TIMED_REGIONS = 64
"""Number of regions that are timed together."""

FIXED = ["data.validation_images=0", "shared.photo_sides=[512,512]", "shared.size_spread=null"]
FIXED += ["sampling.flip_probability=0", "optimization.warmup_steps=50"]
FIXED += ["device=cpu", "workers=0", "memory_gigabytes=8"]
"""Settings of the recipe: one photo side and no mirror images, so that each photo has its feature maps but once."""


class HeadResult(NamedTuple):
    """The numbers of a variant.

    Attributes:
        judged: mAP and pooled AP.
        loss: mean training loss of the last steps.
        milliseconds: time of pooling and judging a region.
        control_milliseconds: the same of the control, measured in turns with it.
    """

    judged: Judged
    loss: float
    milliseconds: float
    control_milliseconds: float


class Study(NamedTuple):
    """The part that all variants have in common.

    Attributes:
        task: photos, regions and settings of the training.
        maps_of: gives the feature maps of a photo.
        judged: the photos that are judged.
        config: the detector that judges.
        proposals: the proposals of these photos.
    """

    task: SharedRegionsTask
    maps_of: MapsOf
    judged: Dataset
    config: Config
    proposals: ProposalCache


def main(
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")] = Collection.voc,
    train_split: Annotated[str, typer.Option(help="Photos that are learnt.")] = "train",
    split: Annotated[str, typer.Option(help="Photos that are judged.")] = "val",
    photos: Annotated[int, typer.Option(min=1, help="Number of photos to learn from, evenly spaced.")] = 600,
    judged_photos: Annotated[
        int | None, typer.Option(min=1, help="Number of photos to judge, evenly spaced (default: all).")
    ] = None,
    weights: Annotated[str, typer.Option(help="Name or file of weights.")] = "googlenet-voc-shared",
    steps: Annotated[int, typer.Option(min=1, help="Steps of two photos.")] = 1500,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Try only the control and variants that hold this text; repeat.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the recipe.")] = None,
    judge_settings: Annotated[
        list[str] | None, typer.Option("--judge", help="key=value of the detector that judges.")
    ] = None,
    numbers_file: Annotated[Path | None, typer.Option("--json", help="File of the numbers; - is stdout.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder that keeps proposals and results.")] = Path(".cache"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Train variants of the head on shared features alike and judge them on photos kept out."""
    # several small layers: one thread does them as fast as two
    torch.set_num_threads(1)
    chosen = _choose(only or [])
    places = [f"data.root={root}", f"data.split={train_split}", f"initial_weights={weights}"]
    values = [*places, *FIXED, f"optimization.steps={steps}", *(settings or [])]
    config = load_config(RegionsTrainingConfig, find_recipe("own_data"), values)
    judging = load_config(Config, None, judge_settings or [])
    learnt = read_dataset(dataset, root, train_split, warn=warning).evenly_spaced(photos)
    judged = read_dataset(dataset, root, split, warn=warning).evenly_spaced(judged_photos)
    folder = cache / "shared_heads" / _key(config, judging, learnt, judged, weights)
    results = {}
    study: Study | None = None
    for name in chosen:
        result = _load(folder / f"{name}.npz")
        if result is None:
            # photos are read only where a result is missing
            study = study or _prepare(config, judging, (learnt, judged), EARLY in chosen, cache, quiet)
            result = _run(name, study, quiet)
            _save(folder / f"{name}.npz", result)
        results[name] = result
    _report(results, judged, weights, numbers_file)


def _choose(only: Sequence[str]) -> list[str]:
    """The names of the variants that are wanted, the control first.

    Raises:
        ConfigurationError: no variant holds the text.
    """
    names = list(make_heads(1.0))
    chosen = [name for name in names if name == CONTROL or not only or any(text in name for text in only)]
    if len(chosen) == 1 and only and CONTROL not in only:
        raise ConfigurationError(f"no variant holds {' or '.join(only)}; the variants are {', '.join(names)}")
    return chosen


def _key(config: RegionsTrainingConfig, judging: Config, learnt: Dataset, judged: Dataset, weights: str) -> str:
    """A name for everything but the variant that decides a result."""
    description = {
        "versions": versions(),
        "weights": fingerprint(find_weights(weights)),
        "recipe": config.recipe(),
        "judging": judging.model_dump(mode="json"),
        "learnt": [str(path) for path in learnt.image_paths],
        "judged": [str(path) for path in judged.image_paths],
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]


def _prepare(
    config: RegionsTrainingConfig,
    judging: Config,
    photos: tuple[Dataset, Dataset],
    with_early: bool,
    cache: Path,
    quiet: bool,
) -> Study:
    """Finds the proposals of all photos and makes the training.

    Args:
        config: the training.
        judging: the detector that judges.
        photos: the photos that are learnt, and those that are judged.
        with_early: whether the feature maps after module 3b are needed.
        cache: folder of proposals.
        quiet: whether progress bars are left out.

    Raises:
        DataError: the weights know other classes than the data set.
        WeightsError: the weights were trained on crops.
    """
    learnt, judged = photos
    network, record = load_network(find_weights(config.initial_weights))
    if record.features != "shared":
        raise WeightsError(f"{config.initial_weights} was trained on crops; give weights for shared features")
    if record.classes != judged.class_names:
        raise DataError(
            f"{config.initial_weights} knows other classes than {judged.name}; give weights for its classes"
        )
    learnt_proposals = ProposalCache(cache / "proposals", config.proposals, "cpu")
    judged_proposals = ProposalCache(cache / "proposals", judging.proposals, "cpu")
    with progress_bar("proposals to learn", len(learnt), quiet) as update:
        for done, path in enumerate(PhotoProposals(learnt_proposals).fill(learnt.image_paths), 1):
            update(done, path.name)
    with progress_bar("proposals to judge", len(judged), quiet) as update:
        for done, path in enumerate(judged_proposals.fill(judged.image_paths, judging.images), 1):
            update(done, path.name)
    task = SharedRegionsTask(learnt, learnt_proposals, (network, record), config)
    return Study(task, cached_maps(task, with_early), judged, judging, judged_proposals)


def _run(name: str, study: Study, quiet: bool) -> HeadResult:
    """Trains one variant, judges it, and times it in turns with the control."""
    task = study.task
    paths = task.training.image_paths
    scale = early_scale([study.maps_of(path) for path in paths[:SCALE_PHOTOS]]) if name == EARLY else 1.0
    head = make_heads(scale)[name](task.network)
    with progress_bar(f"{name}: steps", task.config.optimization.num_steps(1.0), quiet) as update:
        trained = train_head(head, task, study.maps_of, lambda done: update(done, ""))
    prepared = prepare_head(trained.head, task.precision)
    found = []
    with progress_bar(f"{name}: photos", len(study.judged), quiet) as update:
        for done, (path, truth) in enumerate(study.judged):
            update(done, truth.image)
            image = read_image(path, study.config.images)
            maps = study.maps_of(path)
            boxes = study.proposals(image).boxes
            entry = detect_with_head(
                prepared, maps, image, boxes, task.preprocessing, task.classes, study.config.detections
            )
            found.append(entry.rescaled(truth.width, truth.height))
        update(len(study.judged), "")
    seconds = _time(prepared, study)
    return HeadResult(judge(found, study.judged), trained.loss, 1000 * seconds[0], 1000 * seconds[1])


def _time(prepared: RegionHead, study: Study) -> tuple[float, float]:
    """Seconds for a region by a head and by the control."""
    path = study.judged.image_paths[0]
    image = read_image(path, study.config.images)
    boxes = study.proposals(image).boxes[:TIMED_REGIONS]
    control = prepare_head(RegionHead(study.task.network), study.task.precision)
    seconds = seconds_per_region(
        {"head": prepared, CONTROL: control},
        study.maps_of(path),
        cells_of(boxes, image, study.task.preprocessing),
    )
    return seconds["head"], seconds[CONTROL]


def _save(file: Path, result: HeadResult) -> None:
    arrays = {name: np.array(value) for name, value in result.judged._asdict().items()}
    save_arrays(file, **arrays, others=np.array(result[1:]))


def _load(file: Path) -> HeadResult | None:
    """The result of a variant; None where it is not there yet."""
    arrays = load_arrays(file, *Judged._fields, "others")
    if arrays is None:
        return None
    mean, pooled, resampled_means, resampled_pooled = (arrays[name] for name in Judged._fields)
    return HeadResult(Judged(float(mean), float(pooled), resampled_means, resampled_pooled), *arrays["others"].tolist())


def _report(results: dict[str, HeadResult], data: Dataset, weights: str, numbers_file: Path | None) -> None:
    title = f"{weights}, {data.name}: {len(data)} photos"
    table = Table("head", *COLUMNS, "loss", "ms a region", "extra ms", title=title)
    written = []
    for name, result in results.items():
        numbers = compared_numbers(result.judged, results[CONTROL].judged)
        extra = result.milliseconds - result.control_milliseconds
        texts = [*map(str.format, COLUMNS.values(), numbers), f"{result.loss:.3f}"]
        table.add_row(name, *texts, f"{result.milliseconds:.2f}", f"{extra:+.2f}")
        row = dict(zip(COLUMNS, map(plain_number, numbers), strict=True))
        row |= {"loss": result.loss, "milliseconds": result.milliseconds, "extra milliseconds": extra}
        written.append({"head": name, **row})
    table_console(numbers_file).print(table)
    write_numbers(numbers_file, json.dumps({"data": title, "rows": written}, indent=2) + "\n")
    if numbers_file not in (None, Path("-")):
        notes.print(f"wrote {numbers_file}", markup=False)


if __name__ == "__main__":
    run_program(main)
