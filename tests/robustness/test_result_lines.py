"""Checksums of single lines of results: every flipped bit is found, counted and done again."""

import json
import shutil
import warnings

import numpy as np
import pytest
from annotation_files import write
from command_line import FEW
from test_writing import line

from incdet.errors import DataError
from incdet.output.result_folder import ResultFolder
from incdet.output.result_lines import line_text, lines_of, parse_line
from incdet.output.writers import read_detections

NAMES = ("x", "y", "z")
ENTRY = {"label": "cat", "class_id": 0, "score": 0.5, "box": [0.5, 1.0, 2.25, 3.0]}


def stored(name):
    return line(name) | {"detections": [ENTRY]}


def test_every_flipped_bit_of_a_line_is_found(tmp_path):
    text = "".join(line_text(stored(name)) for name in NAMES).encode()
    start, end = text.index(b"\n") + 1, text.rindex(b"\n", 0, -1)
    for place in range(start, end):
        for bit in (0, 3, 7):
            content = bytearray(text)
            content[place] ^= 1 << bit
            found = lines_of(write(tmp_path / "lines", bytes(content)))
            # a flipped line break makes two damaged lines of one
            assert found.num_damaged in (1, 2)
            assert found.lines == {name: stored(name) for name in "xz"}
    # what a killed process has begun is no damage
    begun = lines_of(write(tmp_path / "lines", text[:-9]))
    assert (list(begun.lines), begun.num_damaged) == (["x", "y"], 0)


def test_lines_of_other_programs_are_compared_or_taken_as_they_are(tmp_path):
    values = json.loads(line_text(stored("x")))
    assert parse_line(json.dumps(values, separators=(",", ":"))) == stored("x")
    assert parse_line(json.dumps(stored("x"))) == stored("x")
    edited = json.dumps(values | {"width": 5})
    file = write(tmp_path / "edited.jsonl", f"{line_text(stored('y'))}{edited}\n")
    with pytest.raises(DataError, match=r"edited\.jsonl, line 2: the checksum is another one.*remove 'crc32'"):
        read_detections(file, ("cat",))
    assert len(read_detections(write(file, line_text(stored("y"))), ("cat",))) == 1


def test_a_damaged_line_of_a_finished_run_is_done_again(incdet, chelsea_file, tmp_path):
    photos = [shutil.copy(chelsea_file, tmp_path / f"{name}.png") for name in "ab"]
    command = ("propose", *photos, "--output", "d", *FEW)
    assert incdet(*command)[0] == 0
    file = tmp_path / "d" / "proposals.jsonl"
    text = file.read_text()
    file.write_text(text.replace("e-0", "e-1", 1) if "e-0" in text else text.replace('"score": 0', '"score": 1', 1))
    code, _, err = incdet(*command)
    assert code == 0
    assert "warning: 1 line is damaged in d: left out" in err
    assert "done before: 1 of 2 photos" in err
    assert file.read_text() == text


def test_lines_of_earlier_versions_are_read(tmp_path):
    ResultFolder(tmp_path, "detections", {}).begin({}, [], [])
    write(tmp_path / "detections.unfinished.jsonl", json.dumps(stored("x")) + "\n")
    folder = ResultFolder(tmp_path, "detections", {})
    assert (folder.done, folder.damage) == ({"x": stored("x")}, None)
    folder.begin({}, [], [])
    folder.add(stored("y"))
    folder.finish()
    assert (tmp_path / "detections.jsonl").read_text() == line_text(stored("x")) + line_text(stored("y"))


def test_strips_that_opencv_searches_shrunk_are_said():
    engine = pytest.importorskip("incdet.proposers.opencv_engine")
    from incdet.config.sections import SelectiveSearchConfig

    strip = np.random.default_rng(0).integers(0, 255, (20, 400, 3), np.uint8)
    with pytest.warns(RuntimeWarning, match="strips of 400x20 pixels shrunk to 160x20"):
        engine.group_all(strip, SelectiveSearchConfig(strategies="single"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.group_all(strip[:, :160], SelectiveSearchConfig(strategies="single"))
