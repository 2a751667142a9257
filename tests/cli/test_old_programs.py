"""The programs in tools/, which are commands of incdet now."""

import subprocess
import sys

import pytest
from running_tools import ROOT, run_tool

PROGRAMS = {
    "eval_map": "evaluate",
    "train_multibox": "train multibox",
    "eval_classification": "evaluate-classification",
    "compare_runs": "compare",
    "proposal_coverage": "coverage",
    "train_regions": "train regions",
    "train_classifier": "train classifier",
    "import_weights": "weights import",
    "quantize_weights": "weights quantize",
    "calibrate_int8": "weights calibrate",
    "fit_boxes": "weights fit-boxes",
    "record_measurement": "weights record",
    "plot_training": "train plot",
}
STAY = ("eval_map", "train_multibox")


def test_every_program_is_a_few_lines():
    files = {file.stem: file.read_text() for file in (ROOT / "tools").glob("*.py")}
    assert files.keys() == PROGRAMS.keys()
    assert all(text.count("\n") < 10 for text in files.values())


@pytest.mark.parametrize(("program", "command"), PROGRAMS.items())
def test_a_program_is_its_command(tmp_path, program, command):
    result = run_tool(f"{program}.py", "--help", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"Usage: incdet {command} " in result.stdout
    said = f"warning: tools/{program}.py is now incdet {command}; the old name goes in 0.3\n"
    assert result.stderr == ("" if program in STAY else said)


@pytest.mark.slow
def test_a_program_runs_from_any_folder_by_its_path(tmp_path):
    program = ROOT / "tools" / "eval_map.py"
    command = [sys.executable, program, "--dataset", "voc", "--root", "nowhere"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 3
    assert result.stderr.startswith("error: cannot read the data set nowhere")


@pytest.mark.slow
def test_old_words_are_understood(tmp_path):
    result = run_tool("train_regions.py", "nothing.yaml", "--no-quiet", folder=tmp_path)
    assert result.returncode == 2
    assert "no file and no shipped recipe 'nothing.yaml'" in result.stderr
