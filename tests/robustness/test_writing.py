"""Folders of results: one run at a time, links that lead elsewhere, full disks, kills between two files, odd names."""

import csv
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from command_line import FEW, one_sentence

from incdet.cli import console
from incdet.cli.console import SafeConsole
from incdet.detections import Detections
from incdet.errors import OutputError
from incdet.output.result_folder import ResultFolder
from incdet.output.writers import csv_text, voc_xml
from incdet.runtime import files
from incdet.runtime.files import append_text, atomic_file, remove_stale_temporaries, write_text
from incdet.runtime.folder_lock import LOCK_FILE, FolderLock
from incdet.runtime.picture_files import save_picture

HOLD = """
import sys
from pathlib import Path
from incdet.runtime.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def line(name):
    return {"image": name, "width": 4, "height": 3, "detections": []}


@pytest.fixture
def holder(tmp_path):
    """Another process that writes into the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == b"locked\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_of_two_runs_is_refused_until_the_first_has_ended(tmp_path, holder):
    with pytest.raises(OutputError, match=f"another run \\(process {holder.pid}\\) writes into"):
        FolderLock(tmp_path)
    folder = ResultFolder(tmp_path, "detections", {"a": 1})
    with pytest.raises(OutputError, match="another run"):
        folder.begin({}, [], [])
    holder.kill()
    holder.communicate()
    # a killed run leaves the file, but not the lock
    assert (tmp_path / LOCK_FILE).exists()
    folder.begin({}, [], [])
    folder.add(line("x"))
    folder.finish()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["detections.jsonl", "run.json"]


def test_a_run_killed_between_its_first_files_begins_again(tmp_path):
    ResultFolder(tmp_path, "detections", {"a": 1}).begin({}, [], [])
    (tmp_path / "detections.unfinished.jsonl").unlink()
    folder = ResultFolder(tmp_path, "detections", {"a": 1})
    folder.begin({}, [], [])
    folder.add(line("x"))
    folder.finish()


@pytest.mark.parametrize(
    "text",
    [
        *("3", "null", '"x"', "[1]", '{"image": 3}', '{"image": "y"}', "[" * 99_999),
        '{"image": "y", "width": 1, "height": 1}',
        '{"image": "y", "width": 4, "height": 3, "detections": 3}',
        '{"image": "y", "width": "4", "height": 3, "detections": []}',
    ],
)
def test_unfinished_lines_of_another_form_are_done_again(tmp_path, text):
    folder = ResultFolder(tmp_path, "detections", {})
    folder.begin({}, [], [])
    folder.add(line("x"))
    with (tmp_path / "detections.unfinished.jsonl").open("a") as file:
        file.write(text + "\n")
    assert ResultFolder(tmp_path, "detections", {}).done == {"x": line("x")}


def test_a_folder_that_goes_away_is_an_error(tmp_path):
    folder = ResultFolder(tmp_path / "r", "detections", {})
    folder.begin({}, [], [])
    folder.add(line("x"))
    for file in (tmp_path / "r").iterdir():
        file.unlink()
    # a picture makes the folder again, but the lines are lost
    write_text(tmp_path / "r" / "x.xml", "")
    with pytest.raises(OutputError, match="cannot write"):
        folder.add(line("y"))
    with pytest.raises(OutputError, match="went away during the run"):
        folder.finish()


def test_links_in_a_folder_of_results_lead_nowhere(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    place = tmp_path / "r"
    place.mkdir()
    (place / "x.xml").symlink_to(victim)
    write_text(place / "x.xml", "result")
    assert (victim.read_text(), (place / "x.xml").read_text()) == ("mine", "result")
    (place / "log").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        append_text(place / "log", "entry", create=True)
    (place / "detections.unfinished.jsonl").symlink_to(victim)
    folder = ResultFolder(place, "detections", {}, overwrite=True)
    folder.begin({}, [], [])
    folder.add(line("x"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "hierarchy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="link to another folder"):
        ResultFolder(tmp_path / "s", "proposals", {}).begin({"a": [tmp_path / "s" / "hierarchy" / "a.jpg"]}, [], [])
    assert victim.read_text() == "mine"


def test_a_short_write_never_gets_the_final_name(tmp_path, monkeypatch):
    real = os.fstat

    class Cut:
        st_size = 3

    def write():
        with atomic_file(tmp_path / "a.txt") as stream:
            stream.write(b"content")
            monkeypatch.setattr(files.os, "fstat", lambda _: Cut)

    with pytest.raises(OutputError, match="space"):
        write()
    monkeypatch.setattr(files.os, "fstat", real)
    assert list(tmp_path.iterdir()) == []
    save_picture(tmp_path / "a.jpg", np.zeros((4, 4, 3), np.uint8))
    assert (tmp_path / "a.jpg").stat().st_size > 100


def test_unfinished_files_of_killed_processes_are_removed_and_no_others(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale = tmp_path / f".incdet.{files._host()}.{ended.pid}.x"
    own = tmp_path / f".incdet.{files._host()}.{os.getpid()}.x"
    other = tmp_path / ".incdet.elsewhere.1.x"
    for file in (stale, own, other, tmp_path / ".incdet.odd"):
        file.touch()
    remove_stale_temporaries(tmp_path, tmp_path / "missing")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([own.name, other.name, ".incdet.odd"])


NAMES = [
    "\x1b[31mred\x1b[0m.jpg",
    "two\nlines.jpg",
    "bell\a.jpg",
    "\x9b2J.jpg",
    "turn\u202egpj.jpg",
    "=1+1.jpg",
    "<b>&.jpg",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_from_outside_cannot_act_on_a_terminal_or_a_table(name):
    screen = io.StringIO()
    terminal = SafeConsole(file=screen, force_terminal=True, color_system=None, width=200)
    terminal.print(name, markup=False)
    for letter in "\x1b\a\x9b\u202e":
        assert letter not in screen.getvalue()
    boxes, one = np.array([[0, 0, 2, 2]], np.float32), np.ones(1, np.float32)
    found = Detections(name, 4, 3, boxes, one, np.zeros(1, np.int64), (name,))
    rows = list(csv.reader(io.StringIO(csv_text([found]))))
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in rows[1][:2])
    assert "\x1b" not in voc_xml(found)


def test_sentences_about_odd_names_are_one_visible_line(tmp_path, monkeypatch, capsys):
    screen = io.StringIO()
    monkeypatch.setattr(console, "notes", SafeConsole(file=screen, force_terminal=False, soft_wrap=True, width=200))
    console.warning("cannot read \x1b[2Ja\nerror: all is well")
    console.failures_told(["b\nc\x07"])
    assert screen.getvalue().splitlines() == [
        r"warning: cannot read \x1b[2Ja\nerror: all is well",
        r"error: b\nc\x07",
    ]


def test_a_run_that_was_killed_after_its_json_file_goes_on(incdet, chelsea_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("propose", str(chelsea_file), "--json", "all.jsonl", "--output", "d", "--quiet", *FEW)
    assert incdet(*command)[0] == 0
    text = (tmp_path / "all.jsonl").read_text()
    # as it was before the last step
    (tmp_path / "d" / "proposals.jsonl").rename(tmp_path / "d" / "proposals.unfinished.jsonl")
    assert incdet(*command)[0] == 0
    assert (tmp_path / "d" / "proposals.jsonl").read_text() == text


def test_an_address_is_named_as_it_was_given(incdet):
    code, _, err = incdet("propose", "https://example.org/a.jpg", "--json", "-", "--quiet")
    assert code == 1
    assert "https://example.org/a.jpg: it is a URL" in one_sentence(err)
