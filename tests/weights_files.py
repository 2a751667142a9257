"""Records of weights, and refusals of weights that do not fit."""

import pytest

from incdet.errors import WeightsError
from incdet.networks.weights_record import WeightsRecord


def record(**more):
    """A record of a classifier of cats and dogs, with other values where they are given."""
    values = {"classes": ("cat", "dog"), "background": True, "origin": "a test", "licence": "none"}
    return WeightsRecord(**(values | more))


def refused(action, *words):
    """Asserts that an action ends with one sentence that contains all words."""
    with pytest.raises(WeightsError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
