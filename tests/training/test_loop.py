"""The training loop: what it learns from, that it goes on exactly where it stopped, and when it validates."""

import math
import os
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import (
    CONFIGURATION,
    STEPS,
    assert_identical,
    log_of,
    log_without_speeds,
    make_trainer,
    nothing,
    start_program,
    state_of,
    stopped_at,
    trained,
)

from incdet.training.averaging import ParameterAverage
from incdet.training.loop import NonFiniteLossError


def test_the_loss_of_a_small_task_falls(uninterrupted):
    losses = [entry["squared_error"] for entry in log_of(uninterrupted) if "squared_error" in entry]
    assert losses[-1] < losses[0] / 4


def test_the_log_holds_every_due_step_and_the_validation(uninterrupted):
    entries = log_of(uninterrupted)
    assert [entry["step"] for entry in entries if "squared_error" in entry] == list(range(5, STEPS + 1, 5))
    assert [entry["step"] for entry in entries if "error" in entry] == [STEPS]
    assert entries[0]["learning_rate"] == pytest.approx(0.02 * (1 + math.cos(math.pi * 4 / STEPS)) / 2)


def test_seeds_may_be_large(tmp_path):
    trainer = make_trainer(tmp_path, steps=2)
    trainer.seed = 20261130123456
    trainer.resume(CONFIGURATION)
    trainer.run(nothing)
    assert trainer.step == 2


def test_validation_sees_the_averaged_parameters_and_training_keeps_its_own(tmp_path):
    trainer = trained(tmp_path)
    seen = next(entry["norm"] for entry in log_of(tmp_path) if "norm" in entry)
    assert seen == pytest.approx(float(trainer.average.state()["output.weight"].norm()), abs=1e-6)
    assert seen != pytest.approx(float(trainer.task.network.output.weight.detach().norm()), abs=1e-4)


@pytest.mark.parametrize("stop", [1, 13, STEPS - 1])
def test_an_interrupted_run_ends_bit_for_bit_like_one_in_one_go(tmp_path, uninterrupted, stop):
    stopped_at(tmp_path, stop)
    second = make_trainer(tmp_path)
    second.resume(CONFIGURATION)
    assert second.step == stop
    second.run(nothing)
    assert_identical(state_of(tmp_path), state_of(uninterrupted))


@pytest.mark.parametrize("dropped", ["momentum", "average"])
def test_resuming_needs_momentum_and_average(tmp_path, uninterrupted, dropped):
    """What the exact comparison above would not notice if these were never compared or never mattered."""
    stopped_at(tmp_path, 13)
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


def test_the_end_of_the_steps_is_told_before_the_last_validation(tmp_path):
    trainer, order = make_trainer(tmp_path, steps=10), []
    trainer.schedule = replace(trainer.schedule, validate_every=5)
    trainer.task.num_validation, trainer.tell = 3, order.append
    validate = trainer.task.validate
    trainer.task.validate = lambda network: order.append("validate") or validate(network)
    trainer.resume(CONFIGURATION)
    trainer.run(nothing, lambda: order.append("finished"))
    said = [f"validation after step {step}: 3 photos" for step in (5, 10)]
    assert order == [said[0], "validate", "finished", said[1], "validate"]


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


def trained_on(folder, from_step):
    trainer = make_trainer(folder)
    trainer.resume(CONFIGURATION)
    assert trainer.step == from_step
    trainer.run(nothing)
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_stopped_process_ends_bit_for_bit_like_one_in_one_go(tmp_path, uninterrupted, how):
    process = start_program(tmp_path, wait_after=17)
    assert [int(process.stdout.readline()) for _ in range(17)] == list(range(1, 18))
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == -how
    stopped = load_file(tmp_path / "checkpoint.safetensors")
    assert not torch.equal(stopped["network.output.weight"], state_of(uninterrupted)["network.output.weight"])
    # checkpoints are due every 10 steps; an interrupted run stores its last step as well
    trained_on(tmp_path, from_step=10 if how == signal.SIGKILL else 17)
    assert_identical(state_of(tmp_path), state_of(uninterrupted))
    steps = [entry["step"] for entry in log_of(tmp_path) if "squared_error" in entry]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS


def test_validation_may_judge_the_parameters_without_averaging_too(tmp_path):
    trainer = make_trainer(tmp_path, steps=10)
    trainer.schedule = replace(trainer.schedule, validate_without_averaging=True)
    trainer.resume(CONFIGURATION)
    trainer.run(nothing)
    last = log_of(tmp_path)[-1]
    assert last["norm_without_averaging"] == pytest.approx(float(trainer.task.network.output.weight.norm().detach()))
    assert last["norm"] != pytest.approx(last["norm_without_averaging"], abs=1e-4)


@pytest.mark.parametrize(("every", "expected"), [(3, [3, 6, 7]), (0, [7]), (7, [7])])
def test_validations_come_when_they_are_due_and_at_the_end(tmp_path, every, expected):
    trainer = make_trainer(tmp_path, steps=7)
    trainer.schedule = replace(trainer.schedule, validate_every=every)
    trainer.resume(CONFIGURATION)
    trainer.run(nothing)
    assert [entry["step"] for entry in log_of(tmp_path) if "error" in entry] == expected
