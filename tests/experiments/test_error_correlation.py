"""The program that correlates the errors of an ensemble's networks, on outputs that an evaluation has stored."""

import json
import re

import numpy as np
import pytest
from running_tools import run_tool

import incdet
from incdet.data.readers import Collection, read_dataset
from incdet.pipeline.proposal_cache import image_key
from incdet.runtime.files import save_arrays


@pytest.fixture
def run(small_voc, tmp_path):
    """Three members at the objects: the second errs as the first does, and the third where these do not."""
    data = read_dataset(Collection.voc, small_voc, "val")
    (tmp_path / "region_scores").mkdir()
    ensemble = {"rejection_network": None, "members": ["a", "b", "c"]}
    (tmp_path / "run.json").write_text(json.dumps({"ensemble": ensemble}))
    generator = np.random.default_rng(0)
    for path, truth in zip(data.image_paths, data.ground_truths, strict=True):
        right = generator.uniform(0.2, 0.8, len(truth))
        # and a region in which nobody finds an object, and which does not count
        boxes = np.concatenate([truth.boxes, [[0, 0, 3, 3]]]).astype(np.float32)
        by_network = np.zeros((3, len(boxes), 20), np.float32)
        rows = np.arange(len(truth))
        for member, probabilities in enumerate((right, right, 1 - right)):
            by_network[member, rows, truth.class_ids] = probabilities
        file = tmp_path / "region_scores" / f"{path.stem}-{image_key(incdet.read_image(path))}.npz"
        save_arrays(file, boxes=boxes, probabilities=by_network.mean(axis=0), by_network=by_network)
    return tmp_path


def test_errors_that_are_alike_and_errors_that_are_opposite(small_voc, run):
    done = run_tool("experiments/error_correlation.py", "--root", small_voc, "--split", "val", "--run", run, folder=run)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "member" in line]
    numbers = [[float(cell) for cell in re.findall(r"-?\d\.\d+", line)] for line in lines]
    assert [row[1:] for row in numbers] == [[1, 1, -1], [1, 1, -1], [-1, -1, 1]]
    assert numbers[0][0] == numbers[1][0]
    # two of three err alike and one the other way, so that a third of each error is left, and a ninth of its variance
    assert "variance of the mean's error 0.111" in " ".join(done.stdout.split())


def test_a_folder_without_an_evaluation_is_one_sentence(small_voc, tmp_path):
    done = run_tool(
        "experiments/error_correlation.py", "--root", small_voc, "--split", "val", "--run", tmp_path, folder=tmp_path
    )
    assert done.returncode == 3
    assert "is no folder of an evaluation" in done.stderr
    assert "Traceback" not in done.stderr
