"""Fine-tunes a region classifier as a configuration says.

    python tools/train_regions.py configs/regions_voc.yaml --output runs/regions_voc --members 6

Writes checkpoint.safetensors, log.jsonl and weights.safetensors into the output folder, or for every member of an
ensemble into member-1, member-2, ... in it; run again, it goes on where it stopped. Proposals are computed once and
cached.
"""

from pathlib import Path
from typing import Annotated

import typer
from training_runs import run_training

from incdet.cli.console import progress_bar, run_program, warning
from incdet.config.loading import load_config
from incdet.config.sections import ImagesConfig
from incdet.data.dataset import no_warning
from incdet.errors import ConfigurationError
from incdet.networks.weights import find_weights, load_network
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.distributed import Processes, joined_processes
from incdet.training.loop import Trainer
from incdet.training.region_task import RegionsTask, RegionsTrainingConfig
from incdet.training.training_data import read_training_photos


def main(
    config: Annotated[Path, typer.Argument(help="A YAML file such as configs/regions_voc.yaml.")],
    output: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/regions"),
    members: Annotated[int | None, typer.Option(min=1, help="Train an ensemble of so many, one after another.")] = None,
    member: Annotated[int | None, typer.Option(min=1, help="Train this one of the ensemble's members only.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder of the proposal cache.")] = Path(".cache/proposals"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's events, too.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bars.")] = False,
) -> None:
    """Train, with progress; Ctrl-C stores the state, the same command goes on from it."""
    training = load_config(RegionsTrainingConfig, config, settings or ())
    if member is not None and members is not None:
        raise ConfigurationError("--member and --members exclude each other; give one of them")
    numbers = range(1, members + 1) if members else [] if member is None else [member]
    runs = [(training.member(number), output / f"member-{number}") for number in numbers] or [(training, output)]
    for own, _ in runs:
        find_weights(own.initial_weights)  # what is missing is said now, not when its turn comes
    with joined_processes(training.device) as processes:
        for own, folder in runs:
            _train(own, folder, cache, processes, tensorboard, quiet)


def _train(
    training: RegionsTrainingConfig, folder: Path, cache: Path, processes: Processes, tensorboard: bool, quiet: bool
) -> None:
    task = _prepare(training, cache, processes, quiet or not processes.leads)
    arguments = (training.optimization, training.schedule(), folder, training.seed, processes, tensorboard)
    run_training(Trainer(task.task(), *arguments), training, task.record, quiet)


def _prepare(training: RegionsTrainingConfig, cache: Path, processes: Processes, quiet: bool) -> RegionsTask:
    """The data, its proposals (found by one process, read by all) and the network."""
    dataset, extra = read_training_photos(training.data, training.seed, warning if processes.leads else no_warning)
    paths = dataset.image_paths + (extra.image_paths if extra else ())
    initial = load_network(find_weights(training.initial_weights))
    proposals = ProposalCache(cache, training.proposals, training.device)
    if processes.leads:
        with progress_bar("proposals", len(paths), quiet) as update:
            for done, path in enumerate(proposals.fill(paths, ImagesConfig()), 1):
                update(done, path.name)
    processes.wait()
    return RegionsTask(dataset, proposals, initial, training, processes, extra)


if __name__ == "__main__":
    run_program(main)
