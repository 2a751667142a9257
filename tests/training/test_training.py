"""The training loop: what it learns from, that it goes on exactly where it stopped, and what it refuses."""

import json
import math
import os
import signal

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import CONFIGURATION, STEPS, make_trainer

from incdet.errors import OutputError, WeightsError
from incdet.runtime import files as storage
from incdet.training.averaging import ParameterAverage
from incdet.training.loop import NonFiniteLossError


def nothing(step, terms):
    """A progress callback that does not interrupt."""


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def log_without_speeds(folder):
    """The log but for what the machine decides, which belongs to the entries about training steps alone."""
    entries = log_of(folder)
    for entry in entries:
        assert ("samples_per_second" in entry) == ("squared_error" in entry)
        assert entry.pop("samples_per_second", 1) > 0
    return entries


def state_of(folder):
    return load_file(folder / "checkpoint.safetensors")


def assert_identical(state, other):
    assert state.keys() == other.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, other[name]), name


def trained(folder, **more):
    trainer = make_trainer(folder, **more)
    trainer.resume(CONFIGURATION)
    trainer.run(nothing)
    return trainer


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    trained(folder)
    return folder


def interrupt_after(last):
    def progress(step, terms):
        if step == last:
            raise KeyboardInterrupt

    return progress


def test_the_loss_of_a_small_task_falls(uninterrupted):
    losses = [entry["squared_error"] for entry in log_of(uninterrupted) if "squared_error" in entry]
    assert losses[-1] < losses[0] / 4


def test_the_log_holds_every_due_step_and_the_validation(uninterrupted):
    entries = log_of(uninterrupted)
    assert [entry["step"] for entry in entries if "squared_error" in entry] == list(range(5, STEPS + 1, 5))
    assert [entry["step"] for entry in entries if "error" in entry] == [STEPS]
    assert entries[0]["learning_rate"] == pytest.approx(0.02 * (1 + math.cos(math.pi * 4 / STEPS)) / 2)


def test_validation_sees_the_averaged_parameters_and_training_keeps_its_own(tmp_path):
    trainer = trained(tmp_path)
    seen = next(entry["norm"] for entry in log_of(tmp_path) if "norm" in entry)
    assert seen == pytest.approx(float(trainer.average.state()["output.weight"].norm()), abs=1e-6)
    assert seen != pytest.approx(float(trainer.task.network.output.weight.detach().norm()), abs=1e-4)


@pytest.mark.parametrize("stop", [1, 13, STEPS - 1])
def test_an_interrupted_run_ends_bit_for_bit_like_one_in_one_go(tmp_path, uninterrupted, stop):
    first = make_trainer(tmp_path)
    first.resume(CONFIGURATION)
    with pytest.raises(KeyboardInterrupt):
        first.run(interrupt_after(stop))
    second = make_trainer(tmp_path)
    second.resume(CONFIGURATION)
    assert second.step == stop
    second.run(nothing)
    assert_identical(state_of(tmp_path), state_of(uninterrupted))


@pytest.mark.parametrize("dropped", ["momentum", "average"])
def test_resuming_needs_momentum_and_average(tmp_path, uninterrupted, dropped):
    """What the exact comparison above would not notice if these were never compared or never mattered."""
    first = make_trainer(tmp_path)
    first.resume(CONFIGURATION)
    with pytest.raises(KeyboardInterrupt):
        first.run(interrupt_after(13))
    second = make_trainer(tmp_path)
    second.resume(CONFIGURATION)
    if dropped == "momentum":
        second.optimizer.state.clear()
    else:
        second.average = ParameterAverage(second.task.network, second.config.average_decay)
    second.run(nothing)
    with pytest.raises(AssertionError, match=dropped):
        assert_identical(
            {name: value for name, value in state_of(tmp_path).items() if name.startswith(dropped)},
            {name: value for name, value in state_of(uninterrupted).items() if name.startswith(dropped)},
        )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_step_waits_for_its_end(tmp_path, uninterrupted, sent):
    trainer = make_trainer(tmp_path)
    losses = trainer.task.losses

    def interrupted(network, batch):
        if trainer.step == 7:
            os.kill(os.getpid(), sent)
        return losses(network, batch)

    trainer.task.losses = interrupted
    before = signal.getsignal(sent)
    trainer.resume(CONFIGURATION)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(nothing)
    assert signal.getsignal(sent) is before
    again = trained_on(tmp_path, from_step=8)
    assert_identical(state_of(tmp_path), state_of(uninterrupted))
    assert again.step == STEPS


def test_a_step_that_a_second_signal_cuts_off_is_repeated(tmp_path, uninterrupted):
    trainer = make_trainer(tmp_path)
    update = trainer.average.update

    def interrupted(network, step):
        if step == 17:  # the parameters have moved, the average has not
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        update(network, step)

    trainer.average.update = interrupted
    trainer.resume(CONFIGURATION)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(nothing)
    trained_on(tmp_path, from_step=10)
    assert_identical(state_of(tmp_path), state_of(uninterrupted))


def test_a_validation_that_was_interrupted_is_made_up_for(tmp_path, uninterrupted):
    trainer = make_trainer(tmp_path)

    def interrupted(network):
        raise KeyboardInterrupt

    trainer.task.validate = interrupted
    trainer.resume(CONFIGURATION)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(nothing)
    trained_on(tmp_path, from_step=STEPS)
    trained_on(tmp_path, from_step=STEPS)
    assert log_without_speeds(tmp_path) == log_without_speeds(uninterrupted)


def trained_on(folder, from_step):
    trainer = make_trainer(folder)
    trainer.resume(CONFIGURATION)
    assert trainer.step == from_step
    trainer.run(nothing)
    return trainer


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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_step_term_and_images(tmp_path, value):
    def penalty(step):
        values = torch.zeros(8)
        values[[2, 5]] = value if step == 3 else 0.0
        return values

    trainer = make_trainer(tmp_path)
    losses = trainer.task.losses
    trainer.task.losses = lambda network, batch: losses(network, batch) | {"penalty": penalty(trainer.step)}
    trainer.resume(CONFIGURATION)
    with pytest.raises(
        NonFiniteLossError,
        match=f"step 3: the loss term 'penalty' is {value} for 2 of 8 images, such as sample 2, sample 5;",
    ):
        trainer.run(nothing)
    assert all(parameter.isfinite().all() for parameter in trainer.task.network.parameters())


def test_a_gradient_that_is_not_finite_moves_nothing(tmp_path):
    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(context, values):
            return values.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient * math.inf

    trainer = make_trainer(tmp_path)
    losses = trainer.task.losses
    trainer.task.losses = lambda *both: {name: Steep.apply(values) for name, values in losses(*both).items()}
    trainer.resume(CONFIGURATION)
    with pytest.raises(NonFiniteLossError, match="step 0: the gradient of a finite loss is "):
        trainer.run(nothing)
    assert all(parameter.isfinite().all() for parameter in trainer.task.network.parameters())


def refused(folder, configuration, *words):
    with pytest.raises(WeightsError) as caught:
        make_trainer(folder).resume(configuration)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_a_checkpoint_of_another_configuration_names_the_key_and_both_values(uninterrupted):
    refused(uninterrupted, CONFIGURATION | {"seed": 4}, "seed = 3", "4")
    refused(uninterrupted, CONFIGURATION | {"added": 1}, "added = None", "1")
    refused(uninterrupted, {"seed": 3}, "steps")


@pytest.mark.parametrize("content", [b"", b"no safetensors", None], ids=["empty", "text", "cut"])
def test_a_damaged_checkpoint_says_which_file_and_what_to_do(tmp_path, uninterrupted, content):
    whole = (uninterrupted / "checkpoint.safetensors").read_bytes()
    (tmp_path / "checkpoint.safetensors").write_bytes(whole[:-50] if content is None else content)
    refused(tmp_path, CONFIGURATION, "checkpoint.safetensors", "delete it")


def test_a_checkpoint_without_incdets_metadata_is_refused(tmp_path, uninterrupted):
    from safetensors.torch import save_file

    save_file(state_of(uninterrupted), tmp_path / "checkpoint.safetensors")
    refused(tmp_path, CONFIGURATION, "checkpoint.safetensors")


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
