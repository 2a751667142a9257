"""The programs in tools/, run as users run them."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from running_tools import ROOT, run_tool

from incdet.data.voc import VOC_CLASSES, read_voc
from incdet.detections import Detections
from incdet.evaluation.comparison import bootstrap_interval
from incdet.evaluation.stored_evaluation import load_evaluation
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import Preprocessing, WeightsRecord, load_record, read_tensors, save_weights
from incdet.output.writers import detections_json

PAUSED = """
import runpy, sys, time
from incdet.training.loop import Trainer
store = Trainer.checkpoint
def store_and_wait(trainer):
    store(trainer)
    print("stored", flush=True)
    time.sleep(600)
Trainer.checkpoint = store_and_wait
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def kill_after_first_checkpoint(name, *arguments, folder):
    """Starts a training, which waits after its first checkpoint, and kills it there."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PAUSED, str(ROOT / "tools" / name), *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams) as process:
        timeout = threading.Timer(200, process.kill)
        timeout.start()
        stored = process.stdout.readline()
        timeout.cancel()
        process.kill()
    assert stored == "stored\n"
    deadline = time.monotonic() + 30
    while _group_runs(process.pid):
        assert time.monotonic() < deadline, "a process that loads photos outlives its training"
        time.sleep(0.1)


def _group_runs(group: int) -> bool:
    """Whether a process of the group is there and no mere entry that nobody has collected."""
    states = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            states += [fields[0]] if int(fields[2]) == group else []
    return any(state != "Z" for state in states)


def test_eval_map_runs_the_detector_and_repeats_from_stored_scores(small_voc, tmp_path):
    arguments = ["--dataset", "voc", "--root", small_voc, "--json", "out.json", "--output", "run"]
    few = ["--set", "proposals.limit=24", "--set", "proposals.multibox.crop_sides=[]", "--members", 1]
    first = run_tool("eval_map.py", *arguments, *few, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "mAP" in first.stdout
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert numbers["num_images"] == numbers["num_ground_truth"] == 2
    assert numbers["ap"]["cat"] == numbers["mAP"] > 0.4
    assert numbers["ap"]["dog"] is None
    (scores,) = (tmp_path / "run" / "region_scores").glob("first-*.npz")
    stamp = scores.stat().st_mtime_ns
    again = run_tool("eval_map.py", *arguments, *few, "--set", "detections.score_threshold=1", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert scores.stat().st_mtime_ns == stamp, "the regions were classified again"
    assert json.loads((tmp_path / "out.json").read_text())["num_detections"] == 0
    other = run_tool("eval_map.py", *arguments, *few, "--set", "proposals.limit=25", folder=tmp_path)
    assert other.returncode == 2
    assert "--output" in other.stderr
    stored = run_tool("eval_map.py", *arguments[:4], "--predictions", "run/predictions.jsonl", folder=tmp_path)
    assert stored.returncode == 0


def test_eval_map_judges_each_network_of_an_ensemble(small_voc, tmp_path):
    arguments = ["--dataset", "voc", "--root", small_voc, "--json", "out.json"]
    arguments += ["--set", "proposals.limit=24", "--set", "proposals.methods=[selective_search]"]

    def evaluate(*more):
        result = run_tool("eval_map.py", *arguments, *more, folder=tmp_path)
        assert result.returncode == 0, result.stderr
        return json.loads((tmp_path / "out.json").read_text()), result.stdout

    before, _ = evaluate("--members", 2, "--output", "run")
    numbers, shown = evaluate("--members", 2, "--output", "run", "--each-network", "--interval")
    assert numbers["mAP"] == before["mAP"]
    assert list(numbers["networks"]) == ["first stage", "member 1", "member 2"]
    for line in ("first stage", "member 2", "mean member", "the ensemble"):
        assert line in shown
    for name, value in numbers["networks"].items():
        report = tmp_path / "run" / "networks" / name.replace(" ", "-")
        low, high = bootstrap_interval(load_evaluation(report))
        assert low <= value <= high
        assert f"{low:.4f} .. {high:.4f}" in shown


def test_eval_map_gives_perfect_predictions_one(shared_folder, tmp_path):
    root = shared_folder / "data" / "voc2012-subset"
    truths = read_voc(root, "val").ground_truths
    with (tmp_path / "perfect.jsonl").open("w") as file:
        for truth in truths:
            scores = np.full(len(truth), 0.5, np.float32)
            sides = (truth.image, truth.width, truth.height)
            found = Detections(*sides, truth.boxes, scores, truth.class_ids, VOC_CLASSES)
            file.write(json.dumps(detections_json(found)) + "\n")
    arguments = ["--dataset", "voc", "--root", root, "--split", "val", "--predictions", "perfect.jsonl", "--json", "-"]
    result = run_tool("eval_map.py", *arguments, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    numbers = json.loads(result.stdout)
    assert numbers["mAP"] == 1
    assert numbers["num_images"] == 300
    assert numbers["num_detections"] == 661


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--dataset", "voc", "--root", "nowhere"], 3, "nowhere"),
        (["--dataset", "voc", "--root", ".", "--split", "val"], 3, "val.txt"),
        (["--dataset", "flickr", "--root", "."], 2, "flickr"),
        (["--dataset", "ilsvrc", "--root", "."], 3, "map_det.txt"),
        (["--dataset", "coco", "--root", "."], 3, "instances_val.json"),
    ],
)
def test_eval_map_refuses_in_one_sentence(tmp_path, arguments, code, words):
    result = run_tool("eval_map.py", *arguments, folder=tmp_path)
    assert result.returncode == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_imported_weights_classify_photos(shared_folder, tmp_path):
    source = shared_folder / "weights" / "bvlc_googlenet.safetensors"
    photos = shared_folder / "data" / "imagenet-sample"
    words = photos / "synset_words.txt"
    imported = run_tool("import_weights.py", source, "--classes", words, "--output", "i.safetensors", folder=tmp_path)
    assert imported.returncode == 0, imported.stderr
    assert "6,998,552" in imported.stderr
    (tmp_path / "some").mkdir()
    for photo in sorted(photos.glob("*.jpg"))[::12]:
        (tmp_path / "some" / photo.name).symlink_to(photo)
    arguments = ["--root", "some", "--weights", "i.safetensors"]
    result = run_tool("eval_classification.py", *arguments, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    numbers = json.loads(result.stdout)
    assert numbers["num_images"] == 42
    # 69 % and 89 % are the release's own on all of ImageNet; four standard errors of 42 photos below
    assert numbers["top1"] > 0.40
    assert numbers["top5"] > 0.70


def network_that_names_colours(matrix):
    """Logits of the mean red, green and blue (0 to 1) of a photo: `matrix` [classes, 3] times them."""
    network = GoogLeNet(len(matrix))
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    for name, layer in network.named_modules():
        if name in ("conv1", "conv2_reduce", "conv2") or name.endswith(".conv_1x1"):
            middle = layer.kernel_size[0] // 2
            for channel in range(3):
                torch.nn.init.ones_(layer.weight[channel, channel, middle, middle])
    network.classifier.weight.data[:, :3] = torch.tensor(matrix)
    return network


def test_accuracies_of_one_network_and_of_two_are_those_calculated_by_hand(tmp_path, monkeypatch, capsys):
    """Photos of one colour. The first network says what it sees, but not surely; the second is sure of other names,
    and so decides: it calls green red and blue "f".
    """
    monkeypatch.syspath_prepend(ROOT / "tools")
    import eval_classification

    monkeypatch.setattr(eval_classification, "CHUNK", 4)
    first = [[3, 0, 0], [0, 3, 0], [0, 0, 3], [0, -1, -1], [0, -1, -1], [0, -2, -2], [0, -3, -3]]
    second = [[40, 40, 0], *[[0, 0, 0]] * 5, [0, 0, 40]]
    preprocessing = Preprocessing(mean=(0, 0, 0), scale=1 / 255)
    classes = ("red", "green", "blue", "c", "d", "e", "f")
    record = WeightsRecord(
        classes=classes, background=False, origin="a test", licence="none", preprocessing=preprocessing
    )
    for name, matrix in (("1", first), ("2", second)):
        network = network_that_names_colours([[float(number) for number in row] for row in matrix])
        save_weights(tmp_path / name, network.state_dict(), record, torch.float16)
    (tmp_path / "photos").mkdir()
    # the first network: right in 3 of 6, and the two "f" are its last guess; both: wrong in green_0 and blue_0 only
    photos = {"red_0": "red", "red_1": "lime", "green_0": "lime", "blue_0": "blue", "f_0": "blue", "f_1": "blue"}
    for name, colour in photos.items():
        PIL.Image.new("RGB", (64, 48), colour).save(tmp_path / "photos" / f"{name}.png")
    weights, settings = [str(tmp_path / name) for name in "12"], ["device=cpu", "scores.precision=float32"]
    for _ in ("computed", "read from the cache"):
        arguments = (tmp_path / "photos", weights, [1], None, tmp_path / "cache", tmp_path / "out.json", settings)
        eval_classification.main(*arguments, quiet=True)
        assert json.loads((tmp_path / "out.json").read_text())["table"] == [
            {"networks": 1, "crops": 1, "top1": 0.5, "top5": round(4 / 6, 6)},
            {"networks": 2, "crops": 1, "top1": round(4 / 6, 6), "top5": 1.0},
        ]
        assert sorted(file.name for file in (tmp_path / "cache").rglob("*.npz")) == ["0.npz", "4.npz"]


def test_training_stopped_by_a_signal_goes_on_to_the_same_weights(shared_folder, tmp_path):
    """The whole program on two real photos: killed after its first checkpoint, run again, bit for bit the same."""
    import yaml

    root = shared_folder / "data" / "voc2012-subset"
    names = [truth.image for truth in read_voc(root, "val").ground_truths[:3]]
    small = tmp_path / "voc"
    (small / "ImageSets" / "Main").mkdir(parents=True)
    (small / "ImageSets" / "Main" / "train.txt").write_text("\n".join(names) + "\n")
    for folder in ("Annotations", "JPEGImages"):
        (small / folder).symlink_to(root / folder)
    config = yaml.safe_load((ROOT / "configs" / "rejection_voc.yaml").read_text())
    config["data"] |= {"root": str(small), "validation_images": 1, "validation_proposals": 4}
    config |= {"initial_weights": "googlenet-voc", "frozen_stages": 3, "checkpoint_every": 1, "log_every": 1}
    config["optimization"] |= {"steps": 3, "batch_size": 4, "warmup_steps": 0}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    whole = run_tool("train_regions.py", "c.yaml", "--output", "whole", "--member", "2", folder=tmp_path)
    assert whole.returncode == 0, whole.stderr
    kill_after_first_checkpoint("train_regions.py", "c.yaml", "--output", "cut", "--member", "2", folder=tmp_path)
    assert (tmp_path / "cut" / "member-2" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "cut" / "member-2" / "weights.safetensors").exists()
    resumed = run_tool("train_regions.py", "c.yaml", "--output", "cut", "--member", "2", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "from step 1 of 3" in resumed.stderr
    folders = [tmp_path / name / "member-2" for name in ("whole", "cut")]
    weights = [(folder / "weights.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1]
    logs = [[json.loads(line) for line in (folder / "log.jsonl").open()] for folder in folders]
    losses = [[entry.get("cross_entropy") for entry in log] for log in logs]
    assert losses[0] == losses[1]
    assert "validation_mAP" in logs[0][-1]


def test_an_ensemble_whose_last_member_cannot_start_does_not_begin(tmp_path):
    arguments = ["--set", "members=[{}, {initial_weights: nowhere.safetensors}]", "--members", "2", "--output", "runs"]
    result = run_tool("train_regions.py", ROOT / "configs" / "regions_voc.yaml", *arguments, folder=tmp_path)
    assert result.returncode == 3
    assert "nowhere.safetensors" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_measured_map_goes_into_the_record(tmp_path):
    file = tmp_path / "w.safetensors"
    record = WeightsRecord(classes=("cat",), background=True, origin="a test", licence="none", measured={"old": 0.5})
    save_weights(file, GoogLeNet(2).state_dict(), record, torch.float16)
    before = read_tensors(file)
    (tmp_path / "out.json").write_text(json.dumps({"dataset": "pets val", "mAP": 0.123456}))
    assert run_tool("record_measurement.py", file, "out.json", folder=tmp_path).returncode == 0
    assert load_record(file).measured == {"old": 0.5, "pets val mAP": 0.1235}
    after = read_tensors(file)
    assert all(torch.equal(before[name], after[name]) for name in before)
    covered = {"dataset": "pets val", "coverage": 0.98765, "proposals_per_image": 200.0}
    (tmp_path / "out.json").write_text(json.dumps(covered))
    assert run_tool("record_measurement.py", file, "out.json", folder=tmp_path).returncode == 0
    assert load_record(file).measured["pets val coverage of 200 boxes, IoU 0.5"] == 0.9877
    (tmp_path / "out.json").write_text("{}")
    assert run_tool("record_measurement.py", file, "out.json", folder=tmp_path).returncode == 3
