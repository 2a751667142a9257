"""Checks of a training that need no network: they take a second, and come before torch is loaded.

Whatever is wrong with folders, data, weights or settings is told before proposals are computed or networks are loaded.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from incdet.config.class_choice import find_classes
from incdet.data.dataset import no_warning
from incdet.errors import ConfigurationError
from incdet.networks.record_files import load_classifier_record
from incdet.networks.run_folders import WEIGHTS_FILE
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights_record import WeightsRecord
from incdet.runtime.files import require_writable_folder
from incdet.runtime.gpu_presence import refuse_missing_gpu
from incdet.runtime.reporter import SILENT, Reporter
from incdet.training.checkpoint_settings import check_checkpoint
from incdet.training.classifier_training_config import ClassifierTrainingConfig
from incdet.training.data_checks import check_files, check_objects, check_photos, choose_learnt, describe_photos
from incdet.training.multibox_training_config import MultiBoxTrainingConfig, multibox_preprocessing
from incdet.training.region_training_config import RegionsTrainingConfig, region_preprocessing
from incdet.training.run_config import RunConfig
from incdet.training.training_data import without_unknown_places
from incdet.training.training_options import TrainingOptions


def check_region_trainings(
    trainings: Sequence[tuple[RegionsTrainingConfig, Path]], cache: Path, options: TrainingOptions
) -> None:
    """Checks trainings of region classifiers; see `train_regions`.

    Args:
        trainings: Configuration and folder of each.
        cache: Folder of the proposal cache.
        options: Keeps the photos, which are read here.

    Raises:
        IncdetError: A folder, the data, weights or a setting cannot be used.
    """
    require_writable_folder(cache)
    records = [_check_run(config, folder, options, config.initial_weights) for config, folder in trainings]
    for (config, _), record in zip(trainings, records, strict=True):
        assert record is not None
        region_preprocessing(config, record)
    # annotations come last, because a large data set takes a while; most members of an ensemble share them
    listener = _first_listener(options)
    for data, seed in {config.data: config.seed for config, _ in reversed(trainings)}.items():
        photos = options.photos.of_data_set(data, seed, listener.warn)
        for part in photos:
            if part is not None:
                check_photos(part)
        training, validation = choose_learnt(photos, data)
        check_objects(training, listener.warn)
        listener.note(describe_photos(training, validation, is_kept_out=photos.validation is None))


def check_multibox_training(config: MultiBoxTrainingConfig, folder: Path, options: TrainingOptions) -> None:
    """Checks a training of MultiBox; see `train_multibox`.

    Args:
        config: The training.
        folder: Folder of the run.
        options: Keeps the photos, which are read here.

    Raises:
        IncdetError: A folder, the data, weights, a package or a setting cannot be used.
    """
    config.require_packages()
    record = _check_run(config, folder, options, config.initial_weights)
    assert record is not None
    multibox_preprocessing(config, record)
    listener = _first_listener(options)
    photos = options.photos.of_data_set(config.data, config.seed, listener.warn)
    find_classes(config.left_out_classes, photos.dataset.class_names, photos.dataset.name)
    for part in photos:
        if part is not None:
            check_files(part)
    # the training says which photos it passes over; its boxes are of any class, so that none has to be there
    usable = photos._replace(dataset=without_unknown_places(photos.dataset, no_warning))
    training, validation = choose_learnt(usable, config.data, config.left_out_classes)
    check_objects(training, no_warning)
    listener.note(describe_photos(training, validation, is_kept_out=photos.validation is None))


def check_classifier_training(config: ClassifierTrainingConfig, folder: Path, options: TrainingOptions) -> None:
    """Checks a training of a classifier of whole photos; see `train_classifier`.

    Args:
        config: The training.
        folder: Folder of the run.
        options: Keeps the photos, which are looked for here.

    Raises:
        IncdetError: A folder, the photos, weights or a setting cannot be used.
    """
    _check_run(config, folder, options, config.initial_weights)
    for photos in (config.data, config.validation):
        if photos is not None:
            options.photos.of_classes(photos, _first_listener(options).warn)


def _check_run(
    config: RunConfig, folder: Path, options: TrainingOptions, initial_weights: str | None
) -> WeightsRecord | None:
    """Checks what all trainings have; returns the record of the weights to start from, None without any."""
    options.check()
    refuse_missing_gpu(config.device)
    require_writable_folder(folder)
    check_checkpoint(folder, config.decisive())
    if initial_weights is None:
        return None
    initial = find_weights(initial_weights)
    if initial.resolve() == (folder / WEIGHTS_FILE).resolve():
        raise ConfigurationError(
            f"the training would replace {initial}, the weights that it starts from; give another folder with --output"
        )
    return load_classifier_record(initial)


def _first_listener(options: TrainingOptions) -> Reporter:
    """The listener of the first of several processes, which torchrun numbers; the others say nothing twice."""
    return options.reporter if os.environ.get("RANK", "0") == "0" else SILENT
