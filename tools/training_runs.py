"""What the programs that train have in common: run, show progress, store the averaged weights."""

from collections.abc import Callable
from typing import Any

import torch

from incdet.cli.console import notes, progress_bar
from incdet.networks.weights import WeightsRecord, save_weights
from incdet.runtime.device import keep_freed_memory
from incdet.runtime.files import write_text
from incdet.training.averaging import averaged_network
from incdet.training.loop import Trainer
from incdet.training.run_config import RunConfig


def run_training(
    trainer: Trainer[Any], config: RunConfig, record: Callable[[dict[str, float]], WeightsRecord], quiet: bool
) -> None:
    """Trains from where the folder's checkpoint is to the end, then writes weights.safetensors, averaged, in fp16.

    Args:
        trainer: of the task.
        config: the whole configuration, stored in the folder and with the checkpoint.
        record: the last validation's numbers -> what is stored with the weights.
        quiet: no progress bar.

    Raises:
        IncdetError: as `Trainer.resume` and `Trainer.run`.
    """
    if trainer.device.type == "cpu":
        keep_freed_memory()
    trainer.resume(config.decisive())
    if trainer.log is not None:
        write_text(trainer.folder / "config.json", config.model_dump_json(indent=2) + "\n")
        _announce(trainer)
    with progress_bar("training", trainer.steps, quiet or trainer.log is None) as update:
        update(trainer.step, "")
        trainer.run(lambda step, terms: update(step, f"loss {sum(terms.values()):.3f}"))
    if trainer.log is not None:
        file = trainer.folder / "weights.safetensors"
        state = averaged_network(trainer.task.network, trainer.average).state_dict().items()
        # the auxiliary classifiers have done their work
        tensors = {name: value for name, value in state if not name.startswith("auxiliary_")}
        save_weights(file, tensors, record(trainer.log.last("validation")), torch.float16)
        notes.print(f"wrote {file}", markup=False)


def _announce(trainer: Trainer[Any]) -> None:
    processes, device = trainer.processes.count, trainer.device.type
    where = f"{processes} processes on {device}" if processes > 1 else device
    log = trainer.folder / "log.jsonl"
    notes.print(f"training on {where} from step {trainer.step} of {trainer.steps}; log in {log}", markup=False)
