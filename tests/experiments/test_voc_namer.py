"""The program that makes the namer of the default detector, and those that choose its weight and that of the scene."""

import numpy as np
import pytest
import torch
from namer_shares import SHARES, detections, some_photos
from running_tools import run_tool
from scene_exponents import in_scene, scene_of
from voc_namer import LearntRegions, train_classifier

import incdet
from incdet.config.loading import make_config
from incdet.config.sections import Config, DetectionsConfig
from incdet.data.readers import Collection, read_dataset
from incdet.data.voc import VOC_CLASSES
from incdet.detector import Detector
from incdet.errors import ConfigurationError
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network, load_record
from incdet.pipeline.renaming import NAMER_SHARE
from incdet.structures import RegionScores


def test_the_last_layer_learns_what_features_tell():
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(3, 16, generator=generator)
    classes = torch.arange(3).repeat(400)
    features = centres[classes] + 0.3 * torch.randn(1200, 16, generator=generator)
    targets = torch.nn.functional.one_hot(classes, 3).float()
    before, classifier = (train_classifier(LearntRegions(features, targets), epochs) for epochs in (1, 40))
    # it learns from features of unit deviation, whatever theirs is, and takes them as they are
    of_large = train_classifier(LearntRegions(50 * features, targets), 40)
    with torch.inference_mode():
        right = [float((layer(features).argmax(dim=1) == classes).float().mean()) for layer in (before, classifier)]
        assert right[0] < right[1]
        assert right[1] > 0.98
        assert torch.allclose(of_large(50 * features), classifier(features), atol=1e-3)


@pytest.mark.slow
def test_the_program_makes_a_namer_and_goes_on_where_it_stopped(small_voc, tmp_path):
    arguments = ["--root", small_voc, "--split", "val", "--output", "namer.safetensors", "--cache", "cache"]
    arguments += ["--photos", 2, "--seeds", 1, "--epochs", 1]
    done = run_tool("experiments/voc_namer.py", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "wrote namer.safetensors: 112 regions learnt" in done.stdout + done.stderr
    network, record = load_network(tmp_path / "namer.safetensors")
    assert (record.classes, record.features, record.background) == (VOC_CLASSES, "shared", True)
    assert record.preprocessing == load_record(find_weights("googlenet-voc-namer")).preprocessing
    first = network.classifier.weight.clone()
    (part,) = (tmp_path / "cache").rglob("features-*.npz")
    stamp = part.stat().st_mtime_ns
    assert run_tool("experiments/voc_namer.py", *arguments, folder=tmp_path).returncode == 0
    assert part.stat().st_mtime_ns == stamp, "features were computed again"
    assert torch.equal(load_network(tmp_path / "namer.safetensors")[0].classifier.weight, first)


def test_a_share_of_zero_leaves_the_names_of_the_networks_in_front():
    rng = np.random.default_rng(0)
    without = rng.random((3, 20)).astype(np.float32) / 20
    renamed = np.roll(without, 1, axis=1)
    # of one size, so that none is small beside another
    boxes = np.array([[0, 0, 9, 9], [20, 20, 29, 29], [60, 60, 69, 69]], np.float32)
    mean = without + NAMER_SHARE * (renamed - without)
    scores = RegionScores(boxes, mean, np.stack([without, renamed]))
    image = incdet.read_image(np.zeros((100, 100, 3), np.uint8))
    truth = type("Truth", (), {"width": 100, "height": 100})()
    data = type("Data", (), {"ground_truths": (truth,)})()
    known = np.arange(20) != VOC_CLASSES.index("diningtable")
    assert SHARES[0] == 0
    for share in SHARES:
        (found,) = detections(data, [(image, scores)], share, known, DetectionsConfig())
        expected = (1 - share) * without + share * renamed
        expected[:, VOC_CLASSES.index("diningtable")] = 0
        for row, box in enumerate(boxes):
            own = found.scores[np.all(found.boxes == box, axis=1)]
            assert own.max() == pytest.approx(expected[row].max(), abs=1e-6)
    assert VOC_CLASSES.index("diningtable") not in found.class_ids


def test_some_photos_keep_their_objects(small_voc):
    data = read_dataset(Collection.voc, small_voc, "val")
    part = some_photos(data, np.array([1]))
    assert part.image_paths == data.image_paths[1:]
    assert part.ground_truths[0] is data.ground_truths[1]
    assert part.image_ids == data.image_ids[1:]


def test_the_scene_that_is_put_in_afterwards_is_that_of_the_detector(chelsea_file):
    def detector(exponent):
        scores = {"precision": "float32", "photo_sides": [256], "namer": "voc-namer", "scene_exponent": exponent}
        config = make_config(Config, {"proposals": {"limit": 24}, "scores": scores}, "test")
        return Detector.from_pretrained("voc-shared", config=config)

    without, with_scene = detector(0.0), detector(0.3)
    image = incdet.read_image(chelsea_file)
    proposals = without.propose(image)
    expected = with_scene.score(image, proposals)
    plain, scene = without.score(image, proposals), scene_of(without, image)
    assert (expected.probabilities < 0.9 * plain.probabilities).any(), "the scene changes nothing"
    for found, wanted in (
        (in_scene(plain, scene, 0.3, 0.0), expected),
        (in_scene(expected, scene, 0.0, 0.3), plain),
    ):
        assert found.probabilities == pytest.approx(wanted.probabilities, abs=1e-5)
        assert found.by_network == pytest.approx(wanted.by_network, abs=1e-5)


def test_a_namer_of_other_classes_has_no_scene_for_the_study(chelsea_file):
    config = make_config(Config, {"scores": {"namer": "ilsvrc200", "photo_sides": [256]}}, "test")
    detector = Detector.from_pretrained("voc-shared", config=config)
    with pytest.raises(ConfigurationError, match=r"leave scores\.namer as it is"):
        scene_of(detector, incdet.read_image(chelsea_file))
