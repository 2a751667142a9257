"""Fixtures of the tests of proposers."""

import numpy as np
import pytest

from incdet.config.sections import SelectiveSearchConfig
from incdet.proposers.selective_search import Grouping, group_all
from incdet.structures import Image


@pytest.fixture(scope="session")
def groupings(astronaut: Image) -> list[Grouping]:
    """The default segmentations and hierarchies of a photo at half its size."""
    return group_all(np.ascontiguousarray(astronaut.pixels[::2, ::2]), SelectiveSearchConfig())
