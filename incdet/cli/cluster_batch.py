"""Photos on a cluster: the run of `incdet detect --cluster` and its like, its progress and its summary."""

from collections.abc import Sequence
from itertools import islice

from rich.table import Table

from incdet.cli.cluster_options import ClusterOptions, ResultFormat
from incdet.cli.console import failures_told, notes, progress_bar, warning
from incdet.cluster.cluster_run import ClusterRun, Progress, RunRequest
from incdet.cluster.photo_inputs import PhotoInputs
from incdet.cluster.photo_work import PhotoWork
from incdet.cluster.ray_cluster import connect, disconnect, require_ray
from incdet.cluster.worker_slots import WorkerChoice
from incdet.runtime.counted_words import counted
from incdet.runtime.visible_text import visible

MAX_FAILURES_TOLD = 20
"""Number of photos without a result that are named; all of them have rows with their errors."""


def run_on_cluster(
    work: PhotoWork, paths: Sequence[str], place: str, options: ClusterOptions, overwrite: bool, quiet: bool
) -> int:
    """Works on photos on a cluster and returns the exit code: 0, or 1 where a photo or an input failed.

    Args:
        work: Work on photos.
        paths: Inputs as the user gave them.
        place: Folder or address of the results.
        options: The cluster's options.
        overwrite: Whether earlier results are replaced.
        quiet: Whether nothing but errors is told.

    Raises:
        IncdetError: The cluster, the inputs or the place of the results cannot be used.
    """
    require_ray()
    inputs = PhotoInputs(paths)
    request = RunRequest(
        work=work,
        inputs=inputs,
        input_names=paths,
        local_places=inputs.local_places(),
        place=place,
        form=(options.form or ResultFormat.parquet).value,
        part_size=options.part_size,
        overwrite=overwrite,
        workers=worker_choice(options, work),
    )
    with ClusterRun(request) as run:
        run_with_progress(run, options, quiet)
    return _tell_end(run, inputs, place, quiet)


def worker_choice(options: ClusterOptions, work: PhotoWork) -> WorkerChoice:
    """Returns the workers that the options ask for."""
    return WorkerChoice(options.cpus_per_worker or 1, options.num_workers, work.uses_gpu)


def run_with_progress(run: ClusterRun, options: ClusterOptions, quiet: bool) -> None:
    """Connects to the cluster and runs to the end, with a line of progress.

    Args:
        run: The run.
        options: The cluster's options.
        quiet: Whether nothing is shown.

    Raises:
        IncdetError: The cluster or the place of the results cannot be used.
    """
    if run.is_finished():
        return
    try:
        connect(str(options.address))
        with progress_bar("parts", None, quiet) as update:
            run.run(lambda progress: update(progress.num_finished_parts, progress_note(progress)))
    finally:
        disconnect()


def progress_note(progress: Progress) -> str:
    """Returns the progress in words.

    >>> progress_note(Progress(num_photos=50, num_listed=200, num_failed=1, num_nodes=3, num_workers=6, seconds=10))
    '50 of 200 photos, 5.0 a second, 1 failed, 3 nodes, 6 workers'
    """
    of_all = "" if progress.num_listed is None else f" of {progress.num_listed:,}"
    words = [f"{progress.num_photos:,}{of_all} photos"]
    if progress.seconds:
        words.append(f"{progress.num_photos / progress.seconds:.1f} a second")
    words.append(f"{progress.num_failed:,} failed")
    words += [counted(progress.num_nodes, "node"), counted(progress.num_workers, "worker")]
    if progress.num_retries:
        words.append(f"{counted(progress.num_retries, 'part')} begun again")
    return ", ".join(words)


def node_table(progress: Progress) -> Table:
    """Returns the throughput of every node."""
    table = Table(title="by node")
    for heading in ("node", "photos", "failed", "photos a second", "seconds a photo and worker"):
        table.add_column(heading, justify="left" if heading == "node" else "right")
    for node, share in sorted(progress.by_node.items()):
        by_second = share.num_photos / progress.seconds if progress.seconds else 0.0
        by_photo = share.worker_seconds / share.num_photos if share.num_photos else 0.0
        table.add_row(
            visible(node), f"{share.num_photos:,}", f"{share.num_failed:,}", f"{by_second:.2f}", f"{by_photo:.3f}"
        )
    return table


def _tell_end(run: ClusterRun, inputs: PhotoInputs, place: str, quiet: bool) -> int:
    """Tells what was done and what failed, and returns the exit code."""
    passed_over = inputs.passed_over.sentence()
    if passed_over is not None and not quiet:
        warning(passed_over)
    if run.has_changed and not quiet:
        warning("the inputs have changed since the listing was interrupted; parts that differ were done again")
    if not quiet and run.progress.by_node:
        notes.print(node_table(run.progress))
    code = failures_told(run.input_failures)
    sentences = [str(line["error"]) for line in islice(run.state.failures(), MAX_FAILURES_TOLD + 1)]
    code = max(code, failures_told(sentences[:MAX_FAILURES_TOLD]))
    if quiet:
        return code
    if len(sentences) > MAX_FAILURES_TOLD:
        notes.print("further photos failed; their rows tell why", markup=False)
    progress = run.progress
    if not progress.num_parts:
        return max(code, 1)
    if progress.num_earlier_parts == progress.num_finished_parts:
        notes.print(f"nothing to do: all parts are in {visible(place)}", markup=False)
    elif progress.num_earlier_parts:
        notes.print(f"done before: {counted(progress.num_earlier_parts, 'part')}", markup=False)
    notes.print(f"results: {visible(place)} ({counted(progress.num_finished_parts, 'part')})", markup=False)
    return code
