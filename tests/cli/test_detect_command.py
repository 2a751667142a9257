"""`incdet detect` as users meet it: results, refusals, exit codes, and which stream gets what."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from command_line import FEW, ONE, one_sentence

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import save_weights
from incdet.networks.weights_record import WeightsRecord
from incdet.proposers import opencv_engine


def without_checksums(lines):
    """The results of lines, which have a checksum in files and none on stdout."""
    results = [json.loads(line) for line in lines.splitlines()]
    for result in results:
        result.pop("crc32", None)
    return results


@pytest.mark.slow
def test_detect_writes_picture_lines_and_description(incdet, photo):
    code, out, err = incdet("detect", photo)
    assert code == 0
    assert out == ""
    assert err.rstrip().splitlines()[-1] == "results: incdet-output"
    line = json.loads(Path("incdet-output/detections.jsonl").read_text())
    assert {"image", "width", "height", "detections", "crc32"} == line.keys()
    assert (line["width"], line["height"]) == (451, 300)
    best = line["detections"][0]
    assert best["label"] == "cat"
    assert best["score"] >= 0.75
    assert [entry["label"] for entry in line["detections"]].count("cat") == 1
    x1, y1, x2, y2 = best["box"]
    assert 0 <= x1 < x2 <= 451
    assert 0 <= y1 < y2 <= 300
    picture = np.asarray(PIL.Image.open("incdet-output/cat.jpg"), np.int16)
    original = np.asarray(PIL.Image.open(photo).convert("RGB"), np.int16)
    assert picture.shape == original.shape
    assert (np.abs(picture - original).max(axis=2) > 60).sum() > 300, "nothing was drawn"
    run = json.loads(Path("incdet-output/run.json").read_text())
    assert run["configuration"]["detections"]["iou_threshold"] == 0.3
    members = [f"googlenet-voc-{number}.safetensors" for number in range(1, 7)]
    first, namer = "googlenet-voc-shared.safetensors", "googlenet-voc-namer.safetensors"
    files = {first, *members, namer, "multibox-voc-shared.safetensors"}
    # ranges for eight bits are read where this machine may use them
    hashes = {name: digest for name, digest in run["weights"].items() if not name.endswith(".int8.json")}
    assert {name: len(digest) for name, digest in hashes.items()} == dict.fromkeys(files, 64)
    assert run["features"] == "both"
    assert len(run["photo_sides"]) > 1
    assert run["ensemble"] == {"rejection_network": first, "members": members, "namer": namer}


@pytest.mark.slow
def test_same_photo_twice_gives_the_same_bytes(incdet, photo):
    outputs = [incdet("detect", photo, *ONE, "--score-threshold", "0.01", "--json", "-") for _ in range(2)]
    assert outputs[0][1] == outputs[1][1]
    assert json.loads(outputs[0][1])["detections"]


@pytest.mark.slow
def test_json_alone_writes_no_folder(incdet, photo):
    code, out, err = incdet("detect", photo, *ONE, "--json", "-", "--quiet")
    assert code == 0
    assert err == ""
    assert json.loads(out)["image"] == str(photo)
    assert not Path("incdet-output").exists()
    assert incdet("detect", photo, *ONE, "--json", "lines.jsonl")[0] == 0
    assert without_checksums(Path("lines.jsonl").read_text()) == without_checksums(out)


@pytest.mark.slow
def test_all_formats_agree(incdet, photo):
    kinds = "image,json,coco,csv,voc,cvat"
    code, _, _ = incdet("detect", photo, *ONE, "--output", "o", "--save", kinds, "--score-threshold", "0.05")
    assert code == 0
    found = json.loads(Path("o/detections.jsonl").read_text())["detections"]
    assert found
    coco = json.loads(Path("o/detections.coco.json").read_text())
    assert [entry["score"] for entry in coco["annotations"]] == [entry["score"] for entry in found]
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert [names[entry["category_id"]] for entry in coco["annotations"]] == [entry["label"] for entry in found]
    with Path("o/detections.csv").open() as file:
        assert [(row["label"], float(row["x2"])) for row in csv.DictReader(file)] == [
            (entry["label"], entry["box"][2]) for entry in found
        ]
    boxes = ElementTree.parse("o/detections.cvat.xml").getroot().findall("image/box")
    assert [(box.get("label"), float(box.get("xbr"))) for box in boxes] == [
        (entry["label"], entry["box"][2]) for entry in found
    ]
    objects = ElementTree.parse("o/cat.xml").getroot().findall("object")
    assert [element.findtext("name") for element in objects] == [entry["label"] for entry in found]
    assert float(objects[0].findtext("bndbox/xmin")) == pytest.approx(found[0]["box"][0] + 1, abs=0.51)


@pytest.mark.slow
def test_timing_is_left_out_unless_asked_for(incdet, photo):
    _, out, err = incdet("detect", photo, *ONE, "--json", "-", "--timing")
    seconds = json.loads(out)["seconds"]
    assert list(seconds) == ["read", "proposals", "features", "regions", "scores", "detections"]
    assert "peak memory" in err


@pytest.mark.slow
def test_classes_and_threshold_limit_what_is_found(incdet, photo):
    _, out, _ = incdet("detect", photo, "--json", "-", "--classes", "cat,dog", "--score-threshold", "0.02", *ONE)
    found = json.loads(out)["detections"]
    assert {entry["label"] for entry in found} <= {"cat", "dog"}
    assert all(entry["score"] >= 0.02 for entry in found)
    _, out, _ = incdet("detect", photo, "--json", "-", "--score-threshold", "1", *ONE)
    assert json.loads(out)["detections"] == []


@pytest.mark.slow
def test_earlier_results_are_kept(incdet, photo):
    assert incdet("detect", photo, *ONE)[0] == 0
    first = Path("incdet-output/detections.jsonl").read_bytes()
    code, _, err = incdet("detect", photo, *ONE, "--score-threshold", "0.9")
    assert code == 0
    assert err.rstrip().splitlines()[-1] == "results: incdet-output-2"
    assert Path("incdet-output/detections.jsonl").read_bytes() == first
    code, _, err = incdet("detect", photo, *ONE, "--output", "incdet-output", "--score-threshold", "0.9")
    assert code == 2
    assert "--overwrite" in one_sentence(err)
    # the same command again has nothing to do
    assert incdet("detect", photo, *ONE, "--output", "incdet-output")[0] == 0
    assert Path("incdet-output/detections.jsonl").read_bytes() == first
    assert incdet("detect", photo, *ONE, "--output", "incdet-output", "--overwrite")[0] == 0


def test_the_users_photos_are_never_overwritten(incdet, tmp_path, chelsea_file):
    photo = tmp_path / "cat.jpg"
    PIL.Image.open(chelsea_file).convert("RGB").save(photo)
    before = photo.read_bytes()
    code, _, err = incdet("detect", photo, *ONE, "--output", tmp_path, "--overwrite")
    assert code == 2
    sentence = one_sentence(err)
    assert "cannot put results into" in sentence
    assert "cat.jpg" in sentence
    assert photo.read_bytes() == before


@pytest.mark.slow
def test_a_broken_photo_does_not_stop_the_batch(incdet, photo, tmp_path):
    broken, text = tmp_path / "broken.jpg", tmp_path / "text.jpg"
    broken.write_bytes(Path(photo).read_bytes()[:3000])
    text.write_text("not a picture")
    (tmp_path / "empty").mkdir()
    code, out, err = incdet("detect", broken, "missing.jpg", text, tmp_path / "empty", photo, *ONE, "--json", "-")
    assert code == 1
    assert [json.loads(line)["image"] for line in out.splitlines()] == [str(photo)]
    assert "Traceback" not in err
    for name in ("broken.jpg", "missing.jpg", "text.jpg", "empty"):
        assert sum(line.startswith("error: ") and name in line for line in err.splitlines()) == 1
    assert "4 failed, 1 done" in err


@pytest.mark.slow
def test_a_run_without_results_leaves_no_folder(incdet, photo):
    assert incdet("detect", "missing.jpg")[0] == 1
    assert not Path("incdet-output").exists()
    Path("mine").mkdir()
    Path("mine/note.txt").write_text("kept")
    assert incdet("detect", "missing.jpg", "--output", "mine")[0] == 1
    assert [file.name for file in Path("mine").iterdir()] == ["note.txt"]
    code, _, err = incdet("propose", photo)
    assert code == 0
    assert err.rstrip().endswith("results: incdet-output")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "detections.iou_treshold=0.4"], 2, ["detections.iou_treshold", "detections.iou_threshold"]),
        (["--set", "detections.max_per_image=0"], 2, ["detections.max_per_image", "0"]),
        (["--set", "nonsense"], 2, ["nonsense", "key=value"]),
        (["--config", "missing.yaml"], 2, ["missing.yaml"]),
        (["--classes", "catt"], 2, ["catt", "'cat'"]),
        (["--save", "pdf"], 2, ["pdf", "image,json,coco,csv,voc"]),
        (["--weights", "missing.safetensors"], 3, ["missing.safetensors", "googlenet-voc"]),
    ],
)
def test_wrong_arguments_are_one_sentence(incdet, photo, arguments, code, words):
    got, out, err = incdet("detect", photo, *arguments)
    assert got == code
    assert out == ""
    assert all(word in one_sentence(err) for word in words)
    assert not Path("incdet-output").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there(incdet, photo):
    code, _, err = incdet("detect", photo, "--device", "cuda")
    assert code == 2
    assert "--device cpu" in one_sentence(err)


def test_weights_that_do_not_fit(incdet, photo, tmp_path):
    record = WeightsRecord(classes=("cat", "dog"), background=True, origin="a test", licence="none")
    wrong = tmp_path / "wrong.safetensors"
    save_weights(wrong, GoogLeNet(5).state_dict(), record, torch.float16)
    code, _, err = incdet("detect", photo, "--weights", wrong)
    assert code == 3
    assert "classifier of shape [5], but their record needs 3 columns" in one_sentence(err)
    small = tmp_path / "small.safetensors"
    save_weights(small, GoogLeNet(3).state_dict(), record, torch.float16)
    code, _, err = incdet("detect", photo, "--weights", "googlenet-voc", "--weights", small)
    assert code == 3
    assert "differ in classes" in one_sentence(err)


def test_a_folder_that_cannot_be_written(incdet, photo, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, _, err = incdet("detect", photo, *ONE, "--output", tmp_path / "file" / "results")
    assert code == 2
    assert "cannot write" in one_sentence(err)


def test_an_opencv_without_selective_search(incdet, photo, monkeypatch):
    monkeypatch.delattr(cv2.ximgproc, "segmentation")
    opencv_engine.segmentation_module.cache_clear()
    try:
        code, _, err = incdet("detect", photo, "--set", "proposals.selective_search.engine=opencv")
        assert code == 3
        assert "opencv-contrib-python" in one_sentence(err)
        code, out, _ = incdet("info")
        assert code == 0
        assert "opencv-contrib-python" in out
        assert incdet("propose", photo, *FEW)[0] == 0
    finally:
        opencv_engine.segmentation_module.cache_clear()


@pytest.mark.slow
def test_interrupted_and_run_again(incdet, tmp_path, chelsea_file):
    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = np.asarray(PIL.Image.open(chelsea_file).convert("RGB"))
    # so many that the program is not done before a busy machine hands the signal over
    num_photos = 9
    for index in range(num_photos):
        PIL.Image.fromarray(np.roll(pixels, 20 * index, axis=1)).save(photos / f"{index}.png")
    arguments = ["detect", str(photos), *ONE, "--save", "json"]
    command = [sys.executable, "-m", "incdet", *arguments]
    unfinished = tmp_path / "incdet-output" / "detections.unfinished.jsonl"
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (unfinished.exists() and unfinished.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    done = unfinished.read_text()
    assert 1 <= done.count("\n") < num_photos
    assert incdet(*arguments)[0] == 0
    finished = (tmp_path / "incdet-output" / "detections.jsonl").read_text()
    assert finished.startswith(done)
    assert [Path(json.loads(line)["image"]).stem for line in finished.splitlines()] == list("012345678")
    code, fresh, _ = incdet(*arguments, "--json", "-")
    assert code == 0
    assert without_checksums(fresh) == without_checksums(finished)


@pytest.mark.slow
def test_a_high_threshold_of_what_is_kept_is_heard(incdet, photo):
    arguments = ["detect", photo, *ONE, "--json", "-", "--overwrite"]
    _, line, _ = incdet(*arguments, "--set", "detections.score_threshold=0.999")
    assert json.loads(line)["detections"] == []


@pytest.mark.slow
def test_a_low_threshold_is_heard(incdet, photo):
    lines = [incdet("detect", photo, *ONE, "--json", "-", "--score-threshold", x)[1] for x in ("0.01", "0.0001")]
    few, many = (len(json.loads(line)["detections"]) for line in lines)
    assert few < many


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1000, 1), (1, 1000), (900, 2), (2000, 3), (1, 1)])
def test_strips_of_few_pixels_do_not_end_the_batch(incdet, photo, size):
    PIL.Image.fromarray(np.full((size[1], size[0], 3), 90, np.uint8)).save("strip.png")
    code, out, _ = incdet("detect", "strip.png", photo, *ONE, "--json", "-")
    assert (code, len(out.splitlines())) == (0, 2)


def test_a_preset_chooses_the_networks(incdet, photo):
    code, out, err = incdet("detect", photo, *FEW, "--preset", "fast", "--json", "-", "--score-threshold", "0.3")
    assert code == 0
    assert json.loads(out)["detections"][0]["label"] == "cat"
    assert "1 network, feature maps computed once for each photo" in err
    code, _, err = incdet("detect", photo, *FEW, "--preset", "fast", "--members", "2")
    assert code == 2
    assert "as in the preset fast" in one_sentence(err)
    # a preset and settings that exclude each other
    code, _, err = incdet("detect", photo, "--preset", "paper", "--weights", "googlenet-voc-shared")
    assert code == 3
    assert "scores.features is cropped" in one_sentence(err)
