"""Fitting the regression: regions of annotated photos, what the network sees of them, the penalty, the tool."""

import numpy as np
import pytest
import torch
from running_tools import run_tool
from weights_files import record

from incdet.config.sections import ProposalsConfig
from incdet.data.collection import Collection
from incdet.detector import Detector
from incdet.errors import DataError, WeightsError
from incdet.images import read_image
from incdet.networks.box_regression import BoxRegressor, pooled_cells
from incdet.networks.engines.torch_backend import prepare_network
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.sidecar_files import box_regressor_file
from incdet.networks.weights import save_weights
from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import apply_box_deltas
from incdet.regions import RegionCropper
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.annotated_sample import PhotoSample
from incdet.training.box_fitting import BoxExamples, RegionFeatures, box_features, collect_examples, fit_regressor
from incdet.training.fitting_run import fit_box_regression

CPU = torch.device("cpu")


def random_boxes(generator, count, lowest=5.0):
    corner, sides = generator.uniform(0, 50, (count, 2)), generator.uniform(lowest, 50, (count, 2))
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)


def examples_of(noise, count=200, seed=0):
    """Objects whose place can be read off 18 features, more or less clearly."""
    generator = np.random.default_rng(seed)
    boxes = random_boxes(generator, count, 20.0)
    features = generator.normal(0, 1, (count, 18)).astype(np.float32)
    sizes = np.full((2, count), 120)
    wanted = apply_box_deltas(boxes, features[:, :4] * 0.15, *sizes)
    seen = features + generator.normal(0, noise, features.shape)
    return BoxExamples(torch.from_numpy(seen).half(), boxes, wanted, np.arange(count) // 4, sizes)


def test_the_fit_brings_boxes_to_their_objects():
    examples = examples_of(0.0)
    fit = fit_regressor(examples, (0.001, 1.0, 100.0))
    assert examples.overlaps(None).mean() < 0.8
    assert examples.overlaps(fit.regressor).mean() > 0.95
    assert fit.scores[0.001] > fit.scores[1.0] > fit.scores[100.0]
    # the photos held out, before and after
    assert fit.before == pytest.approx(examples.overlaps(None)[examples.photos % 5 == 0])
    assert fit.after.mean() == fit.scores[0.001] > fit.before.mean()


def test_the_penalty_is_the_one_that_serves_photos_held_out_best():
    for noise, expected in ((0.0, 0.001), (20.0, 100.0)):
        examples = examples_of(noise, 60)
        fit = fit_regressor(examples, (0.001, 100.0))
        assert fit.penalty == expected
        assert fit.scores[expected] == max(fit.scores.values())
        assert torch.equal(fit.regressor.linear.weight, examples.regression().fit(expected).linear.weight)


def test_weights_that_have_no_use_for_a_regression_are_refused_before_anything_is_computed(tmp_path):
    save_weights(tmp_path / "photos.safetensors", {"classifier.bias": torch.zeros(2)}, record(background=False))
    sample = PhotoSample(Collection.voc, tmp_path / "nowhere", "train", 2)
    for weights, words in (
        ("googlenet-voc-shared", "were trained on shared features and hold their own box regression"),
        (str(tmp_path / "photos.safetensors"), "have no background column: they classify whole photos"),
    ):
        with pytest.raises(WeightsError, match=words):
            fit_box_regression(weights, sample, 4, 0, ProposalsConfig(), tmp_path)


def test_too_few_photos_are_refused():
    examples = examples_of(0.0, 4)
    with pytest.raises(DataError, match="hold some out"):
        fit_regressor(examples)


def test_examples_are_drawn_from_regions_on_objects(astronaut):
    torch.manual_seed(0)
    network = prepare_network(GoogLeNet(4), CPU, torch.float32)
    objects = np.array([[100, 100, 300, 300], [100, 200, 300, 300]], np.float32)
    size = {"image": "a", "width": astronaut.width, "height": astronaut.height}
    ignored = np.array([False, True])
    truth = GroundTruth(**size, boxes=objects, class_ids=np.zeros(2, np.int64), ignored=ignored)
    on_ignored, elsewhere = [100, 205, 300, 300], [400, 400, 500, 500]
    boxes = np.array([[110, 90, 310, 290], on_ignored, elsewhere, [100, 100, 300, 190]], np.float32)
    proposals = Proposals(boxes, np.linspace(1, 0, 4, dtype=np.float32), np.full(4, "multibox"))
    nothing = Proposals(boxes[2:3], np.ones(1, np.float32), np.full(1, "multibox"))
    photos = [(astronaut, truth, nothing), (astronaut, truth, proposals)]
    found = collect_examples(RegionFeatures(box_features(network), Preprocessing()), photos, 20, seed=0)
    # neither background nor the ignored object's region, although it overlaps the other object by 0.47
    assert found.boxes.tolist() == boxes[[0, 3]].tolist()
    assert found.wanted.tolist() == objects[[0, 0]].tolist()
    assert found.photos.tolist() == [1, 1]
    crops = RegionCropper(astronaut, Preprocessing(), CPU).crop(boxes[[0, 3]])
    expected = pooled_cells(network.last_feature_maps(crops))
    assert torch.allclose(found.features.float(), expected, atol=1e-2 * float(expected.max()))
    with pytest.raises(DataError, match="no proposal overlaps"):
        collect_examples(RegionFeatures(box_features(network), Preprocessing()), photos[:1], 20, seed=0)


def example_photos():
    """A wide and a high photo, each with an object and regions on it."""
    objects = np.array([[20, 10, 180, 70], [5, 40, 45, 280]], np.float32)
    shifts = np.array([[0, 0, 0, 0], [4, 4, 4, 4]], np.float32)
    for (width, height), box in zip(((200, 80), (50, 300)), objects, strict=True):
        image = Image(np.zeros((height, width, 3), np.uint8))
        truth = GroundTruth("a", width, height, box[None], np.zeros(1, np.int64), np.zeros(1, bool))
        boxes = np.concatenate([box + shifts, [[0, 0, 3, 3]]]).astype(np.float32)
        yield image, truth, Proposals(boxes, np.ones(3, np.float32), np.full(3, "moved"))


def numbered_features(image, boxes):
    """[R, 18] float16, each region's all its left corner."""
    return torch.from_numpy(boxes[:, :1].repeat(18, axis=1)).half()


def test_examples_remember_the_sizes_of_wide_and_high_photos():
    examples = collect_examples(numbered_features, example_photos(), 50, seed=0)
    assert examples.sizes.tolist() == [[200, 200, 50, 50], [80, 80, 300, 300]]
    assert examples.wanted.tolist() == [[20, 10, 180, 70]] * 2 + [[5, 40, 45, 280]] * 2
    assert examples.boxes[:, 0].tolist() == [20, 24, 5, 9]
    some = examples[np.array([3, 1])]
    assert some.sizes.tolist() == [[50, 200], [300, 80]]
    assert some.boxes.tolist() == examples.boxes[[3, 1]].tolist()
    assert some.wanted.tolist() == examples.wanted[[3, 1]].tolist()
    assert some.photos.tolist() == [1, 0]
    assert some.features[:, 0].tolist() == [9, 24]


def test_corrected_examples_end_at_the_borders_of_their_photos():
    sizes = np.array([[200, 50], [80, 300]])
    whole = np.array([[0, 0, 200, 80], [0, 0, 50, 300]], np.float32)
    inner = np.array([[50, 20, 150, 60], [10, 60, 40, 240]], np.float32)
    examples = BoxExamples(torch.zeros(2, 18).half(), inner, whole, np.arange(2), sizes)
    stretching = BoxRegressor(2)
    torch.nn.init.constant_(stretching.linear.weight, 0)
    with torch.no_grad():
        stretching.linear.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert examples.overlaps(stretching).tolist() == [1, 1]
    assert examples.overlaps(None) == pytest.approx([100 * 40 / (200 * 80), 30 * 180 / (50 * 300)])


def test_examples_are_drawn_evenly_over_their_overlap():
    """Hundreds of loose regions come first, then few tight ones."""
    image = Image(np.zeros((80, 200, 3), np.uint8))
    truth = GroundTruth("a", 200, 80, np.array([[0, 0, 200, 80]], np.float32), np.zeros(1, np.int64), np.zeros(1, bool))
    widths = np.concatenate([np.linspace(60, 90, 400), np.linspace(90, 200, 100)]).astype(np.float32)
    boxes = np.stack([0 * widths, 0 * widths, widths, 0 * widths + 80], axis=1)
    proposals = Proposals(boxes, np.linspace(1, 0, 500, dtype=np.float32), np.full(500, "inside"))
    examples = collect_examples(numbered_features, [(image, truth, proposals)], 60, seed=0)
    assert 40 < len(examples) <= 60
    counts = np.histogram(examples.overlaps(None), bins=[0, 0.35, 0.51, 0.68, 0.84, 1.01])[0]
    assert counts[0] == 0
    assert counts[1:].min() >= 6


@pytest.mark.slow
def test_features_are_kept_for_photo_and_regions(astronaut, chelsea_file, tmp_path):
    torch.manual_seed(0)
    network = prepare_network(GoogLeNet(4), CPU, torch.float32)
    boxes = random_boxes(np.random.default_rng(0), 2) * 4
    kept = RegionFeatures(box_features(network), Preprocessing(), tmp_path / "features")
    first = kept(astronaut, boxes)
    assert torch.equal(first, RegionFeatures(box_features(network), Preprocessing())(astronaut, boxes))
    assert not torch.equal(kept(astronaut, boxes + 9), first)
    assert not torch.equal(kept(read_image(chelsea_file), boxes), first)
    with torch.no_grad():
        network.conv1.weight.zero_()
    assert torch.equal(kept(astronaut, boxes), first)
    (damaged,) = [file for file in kept.folder.iterdir() if np.array_equal(np.load(file)["features"], first.numpy())]
    damaged.write_bytes(b"half a file")
    assert not torch.equal(kept(astronaut, boxes), first)


def test_features_of_many_regions_are_computed_in_pieces(astronaut):
    sizes = []

    def means(crops):
        sizes.append(len(crops))
        return crops.mean(dim=(2, 3))

    boxes = random_boxes(np.random.default_rng(0), 150)
    found = RegionFeatures(means, Preprocessing())(astronaut, boxes)
    assert sizes == [64, 64, 22]
    expected = RegionCropper(astronaut, Preprocessing(), CPU).crop(boxes).mean(dim=(2, 3)).half()
    assert torch.allclose(found, expected, atol=0.1)
    assert RegionFeatures(means, Preprocessing())(astronaut, boxes[:0]).shape == (0, 3)


@pytest.mark.slow
def test_the_tool_fits_a_regression_that_detection_finds(small_voc, own_weights):
    options = ["--root", small_voc, "--split", "val", "--photos", 2, "--regions", 4, "--seed", 3]
    options += ["--set", "methods=[selective_search]"]
    result = run_tool("fit_boxes.py", own_weights, *options, folder=own_weights.parent)
    assert result.returncode == 0, result.stderr
    assert "mean Jaccard index by penalty" in result.stderr
    detector = Detector.from_pretrained(own_weights)
    assert detector.scorer.cascade.members[0].network.box_regressor is not None
    content = box_regressor_file(own_weights).read_bytes()
    box_regressor_file(own_weights).unlink()
    # no more photos than there are
    options[options.index("--photos") + 1] = 9
    again = run_tool("fit_boxes.py", own_weights, *options, folder=own_weights.parent)
    assert again.returncode == 0, again.stderr
    assert box_regressor_file(own_weights).read_bytes() == content
    arguments = ["--dataset", "voc", "--root", small_voc, "--weights", box_regressor_file(own_weights)]
    alone = run_tool("eval_map.py", *arguments, folder=own_weights.parent)
    assert alone.returncode == 3
    assert "give mine.safetensors" in alone.stderr
