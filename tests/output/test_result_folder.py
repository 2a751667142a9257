"""Folders of results: protected, numbered, and continued after an interruption."""

import json

import pytest

from incdet.errors import OutputError
from incdet.output.result_folder import ResultFolder


def line(name):
    return {"image": name, "detections": []}


def begun(path, description, **options):
    folder = ResultFolder(path, "detections", description, **options)
    folder.begin([], [])
    return folder


def test_result_folder_goes_on_after_a_line_cut_short(tmp_path):
    folder = begun(tmp_path / "r", {"a": 1})
    folder.add(line("x"))
    with (tmp_path / "r" / "detections.unfinished.jsonl").open("a") as file:
        file.write('{"image": "y", "det')
    again = begun(tmp_path / "r", {"a": 1})
    assert again.done == {"x": line("x")}
    again.add(line("y"))
    again.finish()
    lines = (tmp_path / "r" / "detections.jsonl").read_text().splitlines()
    assert [json.loads(text)["image"] for text in lines] == ["x", "y"]


def test_result_folder_refuses_other_settings_and_finished_results(tmp_path):
    begun(tmp_path / "r", {"a": 1}).add(line("x"))
    with pytest.raises(OutputError, match="other settings"):
        ResultFolder(tmp_path / "r", "detections", {"a": 2})
    assert begun(tmp_path / "r", {"a": 1}, overwrite=True).done == {"x": line("x")}, "the same run goes on"
    replaced = begun(tmp_path / "r", {"a": 2}, overwrite=True)
    assert replaced.done == {}
    replaced.finish()
    with pytest.raises(OutputError, match="exists already"):
        ResultFolder(tmp_path / "r", "detections", {"a": 2})
    numbered = ResultFolder(tmp_path / "r", "detections", {"a": 2}, numbered=True)
    assert numbered.path == tmp_path / "r-2"


def test_result_folder_without_lines_still_counts_as_finished(tmp_path):
    folder = begun(tmp_path / "r", {})
    folder.finish(keep=False)
    assert [file.name for file in (tmp_path / "r").iterdir()] == ["run.json"]
    with pytest.raises(OutputError, match="holds results already"):
        ResultFolder(tmp_path / "r", "detections", {})


def test_files_that_exist_are_protected_and_a_refusal_leaves_nothing_behind(tmp_path):
    (tmp_path / "s").mkdir()
    photo = tmp_path / "s" / "a.jpg"
    photo.write_text("somebody's")
    for inputs, words in (([tmp_path / "s" / ".." / "s" / "a.jpg"], "one of the photos given"), ([], "exists already")):
        with pytest.raises(OutputError, match=words):
            ResultFolder(tmp_path / "s", "detections", {}).begin([photo], inputs)
    assert [file.name for file in (tmp_path / "s").iterdir()] == ["a.jpg"]
    begun(tmp_path / "t", {"a": 1}).add(line("x"))
    (tmp_path / "t" / "x.jpg").write_text("made by the interrupted run")
    ResultFolder(tmp_path / "t", "detections", {"a": 1}).begin([tmp_path / "t" / "x.jpg"], [])


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"{}", b""])
def test_a_damaged_description_is_no_run_to_go_on_with(tmp_path, damage):
    begun(tmp_path / "r", {}).add(line("x"))
    (tmp_path / "r" / "run.json").write_bytes(damage)
    with pytest.raises(OutputError, match="other settings"):
        ResultFolder(tmp_path / "r", "detections", {})


def test_damaged_lines_of_an_interrupted_run_are_dropped(tmp_path):
    begun(tmp_path / "r", {}).add(line("x"))
    with (tmp_path / "r" / "detections.unfinished.jsonl").open("ab") as file:
        file.write(b'{"image": \xff}\n{"no": "image"}\n[1]\n')
    assert begun(tmp_path / "r", {}).done == {"x": line("x")}
