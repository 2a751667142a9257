"""Fine-tunes a region classifier as a configuration says.

    python tools/train_regions.py configs/regions_voc.yaml --output runs/regions_voc

Writes checkpoint.safetensors, log.jsonl and weights.safetensors into the output folder; run again, it goes on where it
stopped. Proposals are computed once and cached.
"""

from pathlib import Path
from typing import Annotated

import typer
from training_runs import run_training

from incdet.config import ImagesConfig, load_config
from incdet.console import progress_bar, run_program
from incdet.data.readers import Collection, read_dataset
from incdet.networks.weights import find_weights, load_network
from incdet.proposals import ProposalCache
from incdet.training.loop import Trainer
from incdet.training.processes import Processes, joined_processes
from incdet.training.regions import RegionsTask, RegionsTrainingConfig


def main(
    config: Annotated[Path, typer.Argument(help="A YAML file such as configs/regions_voc.yaml.")],
    output: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/regions"),
    cache: Annotated[Path, typer.Option(help="Folder of the proposal cache.")] = Path(".cache/proposals"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's events, too.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bars.")] = False,
) -> None:
    """Train, with progress; Ctrl-C stores the state, the same command goes on from it."""
    training = load_config(RegionsTrainingConfig, config, settings or ())
    with joined_processes(training.device) as processes:
        task = _prepare(training, cache, processes, quiet or not processes.leads)
        arguments = (training.optimization, training.schedule(), output, training.seed, processes, tensorboard)
        run_training(Trainer(task.task(), *arguments), training, task.record, quiet)


def _prepare(training: RegionsTrainingConfig, cache: Path, processes: Processes, quiet: bool) -> RegionsTask:
    """The data, its proposals (found by one process, read by all) and the network."""
    dataset = read_dataset(Collection(training.data.dataset), Path(training.data.root), training.data.split)
    initial = load_network(find_weights(training.initial_weights))
    proposals = ProposalCache(cache, training.proposals)
    if processes.leads:
        with progress_bar("proposals", len(dataset), quiet) as update:
            for done, path in enumerate(proposals.fill(dataset.image_paths, ImagesConfig()), 1):
                update(done, path.name)
    processes.wait()
    return RegionsTask(dataset, proposals, initial, training, processes)


if __name__ == "__main__":
    run_program(main)
