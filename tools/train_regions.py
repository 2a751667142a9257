"""Fine-tunes a region classifier as a configuration says.

    python tools/train_regions.py configs/regions_voc.yaml --output runs/regions_voc

Writes checkpoint.safetensors, log.jsonl and weights.safetensors into the output folder; run again, it goes on where it
stopped. Proposals are computed once and cached.
"""

import json
from pathlib import Path
from typing import Annotated

import torch
import typer

from incdet.config import ImagesConfig, load_config
from incdet.console import notes, progress_bar, run_program
from incdet.data.readers import Collection, read_dataset
from incdet.networks.weights import find_weights, load_network, save_weights
from incdet.proposals import ProposalCache
from incdet.storage import write_text
from incdet.training.loop import Trainer, averaged_parameters
from incdet.training.regions import RegionsTask, RegionsTrainingConfig

NOT_PART_OF_THE_RESULT = {"device", "memory_gigabytes", "log_every", "checkpoint_every"}


def main(
    config: Annotated[Path, typer.Argument(help="A YAML file such as configs/regions_voc.yaml.")],
    output: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/regions"),
    cache: Annotated[Path, typer.Option(help="Folder of the proposal cache.")] = Path(".cache/proposals"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
    quiet: Annotated[bool, typer.Option(help="No progress bars.")] = False,
) -> None:
    """Train, with progress; Ctrl-C stores the state, the same command goes on from it."""
    training = load_config(RegionsTrainingConfig, config, settings or ())
    dataset = read_dataset(Collection(training.data.dataset), Path(training.data.root), training.data.split)
    initial = load_network(find_weights(training.initial_weights))
    proposals = ProposalCache(cache, training.proposals)
    with progress_bar("proposals", len(dataset), quiet) as update:
        for done, path in enumerate(proposals.fill(dataset.image_paths, ImagesConfig()), 1):
            update(done, path.name)
    task = RegionsTask(dataset, proposals, initial, training)
    write_text(output / "config.json", training.model_dump_json(indent=2) + "\n")
    trainer = Trainer(task.task(), training.optimization, training.schedule(), output, training.seed)
    trainer.resume(training.model_dump(mode="json", exclude=NOT_PART_OF_THE_RESULT))
    notes.print(f"training on {task.device} ({task.precision}) from step {trainer.step}; log in {output / 'log.jsonl'}")
    with progress_bar("training", training.optimization.steps, quiet) as update:
        trainer.run(lambda step, terms: update(step, f"loss {sum(terms.values()):.3f}"))
    with averaged_parameters(task.network, trainer.average):
        record = task.record(_last_validation(output / "log.jsonl"))
        save_weights(output / "weights.safetensors", task.network.state_dict(), record, torch.float16)
    notes.print(f"wrote {output / 'weights.safetensors'}")


def _last_validation(log: Path) -> dict[str, float]:
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    found = [entry["validation_mAP"] for entry in entries if "validation_mAP" in entry]
    return {"mAP on photos of the training split kept out of training": found[-1]} if found else {}


if __name__ == "__main__":
    run_program(main)
