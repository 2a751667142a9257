"""Variants of the head on shared features: where they start, what they compute, that they learn, the tool."""

import json

import numpy as np
import pytest
import torch
from head_training import cells_of, detect_with_head, early_scale, one_box_per_class, photo_losses, train_head
from head_variants import (
    ContextHead,
    PerClassBoxHead,
    PhotoMaps,
    RegionHead,
    early_regions,
    enlarged_regions,
    make_heads,
    photo_maps,
    prepare_head,
)
from running_tools import run_tool

from incdet.config.loading import load_config, make_config
from incdet.config.recipes import find_recipe
from incdet.config.sections import Config, DetectionsConfig
from incdet.data.readers import Collection, read_dataset
from incdet.detector import Detector
from incdet.images import read_image
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network
from incdet.ops.region_pooling import regions_in_cells
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.structures import Proposals
from incdet.training.region_training_config import RegionsTrainingConfig
from incdet.training.samples.photo_batches import photo_tensor
from incdet.training.shared_network import SharedNetwork
from incdet.training.shared_region_task import SharedRegionsTask

pytestmark = pytest.mark.slow

NAMES = ["control", "context 1.5", "context 2", "photo context", "3b and 4e", "box deltas per class"]
QUICK = ["proposals.methods=[selective_search]", "proposals.limit=30"]
SMALL = ["shared.photo_sides=[192,192]", "shared.regions_per_photo=12", "precision=float32", *QUICK]
FIXED = ["data.validation_images=0", "shared.size_spread=null", "sampling.flip_probability=0", "workers=0"]


@pytest.fixture(scope="module")
def task(small_voc, tmp_path_factory):
    """A training of four steps on two photos."""
    places = [f"data.root={small_voc}", "data.split=val"]
    steps = ["optimization.steps=4", "optimization.warmup_steps=1", "device=cpu"]
    config = load_config(RegionsTrainingConfig, find_recipe("own_data"), [*places, *FIXED, *SMALL, *steps])
    cache = ProposalCache(tmp_path_factory.mktemp("cache"), config.proposals)
    data = read_dataset(Collection.voc, small_voc, "val")
    return SharedRegionsTask(data, cache, load_network(find_weights("googlenet-voc-shared")), config)


@pytest.fixture(scope="module")
def maps_of(task):
    """Photo file -> its feature maps."""
    (side,) = task.preprocessing.photo_sides

    def compute(path):
        return photo_maps(task.network, photo_tensor(read_image(path), side, False, task.preprocessing), True)

    known = {path: compute(path) for path in task.training.image_paths}
    return known.__getitem__


@pytest.fixture(scope="module")
def batch(task):
    return next(task.task().batches(range(1)))


@pytest.fixture(scope="module")
def cat(chelsea_file):
    """(photo, boxes around a cat and elsewhere)."""
    boxes = np.array([[0, 0, 400, 300], [40, 20, 380, 290], [200, 30, 451, 250], [20, 200, 90, 260]], np.float32)
    return read_image(chelsea_file), boxes


def heads_of(task):
    return {name: make(task.network) for name, make in make_heads(0.05).items()}


def answers_of(head, task, maps_of, batch, position=0):
    with torch.no_grad():
        return head(maps_of(task.training.image_paths[batch.indices[position]]), batch.regions[position])


def test_the_control_is_the_network_that_training_computes(task, maps_of, batch):
    maps = [maps_of(task.training.image_paths[index]).last for index in batch.indices]
    expected = SharedNetwork(task.network).eval()(maps, batch.regions, are_feature_maps=True)
    control = RegionHead(task.network).eval()
    for position in range(2):
        found = answers_of(control, task, maps_of, batch, position)
        assert torch.allclose(found.logits, expected.logits[position], atol=1e-4)
        assert torch.allclose(found.box_deltas[:, 0], expected.box_deltas[position], atol=1e-4)


def test_every_variant_equals_the_control_before_its_first_step(task, maps_of, batch):
    heads = heads_of(task)
    assert list(heads) == NAMES
    # dropout included: all variants draw the same masks first
    for mode in (True, False):
        found = {}
        for name, head in heads.items():
            torch.manual_seed(3)
            found[name] = answers_of(head.train(mode), task, maps_of, batch)
        for name, answers in found.items():
            assert torch.equal(answers.logits, found["control"].logits), name
            expected = found["control"].box_deltas.expand_as(answers.box_deltas)
            assert torch.allclose(answers.box_deltas, expected, atol=1e-5), name
    assert found["box deltas per class"].box_deltas.shape == (12, 20, 4)


def test_every_variant_learns_what_it_adds(task, maps_of, batch):
    control = photo_losses(answers_of(RegionHead(task.network).eval(), task, maps_of, batch), batch, 0, 1.0)
    for name, head in heads_of(task).items():
        before = {key: value.clone() for key, value in head.state_dict().items()}
        trained = train_head(head, task, maps_of)
        moved = [key for key, value in trained.head.state_dict().items() if not torch.equal(value, before[key])]
        frozen = ("conv", "inception_3", "inception_4")
        assert not [key for key in moved if key.removeprefix("googlenet.").startswith(frozen)], name
        assert {"googlenet.classifier.weight", "googlenet.inception_5b.conv_1x1.weight"} <= set(moved), name
        added = [key for key in before if not key.startswith("googlenet.")]
        assert set(added) <= set(moved), name
        assert bool(added) == (name != "control")
        losses = photo_losses(answers_of(trained.head.eval(), task, maps_of, batch), batch, 0, 1.0)
        assert losses.cross_entropy.mean() + losses.box.mean() < control.cross_entropy.mean() + control.box.mean()


def test_a_training_is_repeated_exactly(task, maps_of):
    losses = [train_head(RegionHead(task.network), task, maps_of).loss for _ in range(2)]
    assert losses[0] == losses[1] > 0


def test_added_inputs_reach_the_answers(task, maps_of, batch):
    control = answers_of(RegionHead(task.network).eval(), task, maps_of, batch)
    for name, head in heads_of(task).items():
        if name == "control":
            continue
        added = [value for key, value in head.named_parameters() if not key.startswith("googlenet.")]
        for value in added:
            torch.nn.init.normal_(value, std=0.01)
        found = answers_of(head.eval(), task, maps_of, batch)
        difference = (found.box_deltas if name == "box deltas per class" else found.logits).sub(
            control.box_deltas if name == "box deltas per class" else control.logits
        )
        assert difference.abs().max() > 0.01, name


def test_enlarged_regions_are_those_of_enlarged_boxes(cat):
    boxes, scale = cat[1], np.array([1.7, 1.9], np.float32)
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    larger = np.concatenate([center - 1.5 * half, center + 1.5 * half], axis=1)
    regions = torch.from_numpy(regions_in_cells(boxes, scale, 16, 224))
    expected = regions_in_cells(larger, scale, 16, 224)
    assert enlarged_regions(regions, 1.5).numpy() == pytest.approx(expected, abs=1e-4)
    assert torch.allclose(enlarged_regions(regions, 1.0), regions)


def test_feature_maps_after_3b_lie_at_twice_the_coordinate_and_one(task):
    # the two cells that a pixel far from all others changes most
    pixels = torch.zeros(1, 3, 384, 384)
    grey = photo_maps(task.network, pixels, True)
    pixels[:, :, 180:196, 172:188] = 80.0
    changed = photo_maps(task.network, pixels, True)
    centers = []
    for before, after in zip(grey, changed, strict=True):
        weights = (after - before).abs().sum(dim=(0, 1))
        rows = (weights.sum(dim=1) * torch.arange(len(weights))).sum() / weights.sum()
        columns = (weights.sum(dim=0) * torch.arange(weights.shape[1])).sum() / weights.sum()
        centers.append([columns.item(), rows.item()])
    last, early = (torch.tensor([center * 2]) for center in centers)
    assert early_regions(last).numpy() == pytest.approx(early.numpy(), abs=0.8)
    assert early_scale([grey]) == pytest.approx(early_scale([PhotoMaps(grey.last * 3, grey.early * 3)]))


def test_each_class_learns_its_own_box_deltas(task, maps_of, batch):
    head = PerClassBoxHead(task.network).eval()
    answers = head(maps_of(task.training.image_paths[batch.indices[0]]), batch.regions[0])
    photo_losses(answers, batch, 0, 1.0).box.sum().backward()
    by_class = head.linear.weight.grad.reshape(20, -1).abs().sum(dim=1)
    cat = task.classes.index("cat")
    assert by_class[cat] > 0
    assert by_class.sum() == by_class[cat]


def test_one_box_per_class_selects_what_shared_boxes_would(cat):
    image, boxes = cat
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(4), len(boxes))[:, :3].astype(np.float32)
    names, config = ("cat", "dog", "cow"), DetectionsConfig(score_threshold=0.1)
    copies = np.repeat(boxes[:, None], 3, axis=1)
    shared, alone = (one_box_per_class(each, probabilities, 0.1) for each in (boxes[:, None], copies))
    one, other = (select_detections(scores, image, names, config) for scores in (shared, alone))
    assert len(one) > 1
    assert np.array_equal(one.boxes, other.boxes)
    assert np.array_equal(one.scores, other.scores)
    assert np.array_equal(one.class_ids, other.class_ids)


@pytest.mark.parametrize("name", ["control", "box deltas per class", "context 2"])
def test_an_untrained_head_detects_as_the_detector_does_in_one_round(task, cat, name):
    image, boxes = cat
    proposals = Proposals(boxes, np.linspace(1, 0, len(boxes), dtype=np.float32), np.full(len(boxes), "made"))
    scores = {"engine": "torch", "precision": "float32", "rounds": 1, "photo_sides": [192]} | {
        "features": "shared",
        "region_iou": 1,
    }
    detector = Detector.from_pretrained(config=make_config(Config, {"scores": scores, "device": "cpu"}, "test"))
    expected = detector.select(detector.score(image, proposals), image)
    head = prepare_head(make_heads(1.0)[name](task.network), torch.float32)
    maps = photo_maps(task.network, photo_tensor(image, 192, False, task.preprocessing), True)
    found = detect_with_head(head, maps, image, boxes, task.preprocessing, task.classes, DetectionsConfig())
    assert len(found) == len(expected) > 0
    assert found.labels == expected.labels
    assert found.scores == pytest.approx(expected.scores, abs=1e-4)
    assert found.boxes == pytest.approx(expected.boxes, abs=0.1)


def test_context_looks_around_the_region(task, cat):
    image, boxes = cat
    (side,) = task.preprocessing.photo_sides
    photo = photo_tensor(image, side, False, task.preprocessing)
    head = ContextHead(task.network, 2.0).eval()
    torch.nn.init.normal_(head.columns.weight, std=0.01)
    regions = cells_of(boxes, image, task.preprocessing)[3:]
    # the photo changes outside the region only, further away than a cell sees
    plain = photo_maps(task.network, photo, True)
    changed = PhotoMaps(plain.last.clone(), plain.early)
    right = int(regions[0, 2].ceil()) + 1
    changed.last[:, :, :, right:] = 0
    control = RegionHead(task.network).eval()
    with torch.no_grad():
        assert torch.equal(control(plain, regions).logits, control(changed, regions).logits)
        assert (head(plain, regions).logits - head(changed, regions).logits).abs().max() > 1e-3


def test_the_tool_compares_heads_and_goes_on_where_it_stopped(small_voc, tmp_path):
    options = ["--root", small_voc, "--train-split", "val", "--split", "val", "--photos", 2, "--steps", 2, "--quiet"]
    options += ["--json", "numbers.json", "--set", "shared.regions_per_photo=8"]
    for setting in QUICK:
        options += ["--set", setting, "--judge", setting]
    result = run_tool("experiments/compare_shared_heads.py", *options, "--only", "class", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "numbers.json").read_text())["rows"]
    assert [row["head"] for row in rows] == ["control", "box deltas per class"]
    assert rows[0]["difference"] == rows[0]["standard error"] == rows[0]["pooled standard error"] == 0
    assert rows[0]["mAP"] > 0.4
    assert rows[0]["loss"] > 0
    assert rows[1]["milliseconds"] > 0
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob(".cache/shared_heads/*/*.npz")}
    assert len(kept) == 2
    again = run_tool("experiments/compare_shared_heads.py", *options, "--only", "3b", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    rows = json.loads((tmp_path / "numbers.json").read_text())["rows"]
    assert [row["head"] for row in rows] == ["control", "3b and 4e"]
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert len(list(tmp_path.glob(".cache/shared_heads/*/*.npz"))) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--only", "nothing"], "no variant holds nothing"),
        (["--weights", "googlenet-voc"], "trained on crops"),
        (["--set", "sampling.flip=0"], "sampling.flip"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(small_voc, tmp_path, options, sentence):
    places = ["--root", small_voc, "--train-split", "val", "--photos", 2, "--quiet"]
    result = run_tool("experiments/compare_shared_heads.py", *places, *options, folder=tmp_path)
    assert result.returncode in (2, 3)
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
