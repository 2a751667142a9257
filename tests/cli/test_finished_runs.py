"""A command that is repeated although nothing is missing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from command_line import FEW

PROGRAM = f"""
import json, sys
sys.path[:0] = {sys.path!r}
from incdet.cli.app import app
from incdet.cli.console import call_with_sentence
try:
    call_with_sentence(app, json.loads(sys.argv[1]), "incdet")
except SystemExit as stopped:
    print(stopped.code, "torch" in sys.modules)
"""
ONE_NETWORK = ("--set", "scores.features=shared", "--set", "scores.photo_sides=[384]", *FEW)


def repeated(folder, *arguments):
    """Exit code, whether torch was loaded, and stderr of a process of its own."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(arguments)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    code, has_torch = ended.stdout.split()
    return int(code), has_torch == "True", ended.stderr


def test_nothing_to_do_is_told_before_torch_is_loaded(incdet, photo, tmp_path):
    for command in (("detect", "cat.png", *ONE_NETWORK), ("propose", "cat.png", *FEW)):
        for output in ([], ["--output", "found"]):
            shutil.rmtree(tmp_path / "found", ignore_errors=True)
            assert incdet(*command, *output)[0] == 0
            place = output[-1] if output else "incdet-output" if command[0] == "detect" else "incdet-output-2"
            code, has_torch, err = repeated(tmp_path, *command, *output)
            assert (code, has_torch) == (0, False)
            assert err.endswith(f"nothing to do: 1 photo is in {place}\n")


def test_a_network_that_is_loaded_for_its_feature_maps_alone_is_no_other_setting(incdet, photo, tmp_path):
    command = ("propose", "cat.png", "--output", "found", "--set", "proposals.methods=[multibox]")
    command = (*command, "--set", "proposals.multibox.photo_sides=[96]")
    assert incdet(*command)[0] == 0
    code, has_torch, err = repeated(tmp_path, *command)
    assert (code, has_torch) == (0, False), err
    assert err.endswith("nothing to do: 1 photo is in found\n")


def test_whatever_is_missing_is_done(incdet, photo, tmp_path):
    command = ("detect", "cat.png", "--output", "found", *ONE_NETWORK)
    assert incdet(*command)[0] == 0
    lines = Path("found/detections.jsonl").read_text()
    for change in (
        lambda: Path("found/cat.jpg").unlink(),
        lambda: Path("found/detections.jsonl").unlink(),
        lambda: Path("found/detections.jsonl").rename("found/detections.unfinished.jsonl"),
    ):
        change()
        code, _, err = incdet(*command)
        assert (code, "nothing to do" in err) == (0, False)
        assert Path("found/detections.jsonl").read_text() == lines
        assert Path("found/cat.jpg").exists()
    # other settings, more files and other places are no repetition
    assert "nothing to do" not in incdet(*command, "--json", "-")[2]
    assert "nothing to do" not in incdet(*command, "--save", "json,csv")[2]
    assert incdet(*command, "--set", "detections.iou_threshold=0.5")[0] == 2
    # results of other settings are refused before torch is loaded, whatever else was asked for
    for more in ([], ["--json", "found.jsonl"], ["--show"]):
        code, has_torch, err = repeated(tmp_path, *command, "--score-threshold", "0.3", *more)
        assert (code, has_torch) == (2, False)
        assert "found holds results of other settings" in err
        assert "display_threshold is None there and 0.3 now" in err
