"""The photos of a command where it could hurt: nothing of the user's is lost, and every run can go on."""

import json
import os
from pathlib import Path

import PIL.Image
import pytest
from command_line import FEW, ONE, one_sentence, run_program

from incdet.cli.detection_batch import _write_shared_files
from incdet.cli.given_photos import GivenPhotos
from incdet.cli.output_options import OutputOptions
from incdet.cli.photo_batch import Batch, one_by_one
from incdet.output.result_folder import PhotoRecord, ResultFolder


@pytest.mark.parametrize("name", ["cat.jpg", "cat.xml", "detections.csv", "detections.coco.json"])
def test_files_of_the_user_in_the_output_folder_are_kept(incdet, photo, name):
    mine = Path("mine") / name
    mine.parent.mkdir()
    mine.write_text("precious")
    code, _, err = incdet("detect", photo, "--output", "mine", "--save", "image,voc,csv,coco", *ONE)
    assert code == 2
    assert name in one_sentence(err)
    assert (mine.read_text(), list(mine.parent.iterdir())) == ("precious", [mine])


def test_tables_that_nobody_asked_for_are_only_those_of_an_earlier_run(tmp_path):
    mine = tmp_path / "found" / "detections.csv"
    mine.parent.mkdir()
    mine.write_text("precious")

    def run(photo):
        folder = ResultFolder(mine.parent, "detections", {}, {photo: "1"})
        folder.begin({}, [], [], {photo: PhotoRecord("1", photo, photo)})
        folder.add({"image": photo, "width": 9, "height": 9, "detections": []})
        _write_shared_files(("json",), ("cat", "dog"), folder)
        folder.finish()

    run("a.jpg")
    assert mine.read_text() == "precious"
    # the folder is incdet's own by now, and so is a table in it
    run("b.jpg")
    assert mine.read_text().startswith("image,")


def test_overwrite_replaces_earlier_results_only(incdet, photo):
    mine = Path("mine") / f"{Path(photo).stem}.jpg"
    mine.parent.mkdir()
    mine.write_text("precious")
    code, _, err = incdet("propose", photo, "--output", "mine", "--overwrite", *FEW)
    assert code == 2
    assert "no run.json of an earlier run" in one_sentence(err)
    assert (mine.read_text(), list(mine.parent.iterdir())) == ("precious", [mine])
    mine.unlink()
    for _ in range(2):
        assert incdet("propose", photo, "--output", "mine", "--overwrite", *FEW)[0] == 0
    assert mine.exists()


def test_json_through_a_link_goes_where_it_leads(incdet, photo):
    Path("link.jsonl").symlink_to("results.jsonl")
    assert incdet("propose", photo, "--json", "link.jsonl", *FEW)[0] == 0
    assert Path("link.jsonl").is_symlink()
    assert json.loads(Path("results.jsonl").read_text())["proposals"]


def test_a_name_that_no_file_can_have_is_one_sentence(incdet, photo):
    for option in ("--output", "--json", "--config"):
        code, _, err = incdet("propose", photo, option, "x" * 300, *FEW)
        assert code == 2
        assert "too long" in one_sentence(err)


def test_an_interrupted_run_does_not_take_another_photo_for_the_one_it_did(photo, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        (photos / name).write_bytes(Path(photo).read_bytes())
    options = OutputOptions(folder=tmp_path / "found", save="json", quiet=True)

    def run(stop_at=None):
        worked = []

        def work(path):
            if path.name == stop_at:
                raise KeyboardInterrupt
            worked.append(path.name)
            return {"image": str(path), "proposals": []}, {}

        Batch(GivenPhotos([str(photos)]), options, ("json",), "proposals", {}).run(one_by_one(work), "working")
        return worked

    with pytest.raises(KeyboardInterrupt):
        run("b.png")
    PIL.Image.new("RGB", (40, 30)).save(photos / "a.png")
    assert run() == ["a.png", "b.png"]


@pytest.mark.parametrize("target", ["photo", "link", "folder"])
def test_json_never_replaces_a_photo_or_a_folder(incdet, photo, target):
    Path("link.jsonl").symlink_to(photo)
    Path("folder").mkdir()
    before = Path(photo).read_bytes()
    file = {"photo": photo, "link": "link.jsonl", "folder": "folder"}[target]
    code, _, err = incdet("propose", photo, "--json", file, "--overwrite", *FEW)
    assert code == 2
    assert "--json" in one_sentence(err)
    assert Path(photo).read_bytes() == before


def test_json_to_a_device_leaves_the_device(incdet, photo):
    assert incdet("propose", photo, *FEW, "--json", os.devnull)[0] == 0
    assert not Path(os.devnull).is_file()


def test_own_results_are_no_photos(incdet, photo):
    for _ in range(2):
        code, out, _ = incdet("propose", ".", *FEW)
        assert code == 0
    code, out, _ = incdet("propose", ".", *FEW, "--json", "-")
    assert [json.loads(line)["image"] for line in out.splitlines()] == ["cat.png"]
    for path in ("incdet-output", "incdet-output/cat.jpg", "incdet-*/*.jpg"):
        code, out, err = incdet("propose", path, *FEW, "--json", "-")
        assert (code, out) == (1, "")
        assert "nothing but pictures that incdet made" in one_sentence(err)
    # a pattern that also matches results gives the photos alone
    out = incdet("propose", "**/cat.*", *FEW, "--json", "-")[1]
    assert [json.loads(line)["image"] for line in out.splitlines()] == ["cat.png"]


def test_repeating_a_command_does_what_is_missing(incdet, photo):
    Path("photos/sub").mkdir(parents=True)
    for name in ("b.png", "sub/b.png"):
        Path("photos", name).write_bytes(Path(photo).read_bytes())
    Path("photos/broken.png").write_bytes(b"no photo")
    command = ["propose", "photos", "-o", "photos/found", *FEW]
    code, _, err = incdet(*command)
    assert (code, "1 failed, 2 done" in err) == (1, True)
    found = Path("photos/found")
    times = {file: file.stat().st_mtime_ns for file in found.glob("*.jpg")}
    assert len(times) == 2
    # one failed photo is mended, one picture is lost, one photo is new and comes first
    Path("photos/broken.png").write_bytes(Path(photo).read_bytes())
    (found / "b.jpg").unlink()
    Path("photos/a.png").write_bytes(Path(photo).read_bytes())
    code, _, err = incdet(*command)
    assert (code, "done before: 1 of 4 photos" in err) == (0, True)
    assert (found / "b-2.jpg").stat().st_mtime_ns == times[found / "b-2.jpg"], "nothing is done twice"
    assert sorted(file.name for file in found.iterdir()) == [
        "a.jpg", "b-2.jpg", "b.jpg", "broken.jpg", "proposals.jsonl", "run.json",
    ]  # fmt: skip
    lines = (found / "proposals.jsonl").read_text()
    assert incdet("propose", "photos", "-o", "new", *FEW)[0] == 0
    assert lines == Path("new/proposals.jsonl").read_text(), "the same as in one go"
    code, _, err = incdet(*command)
    assert code == 0
    assert err.endswith("nothing to do: all 4 photos are in photos/found\n")
    # other settings never mix with them, and never replace them
    code, _, err = incdet(*command, "--set", "proposals.limit=9")
    assert code == 2
    assert "proposals.limit is 24 there and 9 now" in one_sentence(err)
    assert (found / "proposals.jsonl").read_text() == lines


def test_repeating_a_command_replaces_its_own_json_file_and_no_other(incdet, photo):
    for _ in range(2):
        assert incdet("propose", photo, "-o", "found", "--json", "lines.jsonl", *FEW)[0] == 0
    Path("mine.jsonl").write_text("precious")
    code, _, err = incdet("propose", photo, "-o", "found", "--json", "mine.jsonl", *FEW)
    assert code == 2
    assert "exists already" in one_sentence(err)
    assert Path("mine.jsonl").read_text() == "precious"


@pytest.mark.parametrize("output", [".", "photos"])
def test_results_never_lie_among_the_photos(incdet, photo, output):
    Path("photos").mkdir()
    Path("photos/a.png").write_bytes(Path(photo).read_bytes())
    before = sorted(Path().rglob("*"))
    code, _, err = incdet("propose", "photos", "-o", output, *FEW)
    assert code == 2
    assert "lies in it" in one_sentence(err)
    assert sorted(Path().rglob("*")) == before
    code, _, err = incdet("propose", "photos", "-o", "photos/a.png", *FEW)
    assert code == 2
    assert "photos/a.png: it is a file; give a folder with --output" in one_sentence(err)


def test_a_pattern_passes_over_empty_folders(incdet, photo):
    Path("empty").mkdir()
    code, out, _ = incdet("propose", "*", *FEW, "--json", "-")
    assert (code, len(out.splitlines())) == (0, 1)
    code, _, err = incdet("propose", "emp*", *FEW, "--json", "-")
    assert code == 1
    assert "only folders without photos" in one_sentence(err)


def test_a_photo_named_twice_is_worked_on_once(incdet, photo):
    out = incdet("propose", photo, Path(photo).name, "c*.png", *FEW, "--json", "-")[1]
    assert len(out.splitlines()) == 1


def test_an_empty_path_is_not_the_whole_folder(incdet, photo):
    code, out, err = incdet("propose", "", "--json", "-")
    assert (code, out) == (1, "")
    assert "the path is empty" in one_sentence(err)


def test_an_empty_output_is_not_the_current_folder(incdet, photo):
    before = sorted(Path().iterdir())
    code, _, err = incdet("propose", photo, "--output", "", *FEW)
    assert code == 2
    assert "the path is empty" in err
    assert sorted(Path().iterdir()) == before


@pytest.mark.slow
def test_unusual_file_names(photo, tmp_path):
    names = sorted([os.fsdecode(b"caf\xe9.png"), "x" * 249 + ".png", "[red]a\t[bold].png"])
    for name in names:
        (tmp_path / name).write_bytes(Path(photo).read_bytes())
    options = [*ONE, "--save", "image,json,coco,csv,voc", "--output", "found"]
    result = run_program("detect", *names, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert b"[red]a" in result.stderr
    found = tmp_path / "found"
    assert len(list(found.iterdir())) == 2 * 3 + 4
    lines = (found / "detections.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["image"] for line in lines) == names


def stopped_batch(photos, options, kinds):
    """A run that Ctrl-C ends in its second photo; then the same again. Returns the photos worked on in each."""
    worked = []

    def work(path):
        worked.append(path.name)
        if len(worked) == 2:
            raise KeyboardInterrupt
        return {"image": str(path), "detections": []}, {}

    with pytest.raises(KeyboardInterrupt):
        Batch(GivenPhotos(photos), options, kinds, "detections", {}).run(one_by_one(work), "")
    again = Batch(GivenPhotos(photos), options, kinds, "detections", {})
    again.run(one_by_one(work), "")
    assert again.finish("json" in kinds) == 0
    return worked[:2], worked[2:]


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (OutputOptions(quiet=True), ("json",)),
        (OutputOptions(quiet=True, json_file="out.jsonl"), ()),
        (OutputOptions(quiet=True, json_file="out.jsonl", folder=Path("found")), ("json",)),
        (OutputOptions(quiet=True, overwrite=True, folder=Path("found")), ("json",)),
    ],
    ids=["default", "json alone", "json and folder", "overwrite"],
)
def test_the_same_command_goes_on_where_it_was_interrupted(monkeypatch, tmp_path, options, kinds):
    monkeypatch.chdir(tmp_path)
    names = ["a.png", "b.png", "c.png"]
    for name in names:
        Path(name).touch()
    assert stopped_batch(names, options, kinds) == (["a.png", "b.png"], ["b.png", "c.png"])
    assert not list(tmp_path.rglob("*unfinished*"))
    if options.json_file:
        assert [json.loads(line)["image"] for line in Path("out.jsonl").read_text().splitlines()] == names


def test_timing_is_part_of_what_a_run_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("a.png").touch()
    batches = [
        Batch(GivenPhotos(["a.png"]), OutputOptions(quiet=True, timing=timing), ("json",), "detections", {})
        for timing in (False, True)
    ]
    assert [str(batch.folder.path) for batch in batches] == ["incdet-output", "incdet-output-2"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a Linux device")
def test_a_full_or_closed_stdout_is_one_sentence(photo, tmp_path):
    arguments = ["propose", str(photo), *FEW, "--json", "-", "--quiet"]
    with Path("/dev/full").open("wb") as full:
        result = run_program(*arguments, stdout=full, cwd=tmp_path, text=True)
    assert result.returncode == 2
    assert "cannot write to stdout" in one_sentence(result.stderr)
    result = run_program(*arguments, preexec_fn=lambda: os.close(1), cwd=tmp_path, text=True)
    assert result.returncode == 2
    assert "closed" in one_sentence(result.stderr)


@pytest.mark.slow
def test_a_closed_pipe_does_not_cost_the_saved_results(photo, tmp_path):
    for name in "bcd":
        (tmp_path / f"{name}.png").write_bytes(Path(photo).read_bytes())
    reader, writer = os.pipe()
    os.close(reader)
    arguments = ["propose", ".", *FEW, "--json", "-", "--save", "json", "--output", "found"]
    result = run_program(*arguments, stdout=writer, cwd=tmp_path)
    os.close(writer)
    assert result.returncode == 0
    assert len((tmp_path / "found" / "proposals.jsonl").read_text().splitlines()) == 4


@pytest.mark.slow
def test_a_closed_pipe_is_no_failure_where_nothing_else_was_asked_for(photo, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    result = run_program("propose", photo, *FEW, "--json", "-", "-q", stdout=writer, cwd=tmp_path)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")
