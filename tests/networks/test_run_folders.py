"""Folders of trainings where weights are wanted."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from incdet.errors import WeightsError
from incdet.networks.run_folders import set_earlier_weights_aside, weights_of_run


def checkpoint(folder, **metadata):
    folder.mkdir(parents=True)
    save_file({"x": np.zeros(1)}, folder / "checkpoint.safetensors", metadata)
    return folder


def test_a_finished_training_is_its_weights(tmp_path):
    run = checkpoint(tmp_path / "run", step="9", steps="9")
    (run / "weights.safetensors").write_text("x")
    assert weights_of_run(run) == run / "weights.safetensors"
    assert weights_of_run(run / "weights.safetensors") == run / "weights.safetensors"


def test_what_is_no_training_stays_what_it_is(tmp_path):
    assert weights_of_run(tmp_path / "nothing") == tmp_path / "nothing"
    run = checkpoint(tmp_path / "run", step="9", steps="9")
    assert weights_of_run(run / "wieghts.safetensors") == run / "wieghts.safetensors"


def test_an_unfinished_training_says_how_far_it_is_and_how_it_goes_on(tmp_path):
    run = checkpoint(tmp_path / "my run", step="40", steps="216", command="regions")
    (run / "config.json").write_text("{}")
    command = f"incdet train regions '{run}/config.json' --output '{run}'"
    words = f"is unfinished at step 40 of 216; continue it with {command}"
    for path in (run, run / "weights.safetensors"):
        with pytest.raises(WeightsError, match=words):
            weights_of_run(path)
    # checkpoints of earlier versions do not say so much
    (run / "checkpoint.safetensors").write_text("broken")
    with pytest.raises(WeightsError, match="is unfinished; continue it with the command that began it"):
        weights_of_run(run)


def test_earlier_weights_get_another_name_with_their_sidecar_files(tmp_path):
    assert set_earlier_weights_aside(tmp_path) is None
    for number in (1, 2):
        for name in ("weights.safetensors", "weights.int8.json", "weights.boxes.safetensors"):
            (tmp_path / name).write_text(f"{name} {number}")
        assert set_earlier_weights_aside(tmp_path) == tmp_path / f"weights-earlier-{number}.safetensors"
    for number in (1, 2):
        for ending in ("safetensors", "int8.json", "boxes.safetensors"):
            text = (tmp_path / f"weights-earlier-{number}.{ending}").read_text()
            assert text == f"weights.{ending} {number}"
    assert len(list(tmp_path.iterdir())) == 6


def test_an_ensemble_is_given_member_by_member(tmp_path):
    for number in (1, 2):
        member = checkpoint(tmp_path / f"member-{number}")
        (member / "weights.safetensors").write_text("x")
    with pytest.raises(WeightsError, match=f"--weights {tmp_path}/member-1 --weights {tmp_path}/member-2"):
        weights_of_run(tmp_path)
