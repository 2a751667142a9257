"""Trains MultiBox, the network that proposes boxes, as a configuration says.

    python tools/train_multibox.py configs/multibox_voc.yaml --output runs/multibox_voc

Writes checkpoint.safetensors, log.jsonl and weights.safetensors into the output folder; run again, it goes on where it
stopped.
"""

from pathlib import Path
from typing import Annotated

import typer
from training_runs import run_training

from incdet.cli.console import run_program, warning
from incdet.config.loading import load_config
from incdet.data.dataset import no_warning
from incdet.networks.weights import find_weights, load_network
from incdet.runtime.distributed import joined_processes
from incdet.training.loop import Trainer
from incdet.training.multibox_task import MultiBoxTask, MultiBoxTrainingConfig
from incdet.training.training_data import read_training_photos


def main(
    config: Annotated[Path, typer.Argument(help="A YAML file such as configs/multibox_voc.yaml.")],
    output: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/multibox"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's events, too.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Train, with progress; Ctrl-C stores the state, the same command goes on from it."""
    training = load_config(MultiBoxTrainingConfig, config, settings or ())
    with joined_processes(training.device) as processes:
        # every process reads the annotations, but photos of its own
        said_once = warning if processes.leads else no_warning
        dataset, _ = read_training_photos(training.data, training.seed, said_once)
        initial = load_network(find_weights(training.initial_weights))
        task = MultiBoxTask(dataset, initial, training, processes, warning)
        arguments = (training.optimization, training.schedule(), output, training.seed, processes, tensorboard)
        run_training(Trainer(task.task(), *arguments), training, task.record, quiet)


if __name__ == "__main__":
    run_program(main)
