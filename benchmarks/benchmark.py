"""How fast incdet is, side by side with named peers, in one run.

python benchmarks/benchmark.py evaluation --root ILSVRC --split val2
python benchmarks/benchmark.py proposals VOC2012/JPEGImages
python benchmarks/benchmark.py proposal-scaling photo.jpg
python benchmarks/benchmark.py detect VOC2012/JPEGImages
python benchmarks/benchmark.py shared-features VOC2012
python benchmarks/benchmark.py folder VOC2012/JPEGImages
python benchmarks/benchmark.py loader ILSVRC/train
python benchmarks/benchmark.py training VOC2012
"""

import json
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from evaluation_benchmark import evaluation_jobs, evaluation_table, measure_evaluation
from loader_benchmark import loaders_table, measure_loaders
from proposal_benchmark import (
    SCALING_MEGAPIXELS,
    measure_frame,
    measure_photo,
    proposal_numbers,
    proposals_table,
    scaling_table,
    start_up_seconds,
)
from rich.console import Console
from rich.table import Table

from incdet.cli.console import call_with_sentence, notes, progress_bar
from incdet.config.loading import load_config
from incdet.config.sections import Config, SelectiveSearchConfig
from incdet.images import find_images, read_image
from incdet.runtime.device import choose_device
from incdet.runtime.files import write_text

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def evaluation(
    root: Annotated[Path, typer.Option(help="ILSVRC DET in its official layout; photos are not needed.")],
    split: Annotated[str, typer.Option(help="Name of the split.")] = "val2",
    detections: Annotated[
        list[int] | None, typer.Option(help="How many to judge; repeatable (default: 20000, 200000, 2000000).")
    ] = None,
    peer_limit: Annotated[int, typer.Option(help="pycocotools judges files up to this many detections.")] = 200_000,
    runs: Annotated[int, typer.Option(min=1, help="Repetitions; the median counts.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Whole runs of `incdet evaluate` on generated detections: ILSVRC's rules, and pycocotools as the peer.

    Each run is a process of its own that reads the file, judges and prints; annotations were parsed before.
    """
    sizes = detections or [20_000, 200_000, 2_000_000]
    jobs = evaluation_jobs(sizes, peer_limit)
    with progress_bar("runs", len(jobs) * (runs + 1)) as update:
        rows = measure_evaluation(root, split, jobs, runs, update)
    notes.print(evaluation_table(rows))
    _save(json_file, rows)


@app.command()
def proposals(
    path: Annotated[Path, typer.Argument(help="A photo or a folder of photos; with ../Annotations in VOC's layout.")],
    limit: Annotated[int, typer.Option(min=1, help="Largest number of photos, evenly spaced over the folder.")] = 32,
    runs: Annotated[int, typer.Option(min=1, help="Repetitions; each photo's median counts.")] = 3,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Of the search: superpixel_scale=1; repeatable.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Selective search: incdet's engine against OpenCV's with the same strategies, and segmentation alone.

    The engines take turns on every photo. Coverage is told where annotations are found; at the same number of boxes
    both engines' lists are cut to the shorter one's length.
    """
    config = load_config(SelectiveSearchConfig, settings=settings or ())
    files = _evenly_spaced(find_images([path]), limit)
    cv2.setNumThreads(1)
    measured = []
    with progress_bar("photos", len(files)) as update:
        startup = start_up_seconds()
        for done, file in enumerate(files):
            update(done, file.name)
            measured.append(measure_photo(read_image(file), config, runs))
        update(len(files), "")
    numbers = proposal_numbers(files, measured) | startup
    notes.print(proposals_table(numbers))
    _save(json_file, numbers | {"configuration": config.model_dump(mode="json")})


@app.command()
def proposal_scaling(
    photo: Annotated[Path, typer.Argument(help="A photo; it is enlarged or shrunk to each size.")],
    megapixels: Annotated[
        list[float] | None, typer.Option(min=0.01, max=16, help="Repeatable (default: 0.1 to 12 in doublings).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Selective search on frames of growing size, one thread: seconds per megapixel, and peak memory so far."""
    image = read_image(photo)
    rows = []
    sizes = sorted(megapixels or SCALING_MEGAPIXELS)
    with progress_bar("frames", len(sizes)) as update:
        for done, size in enumerate(sizes):
            update(done, f"{size} megapixels")
            rows.append(measure_frame(image, size))
        update(len(sizes), "")
    notes.print(scaling_table(rows))
    _save(json_file, rows)


@app.command()
def detect(
    path: Annotated[Path, typer.Argument(help="A photo or a folder of photos.")],
    limit: Annotated[int, typer.Option(min=1, help="Largest number of photos, evenly spaced over the folder.")] = 3,
    runs: Annotated[int, typer.Option(min=1, help="Repetitions; each photo's median counts.")] = 3,
    peers: Annotated[bool, typer.Option(help="Also the textbook loop and torchvision's detectors.")] = True,
    exact: Annotated[bool, typer.Option(help="Also the ensemble with thresholds of 0.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Of incdet's detectors; repeatable.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Detection, stage by stage: one network and six with every engine, and what a user would take instead."""
    from detection_benchmark import (
        cold_start_seconds,
        contenders,
        detection_table,
        measure_detection,
        ratio_lines,
    )

    files = _evenly_spaced(find_images([path]), limit)
    named = contenders(peers, exact, settings or ())
    with progress_bar("turns", len(named) * (1 + runs * len(files))) as update:
        numbers = measure_detection(files, named, runs, update)
    numbers["cold_start_seconds"] = cold_start_seconds(files[0], runs, settings or ())
    # where the output is no terminal, it would be cut down to 80 columns
    Console(stderr=True, width=None if notes.is_terminal else 120).print(detection_table(numbers, len(files)))
    for line in ratio_lines(numbers):
        notes.print(line, markup=False)
    _save(json_file, numbers)


@app.command()
def shared_features(
    path: Annotated[Path, typer.Argument(help="A photo, a folder of photos, or a data set in VOC's layout.")],
    limit: Annotated[int, typer.Option(min=1, help="Largest number of photos, evenly spaced over the folder.")] = 5,
    crops_limit: Annotated[int, typer.Option(min=1, help="Number of these photos for contenders on crops.")] = 1,
    runs: Annotated[int, typer.Option(min=1, help="Rounds in which all take turns; the median counts.")] = 3,
    only: Annotated[
        list[str] | None, typer.Option(help="Contenders whose names contain this; repeatable (default: all).")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Of incdet's detectors; repeatable.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Shared features beside crops and torchvision's detectors: seconds of each stage, factors, multiply-adds."""
    from shared_features_benchmark import factor_lines, measure_contenders, seconds_table, work_lines
    from shared_features_contenders import find_contenders

    folder_of_photos = path / "JPEGImages" if (path / "JPEGImages").is_dir() else path
    files = _evenly_spaced(find_images([folder_of_photos]), limit)
    contenders, skipped = find_contenders(settings or (), only or ())
    device = choose_device(load_config(Config, settings=settings or ()).device)
    with progress_bar("percent", 100) as update:
        numbers = measure_contenders(files, crops_limit, contenders, device, runs, update) | {"skipped": skipped}
    Console(stderr=True, width=None if notes.is_terminal else 160).print(seconds_table(numbers))
    for line in (*factor_lines(numbers), *work_lines(numbers)):
        notes.print(line, markup=False, soft_wrap=True)
    _save(json_file, numbers)


@app.command()
def folder(
    path: Annotated[Path, typer.Argument(help="A folder of photos.")],
    limit: Annotated[int, typer.Option(min=3, help="Largest number of photos, evenly spaced over the folder.")] = 300,
    workers: Annotated[
        list[int] | None, typer.Option(help="As of incdet detect; repeatable (default: 0 and 1).")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="As of incdet detect; repeatable.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """`incdet detect` on many photos: photos per second, whether memory stays flat, and how many cores are busy."""
    from folder_benchmark import measure_folder

    files = _evenly_spaced(find_images([path]), limit)
    chosen = [part for setting in settings or () for part in ("--set", setting)]
    rows = []
    for number in workers or [0, 1]:
        with progress_bar(f"{number} workers", len(files)) as update:
            rows.append({"workers": number} | measure_folder(files, ["--workers", str(number), *chosen], update))
    table = Table(title=f"incdet detect, {len(files)} photos")
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    notes.print(table)
    _save(json_file, rows)


@app.command()
def loader(
    path: Annotated[Path, typer.Argument(help="A folder of photos.")],
    limit: Annotated[int, typer.Option(min=64, help="Largest number of photos, evenly spaced over the folder.")] = 480,
    workers: Annotated[list[int] | None, typer.Option(min=0, help="Repeatable (default: 0 and 2).")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Passes over the photos; the median counts.")] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Training crops per second, from files to batches, beside torchvision's reference transforms."""
    files = _evenly_spaced(find_images([path]), limit)
    rows = measure_loaders(files, workers or [0, 2], runs)
    notes.print(loaders_table(rows))
    _save(json_file, rows)


@app.command()
def training(
    root: Annotated[Path, typer.Argument(help="A data set in VOC's layout.")],
    split: Annotated[str, typer.Option(help="Name of the split.")] = "train",
    limit: Annotated[int, typer.Option(min=2, help="Largest number of photos, evenly spaced over the split.")] = 24,
    runs: Annotated[int, typer.Option(min=1, help="Steps of each training; the median counts.")] = 5,
    cache: Annotated[Path, typer.Option(help="Folder of the proposal cache.")] = Path(".cache/proposals"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="Of every training; repeatable.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here.")] = None,
) -> None:
    """Regions per second that a region classifier learns from: crops against shared features, one thread, in turns."""
    from training_benchmark import TRAININGS, measure_trainings, trainings_table

    with progress_bar("steps", (runs + 1) * len(TRAININGS)) as update:
        rows = measure_trainings(root, split, limit, runs, cache, settings or (), update)
    notes.print(trainings_table(rows))
    _save(json_file, rows)


def _save(json_file: Path | None, numbers: Any) -> None:
    if json_file is not None:
        write_text(json_file, json.dumps(numbers, indent=2) + "\n")


def _evenly_spaced(files: list[Path], limit: int) -> list[Path]:
    count = min(limit, len(files))
    return [files[i * len(files) // count] for i in range(count)]


if __name__ == "__main__":
    call_with_sentence(app)
