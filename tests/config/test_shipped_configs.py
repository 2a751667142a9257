"""The shipped experiments: each is valid and says what it reproduces."""

from pathlib import Path

import pytest

from incdet.config.loading import load_config
from incdet.training.classifier_training_config import ClassifierTrainingConfig
from incdet.training.multibox_training_config import MultiBoxTrainingConfig
from incdet.training.region_training_config import RegionsTrainingConfig

CONFIGS = Path(__file__).parents[2] / "configs"


SECTIONS = {
    "classifier_voc": ClassifierTrainingConfig,
    "rejection_voc": RegionsTrainingConfig,
    "rejection_voc_longer": RegionsTrainingConfig,
    "googlenet_imagenet": ClassifierTrainingConfig,
    "multibox_voc": MultiBoxTrainingConfig,
    "own_data": RegionsTrainingConfig,
    "regions_ilsvrc": RegionsTrainingConfig,
    "regions_ilsvrc200": RegionsTrainingConfig,
    "regions_voc": RegionsTrainingConfig,
    "shared_multibox_voc": MultiBoxTrainingConfig,
    "shared_voc": RegionsTrainingConfig,
}


@pytest.mark.parametrize("file", sorted(CONFIGS.iterdir()), ids=lambda file: file.stem)
def test_every_experiment_is_a_valid_configuration_and_names_its_command(file):
    config = load_config(SECTIONS[file.stem], file)
    for number in range(1, len(getattr(config, "members", ())) + 1):
        config.member(number)
    header = file.read_text().partition("\ndata:")[0]
    assert f" {file.stem} --output runs/" in header
    assert "@" not in header
    assert {"Reproduces:", "Cost:", "Expected:"} <= set(header.split())
