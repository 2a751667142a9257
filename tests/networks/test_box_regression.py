"""From what the network sees of a region to where its object's box is: the sums, the fit, the files, the detections."""

import copy

import numpy as np
import pytest
import torch
from cascades import cascade_of, member_of, regions_of

from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.errors import WeightsError
from incdet.images import read_image
from incdet.networks.box_regression import BoxRegressor, pooled_cells
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.ensemble import Ensemble
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.shipped_weights import find_weights, shipped_weights
from incdet.networks.sidecar_files import box_regressor_file, load_box_regressor, save_box_regressor
from incdet.networks.weights import load_record, read_tensors, save_weights
from incdet.networks.weights_record import Preprocessing
from incdet.ops.boxes import MAX_BOX_DELTA, apply_box_deltas, box_iou, compute_box_deltas
from incdet.regions import RegionCropper
from incdet.structures import Proposals
from incdet.training.ridge_regression import RidgeRegression

CPU = torch.device("cpu")


def random_boxes(generator, count, lowest=5.0):
    corner, sides = generator.uniform(0, 50, (count, 2)), generator.uniform(lowest, 50, (count, 2))
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)


def regressor_of(seed, channels=1024):
    torch.manual_seed(seed)
    regressor = BoxRegressor(channels)
    torch.nn.init.normal_(regressor.linear.weight, std=0.02)
    return regressor.eval()


def test_corrections_are_those_of_rcnn():
    box, wanted = np.array([[10, 20, 30, 60]], np.float32), np.array([[15, 10, 55, 50]], np.float32)
    # its centre (20, 40) must move by 15 of 20 and -10 of 40; 20 becomes 40 wide, 40 stays 40 high
    assert compute_box_deltas(box, wanted)[0] == pytest.approx([15 / 20, -10 / 40, np.log(2), 0])
    assert apply_box_deltas(box, compute_box_deltas(box, wanted), 100, 100)[0] == pytest.approx(wanted[0])


def test_corrections_lead_from_any_box_to_any_near_one():
    generator = np.random.default_rng(0)
    boxes = random_boxes(generator, 100, 20.0)
    wanted = (boxes + generator.uniform(-5, 5, boxes.shape)).astype(np.float32).clip(0)
    assert apply_box_deltas(boxes, compute_box_deltas(boxes, wanted), 200, 200) == pytest.approx(wanted, abs=1e-3)


def test_corrected_boxes_stay_in_the_image_and_near_the_region():
    box = np.array([[10, 10, 30, 50]], np.float32)
    far = apply_box_deltas(box, np.array([[9, -9, 50, 50]], np.float32), 1000, 1000)
    assert far == pytest.approx(apply_box_deltas(box, np.full((1, 4), MAX_BOX_DELTA) * [1, -1, 1, 1], 1000, 1000))
    assert apply_box_deltas(box, np.array([[0, 0, 1, 1]], np.float32), 40, 45)[0] == pytest.approx([0, 0, 40, 45])
    # nothing of it would be left
    at_the_border, away = np.array([[2, 10, 22, 50]], np.float32), np.array([[-1, 0, -0.5, 0]], np.float32)
    assert apply_box_deltas(at_the_border, away, 40, 60).tolist() == at_the_border.tolist()
    assert apply_box_deltas(box[:, [0, 1, 0, 3]], np.ones((1, 4), np.float32), 40, 60).tolist() == [[10, 10, 10, 50]]


def test_features_are_the_means_of_three_by_three_cells():
    maps = torch.arange(36.0).reshape(1, 1, 6, 6).repeat(1, 2, 1, 1)
    expected = maps[0, 0].reshape(3, 2, 3, 2).mean(dim=(1, 3)).flatten()
    assert torch.equal(pooled_cells(maps), torch.cat([expected, expected])[None])


@pytest.mark.parametrize("count", [50, 10], ids=["more regions than features", "fewer"])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 30.0])
def test_ridge_regression_agrees_with_least_squares(penalty, count):
    """A penalty is the same as rows of its root, of which nothing is wanted."""
    generator = np.random.default_rng(0)
    features = generator.normal(3, 2, (count, 18))
    targets = generator.normal(0, 1, (count, 4))
    centred = features - features.mean(axis=0)
    strength = penalty * (centred**2).sum(axis=1).mean()
    rows = np.concatenate([centred, np.sqrt(strength) * np.eye(18)])
    wanted = np.concatenate([targets - targets.mean(axis=0), np.zeros((18, 4))])
    expected = centred @ np.linalg.lstsq(rows, wanted, rcond=None)[0] + targets.mean(axis=0)
    fitted = RidgeRegression(torch.from_numpy(features), torch.from_numpy(targets).float()).fit(penalty)
    found = fitted.linear(torch.from_numpy(features).float())
    assert found.detach().numpy() == pytest.approx(expected, abs=1e-3)


def test_one_region_teaches_its_own_correction():
    targets = torch.tensor([[0.1, -0.2, 0.3, 0.0]])
    fitted = RidgeRegression(torch.ones(1, 18), targets).fit(1.0)
    assert torch.allclose(fitted.linear(torch.randn(5, 18)), targets.expand(5, 4), atol=1e-5)


@torch.inference_mode()
def test_a_network_with_a_regression_also_says_corrections():
    torch.manual_seed(0)
    network = prepare_network(GoogLeNet(4), CPU, torch.float32)
    crops = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 60
    halves = TorchBackend(network)
    logits = halves.head(halves.trunk(crops))
    assert torch.allclose(logits, network(crops).main, atol=1e-4)
    network.box_regressor = regressor_of(1)
    outputs = halves.head(halves.trunk(crops))
    assert torch.equal(outputs[:, :4], logits)
    assert torch.allclose(outputs[:, 4:], network.box_regressor(network.last_feature_maps(crops)), atol=1e-4)


def test_regions_move_before_the_next_stage(astronaut):
    """The rejection network moves all regions; the members see those that pass where they then lie, and move them."""
    torch.manual_seed(0)
    first, plain, member, other = (prepare_network(GoogLeNet(4), CPU, torch.float32) for _ in range(4))
    first.box_regressor, member.box_regressor, other.box_regressor = (regressor_of(seed) for seed in (1, 2, 3))
    boxes = random_boxes(np.random.default_rng(0), 6) * 4

    def scored(cascade, regions=boxes):
        (photo,) = regions_of([(astronaut, regions)], cascade, batch_size=4)
        return photo.scores()

    unmoved = scored(cascade_of([plain]))
    assert unmoved.boxes.tolist() == boxes.tolist()
    moved = scored(cascade_of([first]))
    assert np.abs(moved.boxes - boxes).max() > 5
    threshold = float(np.median(moved.probabilities.max(axis=1)))
    passed = moved.probabilities.max(axis=1) >= threshold
    assert 0 < passed.sum() < len(boxes)
    # shares stages 1 to 3 with the rejection network, whose feature maps are of the regions as proposed
    related = copy.deepcopy(first)
    related.box_regressor = None
    torch.nn.init.normal_(related.classifier.weight, std=0.05)
    for members in ([plain], [member, other], [first, plain], [related]):
        alone = scored(cascade_of(members), moved.boxes)
        found = scored(cascade_of(members, first, (threshold, 0)))
        expected = np.where(passed[:, None], alone.probabilities, moved.probabilities)
        assert found.probabilities == pytest.approx(expected, abs=1e-4)
        assert found.boxes == pytest.approx(np.where(passed[:, None], alone.boxes, moved.boxes), abs=0.02)
    crops = {16: RegionCropper(astronaut, Preprocessing(), CPU).crop(boxes)}
    groups = ([member], [other], [member, plain, other])
    one, two, mean = (Ensemble([member_of(each) for each in group])(crops).box_deltas for group in groups)
    assert torch.allclose(mean, (one + two) / 2, atol=1e-5)


def test_the_half_resolution_stage_moves_nothing(astronaut):
    torch.manual_seed(0)
    first, member = (prepare_network(GoogLeNet(4), CPU, torch.float32) for _ in range(2))
    first.box_regressor = regressor_of(1)
    boxes = random_boxes(np.random.default_rng(0), 6) * 4
    (photo,) = regions_of([(astronaut, boxes)], cascade_of([member], first, (0, 1)), batch_size=4)
    assert photo.boxes.tolist() == boxes.tolist()
    (photo,) = regions_of([(astronaut, boxes)], cascade_of([member], first, (0, 0.1)), batch_size=4)
    assert (photo.boxes != boxes).any()


def test_a_regression_lies_beside_its_weights(own_weights, astronaut):
    assert load_box_regressor(own_weights, 1024) is None
    boxes = random_boxes(np.random.default_rng(0), 5) * 4
    proposals = Proposals(boxes, np.ones(5, np.float32), np.full(5, "multibox"))
    # in bfloat16 another network around the same layers rounds elsewhere
    exact = make_config(Config, {"scores": {"precision": "float32"}}, "")
    before = Detector.from_pretrained(own_weights, config=exact)
    assert before.score(astronaut, proposals).boxes.tolist() == boxes.tolist()
    beside = save_box_regressor(own_weights, regressor_of(0), {"penalty": 1.0})
    assert beside == box_regressor_file(own_weights)
    loaded = load_box_regressor(own_weights, 1024)
    assert torch.equal(loaded.linear.weight, regressor_of(0).linear.weight.half().float())
    after = Detector.from_pretrained(own_weights, config=exact)
    assert after.origin.hashes.keys() - before.origin.hashes.keys() == {beside.name}
    # what is known of the weights may change, the weights may not
    record = load_record(own_weights).model_copy(update={"measured": {"mAP": 0.5}})
    save_weights(own_weights, read_tensors(own_weights), record)
    assert load_box_regressor(own_weights, 1024) is not None
    scores = after.score(astronaut, proposals)
    assert np.allclose(scores.probabilities, before.score(astronaut, proposals).probabilities, atol=1e-5)
    assert np.abs(scores.boxes - boxes).max() > 1
    without = Detector.from_pretrained(own_weights, config=make_config(Config, {"scores": {"box_deltas": False}}, ""))
    assert without.score(astronaut, proposals).boxes.tolist() == boxes.tolist()
    assert without.origin.hashes.keys() == before.origin.hashes.keys()


def test_a_regression_of_other_weights_or_a_damaged_one_is_refused(own_weights):
    beside = save_box_regressor(own_weights, regressor_of(0), {})
    content = beside.read_bytes()
    own_weights.write_bytes(find_weights("googlenet-voc-3").read_bytes())
    with pytest.raises(WeightsError, match="fitted to other weights"):
        Detector.from_pretrained(own_weights)
    for damaged in (b"", content[:100], b"{}", own_weights.read_bytes()):
        beside.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"fit_boxes\.py"):
            load_box_regressor(own_weights, 1024)


def test_a_regression_for_another_network_is_refused(own_weights):
    save_box_regressor(own_weights, regressor_of(0, channels=512), {})
    with pytest.raises(WeightsError, match="9216"):
        Detector.from_pretrained(own_weights)


def test_regressions_are_no_weights_of_their_own():
    assert not [name for name in shipped_weights() if "boxes" in name]
    assert box_regressor_file(find_weights("googlenet-voc")).exists()


def test_the_shipped_regression_tightens_boxes_on_a_photo(chelsea_file):
    """Random boxes around the cat come nearer to it."""
    image = read_image(chelsea_file)
    cat = np.array([[0, 0, 400, 300]], np.float32)
    generator = np.random.default_rng(0)
    boxes = (
        (cat + generator.uniform(-60, 60, (40, 4)))
        .astype(np.float32)
        .clip(0, np.array([451, 300, 451, 300], np.float32))
    )
    boxes = boxes[box_iou(boxes, cat)[:, 0] < 0.8]
    detector = Detector.from_pretrained("googlenet-voc")
    scores = detector.score(image, Proposals(boxes, np.ones(len(boxes), np.float32), np.full(len(boxes), "multibox")))
    assert box_iou(scores.boxes, cat).mean() > box_iou(boxes, cat).mean() + 0.03
