"""Learning rate and parameter groups."""

import pytest
from tiny_training import TinyNetwork

from incdet.config.loading import make_config
from incdet.errors import ConfigurationError
from incdet.training.optimization import LearningRate, OptimizationConfig, parameter_groups


def rates(steps_per_epoch=10, **settings):
    return LearningRate(OptimizationConfig(learning_rate=2.0, **settings), steps_per_epoch)


def test_the_learning_rate_rises_linearly_and_falls_as_a_half_cosine():
    rate = rates(steps=110, warmup_steps=9)
    assert [rate(step) for step in (0, 4, 8)] == pytest.approx([0.2, 1.0, 1.8])
    assert rate(9) == 2.0
    assert rate(9 + 101 // 2) == pytest.approx(1.0, abs=0.02)
    assert rate(109) < 0.002


def test_in_stairs_the_learning_rate_loses_4_percent_every_8_epochs():
    rate = rates(epochs=100, schedule="stairs")
    assert rate.steps == 1000
    assert [rate(step) for step in (0, 79)] == [2.0, 2.0]
    assert [rate(step) for step in (80, 159, 160, 999)] == pytest.approx([1.92, 1.92, 2 * 0.96**2, 2 * 0.96**12])
    assert rates(epochs=0.01).steps == 1
    assert rates(steps_per_epoch=2.5, epochs=4).steps == 10


def test_a_linear_fall_begins_late_and_ends_just_above_zero():
    rate = rates(steps=100, schedule="linear-fall", fall_share=0.4, warmup_steps=3)
    assert [rate(step) for step in (0, 1, 2)] == pytest.approx([0.5, 1.0, 1.5])
    assert [rate(step) for step in (3, 30, 60)] == pytest.approx([2.0] * 3)
    assert [rate(step) for step in (61, 80, 99)] == pytest.approx([2.0 * 39 / 40, 1.0, 2.0 / 40])


@pytest.mark.parametrize(("steps_per_epoch", "steps"), [(3.5, 150), (18, 216), (100, 500)])
def test_an_automatic_length_suits_the_number_of_photos(steps_per_epoch, steps):
    assert rates(steps_per_epoch=steps_per_epoch, steps="auto").steps == steps
    assert rates(steps_per_epoch=steps_per_epoch, steps="auto", epochs=2).steps == 2 * steps_per_epoch


@pytest.mark.parametrize("length", [{}, {"steps": 5, "epochs": 1.0}])
def test_a_training_has_steps_or_epochs(length):
    with pytest.raises(ConfigurationError, match="either steps or epochs"):
        make_config(OptimizationConfig, length, "test")


def test_new_layers_learn_faster_and_biases_do_not_decay():
    network = TinyNetwork()
    groups = parameter_groups(network, ("output.",), OptimizationConfig(steps=1, new_layer_factor=4))
    found = {id(parameter): group for group in groups for parameter in group["params"]}
    settings = {name: found[id(parameter)] for name, parameter in network.named_parameters()}
    assert {name: (group["factor"], group["weight_decay"]) for name, group in settings.items()} == {
        "hidden.weight": (1.0, 0.0002),
        "hidden.bias": (1.0, 0.0),
        "output.weight": (4.0, 0.0002),
        "output.bias": (4.0, 0.0),
    }
