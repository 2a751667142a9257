"""Checkpoints: what they hold, and which ones are refused."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_training import CONFIGURATION, draw, losses, make_trainer, nothing, state_of, stopped_at, trained
from torch import nn

from incdet.errors import ConfigurationError, OutputError, WeightsError
from incdet.networks.conv_units import BatchNorm
from incdet.networks.run_folders import CHECKPOINT_FILE
from incdet.runtime import files as storage
from incdet.training.checkpoint_settings import check_checkpoint, identify_learnt, require_same_settings
from incdet.training.loop import Task, Trainer
from incdet.training.optimization import OptimizationConfig
from incdet.training.schedule import Schedule


def refused(folder, configuration, *words, error=WeightsError):
    with pytest.raises(error) as caught:
        make_trainer(folder).resume(configuration)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_a_checkpoint_of_another_configuration_names_the_key_and_both_values(uninterrupted):
    refused(uninterrupted, CONFIGURATION | {"seed": 4}, "seed is 3 there and 4 now", error=ConfigurationError)
    refused(uninterrupted, CONFIGURATION | {"added": 1}, "added is null there and 1 now", error=ConfigurationError)
    refused(uninterrupted, {"seed": 3}, "steps is 40 there and null now", error=ConfigurationError)


@pytest.mark.parametrize("content", [b"", b"no safetensors", None], ids=["empty", "text", "cut"])
def test_a_damaged_checkpoint_says_which_file_and_what_to_do(tmp_path, uninterrupted, content):
    whole = (uninterrupted / "checkpoint.safetensors").read_bytes()
    (tmp_path / "checkpoint.safetensors").write_bytes(whole[:-50] if content is None else content)
    refused(tmp_path, CONFIGURATION, "checkpoint.safetensors", "delete it")


def test_a_checkpoint_without_incdets_metadata_is_refused(tmp_path, uninterrupted):
    save_file(state_of(uninterrupted), tmp_path / "checkpoint.safetensors")
    refused(tmp_path, CONFIGURATION, "checkpoint.safetensors")


def test_settings_are_compared_before_anything_is_loaded(tmp_path, uninterrupted):
    check_checkpoint(tmp_path, CONFIGURATION)
    check_checkpoint(uninterrupted, CONFIGURATION)
    with pytest.raises(ConfigurationError, match=r"seed is 3 there and 4 now, steps is 40 there and 7 now; use those"):
        check_checkpoint(uninterrupted, CONFIGURATION | {"seed": 4, "steps": 7})
    (tmp_path / CHECKPOINT_FILE).write_text("no checkpoint")
    with pytest.raises(WeightsError, match="cannot read the checkpoint"):
        check_checkpoint(tmp_path, CONFIGURATION)


def stored(**configuration):
    """What a checkpoint says about itself."""
    return {"step": "3", "configuration": json.dumps(configuration)}


def learning(*names, **more):
    """The settings of a training of these photos."""
    return {"seed": 3, "data_set": {"name": "cats", "classes": ["cat"]} | identify_learnt(names) | more}


def test_a_checkpoint_of_other_learnt_photos_is_refused(tmp_path):
    file, then = tmp_path / "run" / CHECKPOINT_FILE, stored(**learning("a", "b"))
    require_same_settings(file, then, learning("a", "b"))
    with pytest.raises(WeightsError, match=r"run learnt 2 photos of cats and would learn 3 now, because other photos"):
        require_same_settings(file, then, learning("a", "b", "c"))
    with pytest.raises(WeightsError, match="would learn others now"):
        require_same_settings(file, then, learning("a", "c"))
    # settings that choose the photos explain more than the photos
    with pytest.raises(ConfigurationError, match="seed is 3 there and 4 now"):
        require_same_settings(file, then, learning("a") | {"seed": 4})
    # checkpoints of earlier versions do not say which photos were learnt
    require_same_settings(file, stored(seed=3, data_set={"name": "cats", "classes": ["cat"]}), learning("a"))


def test_the_folder_in_which_the_data_was_may_stand_in_a_checkpoint(tmp_path):
    require_same_settings(tmp_path, stored(data={"root": "/there", "split": "a"}), {"data": {"split": "a"}})
    with pytest.raises(ConfigurationError, match=r"data\.split is a there and b now"):
        require_same_settings(tmp_path, stored(data={"root": "/there", "split": "a"}), {"data": {"split": "b"}})


def test_a_checkpoint_for_another_number_of_steps_is_refused(tmp_path):
    stopped_at(tmp_path, 13)
    with pytest.raises(ConfigurationError, match="was begun for 40 steps, and what it learns makes 41 now"):
        make_trainer(tmp_path, steps=41).resume(CONFIGURATION)


def test_a_checkpoint_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch):
    trainer = trained(tmp_path, steps=10)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fdopen", full)
    with pytest.raises(OutputError, match="no space left"):
        trainer.checkpoint()
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint.safetensors", "log.jsonl"]


def test_checkpoints_hold_the_statistics_of_batch_normalisation(tmp_path):
    def trainer():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 4), BatchNorm(4), nn.Linear(4, 1))
        task = Task(network, (), 48, lambda steps: map(draw, steps), losses, lambda _: {})
        return Trainer(task, OptimizationConfig(steps=6, batch_size=8), Schedule(checkpoint_every=3), tmp_path, seed=3)

    first = trainer()
    first.resume({})
    first.run(nothing)
    statistics = first.task.network[1].state_dict()
    assert not torch.equal(statistics["running_mean"], torch.zeros(4))
    second = trainer()
    second.resume({})
    assert second.step == 6
    for name, value in second.task.network[1].state_dict().items():
        assert torch.equal(value, statistics[name]), name
