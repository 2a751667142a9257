"""The settings of every training."""

import pytest

from incdet.config.loading import make_config
from incdet.training.classifier_training_config import ClassifierTrainingConfig
from incdet.training.run_config import RunConfig
from incdet.training.schedule import Schedule


def test_the_schedule_is_what_the_configuration_says():
    values = {"log_every": 2, "checkpoint_every": 4, "validate_every": 3, "validate_without_averaging": True}
    config = make_config(RunConfig, values | {"optimization": {"steps": 1}}, "test")
    assert config.schedule() == Schedule(2, 4, 3, True)


def test_the_old_name_of_a_setting_is_taken_with_a_note():
    with pytest.warns(FutureWarning, match="'compare_averaging' is now called 'validate_without_averaging'"):
        config = make_config(RunConfig, {"optimization": {"steps": 1}, "compare_averaging": True}, "test")
    assert config.validate_without_averaging


def decisive_settings(batch_size=4, workers=0, seed=1):
    values = {"optimization": {"steps": 1, "batch_size": batch_size}, "workers": workers, "seed": seed}
    return make_config(RunConfig, values, "test").decisive()


def test_settings_of_the_machine_may_change_when_a_run_goes_on():
    assert decisive_settings(batch_size=8, workers=3) == decisive_settings()
    assert decisive_settings(seed=2) != decisive_settings()


def test_the_folder_of_the_data_decides_nothing():
    """It may be moved: what it holds is compared by its checksums."""
    values = {"optimization": {"steps": 1}, "data": {"root": "here"}, "validation": {"root": "there"}}
    config = make_config(ClassifierTrainingConfig, values, "test")
    moved = config.model_copy(update={"data": config.data.model_copy(update={"root": "elsewhere"})})
    assert moved.decisive() == config.decisive()
    assert config.decisive()["validation"]["layout"] == "folders"
    other = config.model_copy(update={"data": config.data.model_copy(update={"layout": "shards"})})
    assert other.decisive() != config.decisive()
