"""The program that compares settings of the last stage, on outputs that an evaluation has stored."""

import json

import numpy as np
import pytest
from running_tools import run_tool

import incdet
from incdet.data.readers import Collection, read_dataset
from incdet.pipeline.proposal_cache import image_key
from incdet.runtime.files import save_arrays


def test_the_program_judges_each_change_by_stored_outputs(small_voc, tmp_path):
    data = read_dataset(Collection.voc, small_voc, "val")
    (tmp_path / "run" / "region_scores").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text(json.dumps({"ensemble": {"namer": "a namer"}}))
    for path, truth in zip(data.image_paths, data.ground_truths, strict=True):
        # every object, and a part of each that is more probable
        corners, sizes = truth.boxes[:, :2], truth.boxes[:, 2:] - truth.boxes[:, :2]
        parts = np.concatenate([corners, corners + 0.3 * sizes], axis=1)
        boxes = np.concatenate([truth.boxes, parts]).astype(np.float32)
        probabilities = np.zeros((len(boxes), 20), np.float32)
        probabilities[np.arange(len(boxes)), np.tile(truth.class_ids, 2)] = np.repeat([0.5, 0.6], len(truth))
        file = tmp_path / "run" / "region_scores" / f"{path.stem}-{image_key(incdet.read_image(path))}.npz"
        save_arrays(file, boxes=boxes, probabilities=probabilities, by_network=probabilities[None])
    arguments = ["--dataset", "voc", "--root", small_voc, "--split", "val", "--run", "run"]
    arguments += ["--change", "part_penalty=0 prominence_exponent=0", "--change", "part_penalty=1"]
    done = run_tool("experiments/selection_settings.py", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "part_penalty" in line]
    before, after = ([float(cell) for cell in row.split("│")[2:-1]] for row in rows)
    # parts come first without a penalty, and last with the whole of it
    assert after[0] - before[0] == pytest.approx(after[1], abs=2e-4)
    assert after[1] > 0.3
    assert before[1:3] == [0, 0]
