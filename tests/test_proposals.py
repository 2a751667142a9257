"""Proposals of several sources, joined."""

import subprocess
import sys

import numpy as np
import pytest

from incdet.config.sections import ProposalsConfig, SelectiveSearchConfig
from incdet.proposals import merge_proposals, propose
from incdet.structures import Proposals

SMALL = SelectiveSearchConfig(color_spaces=("lab",), similarities=("color_texture_size_fill",), width=160)
SEARCH = ProposalsConfig(methods=("selective_search",), selective_search=SMALL)


def test_merging_keeps_the_first_of_equal_boxes():
    boxes = np.array([[0, 0, 5, 5], [1, 1, 9, 9]], np.float32)
    first = Proposals(boxes, np.array([1, 0.5], np.float32), np.array(["a", "a"]))
    shifted = np.array([[1, 1, 9, 9], [1, 1, 6, 6]], np.float32)
    second = Proposals(shifted, np.array([0.9, 0.1], np.float32), np.array(["b", "b"]))
    merged = merge_proposals([first, second])
    assert merged.boxes.tolist() == [[0, 0, 5, 5], [1, 1, 9, 9], [1, 1, 6, 6]]
    assert merged.sources.tolist() == ["a", "a", "b"]


def test_merging_leaves_out_near_duplicates_of_earlier_sources_only():
    boxes = np.array([[0, 0, 100, 100], [0, 0, 100, 98]], np.float32)
    first = Proposals(boxes, np.array([1, 0.5], np.float32), np.array(["a", "a"]))
    others = np.array([[0, 0, 100, 97], [0, 0, 100, 50], [0, 0, 100, 51]], np.float32)
    second = Proposals(others, np.array([0.9, 0.2, 0.1], np.float32), np.array(["b"] * 3))
    merged = merge_proposals([first, second], 0.95)
    assert merged.boxes[:, 3].tolist() == [100, 98, 50, 51]
    assert merged.scores.tolist() == pytest.approx([1, 0.5, 0.2, 0.1])
    assert merged.sources.tolist() == ["a", "a", "b", "b"]
    assert len(merge_proposals([first[:0], second], 0.95)) == 3
    assert len(merge_proposals([first, second[:0]], 0.95)) == 2


def test_the_limit_keeps_the_best(astronaut):
    everything = propose(astronaut, SEARCH)
    few = propose(astronaut, SEARCH.model_copy(update={"limit": 7}))
    assert np.array_equal(few.boxes, everything.boxes[:7])


def test_selective_search_does_not_wait_for_torch():
    code = "import incdet.proposals, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
