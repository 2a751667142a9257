"""The training of MultiBox: its losses and validation by hand, and the program that trains it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from running_tools import run_tool

from incdet.config.loading import make_config
from incdet.config.sections import MultiBoxConfig, ProposalsConfig
from incdet.data.voc import read_voc
from incdet.errors import ConfigurationError, DataError
from incdet.evaluation.recall import average_recall
from incdet.images import read_image
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import load_multibox, load_network, save_weights
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.ops.boxes import box_iou
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.proposals import Proposers
from incdet.proposers.multibox_proposer import propose_boxes
from incdet.proposers.prior_clusters import unit_boxes
from incdet.training.multibox_photos import coverage_numbers
from incdet.training.multibox_task import MultiBoxTask
from incdet.training.multibox_training_config import MultiBoxTrainingConfig, multibox_preprocessing
from incdet.training.prior_matching import match_bipartite
from incdet.training.region_training import _without_objects, no_proposals


@pytest.fixture(scope="module")
def training_folder(tmp_path_factory, small_voc):
    folder = tmp_path_factory.mktemp("multibox")
    (small_voc / "ImageSets" / "Main" / "train.txt").write_text("first\nsecond\n")
    torch.manual_seed(0)
    record = WeightsRecord(classes=("cat",), background=False, origin="a test", licence="none")
    save_weights(folder / "initial.safetensors", GoogLeNet(1).state_dict(), record, torch.float16)
    config = {
        "data": {"dataset": "voc", "root": str(small_voc), "split": "train", "validation_images": 1},
        "initial_weights": "initial.safetensors",
        "optimization": {"steps": 3, "batch_size": 2, "learning_rate": 0.0001, "gradient_limit": 100.0},
        "log_every": 1,
        "workers": 0,
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.mark.slow
def test_training_writes_weights_that_propose(training_folder, astronaut, tmp_path):
    arguments = "c.yaml", "--output", "run"
    run = run_tool("train_multibox.py", *arguments, folder=training_folder)
    assert run.returncode == 0, run.stderr
    entries = [json.loads(line) for line in (training_folder / "run" / "log.jsonl").read_text().splitlines()]
    assert all({"location", "confidence"} <= set(entry) for entry in entries[:3])
    assert 0 <= entries[-1]["validation_coverage"] <= 1
    _, record = load_multibox(training_folder / "run" / "weights.safetensors")
    assert record.multibox.form == "grids"
    assert record.preprocessing.size == 256
    assert "root" not in json.dumps(record.recipe) or str(training_folder.parent) not in json.dumps(record.recipe)
    small = {"width": 100, "strategies": "single"}
    multibox = {"weights": str(training_folder / "run" / "weights.safetensors"), "crop_sides": [0.67]}
    values = {"selective_search": small, "multibox": multibox}
    values["methods"] = ["selective_search", "multibox"]
    config = make_config(ProposalsConfig, values, "test")
    proposers = Proposers(config)
    assert [file.name for file in proposers.files] == ["weights.safetensors"]
    found = proposers(astronaut)
    assert len(found) > (found.sources == "multibox").sum() > 100
    assert found.sources[0] == "selective_search"
    cache = ProposalCache(tmp_path, config)
    assert all(np.array_equal(cache(astronaut).boxes, found.boxes) for _ in range(2))
    assert cache.__getstate__()["_proposers"] is None


def make_task(folder, dataset=None, **settings):
    values = yaml.safe_load((folder / "c.yaml").read_text()) | settings
    config = make_config(MultiBoxTrainingConfig, values, "test")
    dataset = dataset or read_voc(config.data.root, config.data.split)
    return MultiBoxTask(dataset, load_network(folder / config.initial_weights), config)


@pytest.mark.slow
def test_matching_by_overlap_trains_more_priors_than_bipartite(training_folder):
    found = {}
    for matching in ("bipartite", "overlap"):
        task = make_task(training_folder, loss={"matching": matching}, precision="float32")
        batch = next(task.task().batches(range(1)))
        assert sum(len(boxes) for boxes in batch.boxes_unit) > 0
        losses = task.losses(task.network, batch)
        assert {name: values.shape for name, values in losses.items()} == {"location": (2,), "confidence": (2,)}
        found[matching] = float(losses["confidence"].sum().detach())
    # at the start a matched prior costs 4 and another one next to nothing
    assert found["overlap"] > found["bipartite"] + 4


@pytest.mark.slow
def test_the_loss_is_that_of_the_locations_and_confidences(training_folder):
    """Both terms again, from the network's input on."""
    task = make_task(training_folder, precision="float32", loss={"alpha": 7.0})
    batch = replace(next(task.task().batches(range(1))), noise=torch.tensor([[3.0, -2.0, 1.0], [0.0, 5.0, 9.0]]))
    assert sum(len(boxes) for boxes in batch.boxes_unit) > 0
    with torch.no_grad():
        found = task.losses(task.network.eval(), batch)
        mean = torch.tensor(task.preprocessing.mean)
        inputs = (batch.crops.float() + batch.noise[:, None, None, :] - mean).permute(0, 3, 1, 2)
        assert torch.allclose(task.inputs(batch), inputs, atol=1e-3)
        outputs = task.network(inputs)
        locations = task.network.get_buffer("priors") + outputs.corner_offsets * task.network.offset_unit
    for row, boxes in enumerate(batch.boxes_unit):
        priors, objects = match_bipartite(locations[row], outputs.logits[row], boxes, 7.0)
        location = 7.0 / 2 * (locations[row][priors] - boxes[objects]).square().sum()
        signs = torch.ones(len(locations[row]))
        signs[priors] = -1
        assert float(found["location"][row]) == pytest.approx(float(location), rel=1e-3)
        confidence = torch.nn.functional.softplus(signs * outputs.logits[row]).sum()
        assert float(found["confidence"][row]) == pytest.approx(float(confidence), rel=1e-3)
    assert found["location"].sum() > 0.01


@pytest.mark.slow
def test_validation_measures_the_photos_kept_out_at_the_size_of_their_files(training_folder):
    """The second photo, which is annotated at half the size of its file, validates."""
    task = make_task(training_folder, precision="float32")
    task.validation = task.training
    assert task.validation.image_ids == ("second",)
    image, truth = read_image(task.validation.image_paths[0]), task.validation.ground_truths[0]
    assert (truth.width * 2, truth.height * 2) == (image.width, image.height)
    cats = np.array([[61, 0, 461, 300], [200, 90, 330, 210], [70, 150, 200, 300]], np.float32)
    columns = {"class_ids": np.zeros(3, np.int64), "ignored": np.zeros(3, bool)}
    task.validation = replace(task.validation, ground_truths=(replace(truth, boxes=cats / 2, **columns),))
    network = task.network.eval()
    config = MultiBoxConfig(limit=task.config.data.validation_proposals, crop_sides=())
    (proposed,) = propose_boxes([image], network, task.preprocessing, config)
    best = box_iou(cats, proposed.boxes).max(axis=1)
    expected = {"validation_coverage": (best >= 0.5).mean(), "validation_average_recall": average_recall(best)}
    assert 0 < expected["validation_average_recall"] < 1
    assert task.validate(network) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_the_trunk_can_be_left_as_it_was(training_folder):
    task = make_task(training_folder, train_trunk=False)
    torch.stack(list(task.losses(task.network, next(task.task().batches(range(1)))).values())).sum().backward()
    learning = {name for name, parameter in task.network.named_parameters() if parameter.grad is not None}
    assert learning == {name for name, _ in task.network.named_parameters() if name.startswith("head.")}
    assert "proposing layers" in task.record({}).origin


@pytest.mark.slow
def test_classes_can_be_left_out_and_are_judged_apart(training_folder):
    """The first photo, which validates, shows a dog, the second a cat."""
    config = yaml.safe_load((training_folder / "c.yaml").read_text())
    dataset = read_voc(config["data"]["root"], "train")
    dog = dataset.class_names.index("dog")
    first = replace(dataset.ground_truths[0], class_ids=np.array([dog]))
    dataset = replace(dataset, ground_truths=(first, dataset.ground_truths[1]))
    task = make_task(training_folder, dataset, left_out_classes=["dog"])
    assert task.training.image_ids == ("second",)
    numbers = task.validate(task.network.eval())
    assert numbers["validation_coverage_left_out"] == numbers["validation_coverage"]
    assert "validation_coverage_left_out" not in make_task(training_folder).validate(task.network)
    with pytest.raises(DataError, match="no photo is left"):
        make_task(training_folder, dataset, left_out_classes=["dog", "cat"])
    with pytest.raises(ConfigurationError, match="did you mean 'dog'"):
        make_task(training_folder, left_out_classes=["dgo"])


def test_weights_with_a_box_regressor_can_be_started_from(training_folder):
    values = yaml.safe_load((training_folder / "c.yaml").read_text())
    config = make_config(MultiBoxTrainingConfig, values, "test")
    start, record = load_network(training_folder / config.initial_weights)
    start.box_regressor = BoxRegressor(start.classifier.in_features)
    task = MultiBoxTask(read_voc(config.data.root, "train"), (start, record), config)
    assert torch.equal(task.network.trunk.conv1.weight, start.conv1.weight)


def test_a_context_that_leaves_no_room_in_the_form_is_refused(training_folder):
    values = yaml.safe_load((training_folder / "c.yaml").read_text())
    config = make_config(MultiBoxTrainingConfig, values | {"form": "map"}, "test")
    about = {"classes": ("cat",), "background": False, "origin": "a test", "licence": "none"}
    wide = WeightsRecord(preprocessing=Preprocessing(size=299, context=57), **about)
    with pytest.raises(ConfigurationError, match="a context of 57 pixels: it leaves too little of the 224"):
        multibox_preprocessing(config, wide)
    narrow = WeightsRecord(preprocessing=Preprocessing(size=299, context=56), **about)
    assert multibox_preprocessing(config, narrow).size == 224


def test_photos_without_objects_have_no_coverage(training_folder):
    """Their mean would be no number, which JSON does not know."""
    dataset = read_voc(yaml.safe_load((training_folder / "c.yaml").read_text())["data"]["root"], "train")
    truths = [_without_objects(truth) for truth in dataset.ground_truths]
    assert coverage_numbers(truths, [no_proposals()] * 2, dataset, ()) == {}


def test_photos_with_objects_left_out_teach_no_boxes(training_folder):
    values = yaml.safe_load((training_folder / "c.yaml").read_text())
    values["data"]["extra_split"] = "train"
    with pytest.raises(ConfigurationError, match="extra_split is for region classifiers"):
        make_config(MultiBoxTrainingConfig, values, "test")


def test_a_photo_of_unstated_size_has_no_share_in_the_priors(training_folder):
    dataset = read_voc(yaml.safe_load((training_folder / "c.yaml").read_text())["data"]["root"], "train")
    assert len(unit_boxes(dataset.ground_truths)) == 2
    unstated = replace(dataset.ground_truths[0], width=0, height=0)
    assert len(unit_boxes([unstated, dataset.ground_truths[1]])) == 1


def test_more_priors_than_objects_are_refused(training_folder):
    with pytest.raises(ConfigurationError, match="different boxes"):
        make_task(training_folder, form="map")


def test_configurations_are_strict():
    with pytest.raises(ConfigurationError, match="alpha"):
        make_config(MultiBoxTrainingConfig, {"loss": {"alpha": 0}}, "test")
