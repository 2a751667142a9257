"""What a cluster's run costs besides its work, on this machine.

python benchmarks/cluster_benchmark.py overhead /tmp/overhead --photos 100000
python benchmarks/cluster_benchmark.py listing /tmp/listing --names 1000000
python benchmarks/cluster_benchmark.py throughput VOC2012/JPEGImages --limit 60
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import PIL.Image
import typer
from cluster_work import ReadingWork, seconds_without_cluster

from incdet.cli.console import call_with_sentence, notes
from incdet.cluster.cluster_run import ClusterRun, Progress, RunRequest
from incdet.cluster.listing_parts import Listing, choose_part_size
from incdet.cluster.photo_inputs import PhotoInputs
from incdet.cluster.ray_cluster import LOCAL, connect, disconnect
from incdet.cluster.result_store import open_store
from incdet.cluster.worker_slots import WorkerChoice
from incdet.images import find_images
from incdet.runtime.worker_processes import num_cores

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

IN_FOLDER = 10_000
"""Number of photos in each folder that is made."""


@app.command()
def overhead(
    folder: Annotated[Path, typer.Argument(help="Folder of the photos and the results; made where it is missing.")],
    photos: Annotated[int, typer.Option(min=1, help="Number of photos that there are at least.")] = 100_000,
    side: Annotated[int, typer.Option(min=1, help="Width and height of a photo.")] = 64,
    workers: Annotated[int, typer.Option(min=1, help="Number of workers.")] = 1,
) -> None:
    """A trivial detector: the time of a photo beyond that of a plain loop, and the memory of the command."""
    source = folder / "photos"
    make_photos(source, photos, side)
    sample = [str(file) for file in find_images([source / "0000"])[:5000]]
    # the first round brings the files into memory
    plain = min(seconds_without_cluster(sample) for _ in range(2)) / len(sample)
    # workers import the work from here
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    inputs = PhotoInputs([str(source)])
    request = RunRequest(
        work=ReadingWork(),
        inputs=inputs,
        input_names=inputs.given,
        local_places=inputs.local_places(),
        place=str(folder / "found"),
        overwrite=True,
        workers=WorkerChoice(num_workers=workers),
    )
    memory: list[float] = []
    counts: list[int] = []

    def note(progress: Progress) -> None:
        memory.append(resident_megabytes())
        counts.append(progress.num_photos)

    with ClusterRun(request) as run:
        connect(LOCAL)
        try:
            run.run(note)
        finally:
            disconnect()
    # the memory is told from the moment at which work has begun
    first = next(number for number, count in enumerate(counts) if count > 0)
    # an earlier measurement may have left more photos in the folder than were asked for
    done = run.progress.num_photos
    by_photo = run.progress.seconds * workers / done
    numbers = {
        "photos": done,
        "seconds": round(run.progress.seconds, 1),
        "ms_a_photo_and_worker": round(by_photo * 1000, 3),
        "ms_in_a_plain_loop": round(plain * 1000, 3),
        "ms_of_overhead": round((by_photo - plain) * 1000, 3),
        "command_megabytes_first": round(memory[first], 1),
        "command_megabytes_middle": round(memory[(first + len(memory)) // 2], 1),
        "command_megabytes_last": round(memory[-1], 1),
    }
    notes.print(json.dumps(numbers, indent=1), markup=False)


@app.command()
def listing(
    folder: Annotated[Path, typer.Argument(help="Folder of the names and the listing; made where it is missing.")],
    names: Annotated[int, typer.Option(min=1, help="Number of names, all in one folder.")] = 1_000_000,
) -> None:
    """The listing of a huge folder: names a second, and memory at each quarter."""
    source = folder / "photos"
    source.mkdir(parents=True, exist_ok=True)
    for number in range(names):
        # empty files are enough, as nobody reads them
        file = source / f"{number:08d}.jpg"
        if not file.exists():
            file.touch()
    shutil.rmtree(folder / "found", ignore_errors=True)
    before = resident_megabytes()
    started = time.perf_counter()
    part_size, inputs = choose_part_size(iter(PhotoInputs([str(source)])), 16)
    found = Listing(open_store(str(folder / "found")), lambda _: None)
    found.start(inputs, part_size, [])
    memory = [resident_megabytes()]
    while not found.is_complete:
        time.sleep(0.2)
        found.check()
        memory.append(resident_megabytes())
    seconds = time.perf_counter() - started
    quarters = [round(memory[len(memory) * quarter // 4 - 1], 1) for quarter in (1, 2, 3, 4)]
    numbers = {
        "names": found.num_photos,
        "parts": found.num_parts,
        "seconds": round(seconds, 1),
        "megabytes_before": round(before, 1),
        "megabytes_at_quarters": quarters,
    }
    notes.print(json.dumps(numbers, indent=1), markup=False)


@app.command()
def throughput(
    path: Annotated[Path, typer.Argument(help="A folder of photos.")],
    limit: Annotated[int, typer.Option(min=2, help="Largest number of photos.")] = 60,
    runs: Annotated[int, typer.Option(min=1, help="Repetitions, in turn; the median counts.")] = 3,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers of the cluster (default: one for each core).")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="As of incdet detect; repeatable.")] = None,
    preset: Annotated[str, typer.Option(help="As of incdet detect.")] = "default",
) -> None:
    """The real detector: photos a second of workers with one core each against one `incdet detect` with all cores.

    Both are measured without their start: each by two runs, of which the longer one detects in twice as many photos.
    """
    workers = workers or num_cores()
    files = find_images([path])[:limit]
    options = ["--preset", preset, "--quiet", *(word for setting in settings or () for word in ("--set", setting))]
    rates: dict[str, list[float]] = {"one machine": [], "cluster": []}
    for _ in range(runs):
        rates["one machine"].append(rate_of_one_machine(files, options))
        rates["cluster"].append(rate_of_cluster(files, options, workers))
    medians = {name: float(np.median(values)) for name, values in rates.items()}
    numbers: dict[str, Any] = {
        "photos": len(files),
        "cores": {"one machine": num_cores(), "cluster": workers},
        "photos_a_second": {name: [round(value, 3) for value in values] for name, values in rates.items()},
        "ratio_of_medians": round(medians["cluster"] / medians["one machine"], 3),
    }
    notes.print(json.dumps(numbers, indent=1), markup=False)


def rate_of_one_machine(files: list[Path], options: list[str]) -> float:
    """Returns photos a second of `incdet detect` without its start."""
    few, all_seconds = files[: len(files) // 2], _seconds_of(files, options)
    return (len(files) - len(few)) / (all_seconds - _seconds_of(few, options))


def _seconds_of(files: list[Path], options: list[str]) -> float:
    command = [sys.executable, "-m", "incdet", "detect", *map(str, files), "--json", "-", *options]
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def rate_of_cluster(files: list[Path], options: list[str], workers: int) -> float:
    """Returns photos a second of the same command with `--cluster local`, without its start, in the same way."""
    few, all_seconds = files[: len(files) // 2], _seconds_on_cluster(files, options, workers)
    return (len(files) - len(few)) / (all_seconds - _seconds_on_cluster(few, options, workers))


def _seconds_on_cluster(files: list[Path], options: list[str], workers: int) -> float:
    place = Path(tempfile.gettempdir(), f"incdet-throughput-{os.getpid()}")
    command = [sys.executable, "-m", "incdet", "detect", *map(str, files), *options]
    command += ["--cluster", LOCAL, "--cluster-workers", str(workers), "--output", str(place), "--part-size", "2"]
    started = time.perf_counter()
    try:
        subprocess.run(command, check=True)
        return time.perf_counter() - started
    finally:
        shutil.rmtree(place, ignore_errors=True)


def make_photos(folder: Path, count: int, side: int) -> None:
    """Makes photos of noise in folders of `IN_FOLDER`."""
    generator = np.random.default_rng(0)
    for number in range(count):
        file = folder / f"{number // IN_FOLDER:04d}" / f"{number:08d}.jpg"
        if file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (side // 8 + 1, side // 8 + 1, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).resize((side, side)).save(file, quality=80)


def resident_megabytes() -> float:
    """Returns the memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    call_with_sentence(app)
