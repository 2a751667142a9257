"""`incdet evaluate` with a detector, from the photos to mAP."""

import json
import shutil

import numpy as np
import pytest
import torch

from incdet.config.sections import Config
from incdet.data.voc import VOC_CLASSES, read_voc
from incdet.detections import Detections
from incdet.evaluation.average_precision import evaluate_detections
from incdet.evaluation.comparison import bootstrap_interval
from incdet.evaluation.detection_run import no_detections
from incdet.evaluation.stored_evaluation import load_evaluation
from incdet.images import read_image
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network, save_weights
from incdet.output.writers import detections_json
from incdet.pipeline.detection_selection import select_detections
from incdet.structures import Image, RegionScores


@pytest.mark.slow
def test_evaluate_runs_the_detector_and_repeats_from_stored_scores(incdet, small_voc, tmp_path):
    arguments = ["--dataset", "voc", "--root", small_voc, "--json", "out.json", "--output", "run"]
    few = ["--set", "proposals.limit=24", "--set", "proposals.multibox.photo_sides=[128]", "--members", 1]
    few += ["--set", "scores.photo_sides=[384]", "--set", "scores.namer=none"]
    code, out, err = incdet("evaluate", *arguments, *few)
    assert code == 0, err
    assert "mAP" in out
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert numbers["num_images"] == numbers["num_ground_truth"] == 2
    assert numbers["ap"]["cat"] == numbers["mAP"] > 0.4
    assert numbers["ap"]["dog"] is None
    (scores,) = (tmp_path / "run" / "region_scores").glob("first-*.npz")
    stamp = scores.stat().st_mtime_ns
    code, out, err = incdet("evaluate", *arguments, *few, "--set", "detections.score_threshold=1")
    assert code == 0, err
    assert scores.stat().st_mtime_ns == stamp, "the regions were classified again"
    assert json.loads((tmp_path / "out.json").read_text())["num_detections"] == 0
    code, _, err = incdet("evaluate", *arguments, *few, "--set", "proposals.limit=25")
    assert code == 2
    assert "configuration.proposals.limit is 24 there and 25 now" in err
    assert "--output" in err
    assert incdet("evaluate", *arguments[:4], "--predictions", "run/predictions.jsonl")[0] == 0


@pytest.mark.slow
def test_evaluate_judges_each_network_of_an_ensemble(incdet, small_voc, tmp_path):
    arguments = ["--dataset", "voc", "--root", small_voc, "--json", "out.json"]
    arguments += ["--set", "proposals.limit=8", "--set", "proposals.methods=[selective_search]"]
    arguments += ["--set", "scores.features=cropped"]

    def evaluate(*more):
        code, out, err = incdet("evaluate", *arguments, *more)
        assert code == 0, err
        return json.loads((tmp_path / "out.json").read_text()), out

    before, _ = evaluate("--members", 2, "--output", "run")
    numbers, shown = evaluate("--members", 2, "--output", "run", "--each-network", "--interval")
    assert numbers["mAP"] == before["mAP"]
    assert list(numbers["networks"]) == ["rejection network", "member 1", "member 2"]
    for line in ("rejection network", "member 2", "mean member", "the ensemble"):
        assert line in shown
    for name, value in numbers["networks"].items():
        report = tmp_path / "run" / "networks" / name.replace(" ", "-")
        low, high = bootstrap_interval(load_evaluation(report))
        assert low <= value <= high
        assert f"{low:.4f} .. {high:.4f}" in shown


def test_evaluate_gives_perfect_predictions_one(incdet, shared_folder, tmp_path):
    root = shared_folder / "data" / "voc2012-subset"
    truths = read_voc(root, "val").ground_truths
    with (tmp_path / "perfect.jsonl").open("w") as file:
        for truth in truths:
            scores = np.full(len(truth), 0.5, np.float32)
            sides = (truth.image, truth.width, truth.height)
            found = Detections(*sides, truth.boxes, scores, truth.class_ids, VOC_CLASSES)
            file.write(json.dumps(detections_json(found)) + "\n")
    arguments = ["--dataset", "voc", "--root", root, "--split", "val", "--predictions", "perfect.jsonl", "--json", "-"]
    code, out, err = incdet("evaluate", *arguments)
    assert code == 0, err
    numbers = json.loads(out)
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
def test_evaluate_refuses_in_one_sentence(incdet, tmp_path, arguments, code, words):
    code, out, err = incdet("evaluate", *arguments)
    assert code == code
    assert words in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.slow
def test_a_broken_photo_counts_for_every_network_and_is_named(incdet, small_voc, tmp_path):
    """The rejection network finds the cat of the other photo, the only member calls all that it sees background."""
    root = shutil.copytree(small_voc, tmp_path / "voc")
    photo = root / "JPEGImages" / "second.jpg"
    photo.write_bytes(photo.read_bytes()[:2000])
    network, record = load_network(find_weights("googlenet-voc"))
    network.classifier.bias.data[-1] += 50
    save_weights(tmp_path / "blind.safetensors", network.state_dict(), record, torch.float16)
    arguments = ["--dataset", "voc", "--root", root, "--json", "-", "--output", "run", "--each-network", "--cascade"]
    arguments += ["--weights", "googlenet-voc", "--weights", "blind.safetensors"]
    proposals = "proposals.methods=[selective_search]", "proposals.limit=20"
    for setting in (*proposals, "scores.min_probability=0", "scores.half_resolution_min_probability=0"):
        arguments += ["--set", setting]
    code, out, err = incdet("evaluate", *arguments)
    assert code == 1
    assert "second.jpg" in err
    numbers = json.loads(out)
    assert numbers["num_images"] == 2
    truths = read_voc(root, "val").ground_truths
    nothing = no_detections(truths[1], VOC_CLASSES)
    (file,) = (tmp_path / "run" / "region_scores").iterdir()
    image = Image(read_image(root / "JPEGImages" / "first.jpg").pixels, "first")
    expected = []
    with np.load(file) as stored:
        for probabilities in stored["by_network"]:
            scores = RegionScores(stored["boxes"], probabilities)
            found = select_detections(scores, image, VOC_CLASSES, Config().detections)
            expected.append(evaluate_detections(VOC_CLASSES, truths, [found, nothing]).mean_average_precision)
    assert numbers["networks"] == {"rejection network": expected[0], "member 1": expected[1]}
    assert expected[0] > 0.2 > expected[1] == numbers["mAP"] == 0
