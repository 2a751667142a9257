"""`--help` of every command: what it shows, and what it does not load."""

import subprocess
import sys

import pytest

from incdet.cli import train_command, weights_command
from incdet.cli.app import COMMANDS, ORDER

HEAVY = {"torch", "torchvision", "numba", "cv2", "matplotlib", "scipy", "skimage", "pycocotools", "numpy"}

SUB_COMMANDS = [
    *(("train", command.name or command.callback.__name__) for command in train_command.app.registered_commands),
    *(("weights", command.name or command.callback.__name__) for command in weights_command.app.registered_commands),
]
EVERY = [*((name,) for name, *_ in COMMANDS), *SUB_COMMANDS]


def test_the_commands_stand_in_panels_in_the_order_of_a_first_visit(incdet):
    code, out, _ = incdet("--help")
    assert code == 0
    panels = [out.index(f"─ {title} ─") for title in ("Detect", "Evaluate", "Train", "About")]
    assert panels == sorted(panels)
    places = [out.index(f"│ {name} ") for name in ORDER]
    assert places == sorted(places)
    assert "--install-completion" in out


def test_every_sub_command_that_was_a_program_is_there():
    assert {"regions", "multibox", "classifier", "plot"} == {name for group, name in SUB_COMMANDS if group == "train"}
    names = {name for group, name in SUB_COMMANDS if group == "weights"}
    assert {"import", "quantize", "calibrate", "fit-boxes", "record"} <= names


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_every_command_has_two_examples_of_itself(incdet, command):
    code, out, _ = incdet(*command, "-h")
    assert code == 0
    examples = [line for line in out.splitlines() if line.lstrip().startswith("$ ")]
    assert len(examples) == 2
    assert all(f"incdet {' '.join(command)} " in f"{line} " for line in examples)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["detect", "--help"], ["evaluate", "-h"], ["train", "regions", "-h"]]
)
def test_help_loads_no_library_that_takes_time(arguments):
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from incdet.cli.app import app
app({arguments!r}, standalone_mode=False)
print(sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"


def test_the_shell_completes_commands(monkeypatch):
    environment = {"_INCDET_COMPLETE": "complete_bash", "COMP_WORDS": "incdet eval", "COMP_CWORD": "1"}
    program = f"import sys; sys.path[:0] = {sys.path!r}; sys.argv = ['incdet']; from incdet.cli.app import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout.split() == ["evaluate", "evaluate-classification"]
