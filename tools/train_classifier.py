"""Trains a classifier of whole photos as a configuration says.

    python tools/train_classifier.py configs/googlenet_imagenet.yaml --output runs/googlenet
    torchrun --nproc-per-node 8 tools/train_classifier.py configs/googlenet_imagenet.yaml --output runs/googlenet

Writes checkpoint.safetensors, log.jsonl and weights.safetensors into the output folder; run again, it goes on where it
stopped.
"""

from pathlib import Path
from typing import Annotated

import typer
from training_runs import run_training

from incdet.cli.console import run_program, warning
from incdet.config.loading import load_config
from incdet.runtime.distributed import joined_processes
from incdet.training.classification_task import ClassificationTask, ClassifierTrainingConfig
from incdet.training.loop import Trainer


def main(
    config: Annotated[Path, typer.Argument(help="A YAML file such as configs/googlenet_imagenet.yaml.")],
    output: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/classifier"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's events, too.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Train, with progress; Ctrl-C stores the state, the same command goes on from it."""
    training = load_config(ClassifierTrainingConfig, config, settings or ())
    with joined_processes(training.device) as processes:
        task = ClassificationTask(training, processes, warning)
        arguments = (training.optimization, training.schedule(), output, training.seed, processes, tensorboard)
        run_training(Trainer(task.task(), *arguments), training, task.record, quiet)


if __name__ == "__main__":
    run_program(main)
