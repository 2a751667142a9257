"""Whole trainings, from the configuration to the averaged weights: region classifiers, MultiBox, photo classifiers.

Each writes checkpoint.safetensors, log.jsonl and weights.safetensors into its folder; started again with the same
configuration, it goes on where it stopped.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from incdet.data.identity import identify_datasets
from incdet.networks.engines.selection import check_shared_features
from incdet.networks.run_folders import CONFIGURATION_FILE, WEIGHTS_FILE, set_earlier_weights_aside
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import fingerprint
from incdet.networks.weights import load_network, save_weights
from incdet.networks.weights_record import WeightsRecord
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.device import keep_freed_memory
from incdet.runtime.distributed import Processes, joined_processes
from incdet.runtime.files import write_text
from incdet.runtime.folder_lock import lock_folder
from incdet.runtime.reporter import SILENT, Reporter
from incdet.training.averaging import averaged_network
from incdet.training.checkpoint_settings import DATA_KEY, FEATURE_MAPS_KEY, identify_learnt
from incdet.training.classification_task import ClassificationTask
from incdet.training.classifier_training_config import ClassifierTrainingConfig
from incdet.training.loop import Task, Trainer
from incdet.training.multibox_task import MultiBoxTask
from incdet.training.multibox_training_config import MultiBoxTrainingConfig
from incdet.training.next_steps import classifier_commands, multibox_commands, region_commands
from incdet.training.photo_proposals import PhotoProposals
from incdet.training.region_task import RegionsTask
from incdet.training.region_training_config import RegionsTrainingConfig, region_preprocessing
from incdet.training.run_config import RunConfig
from incdet.training.shared_multibox_task import SharedMultiBoxTask
from incdet.training.shared_region_task import SharedRegionsTask
from incdet.training.training_data import without_unknown_places
from incdet.training.training_options import TrainingOptions

VALIDATION = "validation_"
"""Beginning of the names of a validation's numbers in the log."""


def train_regions(
    trainings: list[tuple[RegionsTrainingConfig, Path]], cache: Path, options: TrainingOptions | None = None
) -> None:
    """Fine-tunes region classifiers, one after the other.

    Args:
        trainings: Configuration and folder of each; several are the members of an ensemble.
        cache: Folder of the proposal cache.
        options: Listener, and what is written besides.

    Raises:
        IncdetError: The data or the weights to start from cannot be used; missing weights of any training are an error
            before the first one starts.
    """
    options = options or TrainingOptions()
    options.check()
    for config, _ in trainings:
        find_weights(config.initial_weights)
    with joined_processes(trainings[0][0].device) as processes:
        for config, folder in trainings:
            task = _prepare_regions(config, cache, processes, options)
            _train(task.task(), config, folder, processes, options, task.record, task.data_identity)
        if processes.leads:
            files = [folder / WEIGHTS_FILE for _, folder in trainings]
            _tell_commands(region_commands(files, trainings[0][0].data), options.reporter)


def _prepare_regions(
    config: RegionsTrainingConfig, cache: Path, processes: Processes, options: TrainingOptions
) -> RegionsTask | SharedRegionsTask:
    """The data, its proposals (found by one process, read by all) and the network."""
    listener = options.reporter if processes.leads else SILENT
    photos = options.photos.of_data_set(config.data, config.seed, listener.warn)
    dataset, extra, validation = photos
    paths = photos.image_paths
    listener.note(f"starting from the weights {config.initial_weights}")
    initial = load_network(find_weights(config.initial_weights))
    # settings that do not fit the weights are an error before the proposals take their time
    region_preprocessing(config, initial[1])
    if config.features == "shared":
        check_shared_features(initial[0])
    proposals = ProposalCache(cache, config.proposals, config.device)
    if processes.leads:
        PhotoProposals(proposals).compute_missing(paths, listener)
    processes.wait()
    if config.features == "shared":
        return SharedRegionsTask(dataset, proposals, initial, config, processes, extra, listener, validation)
    return RegionsTask(dataset, proposals, initial, config, processes, extra, listener, validation)


def train_multibox(config: MultiBoxTrainingConfig, folder: Path, options: TrainingOptions | None = None) -> None:
    """Trains MultiBox, the network that proposes boxes.

    Args:
        config: The training.
        folder: Folder of the run.
        options: Listener, and what is written besides.

    Raises:
        IncdetError: The data or the weights to start from cannot be used.
    """
    options = options or TrainingOptions()
    options.check()
    config.require_packages()
    with joined_processes(config.device) as processes:
        # every process reads the annotations, but photos of its own; warnings about the data are said once
        warn = options.reporter.warn if processes.leads else SILENT.warn
        photos = options.photos.of_data_set(config.data, config.seed, warn)
        dataset = without_unknown_places(photos.dataset, warn)
        weights = find_weights(config.initial_weights)
        initial = load_network(weights)
        if config.features == "shared":
            check_shared_features(initial[0])
        make_task = SharedMultiBoxTask if config.features == "shared" else MultiBoxTask
        task = make_task(dataset, initial, config, processes, options.reporter.warn, photos.validation)
        identity = identify_datasets([dataset])
        identity |= identify_learnt(truth.image for truth in task.training.ground_truths)
        if config.features == "shared":
            # checkpoints hold all other weights, but not those that compute the feature maps
            identity[FEATURE_MAPS_KEY] = fingerprint(weights)
        _train(task.task(), config, folder, processes, options, task.record, identity)
        if processes.leads:
            _tell_commands(multibox_commands(folder / WEIGHTS_FILE), options.reporter)


def train_classifier(config: ClassifierTrainingConfig, folder: Path, options: TrainingOptions | None = None) -> None:
    """Trains a classifier of whole photos.

    Args:
        config: The training.
        folder: Folder of the run.
        options: Listener, and what is written besides.

    Raises:
        IncdetError: The data or the weights to start from cannot be used.
    """
    options = options or TrainingOptions()
    options.check()
    with joined_processes(config.device) as processes:
        task = ClassificationTask(config, processes, options.reporter.warn, options.photos.of_classes)
        _train(task.task(), config, folder, processes, options, task.record, task.data_identity())
        if processes.leads:
            _tell_commands(classifier_commands(folder / WEIGHTS_FILE), options.reporter)


def _train(
    task: Task[Any],
    config: RunConfig,
    folder: Path,
    processes: Processes,
    options: TrainingOptions,
    record: Callable[[dict[str, float]], WeightsRecord],
    data_identity: dict[str, Any],
) -> None:
    trainer: Trainer[Any] = Trainer(
        task,
        config.optimization,
        config.schedule(),
        folder,
        config.seed,
        processes,
        options.tensorboard,
        options.reporter.note,
        config.command,
    )
    run_training(trainer, config, record, options.reporter, data_identity)


def run_training(
    trainer: Trainer[Any],
    config: RunConfig,
    record: Callable[[dict[str, float]], WeightsRecord],
    reporter: Reporter,
    data_identity: dict[str, Any] | None = None,
) -> None:
    """Trains from where the folder's checkpoint is to the end, then writes weights.safetensors, averaged, in float16.

    The weights are there before the last validation, whose numbers are added to their record. Weights of an earlier
    training in the folder get another name before the first step.

    Args:
        trainer: Trainer of the task.
        config: The whole configuration, stored in the folder and with the checkpoint.
        record: Numbers of the last validation -> record that is stored with the weights.
        reporter: Listener.
        data_identity: Names and checksums of the data, see `identify_datasets`; a checkpoint of other data is refused.

    Raises:
        IncdetError: As `Trainer.resume` and `Trainer.run`.
    """
    if trainer.device.type == "cpu":
        keep_freed_memory()
    known = {} if data_identity is None else {DATA_KEY: data_identity}
    lock = None
    if trainer.log is not None:
        lock = lock_folder(trainer.folder)
    trainer.resume(config.decisive() | known)
    if trainer.log is None:  # another process logs and writes
        trainer.run(lambda step, terms: None)
        return
    if trainer.step < trainer.steps:
        _set_weights_aside(trainer.folder, reporter)
    write_text(trainer.folder / CONFIGURATION_FILE, config.model_dump_json(indent=2) + "\n")
    reporter.note(_beginning(trainer))
    file = trainer.folder / WEIGHTS_FILE

    def write_weights(numbers: dict[str, float]) -> None:
        tensors = trainer.task.weights(averaged_network(trainer.task.network, trainer.average))
        save_weights(file, tensors, record(numbers), torch.float16)

    # the progress ends before the weights are written, so that its last line does not come after theirs
    progress = ExitStack()

    def write_before_validation() -> None:
        progress.close()
        # a validation takes minutes, and nothing that ends it may cost the weights
        write_weights({})
        reporter.note(f"wrote {file}")

    with progress:
        update = progress.enter_context(reporter.progress("training", trainer.steps))
        update(trainer.step, "")
        trainer.run(lambda step, terms: update(step, f"loss {sum(terms.values()):.3f}"), write_before_validation)
    numbers = trainer.log.last(VALIDATION)
    # the same tensors again, with what was measured in their record
    write_weights(numbers)
    if numbers:
        reporter.note(f"validation: {_in_words(numbers)}{_in_few_proposals(config)}, noted in {file}")
    if lock is not None:
        lock.release()


def _set_weights_aside(folder: Path, reporter: Reporter) -> None:
    """Renames weights that are there before the training is over: they are those of another one."""
    aside = set_earlier_weights_aside(folder)
    if aside is not None:
        reporter.warn(
            f"the weights in {folder} are those of an earlier training; they are called {aside.name} now, and files "
            "that belong to them likewise"
        )


def _in_words(numbers: dict[str, float]) -> str:
    """Returns named numbers of a validation as text, such as "mAP 0.512"."""
    return ", ".join(
        f"{name.removeprefix(VALIDATION).replace('_', ' ')} {value:.3f}" for name, value in numbers.items()
    )


def _in_few_proposals(config: RunConfig) -> str:
    """Returns words that tell the mAP of a validation from that of `incdet evaluate`; none for other trainings."""
    if not isinstance(config, RegionsTrainingConfig):
        return ""
    number = config.data.validation_proposals
    return f" among the best {number} proposals of each photo (incdet evaluate is not limited to them)"


def _tell_commands(commands: list[str], reporter: Reporter) -> None:
    """Tells what can be done with the result."""
    for command in commands:
        reporter.note(f"next: {command}")


def _beginning(trainer: Trainer[Any]) -> str:
    """Where and from where on a training runs, as a sentence."""
    processes, device = trainer.processes.count, trainer.device.type
    where = f"{processes} processes on {device}" if processes > 1 else device
    log = trainer.folder / "log.jsonl"
    return f"training on {where} from step {trainer.step} of {trainer.steps}; log in {log}"
