"""benchmarks/benchmark.py shared-features: what it counts and compares, and a run as users do it."""

import json
from pathlib import Path

import numpy as np
import pytest
import shared_features_contenders
import torch
from command_line import one_sentence
from contender_processes import DetectorWork, make_incdet
from detection_peers import TEXTBOOK, TORCHVISION_DETECTORS, PhotoSeconds, make_textbook_loop, make_torchvision_detector
from multiply_adds import MultiplyAdds
from running_tools import run_tool
from shared_features_benchmark import compare, factor_lines, summarise, work_lines
from shared_features_contenders import CROPS, ENSEMBLE, SHARED, find_contenders, find_pairs
from torch.utils.flop_counter import FlopCounterMode

from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.images import read_image
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.engines.torch_backend import prepare_network
from incdet.networks.googlenet import GoogLeNet
from incdet.ops.photo_scaling import scaled_size

TORCH = ("device=cpu", "scores.engine=torch", "scores.precision=float32")
FEW = ("proposals.limit=5", "proposals.multibox.photo_sides=[128]")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = GoogLeNet(21).eval()
    network.box_regressor = BoxRegressor(1024)
    return network


@torch.inference_mode()
def counted_by_torch(part, *shape):
    """Torch's own counter sees every product that is computed; it counts multiplications and additions."""
    with FlopCounterMode(display=False) as counter:
        part(torch.zeros(shape))
    return counter.get_total_flops() / 2


def test_multiply_adds_are_those_that_torch_counts(network):
    count = MultiplyAdds(network)
    assert count.photo(96, 160) == counted_by_torch(network.photo_features, 1, 3, 96, 160)
    assert count.region() == counted_by_torch(network.region_head, 1, 832, 7, 7)
    assert count.crop(224) == counted_by_torch(lambda crops: network.head(network.trunk(crops)), 1, 3, 224, 224)


def test_multiply_adds_of_a_photo_a_region_and_a_crop(network):
    count = MultiplyAdds(network)
    assert count.photo(512, 672) == pytest.approx(10e9, rel=0.02)
    assert count.region() == pytest.approx(0.122e9, rel=0.01)
    assert count.crop(224) == pytest.approx(1.58e9, rel=0.01)


def test_a_prepared_network_has_the_same_multiply_adds(network):
    joined = GoogLeNet(21)
    joined.box_regressor = BoxRegressor(1024)
    prepared = prepare_network(joined, torch.device("cpu"), torch.float32)
    assert MultiplyAdds(prepared).region() == MultiplyAdds(network).region()
    assert MultiplyAdds(prepared).photo(96, 96) == MultiplyAdds(network).photo(96, 96)


def test_the_work_of_a_detector_is_that_of_its_photo_sizes_and_rounds(chelsea_file):
    """Two photo sides, each for some of the regions, and a second round for all regions."""
    everything = ("scores.region_iou=1", "scores.rounds=2", "scores.round_min_probability=0")
    settings = (*TORCH, *FEW, "scores.photo_sides=[96, 128]", *everything)
    detector = Detector.from_pretrained("googlenet-voc-shared", config=load_config(Config, settings=settings))
    image = read_image(chelsea_file)
    # regions near the preferred size at the one and at the other side
    boxes = np.array([[0, 0, 300, 300], [10, 10, 330, 290], [50, 50, 500, 460], [0, 0, 451, 300]], np.float32)
    work = DetectorWork(detector)
    count = MultiplyAdds(detector.scorer.members[0].network)
    for _ in range(2):
        work.reset()
        detector.scorer(image, boxes)
        sizes = [scaled_size(image.width, image.height, side) for side in (96, 128)]
        photo = {count.photo(height, width) for width, height in sizes}
        found = work.multiply_adds(len(boxes))
        assert found["features"] in {*photo, sum(photo)}
        assert found["scores"] == 2 * len(boxes) * count.region()


def test_one_network_on_crops_computes_every_proposal(chelsea_file):
    run = make_incdet(["googlenet-voc"], (*TORCH, *FEW, "scores.features=cropped", "scores.box_deltas=false"))
    found = run(chelsea_file)
    assert found.regions == 5
    assert found.multiply_adds == {"scores": pytest.approx(5 * 1.58e9, rel=0.01)}
    assert list(found.stages) == ["read", "proposals", "regions", "scores", "detections"]


def test_the_textbook_loop_classifies_the_same_proposals(chelsea_file):
    found = make_textbook_loop((*TORCH, *FEW))(chelsea_file)
    assert found.regions == 5


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_random_weights_propose_as_many_boxes_as_released(chelsea_file, precision):
    torch.manual_seed(1)
    run = make_torchvision_detector("fasterrcnn_mobilenet_v3_large_320_fpn", torch.device("cpu"), precision)
    assert run(chelsea_file).regions == 150


def test_all_contenders_are_there():
    plans, skipped = find_contenders(())
    for what in (SHARED, CROPS):
        assert any(name.startswith(f"{what}, torch") for name in plans)
        assert "OpenVINO" in skipped or any(name.startswith(f"{what}, OpenVINO") for name in plans)
    assert f"{SHARED}, torch float32" in plans
    assert any(name.startswith(ENSEMBLE) for name in plans)
    assert {f"{name}, float32" for name in TORCHVISION_DETECTORS} | {TEXTBOOK} <= plans.keys()
    assert {name for name, plan in plans.items() if plan.on_crops} == {
        name for name in plans if name.startswith((CROPS, ENSEMBLE, TEXTBOOK))
    }


def test_eight_bits_without_ranges_are_left_out_with_a_reason(monkeypatch):
    monkeypatch.setattr(shared_features_contenders, "openvino_works_on", lambda device: True)
    name = f"{SHARED}, OpenVINO int8"
    assert name in find_contenders(())[0]
    monkeypatch.setattr(shared_features_contenders, "activation_ranges_file", lambda file: Path("missing"))
    plans, skipped = find_contenders(())
    assert name not in plans
    assert "no activation ranges" in skipped[name]


def test_networks_are_compared_in_the_same_engine_and_precision():
    names = [f"{SHARED}, torch float32", f"{SHARED}, OpenVINO int8", f"{CROPS}, torch float32", TEXTBOOK]
    pairs = find_pairs([*names, "fasterrcnn_resnet50_fpn, float32", "fasterrcnn_mobilenet_v3_large_320_fpn, float32"])
    assert [pair[1:] for pair in pairs if pair.what == "networks"] == [(names[0], names[2], 10)]
    photo = {(pair.fast, pair.slow): pair.goal for pair in pairs if pair.what == "photo"}
    assert photo == {
        (names[0], "fasterrcnn_resnet50_fpn, float32"): 1,
        (names[1], "fasterrcnn_resnet50_fpn, float32"): 1,
        (names[0], TEXTBOOK): None,
        (names[1], TEXTBOOK): None,
    }


ONE, TWO = Path("one.jpg"), Path("two.jpg")


def shared(*rounds, proposals=1.0):
    """What rounds measured of a contender whose networks take these seconds, a quarter of them for feature maps."""
    return [
        PhotoSeconds({"proposals": proposals, "features": seconds / 4, "scores": seconds * 3 / 4}, 10, work(seconds))
        for seconds in rounds
    ]


def work(_):
    return {"features": 4_000, "scores": 6_000}


def test_factors_are_medians_over_rounds_on_the_photos_of_both():
    fast = {ONE: shared(1, 2, 4), TWO: shared(100, 100, 100)}
    slow = {ONE: [PhotoSeconds({"proposals": 1.0, "regions": 2.0, "scores": 18.0}, 10)] * 3}
    assert compare(fast, slow, "networks") == {"factor": 10, "lowest": 5, "highest": 20}
    assert compare(fast, slow, "photo") == {"factor": 7, "lowest": 21 / 5, "highest": 10.5}
    peer = {ONE: [PhotoSeconds({"total": 4.0}, 0)] * 3, TWO: [PhotoSeconds({"total": 96.0}, 0)] * 3}
    assert compare(fast, peer, "photo")["highest"] == pytest.approx(100 / 103)


def test_figures_are_medians_over_rounds_and_means_over_photos():
    row = summarise({ONE: shared(4, 40, 1), TWO: shared(8, 8, 0)}, matrix_rate=8_000)
    assert row["photos"] == 2
    assert row["seconds"] == {"proposals": 1, "features": 1.5, "scores": 4.5}
    assert row["seconds_per_photo"] == 7
    assert row["work"]["features"]["per_second"] == pytest.approx(4_000 / 1.5)
    assert row["work"]["scores"]["share_of_matrix_rate"] == pytest.approx(6_000 / 4.5 / 8_000)
    assert "share_of_matrix_rate" not in summarise({ONE: shared(4)}, None)["work"]["scores"]
    assert "work" not in summarise({ONE: [PhotoSeconds({"total": 4.0}, 0)]}, 8_000)


def test_lines_say_whether_a_goal_is_reached():
    pair = {"what": "networks", "fast": "one", "slow": "other", "lowest": 9.0, "highest": 12.0}
    rows = [
        pair | {"factor": 10.5, "goal": 10.0},
        pair | {"factor": 9.5, "goal": 10.0},
        pair | {"factor": 9.5, "goal": None},
    ]
    left_out, *lines = factor_lines({"skipped": {"third": "it is slow"}, "factors": rows})
    assert left_out == "left out: third, because it is slow"
    assert lines[0] == "networks: one over other: 10.50 times (9.00 to 12.00), goal 10: reached"
    assert lines[1].endswith("goal 10: missed")
    assert lines[2].endswith("(9.00 to 12.00)")
    contenders = {
        "ours": summarise({ONE: shared(4)}, 8_000),
        "peer": summarise({ONE: [PhotoSeconds({"total": 1.0}, 0)]}, 1),
    }
    first, last = work_lines({"contenders": contenders, "matrix_rates": {"float32": 8e9}})
    assert first.startswith("multiply-adds, ours: photo 0.0 G at")
    assert "(0.50 of the matrix product); regions" in first
    assert last.endswith("float32 8.0 G")


@pytest.mark.slow
def test_contenders_take_turns(small_voc, tmp_path):
    names = [f"{SHARED}, torch float32", CROPS, "mobilenet_v3_large_320_fpn, float32"]
    only = [part for name in names for part in ("--only", name)]
    options = ["--limit", 2, "--runs", 1, "--set", "device=cpu", *only, "--json", "out.json"]
    settings = [part for setting in (*FEW, "scores.photo_sides=[192]") for part in ("--set", setting)]
    result = run_tool("benchmarks/benchmark.py", "shared-features", small_voc, *options, *settings, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    numbers = json.loads((tmp_path / "out.json").read_text())
    rows = numbers["contenders"]
    ours = rows[f"{SHARED}, torch float32"]
    assert list(ours["seconds"]) == ["read", "proposals", "features", "regions", "scores", "detections"]
    assert (ours["photos"], ours["regions"]) == (2, 5)
    assert ours["work"]["features"]["multiply_adds"] > 1e9
    assert 0 < ours["work"]["scores"]["share_of_matrix_rate"] < 2
    crops = [row for name, row in rows.items() if name.startswith(CROPS)]
    assert [row["photos"] for row in crops] == [1] * len(crops)
    assert rows["fasterrcnn_mobilenet_v3_large_320_fpn, float32"]["regions"] == 150
    for row in rows.values():
        assert sum(row["seconds"].values()) == pytest.approx(row["seconds_per_photo"])
        assert row["peak_gigabytes"] > 0.1
    for name in rows:
        assert name in result.stderr


def test_a_name_that_no_contender_has_is_one_sentence(small_voc, tmp_path):
    result = run_tool("benchmarks/benchmark.py", "shared-features", small_voc, "--only", "yolo", folder=tmp_path)
    assert result.returncode == 2
    assert "no contender's name contains yolo" in " ".join(result.stderr.split())
    one_sentence(result.stderr)
