"""`incdet coverage`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest
from command_line import one_sentence

from incdet.runtime.worker_processes import MAX_WORKERS

FEW = ("--set", "proposals.selective_search.strategies=single")


@pytest.fixture
def coverage(incdet):
    """Runs the command: arguments -> (exit code, stdout, stderr)."""
    return lambda *arguments: incdet("coverage", "--dataset", "voc", *arguments)


@pytest.mark.slow
def test_coverage_of_a_data_set(small_voc, tmp_path, coverage):
    code, out, err = coverage("--root", small_voc, "--superpixel-scale", 2, "--json", "out.json", "--output", "run")
    assert code == 0, err
    assert "mean best overlap" in out
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert numbers["num_images"] == numbers["num_objects"] == 2
    assert numbers["coverage"] == 1
    assert 0.6 < numbers["mean_best_overlap"] <= 1
    assert numbers["proposals_per_image"] > 300
    assert 0 < numbers["seconds_per_image"] < 20
    for name in ("over_number", "over_overlap"):
        assert PIL.Image.open(tmp_path / "run" / f"{name}.png").size == (910, 650)
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / ".cache").rglob("*.npz")}
    assert len(stamps) == 2
    _, again, _ = coverage("--root", small_voc, "--limit", 1, "--classes", "dog", "--json", "-")
    assert [json.loads(again)[f"num_{what}"] for what in ("images", "objects")] == [1, 0]
    assert stamps == {file: file.stat().st_mtime_ns for file in (tmp_path / ".cache").rglob("*.npz")}
    arguments = "--superpixel-scale", 1, "--json", "-", "--beside", "out.json", "--output", "run"
    _, more, _ = coverage("--root", small_voc, *arguments)
    assert json.loads(more)["proposals_per_image"] > 1.5 * numbers["proposals_per_image"]
    assert PIL.Image.open(tmp_path / "run" / "beside.png").size == (910, 650)
    # without objects there is nothing to compare, and the numbers are written all the same
    (tmp_path / "run" / "beside.png").unlink()
    arguments = "--limit", 1, "--classes", "dog", "--json", "-", "--beside", "out.json", "--output", "run"
    code, more, err = coverage("--root", small_voc, *arguments)
    assert (code, json.loads(more)["coverage"]) == (0, None), err
    assert not (tmp_path / "run" / "beside.png").exists()


def test_a_broken_photo_is_named_and_the_others_count(small_voc, tmp_path, coverage):
    root = tmp_path / "voc"
    subprocess.run(["cp", "-r", str(small_voc), str(root)], check=True)
    (root / "JPEGImages" / "second.jpg").write_bytes(b"broken")
    code, out, err = coverage("--root", root, *FEW, "--json", "-")
    assert code == 1
    assert "second.jpg" in one_sentence(err)
    assert json.loads(out)["num_images"] == 1
    for file in (root / "JPEGImages").iterdir():
        file.unlink()
    code, _, err = coverage("--root", root, *FEW)
    assert code == 3
    assert "none of the 2 photos" in one_sentence(err)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--root", "nowhere"), 3),
        (("--split", "test"), 3),
        (("--classes", "cta"), 2),
        (("--beside", "photo.json"), 3),
        (("--beside", "photo.json", "--beside", "photo.json"), 2),
        (("--method", "merged", "--beside", "merged"), 2),
        (("--superpixel-scale", "0"), 2),
        (("--superpixel-scale", "nan"), 2),
        (("--set", "proposals.selective_search.strategies=best"), 2),
        (("--set", "proposals.selective_search.color_spaces=[xyz]"), 2),
    ],
)
def test_what_cannot_be_used_is_one_sentence(small_voc, tmp_path, coverage, arguments, code):
    (tmp_path / "photo.json").write_text('{"coverage": 1}')
    found, _, error = coverage("--root", small_voc, *arguments)
    assert found == code
    one_sentence(error)


def test_priors_propose_the_same_in_every_photo(shared_folder, coverage):
    arguments = "--root", shared_folder / "data" / "voc2012-subset", "--method", "priors", "--limit", 40, "--json", "-"
    code, out, err = coverage(*arguments)
    assert code == 0, err
    numbers = json.loads(out)
    assert numbers["proposals_per_image"] == 200
    assert 0.55 < numbers["coverage"] < 0.8
    rising = [point["coverage"] for point in numbers["by_number"]]
    assert rising == sorted(rising)
    assert rising[0] > 0.1


def test_crowds_of_coco_are_no_objects_to_cover(chelsea_file, tmp_path, coverage):
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    (tmp_path / "coco" / "val").mkdir()
    PIL.Image.open(chelsea_file).resize((150, 100)).save(tmp_path / "coco" / "val" / "a.jpg")
    objects = [([0, 0, 133, 100], 0), ([149, 0, 1, 1], 1), ([0, 99, 1, 1], 1)]
    document = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 150, "height": 100}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"image_id": 7, "category_id": 1, "bbox": box, "iscrowd": crowd} for box, crowd in objects],
    }
    (tmp_path / "coco" / "annotations" / "instances_val.json").write_text(json.dumps(document))
    code, out, err = coverage("--dataset", "coco", "--root", "coco", *FEW, "--json", "-")
    assert code == 0, err
    numbers = json.loads(out)
    assert (numbers["num_images"], numbers["num_objects"], numbers["coverage"]) == (1, 1, 1)


@pytest.mark.slow
def test_interrupted_coverage_goes_on(small_voc, tmp_path, coverage):
    """Ctrl-C reaches the whole group of processes, as from a terminal; there are more photos than may be under way."""
    number_of_photos = 4 * MAX_WORKERS
    root = tmp_path / "voc"
    subprocess.run(["cp", "-r", str(small_voc), str(root)], check=True)
    pixels = np.asarray(PIL.Image.open(root / "JPEGImages" / "first.jpg").resize((150, 100)))
    for number in range(number_of_photos):
        PIL.Image.fromarray(np.roll(pixels, number, axis=1)).save(root / "JPEGImages" / f"{number}.jpg")
        shutil.copy(root / "Annotations" / "first.xml", root / "Annotations" / f"{number}.xml")
    (root / "ImageSets" / "Main" / "val.txt").write_text("".join(f"{number}\n" for number in range(number_of_photos)))
    process = subprocess.Popen(
        [sys.executable, "-m", "incdet", "coverage", "--dataset", "voc", "--root", str(root)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 100
    while process.poll() is None and not list((tmp_path / ".cache").rglob("*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / ".cache").rglob("*.npz")}
    assert 1 <= len(stamps) < number_of_photos
    more = len(stamps) + 2
    assert coverage("--root", root, "--limit", more)[0] == 0
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())
    assert more <= len(list((tmp_path / ".cache").rglob("*.npz"))) < number_of_photos
