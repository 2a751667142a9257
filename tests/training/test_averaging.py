"""Averages of parameters and statistics, new layers on old ones, and the log."""

import sys
from dataclasses import replace

import PIL.Image
import pytest
import torch
from running_tools import run_tool
from test_training import log_of, nothing
from tiny_training import CONFIGURATION, draw, losses, make_trainer, names
from torch import nn

from incdet.errors import DataError, PackageError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import BatchNorm
from incdet.training.averaging import ParameterAverage, averaged_network
from incdet.training.loop import Schedule, Task, Trainer, prefetched
from incdet.training.new_layers import replace_classifier
from incdet.training.optimization import OptimizationConfig
from incdet.training.run_log import RunLog, read_curves


def test_the_average_takes_in_the_statistics_of_batch_normalisation():
    network = BatchNorm(1)
    average = ParameterAverage(network, decay=0.5)
    network.running_mean.fill_(4.0)
    average.update(network, 100)
    assert average.state()["running_mean"].item() == pytest.approx(2.0)
    assert averaged_network(network, average).running_mean.item() == pytest.approx(2.0)
    assert network.running_mean.item() == 4.0


def test_validation_may_judge_the_parameters_without_averaging_too(tmp_path):
    trainer = make_trainer(tmp_path, steps=10)
    trainer.schedule = replace(trainer.schedule, validate_without_averaging=True)
    trainer.resume(CONFIGURATION)
    trainer.run(nothing)
    last = log_of(tmp_path)[-1]
    assert last["norm_without_averaging"] == pytest.approx(float(trainer.task.network.output.weight.norm().detach()))
    assert last["norm"] != pytest.approx(last["norm_without_averaging"], abs=1e-4)


def test_the_average_by_hand():
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    average = ParameterAverage(network, decay=0.15)
    nn.init.constant_(network.weight, 2.0)
    average.update(network, 0)  # decay 1 / 10: 0.1 * 1 + 0.9 * 2
    assert average.state()["weight"].item() == pytest.approx(1.9)
    nn.init.constant_(network.weight, 3.0)
    average.update(network, 5)  # 6 / 15 is more than 0.15: 0.15 * 1.9 + 0.85 * 3
    assert average.state()["weight"].item() == pytest.approx(2.835)
    assert averaged_network(network, average).weight.item() == pytest.approx(2.835)
    assert network.weight.item() == 3.0


def test_replacing_the_classifier_keeps_every_other_layer():
    initial = GoogLeNet(7)
    network = replace_classifier(initial, 21, dropout=0.3, seed=1)
    for name, value in network.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(value, initial.state_dict()[name]), name
    assert network.classifier.weight.shape == (21, 1024)
    assert network.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not network.classifier.bias.any()
    assert network.dropout.p == 0.3
    same, other = (replace_classifier(initial, 21, 0.3, seed).classifier.weight for seed in (1, 2))
    assert torch.equal(network.classifier.weight, same)
    assert not torch.equal(same, other)


def test_checkpoints_hold_the_statistics_of_batch_normalisation(tmp_path):
    def trainer():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 4), BatchNorm(4), nn.Linear(4, 1))
        task = Task(network, (), 48, prefetched(draw), losses, names, lambda _: {})
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


def test_tensorboard_gets_what_the_log_gets_and_loses_what_a_resumed_run_takes_again(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path, tensorboard=True)
    log.resume(0)
    for step in (5, 10, 15):
        log.add({"step": step, "loss": step / 10})
    log = RunLog(tmp_path, tensorboard=True)
    log.resume(10)
    log.add({"step": 15, "loss": 9.0})
    assert [(entry["step"], entry["loss"]) for entry in log_of(tmp_path)] == [(5, 0.5), (10, 1.0), (15, 9.0)]
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [(event.step, event.value) for event in events] == [(5, 0.5), (10, 1.0), (15, 9.0)]


def test_tensorboard_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(PackageError, match=r"incdet\[train\]"):
        RunLog(tmp_path, tensorboard=True)


def test_curves_of_runs_are_drawn(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        trainer = make_trainer(tmp_path / name)
        trainer.resume(CONFIGURATION)
        trainer.run(nothing)
    with (tmp_path / "second" / "log.jsonl").open("a") as log:
        log.write('{"step": 45, "err')
    curves = read_curves(tmp_path / "second")
    assert {name: len(points) for name, points in curves.items()} == {"squared_error": 8, "error": 1, "norm": 1}
    assert [step for step, _ in curves["squared_error"]] == list(range(5, 45, 5))
    drawn = run_tool("plot_training.py", "first", "second", "--output", "curves.png", folder=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert PIL.Image.open(tmp_path / "curves.png").size == (1404, 416)
    (tmp_path / "second" / "log.jsonl").write_text("[1]\n")
    for folder, problem in (("nowhere", "cannot read the log"), ("second", "not the log of a training")):
        with pytest.raises(DataError, match=problem):
            read_curves(tmp_path / folder)
