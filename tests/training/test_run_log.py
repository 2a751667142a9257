"""The log of a training, and the curves that are read from it."""

import json
import math
import sys

import pytest
from tiny_training import CONFIGURATION, log_of, make_trainer, trained

from incdet.errors import DataError, PackageError
from incdet.training.run_log import RunLog, read_curves


def test_the_log_is_cut_where_the_checkpoint_was_written(tmp_path):
    trained(tmp_path, steps=10)
    half_written = json.dumps({"step": 12, "squared_error": 1.0})[:-4]
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write(json.dumps({"step": 12, "squared_error": 1.0}) + "\n" + half_written)
    make_trainer(tmp_path, steps=10).resume(CONFIGURATION)
    assert [entry["step"] for entry in log_of(tmp_path)] == [5, 10, 10]


def test_without_a_checkpoint_the_log_starts_anew(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 5}\n')
    trainer = make_trainer(tmp_path)
    trainer.resume(CONFIGURATION)
    assert trainer.step == 0
    assert log_of(tmp_path) == []


def test_only_the_last_step_has_numbers_of_the_last_validation(tmp_path):
    log = RunLog(tmp_path)
    log.add({"step": 5, "validation_mAP": 0.5, "validation_top1": 0.25})
    log.add({"step": 10, "loss": 1.0, "learning_rate": 0.1})
    assert log.last("validation_") == {}
    log.add({"step": 10, "validation_top1": 0.75, "validation_mAP": math.nan})
    assert log.last("validation_") == {"validation_top1": 0.75}


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


def test_curves_are_read_while_the_log_is_being_written(uninterrupted, tmp_path):
    (tmp_path / "log.jsonl").write_text((uninterrupted / "log.jsonl").read_text() + '{"step": 45, "err')
    curves = read_curves(tmp_path)
    assert {name: len(points) for name, points in curves.items()} == {"squared_error": 8, "error": 1, "norm": 1}
    assert [step for step, _ in curves["squared_error"]] == list(range(5, 45, 5))


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot read the log"), ("[1]\n", "not the log of a training")]
)
def test_what_is_no_log_is_refused(tmp_path, content, problem):
    if content is not None:
        (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(DataError, match=problem):
        read_curves(tmp_path)
