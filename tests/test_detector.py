"""The whole pipeline from Python, with the weights that the package ships."""

import itertools
import json

import numpy as np
import PIL.Image
import pytest
import torch
from cascades import cascade_of, member_of, regions_of
from PIL import Image as PillowImage

import incdet
from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.errors import ConfigurationError, ImageError, WeightsError
from incdet.networks.engines.torch_backend import prepare_network
from incdet.networks.ensemble import Ensemble, LoadedNetwork
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.shipped_weights import REJECTION_NETWORK, SHARED_NETWORK, find_weights, shipped_networks
from incdet.networks.weights import load_network, load_record
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.ops.boxes import box_iou
from incdet.output.writers import detections_json
from incdet.pipeline.batching import score_across_photos
from incdet.regions import RegionCropper
from incdet.runtime.stopwatch import Stopwatch
from incdet.structures import Proposals


def few(scores=None, **more) -> Config:
    """Settings of few regions and, where features are shared, of small feature maps."""
    values = {"proposals": {"limit": 24, "methods": ["selective_search"]}, "scores": {"photo_sides": [384]}}
    values["scores"] |= scores or {}
    return make_config(Config, values | more, "test")


def record(classes=("cat", "dog"), **more) -> WeightsRecord:
    return WeightsRecord(**{"classes": classes, "background": True, "origin": "a test", "licence": "none", **more})


@pytest.fixture(scope="module")
def detector():
    return Detector.from_pretrained(members=2, config=few())


@pytest.fixture(scope="module")
def detector_on_crops():
    fewer = {"limit": 12, "methods": ["selective_search"]}
    return Detector.from_pretrained(members=2, config=few(scores={"features": "cropped"}, proposals=fewer))


@pytest.mark.slow
def test_the_shipped_weights_find_the_cat(chelsea_file):
    found = incdet.detect(chelsea_file)
    assert found.labels[0] == "cat"
    assert found.scores[0] >= 0.8
    # the cat fills the photo but for its right border
    assert box_iou(found.boxes[:1], np.array([[0, 0, 400, 300]]))[0, 0] > 0.7


def test_shipped_weights_carry_their_record():
    file = find_weights(REJECTION_NETWORK)
    shipped = load_record(file)
    assert len(shipped.classes) == 20
    assert shipped.measured["voc2012-subset val mAP"] > 0.4
    assert shipped.recipe["optimization"]["steps"] > 0
    assert file.stat().st_size <= 16_000_000


def test_six_members_differ_share_lower_halves_and_are_small():
    first, *members = shipped_networks("cropped")
    assert (first, len(members)) == (REJECTION_NETWORK, 6)
    assert all(find_weights(name).stat().st_size <= 7_000_000 for name in members)
    records = [load_record(find_weights(name)) for name in members]
    assert [record.preprocessing.context for record in records] == [16, 32, 0, 16, 16, 32]
    assert len({str(record.recipe) for record in records}) == 6
    networks = [load_network(find_weights(name))[0] for name in (first, *members)]
    trunks = [[value for layer in one.lower_layers(3) for value in layer.state_dict().values()] for one in networks]
    for numbers in ((0, 1, 2, 3), (4, 6)):
        for number in numbers[1:]:
            shared = zip(trunks[number], trunks[numbers[0]], strict=True)
            assert all(torch.equal(own, of_first) for own, of_first in shared)
    heads = [one.inception_5b.conv_3x3.weight for one in networks]
    assert all(not torch.equal(one, other) for one, other in itertools.combinations(heads, 2))


def test_members_of_the_shipped_ensemble():
    cropped = few(scores={"features": "cropped"})
    two = Detector.from_pretrained(members=2, config=cropped)
    assert two.origin.rejection_network == f"{REJECTION_NETWORK}.safetensors"
    assert two.origin.members == tuple(f"{REJECTION_NETWORK}-{number}.safetensors" for number in (1, 2))
    assert len(two.scorer.cascade.members) == 2
    alone = Detector.from_pretrained(REJECTION_NETWORK, config=few())
    assert alone.scorer.cascade.rejection_network is None
    with pytest.raises(ConfigurationError, match="7 members of the ensemble are wanted; expected 1 to 6"):
        Detector.from_pretrained(members=7, config=cropped)
    with pytest.raises(ConfigurationError, match=r"2 members .* one network is shipped .* take the preset default"):
        Detector.from_pretrained(members=2, config=few(scores={"features": "shared"}))
    assert shipped_networks("auto") == (SHARED_NETWORK, *shipped_networks("cropped")[1:])
    with pytest.raises(ConfigurationError, match="exclude each other"):
        Detector.from_pretrained(REJECTION_NETWORK, members=1)
    with pytest.raises(ConfigurationError, match="either a preset or a configuration"):
        Detector.from_pretrained(preset="fast", config=few())
    with pytest.raises(ConfigurationError, match="are a cascade already, or need none"):
        Detector.from_pretrained(cascade=True)
    with pytest.raises(WeightsError, match="one more behind a rejection network"):
        Detector.from_pretrained(REJECTION_NETWORK, cascade=True)


@pytest.mark.slow
def test_the_threshold_decides_what_the_members_see(chelsea_file):
    """All regions with 0, none with 1, else only those that the rejection network picks, where it puts them."""
    names = shipped_networks("cropped", 1)
    config = few(scores={"precision": "float32"}, device="cpu")
    image = incdet.read_image(chelsea_file)
    first, member = (Detector.from_pretrained(name, config=config) for name in names)
    proposals = first.proposers(image)
    judged = first.score(image, proposals)
    of_first = judged.probabilities
    of_member = member.score(image, Proposals(judged.boxes, proposals.scores, proposals.sources)).probabilities
    threshold = float(np.sort(of_first.max(axis=1))[-9:-7].mean())
    for value, passed in ((0.0, 24), (threshold, 8), (1.0, 0)):
        config = few(
            scores={"precision": "float32", "min_probability": value, "half_resolution_min_probability": 0},
            device="cpu",
        )
        found = Detector.from_pretrained(*names, cascade=True, config=config).score(image, proposals).probabilities
        seen = of_first.max(axis=1) >= value
        assert seen.sum() == passed
        assert np.allclose(found, np.where(seen[:, None], of_member, of_first), atol=1e-4)


@pytest.mark.slow
def test_path_bytes_array_and_image_give_the_same(detector, chelsea_file):
    pixels = np.asarray(PillowImage.open(chelsea_file).convert("RGB"))
    sources = [chelsea_file, str(chelsea_file), chelsea_file.read_bytes(), pixels, incdet.Image(pixels, "cat")]
    results = [detector.detect(source) for source in sources]
    assert len(results[0]) > 0
    for found in results[1:]:
        assert np.array_equal(found.boxes, results[0].boxes)
        assert np.array_equal(found.scores, results[0].scores)


def test_detections_are_sorted_and_can_be_masked(detector, chelsea_file):
    found = detector.detect(chelsea_file)
    assert (np.diff(found.scores) <= 0).all()
    sure = found[found.scores >= 0.3]
    assert len(sure) == (found.scores >= 0.3).sum() > 0
    assert found.draw(chelsea_file).shape == (300, 451, 3)
    assert sure.to_coco(7)[0].keys() == {"image_id", "category_id", "bbox", "score"}


@pytest.mark.slow
def test_many_photos_one_at_a_time(detector, chelsea_file):
    opened = []

    def sources():
        for name in (chelsea_file, "missing.jpg", chelsea_file):
            opened.append(name)
            yield name

    failed = []
    results = detector.detect_many(sources(), on_error=lambda source, error: failed.append((source, error)))
    next(results)
    assert len(opened) == 1
    assert len(list(results)) == 1
    assert [source for source, _ in failed] == ["missing.jpg"]
    with pytest.raises(ImageError, match=r"missing\.jpg"):
        list(detector.detect_many(["missing.jpg"]))


@pytest.mark.slow
def test_a_single_photo_of_any_kind_is_one(detector, chelsea_file):
    photo = PIL.Image.open(chelsea_file)
    for source in (photo, bytearray(chelsea_file.read_bytes()), incdet.read_image(chelsea_file)):
        assert [found.width for found in detector.detect_many(source)] == [451]


def test_an_image_of_one_colour_and_one_pixel(detector):
    for shape in ((40, 60, 3), (1, 1, 3), (3, 500, 3)):
        image = incdet.read_image(np.full(shape, 128, np.uint8))
        scores = detector.score(image, detector.proposers(image))
        assert len(scores)
        assert (scores.boxes[:, 2:] <= [shape[1], shape[0]]).all()
        assert len(detector.detect(image)) <= len(scores)


@pytest.mark.slow
def test_an_ensemble_averages_probabilities(chelsea_file):
    torch.manual_seed(0)
    networks = [GoogLeNet(3), GoogLeNet(3)]
    config = few(scores={"precision": "float32"}, device="cpu")
    image = incdet.read_image(chelsea_file)
    members = (networks[:1], networks[1:], networks)
    detectors = [Detector([LoadedNetwork(one, record()) for one in chosen], config=config) for chosen in members]
    proposals = incdet.Proposals(
        np.array([[0, 0, 400, 300], [10, 20, 90, 80]], np.float32), np.ones(2, np.float32), np.array(["a", "a"])
    )
    first, second, both = (detector.score(image, proposals).probabilities for detector in detectors)
    assert not np.allclose(first, second, atol=1e-4)
    assert np.allclose(both, (first + second) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("cascade", "half_resolution_min_probability"),
    [(False, 0.0), (True, 0.0), (True, 1.0)],
    ids=["members", "behind a rejection network", "behind a half-resolution stage that no region passes"],
)
def test_networks_see_their_own_contexts_under_the_thresholds_of_the_configuration(
    chelsea_file, cascade, half_resolution_min_probability
):
    torch.manual_seed(0)
    networks, cpu = [GoogLeNet(3), GoogLeNet(3)], torch.device("cpu")
    for network in networks:
        torch.nn.init.normal_(network.classifier.weight, std=0.1)
    records = [record(preprocessing=Preprocessing(context=context)) for context in (16, 40)]
    scores = {
        "precision": "float32",
        "engine": "torch",
        "min_probability": 0.0,
        "half_resolution_min_probability": half_resolution_min_probability,
    }
    loaded = [LoadedNetwork(*pair) for pair in zip(networks, records, strict=True)]
    rejection_network = loaded.pop(0) if cascade else None
    detector = Detector(loaded, rejection_network, few(scores=scores, device="cpu"))
    image = incdet.read_image(chelsea_file)
    boxes = np.array([[0, 0, 400, 300], [10, 20, 90, 80], [200, 30, 260, 290]], np.float32)
    proposals = Proposals(boxes, np.ones(3, np.float32), np.full(3, "a"))
    found = detector.score(image, proposals).probabilities
    first, second = (prepare_network(network, cpu, torch.float32) for network in networks)
    members = [second] if cascade else [first, second]
    thresholds = (0.0, half_resolution_min_probability)
    reference = cascade_of(members, first if cascade else None, thresholds, contexts=(16, 40))
    (expected,) = regions_of([(image, boxes)], reference, preprocessing=Preprocessing())
    assert np.allclose(found, expected.scores().probabilities, atol=1e-6)
    if half_resolution_min_probability:
        small = {16: RegionCropper(image, Preprocessing(), cpu).crop(boxes, context=16, shrink=2)}
        assert np.allclose(found, Ensemble([member_of(first)])(small).probabilities[:, :2], atol=1e-6)


def test_members_that_do_not_fit_together():
    def detector_of(*records):
        return Detector([LoadedNetwork(GoogLeNet(3), each) for each in records])

    with pytest.raises(WeightsError, match="at least one"):
        detector_of()
    with pytest.raises(WeightsError, match="differ in classes"):
        detector_of(record(), record(("cat", "cow")))
    with pytest.raises(WeightsError, match="differ in mean, scale or size"):
        detector_of(record(), record(preprocessing=Preprocessing(size=299)))
    with pytest.raises(WeightsError, match="no background column"):
        detector_of(record(("a", "b", "c"), background=False))


def test_an_unknown_class_is_refused():
    with pytest.raises(ConfigurationError, match="did you mean 'dog'"):
        Detector([LoadedNetwork(GoogLeNet(3), record())], config=few(detections={"classes": ["dogg"]}))


@pytest.mark.slow
def test_streaming_and_the_four_lines_give_equal_bytes(detector, detector_on_crops, chelsea_file, astronaut):
    """`detect` is the pipeline in four lines; everything that works on many photos must say the same."""
    streams_give_equal_bytes(detector, [chelsea_file, astronaut])
    streams_give_equal_bytes(detector_on_crops, [chelsea_file, astronaut])


def streams_give_equal_bytes(detector, photos):
    single = [json.dumps(detections_json(detector.detect(photo))) for photo in photos]
    streamed = [json.dumps(detections_json(found)) for found in detector.detect_many(photos)]
    ahead = [json.dumps(detections_json(photo.result)) for photo in detector.photo_results(photos, num_workers=1)]
    assert single == streamed == ahead


@pytest.mark.slow
def test_crops_of_several_photos_in_one_batch_find_the_same(detector_on_crops, chelsea_file, astronaut):
    photos, scorer, detector = [chelsea_file, astronaut], detector_on_crops.scorer, detector_on_crops
    regions = ((scorer.cropper(image), detector.propose(image).boxes) for image in map(incdet.read_image, photos))
    across = score_across_photos(regions, scorer.cascade, scorer.batch_size)
    images = map(incdet.read_image, photos)
    together = [detector.select(each.scores(), image) for each, image in zip(across, images, strict=True)]
    alone = [detector.detect(photo) for photo in photos]
    assert [found.labels[0] for found in alone] == [found.labels[0] for found in together]


def test_the_photo_of_detections_outlives_the_array_that_showed_it(chelsea_file):
    detector = Detector.from_pretrained(config=few(scores={"features": "shared"}))
    frame = np.array(PillowImage.open(chelsea_file).convert("RGB"))
    found = detector.detect(frame)
    drawn = found.draw()
    # the next frame of a video
    frame[:] = 0
    assert np.array_equal(found.draw(), drawn)


def test_the_seconds_of_several_photos_add_up(astronaut):
    detector = Detector.from_pretrained(config=few(scores={"features": "shared"}))
    proposals, watch = detector.propose(astronaut), Stopwatch({"scores": 100.0})
    detector.score(astronaut, proposals, watch)
    assert watch.seconds["scores"] > 100


def test_the_stopwatch_adds_up():
    watch = Stopwatch()
    with watch.stage("a"):
        pass
    first = watch.seconds["a"]
    with watch.stage("a"):
        sum(range(10_000))
    assert watch.seconds["a"] > first
    assert list(Stopwatch({"b": 1.0} | watch.seconds).seconds) == ["b", "a"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_finds_what_the_cpu_finds(chelsea_file):
    results = [
        Detector.from_pretrained(config=few(device=device, scores={"precision": "float32"})).detect(chelsea_file)
        for device in ("cpu", "cuda")
    ]
    assert results[0].labels[0] == results[1].labels[0] == "cat"
    assert abs(results[0].scores[0] - results[1].scores[0]) < 0.01
    assert box_iou(results[0].boxes[:1], results[1].boxes[:1])[0, 0] > 0.95
