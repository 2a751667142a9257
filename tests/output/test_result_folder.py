"""Folders of results: protected, numbered, and continued after an interruption."""

import json
from pathlib import Path

import pytest

from incdet.errors import OutputError
from incdet.output.result_folder import PhotoRecord, ResultFolder
from incdet.output.result_pictures import ResultPictures, picture_names


def line(name):
    return {"image": name, "detections": []}


def begun(path, description, photos=None, **options):
    folder = ResultFolder(path, "detections", description, photos, **options)
    records = {photo: PhotoRecord(identity, photo) for photo, identity in (photos or {}).items()}
    folder.begin({}, [], [], records)
    return folder


def finished(path, description, photos):
    folder = begun(path, description, photos)
    for photo in photos:
        if photo not in folder.done:
            folder.add(line(photo))
    folder.sort(list(photos))
    folder.finish()
    return folder


def images_in(file):
    return [json.loads(text)["image"] for text in file.read_text().splitlines()]


def test_result_folder_goes_on_after_a_line_cut_short(tmp_path):
    folder = begun(tmp_path / "r", {"a": 1})
    folder.add(line("x"))
    with (tmp_path / "r" / "detections.unfinished.jsonl").open("a") as file:
        file.write('{"image": "y", "det')
    again = begun(tmp_path / "r", {"a": 1})
    assert again.done == {"x": line("x")}
    again.add(line("y"))
    again.finish()
    assert images_in(tmp_path / "r" / "detections.jsonl") == ["x", "y"]


def test_results_of_other_settings_are_refused_and_the_settings_named(tmp_path):
    begun(tmp_path / "r", {"a": {"b": 1}, "c": 2}).add(line("x"))
    with pytest.raises(OutputError, match=r"other settings.*a\.b is 1 there and 3 now"):
        ResultFolder(tmp_path / "r", "detections", {"a": {"b": 3}, "c": 2})
    same = {"a": {"b": 1}, "c": 2}
    assert begun(tmp_path / "r", same, overwrite=True).done == {"x": line("x")}, "the same run goes on"
    replaced = begun(tmp_path / "r", {"a": 2}, overwrite=True)
    assert replaced.done == {}
    replaced.finish()
    with pytest.raises(OutputError, match="other settings"):
        ResultFolder(tmp_path / "r", "detections", {"a": 3})
    numbered = ResultFolder(tmp_path / "r", "detections", {"a": 3}, numbered=True)
    assert numbered.path == tmp_path / "r-2"


def test_a_repetition_has_nothing_to_do_but_new_and_changed_photos(tmp_path):
    finished(tmp_path / "r", {}, {"a": "1", "c": "1"})
    again = begun(tmp_path / "r", {}, {"a": "1", "b": "1", "c": "2"})
    assert list(again.done) == ["a"], "c is another photo now"
    # interrupted here: the old line of c must not come back, although run.json now has its new identity
    again = begun(tmp_path / "r", {}, {"a": "1", "b": "1", "c": "2"})
    assert list(again.done) == ["a"]
    for photo in "bc":
        again.add(line(photo))
    again.sort(["a", "b", "c"])
    again.finish()
    assert images_in(tmp_path / "r" / "detections.jsonl") == ["a", "b", "c"]
    # other photos are added, and those that are not given any more stay
    finished(tmp_path / "r", {}, {"d": "1"})
    assert images_in(tmp_path / "r" / "detections.jsonl") == ["d", "a", "b", "c"]
    assert sorted(json.loads((tmp_path / "r" / "run.json").read_text())["photos"]) == ["a", "b", "c", "d"]


def test_the_default_folder_is_continued_with_all_of_its_photos_only(tmp_path):
    finished(tmp_path / "r", {}, {"a": "1"})

    def place(photos):
        return ResultFolder(tmp_path / "r", "detections", {}, photos, numbered=True).path.name

    assert place({"a": "1"}) == place({"a": "1", "b": "1"}) == "r"
    assert place({"b": "1"}) == "r-2"


def test_lines_that_nobody_asked_for_are_hidden_and_still_count(tmp_path):
    folder = begun(tmp_path / "r", {}, {"a": "1"})
    folder.add(line("a"))
    folder.finish(keep=False)
    assert sorted(file.name for file in (tmp_path / "r").iterdir()) == [".detections.jsonl", "run.json"]
    again = begun(tmp_path / "r", {}, {"a": "1"})
    assert list(again.done) == ["a"]
    again.finish(keep=True)
    assert sorted(file.name for file in (tmp_path / "r").iterdir()) == ["detections.jsonl", "run.json"]


def test_a_photo_without_its_files_is_done_again(tmp_path):
    finished(tmp_path / "r", {}, {"a": "1", "b": "1"})
    files = {name: tmp_path / "r" / f"{name}.jpg" for name in "ab"}
    files["a"].write_text("made by the first run")
    folder = ResultFolder(tmp_path / "r", "detections", {}, {"a": "1", "b": "1"})
    folder.begin({name: [file] for name, file in files.items()}, [], [])
    assert list(folder.done) == ["a"]


def test_files_that_exist_are_protected_and_a_refusal_leaves_nothing_behind(tmp_path):
    (tmp_path / "s").mkdir()
    photo = tmp_path / "s" / "a.jpg"
    photo.write_text("somebody's")
    for inputs, words in (([tmp_path / "s" / ".." / "s" / "a.jpg"], "one of the photos given"), ([], "exists already")):
        with pytest.raises(OutputError, match=words):
            ResultFolder(tmp_path / "s", "detections", {}).begin({"a": [photo]}, [], inputs)
        with pytest.raises(OutputError, match=words):
            ResultFolder(tmp_path / "s", "detections", {}).begin({}, [photo], inputs)
    assert [file.name for file in (tmp_path / "s").iterdir()] == ["a.jpg"]
    begun(tmp_path / "t", {"a": 1}, {"x": "1"}).add(line("x"))
    for name in "xy":
        (tmp_path / "t" / f"{name}.jpg").write_text("x is made by the interrupted run, y is somebody's")
    folder = ResultFolder(tmp_path / "t", "detections", {"a": 1}, {"x": "1", "y": "1"})
    folder.begin({"x": [tmp_path / "t" / "x.jpg"]}, [], [])
    with pytest.raises(OutputError, match=r"y.jpg exists already"):
        folder.begin({"y": [tmp_path / "t" / "y.jpg"]}, [], [])


def test_names_of_pictures_stay_what_they_were(tmp_path):
    photos = [tmp_path / folder / "x.jpg" for folder in ("a", "b", "c")]
    assert picture_names(photos[1:]) == {photos[1]: "x", photos[2]: "x-2"}
    taken = {str(photos[1]): "x", str(photos[2]): "x-2"}
    assert picture_names(photos, taken) == {photos[0]: "x-3", photos[1]: "x", photos[2]: "x-2"}


def test_pictures_that_incdet_made_are_known_and_others_are_not(tmp_path):
    begun(tmp_path / "r", {"versions": {"incdet": "1"}}, {"a": "1"})
    begun(tmp_path / "other", {"versions": {}}, {"a": "1"})
    pictures = ResultPictures()
    made = [tmp_path / "r" / "a.jpg", tmp_path / "r" / "hierarchy" / "a.jpg"]
    others = [tmp_path / "r" / "b.jpg", tmp_path / "r" / "a.png", tmp_path / "a.jpg", tmp_path / "other" / "a.jpg"]
    assert [file in pictures for file in (*made, *others)] == [True, True, False, False, False, False]


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"{}", b""])
def test_a_damaged_description_is_no_run_to_go_on_with(tmp_path, damage):
    begun(tmp_path / "r", {"a": 1}).add(line("x"))
    (tmp_path / "r" / "run.json").write_bytes(damage)
    with pytest.raises(OutputError, match="settings"):
        ResultFolder(tmp_path / "r", "detections", {"a": 1})


def test_damaged_lines_of_an_interrupted_run_are_dropped(tmp_path):
    begun(tmp_path / "r", {}).add(line("x"))
    with (tmp_path / "r" / "detections.unfinished.jsonl").open("ab") as file:
        file.write(b'{"image": \xff}\n{"no": "image"}\n[1]\n')
    assert begun(tmp_path / "r", {}).done == {"x": line("x")}


def test_a_run_without_results_leaves_an_earlier_one_as_it_was(tmp_path):
    finished(tmp_path / "r", {"a": 1}, {"x": "1"})
    picture = tmp_path / "r" / "x.jpg"
    picture.write_text("made by the first run")
    # the photo is damaged now, so nothing comes of it
    begun(tmp_path / "r", {"a": 1}, {"x": "2"}).discard()
    assert sorted(file.name for file in (tmp_path / "r").iterdir()) == ["run.json", "x.jpg"]
    again = ResultFolder(tmp_path / "r", "detections", {"a": 1}, {"x": "3"})
    again.begin({"x": [picture]}, [], [])
    assert again.done == {}
    # a folder that the run has made goes with it
    begun(tmp_path / "new", {}, {"x": "1"}).discard()
    assert not (tmp_path / "new").exists()


def test_lines_that_another_run_has_added_meanwhile_are_not_lost(tmp_path):
    finished(tmp_path / "r", {}, {"a": "1"})
    late = ResultFolder(tmp_path / "r", "detections", {}, {"b": "1"})
    finished(tmp_path / "r", {}, {"c": "1"})
    with pytest.raises(OutputError, match="run again"):
        late.begin({}, [], [])
    assert images_in(tmp_path / "r" / "detections.jsonl") == ["c", "a"]


def test_a_photo_of_the_same_relative_name_elsewhere_does_not_replace_results(tmp_path, monkeypatch):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.jpg").write_text(place)
    folder = ResultFolder(tmp_path / "r", "detections", {}, {"x.jpg": "1"})
    folder.begin({}, [], [], {"x.jpg": PhotoRecord("1", "x", "x.jpg", str(tmp_path / "one" / "x.jpg"))})
    folder.add(line("x.jpg"))
    folder.finish()
    monkeypatch.chdir(tmp_path / "two")
    with pytest.raises(OutputError, match=r"results of another x\.jpg, .*one.x\.jpg; give another folder"):
        ResultFolder(tmp_path / "r", "detections", {}, {"x.jpg": "2"})
    assert ResultFolder(tmp_path / "r", "detections", {}, {"x.jpg": "2"}, numbered=True).path.name == "r-2"
    assert ResultFolder(tmp_path / "r", "detections", {}, {"x.jpg": "2"}, overwrite=True).done == {}
    # where the photo itself was changed, it is done again, however it is written
    (tmp_path / "two" / "x.jpg").unlink()
    (tmp_path / "two" / "x.jpg").symlink_to(tmp_path / "one" / "x.jpg")
    assert ResultFolder(tmp_path / "r", "detections", {}, {"x.jpg": "2"}).done == {}
    monkeypatch.chdir(tmp_path / "one")
    assert ResultFolder(tmp_path / "r", "detections", {}, {"x.jpg": "2"}).done == {}


def test_tables_of_somebody_else_in_the_folder_are_kept(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "detections.csv").write_text("precious")
    # lines that nobody knows the settings of do not become those of this run
    (tmp_path / "r" / ".detections.jsonl").write_text('{"image": "z", "detections": []}\n')
    finished(tmp_path / "r", {}, {"a": "1"})
    assert (tmp_path / "r" / "detections.csv").read_text() == "precious"
    assert not (tmp_path / "r" / ".detections.jsonl").exists()
    # those of an earlier run would not agree with the new description
    finished_again = begun(tmp_path / "r", {"b": 1}, {"a": "1"}, overwrite=True)
    assert not (tmp_path / "r" / "detections.csv").exists()
    finished_again.discard()


def test_files_about_all_photos_are_not_written_over_by_those_of_one():
    names = picture_names([Path("run.jpg"), Path("Detections.COCO.png"), Path("a.jpg")])
    assert list(names.values()) == ["run-2", "Detections.COCO-2", "a"]
