"""`--help` of every command: what it shows, and what it does not load."""

import subprocess
import sys

import pytest
import typer

from incdet.cli import train_command, weights_command
from incdet.cli.app import COMMANDS, ORDER, app
from incdet.cli.old_options import OLD_OPTIONS

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


@pytest.mark.parametrize("arguments", [["-h"], ["train", "-h"], ["weights", "-h"]])
def test_groups_take_the_short_form_of_help_too(incdet, arguments):
    assert incdet(*arguments)[1] == incdet(*arguments[:-1], "--help")[1] != ""


def commands():
    """Words of every command -> its options by their names."""
    found = {}
    waiting = {(): typer.main.get_command(app)}
    while waiting:
        words, command = waiting.popitem()
        for name, inner in getattr(command, "commands", {}).items():
            waiting[*words, name] = inner
        if words and not hasattr(command, "commands"):
            found[" ".join(words)] = {option: own for own in command.params for option in own.opts}
    return found


def test_one_thing_has_one_name_in_every_command():
    found = commands()
    assert len(found) == len(EVERY)
    for command, options in found.items():
        # --output and -o, --quiet and -q come together, everywhere
        assert ("--output" in options) == ("-o" in options), command
        assert ("--quiet" in options) == ("-q" in options), command
        # whatever reads an annotated data set says so with the same three options
        assert ("--dataset" in options) == ("--split" in options), command
        assert "--dataset" not in options or "--root" in options, command
        # a list of names, not a file; `incdet info` prints the table of a name
        if "--classes" in options and command != "info":
            assert options["--classes"].metavar == "A,B", command
    with_weights = {command for command, options in found.items() if "--weights" in options}
    trainings = {"train regions", "train multibox", "train classifier"}
    assert with_weights == {"detect", "classify", "serve", "export", "evaluate", "evaluate-classification", *trainings}
    assert {command for command, options in found.items() if "--device" in options} >= {"propose", *with_weights} - {
        "export"
    }


def test_old_names_are_taken_with_a_note_and_stand_in_no_help(incdet, tmp_path):
    for command, names in OLD_OPTIONS.items():
        (full,) = [words for words in EVERY if words[-1] == command]
        text = incdet(*full, "--help")[1]
        for old, new in names.items():
            assert f"{new} " in text
            assert f"{old} " not in text
    code, _, err = incdet("evaluate", "--dataset", "voc", "--root", ".", "--detector=missing")
    assert code == 3
    assert "warning: --detector is now called --weights; the old name goes in 0.3" in err
    assert "no weights 'missing'" in err
    code, _, err = incdet("weights", "quantize", "missing", "small.safetensors")
    assert code == 3
    assert "the second argument is now given with --output" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("incdet eval", ["evaluate", "evaluate-classification"]),
        ("incdet train regions own", ["own_data"]),
        ("incdet detect --weights multi", ["multibox-voc-shared", "multibox-voc"]),
        ("incdet evaluate --dataset co", ["coco"]),
    ],
)
def test_the_shell_completes(words, expected):
    position = str(len(words.split()) - 1)
    environment = {"_INCDET_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": position}
    program = f"import sys; sys.path[:0] = {sys.path!r}; sys.argv = ['incdet']; from incdet.cli.app import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout.split() == expected
