"""The manners of all commands: errors and warnings in one sentence."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from command_line import FEW, one_sentence

from incdet.cli import console


@pytest.mark.parametrize(
    "setting",
    [
        "device=2020-13-45", "scores.batch_size=!!int foo", "proposals=&a [*a]", "detections.classes=[]",
        "proposals.selective_search.seed=-1", "proposals.selective_search.superpixel_scale=.inf",
        "proposals.selective_search.k=[.nan]", "proposals.selective_search.k=[0]",
        "proposals.selective_search.sigma=1e6", "proposals.selective_search.sigma=.inf",
        "proposals.selective_search.width=100000", "detections.iou=0.3",
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_one_sentence(incdet, photo, setting):
    code, out, err = incdet("propose", photo, "--set", setting)
    assert (code, out) == (2, "")
    assert one_sentence(err)


@pytest.mark.parametrize("text", ["when: 2020-13-45", "[" * 3000, "proposals: &a\n  selective_search: *a"])
def test_configurations_that_are_no_yaml_are_one_sentence(incdet, photo, text):
    Path("c.yaml").write_text(text)
    code, _, err = incdet("propose", photo, "--config", "c.yaml")
    assert code == 2
    assert "c.yaml" in one_sentence(err)


def test_an_empty_section_means_the_defaults(incdet, photo):
    Path("c.yaml").write_text("proposals:\ndetections:\n")
    assert incdet("propose", photo, "--config", "c.yaml", *FEW, "--json", "-")[0] == 0


def test_a_package_that_cannot_be_loaded_is_one_sentence(incdet, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "incdet.cli.proposal_batch", None)
    code, _, err = incdet("propose", photo)
    assert code == 3
    assert "install incdet again" in one_sentence(err)


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError("Unable to allocate 2.00 TiB"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 2199023255552 bytes"),
    ],
)
def test_too_little_memory_is_one_sentence(failure, monkeypatch, capsys):
    def work():
        raise failure

    monkeypatch.setattr("sys.argv", ["incdet"])
    with pytest.raises(SystemExit) as ended:
        console.run_program(work)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: not enough memory (")
    assert said.count("\n") == 1
    assert "2.00" in said or "2199023255552" in said


@pytest.mark.parametrize("words", ["expected scalar type Float", "CUDA error: an illegal memory access"])
def test_defects_of_ours_keep_their_traceback(words, monkeypatch):
    def work():
        raise RuntimeError(words)

    monkeypatch.setattr("sys.argv", ["incdet"])
    with pytest.raises(RuntimeError, match=words):
        console.run_program(work)


def test_a_renamed_setting_is_one_line_of_warning(incdet):
    code, out, err = incdet("config", "--set", "scores.gate=0.2")
    assert code == 0
    assert "min_probability: 0.2" in out
    assert err == "warning: the setting 'gate' is now called 'min_probability'; the old name goes in 0.3\n"


def test_warnings_of_libraries_are_one_line_and_end_with_the_command(capsys):
    before = warnings.showwarning
    with console.warnings_in_one_line():
        warnings.warn("of two\n lines", FutureWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: of two lines\n"
    assert warnings.showwarning is before


def test_a_reader_that_goes_early_is_no_failure():
    """As `| head -1` or `| grep --quiet` do; with unbuffered streams, writing fails inside the command."""
    command = [sys.executable, "-u", "-m", "incdet", "config"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, "")
