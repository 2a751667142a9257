"""The training of MultiBox on shared feature maps."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from incdet.config.loading import make_config
from incdet.data.voc import read_voc
from incdet.errors import ConfigurationError, DataError, WeightsError
from incdet.images import read_image
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network, load_shared_multibox, save_weights
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.structures import GroundTruth
from incdet.training.multibox_training_config import MultiBoxTrainingConfig, multibox_preprocessing
from incdet.training.samples.photo_box_batches import PhotoBoxSampler
from incdet.training.samples.shared_multibox_config import SharedMultiBoxConfig
from incdet.training.shared_multibox_task import SharedMultiBoxTask
from incdet.training.training_runs import train_multibox


def make_training(root, **settings):
    values = {
        "data": {"dataset": "voc", "root": str(root), "split": "train", "validation_images": 1},
        "initial_weights": "googlenet-voc-shared",
        "features": "shared",
        "loss": {"matching": "overlap", "alpha": 50.0},
        "shared": {"photo_sides": [96, 160], "channels": 8},
        "optimization": {"steps": 2, "batch_size": 2, "learning_rate": 0.0005, "gradient_limit": 200.0},
        "precision": "float32",
        "workers": 0,
        "log_every": 1,
    }
    return make_config(MultiBoxTrainingConfig, values | settings, "a test")


@pytest.fixture(scope="module")
def root(small_voc):
    (small_voc / "ImageSets" / "Main" / "train.txt").write_text("first\nsecond\n")
    return small_voc


def test_training_writes_weights_for_the_network_that_it_started_from(root, tmp_path):
    train_multibox(make_training(root), tmp_path)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all({"location", "confidence"} <= set(entry) for entry in entries[:2])
    assert 0 <= entries[-1]["validation_coverage"] <= 1
    network, record = load_shared_multibox(tmp_path / "weights.safetensors")
    assert network.description.network == "googlenet-voc-shared"
    assert record.features == "shared"
    assert set(record.measured.values()) == {entries[-1]["validation_coverage"]}


def test_the_location_loss_is_zero_where_boxes_are_right(root):
    start = load_network(find_weights("googlenet-voc-shared"))
    task = SharedMultiBoxTask(read_voc(root, "train"), start, make_training(root))
    network, maps = task.network, torch.rand(1, 832, 6, 8)
    priors = network.priors(6, 8)
    boxes = priors[[3, 500]] + torch.tensor([2.0, 1.0, -1.0, 3.0])
    outputs = network(maps)
    far_off, confidence = task._photo_losses(maps, outputs, boxes)
    assert far_off > 0
    # every prior predicts the object that it overlaps most
    exact = torch.stack([network.encode(priors, box.expand(len(priors), 4)) for box in boxes])
    nearest = torch.from_numpy(np.array([_overlaps(priors, box) for box in boxes])).argmax(dim=0)
    right = outputs._replace(corner_offsets=exact[nearest, torch.arange(len(priors))][None])
    location, same_confidence = task._photo_losses(maps, right, boxes)
    assert location.item() == pytest.approx(0, abs=1e-3)
    assert same_confidence.item() == pytest.approx(confidence.item())
    # a photo without objects teaches confidences only
    assert task._photo_losses(maps, outputs, torch.zeros(0, 4))[0] == 0


def _overlaps(priors, box):
    from incdet.ops.boxes import box_iou

    return box_iou(priors.numpy(), box.numpy()[None])[:, 0]


def test_samples_move_boxes_with_their_pixels(chelsea_file):
    image = read_image(chelsea_file)
    boxes = np.array([[100, 50, 200, 150]], np.float32)
    truth = GroundTruth(
        image="chelsea",
        width=image.width,
        height=image.height,
        boxes=boxes,
        class_ids=np.zeros(1, np.int64),
        ignored=np.zeros(1, bool),
    )
    config = SharedMultiBoxConfig(photo_sides=(192, 192), color_gain=0.0, color_shift=0.0, flip_probability=0.0)
    photo, plain = PhotoBoxSampler(config, Preprocessing())(image, truth, np.random.default_rng(0))
    assert photo.shape[2:] == (192, 288)
    scale = np.array([288 / image.width, 192 / image.height] * 2)
    assert np.allclose(plain, boxes * scale, atol=1e-3)
    flipping = config.model_copy(update={"flip_probability": 1.0})
    mirrored, flipped = PhotoBoxSampler(flipping, Preprocessing())(image, truth, np.random.default_rng(0))
    assert torch.equal(mirrored, photo.flip(3))
    assert np.allclose(flipped[:, [0, 2]], 288 - plain[:, [2, 0]], atol=1e-3)


def test_feature_maps_of_other_widths_are_refused(root):
    about = {"classes": ("cat",), "background": True, "features": "shared", "origin": "a test", "licence": "none"}
    for architecture, channels in (("wide", "1,040"), ("naive", "3,344")):
        record = WeightsRecord(architecture=architecture, **about)
        with pytest.raises(ConfigurationError, match=f"'{architecture}': they have {channels} channels, and 832"):
            multibox_preprocessing(make_training(root), record)
    assert multibox_preprocessing(make_training(root), WeightsRecord(**about)) == Preprocessing()


def test_more_unreadable_photos_than_are_allowed_end_it(root, tmp_path):
    (tmp_path / "damaged.jpg").write_bytes(b"no photo")
    dataset = read_voc(root, "train")
    dataset = replace(dataset, image_paths=(tmp_path / "damaged.jpg", dataset.image_paths[1]))
    data = {"dataset": "voc", "root": str(root), "validation_images": 0}
    start = load_network(find_weights("googlenet-voc-shared"))
    task = SharedMultiBoxTask(dataset, start, make_training(root, data=data))
    assert len(next(task.task().batches(range(1))).names) == 2
    task = SharedMultiBoxTask(dataset, start, make_training(root, data=data, max_bad_share=0.25))
    with pytest.raises(DataError, match=r"1 of 2 photos cannot be used, more than 25% \(max_bad_share\)"):
        next(task.task().batches(range(1)))


@pytest.fixture
def begun(small_voc, tmp_path):
    """A finished training of a data set with photos for validation: its folder, its data and its initial weights."""
    data = tmp_path / "data"
    shutil.copytree(small_voc, data)
    for folder, ending in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        shutil.copy(data / folder / f"first.{ending}", data / folder / f"third.{ending}")
    for split, names in (("train", "first\nthird\n"), ("val", "second\n")):
        (data / "ImageSets" / "Main" / f"{split}.txt").write_text(names)
    weights = tmp_path / "initial.safetensors"
    network, record = load_network(find_weights("googlenet-voc-shared"))
    small = record.model_copy(update={"preprocessing": record.preprocessing.model_copy(update={"photo_sides": (96,)})})
    save_weights(weights, network.state_dict(), small, torch.float16)

    def train(root=data):
        values = {"dataset": "voc", "root": str(root)}
        steps = {"steps": 1, "batch_size": 1, "learning_rate": 0.0005}
        train_multibox(make_training(root, data=values, initial_weights=str(weights), optimization=steps), tmp_path)

    train()
    return data, weights, train


def test_a_training_goes_on_where_its_data_was_moved(begun, tmp_path):
    data, _, train = begun
    (tmp_path / "elsewhere").mkdir()
    train(data.rename(tmp_path / "elsewhere" / "data"))


def test_other_feature_maps_do_not_go_on(begun):
    _, weights, train = begun
    network, record = load_network(weights)
    with torch.no_grad():
        network.conv1.weight.mul_(1.5)
    save_weights(weights, network.state_dict(), record, torch.float16)
    with pytest.raises(WeightsError, match=r"from the feature maps of other weights than those that .*initial"):
        train()


def test_photos_that_judged_before_are_not_learnt_by_the_way(begun):
    data, _, train = begun
    (data / "ImageSets" / "Main" / "val.txt").unlink()
    with pytest.raises(WeightsError, match=r"learnt 2 photos of .* and would learn 1 now, because other photos"):
        train()


def test_settings_that_exclude_each_other_are_errors(root):
    with pytest.raises(ConfigurationError, match="tens of thousands of priors"):
        make_training(root, loss={"matching": "bipartite"})
    with pytest.raises(ConfigurationError, match="give the smaller one first"):
        make_training(root, shared={"photo_sides": [200, 100]})
