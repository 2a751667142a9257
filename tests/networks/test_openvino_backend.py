"""OpenVINO's engine against torch, layer for layer the same network."""

import copy
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from cascades import member_of

from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.detector import Detector
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.engines.openvino_backend import OpenVinoBackend
from incdet.networks.engines.torch_backend import TorchBackend, prepare_network
from incdet.networks.ensemble import Ensemble, LoadedNetwork
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import activation_ranges_file, load_activation_ranges
from incdet.networks.weights import load_network
from incdet.networks.weights_record import WeightsRecord

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def network():
    """The shipped first stage: random weights would hide what happens to large activations."""
    return prepare_network(load_network(find_weights("googlenet-voc"))[0], torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def crops():
    """More than one inference, not a multiple of its size."""
    noise = torch.randn(21, 3, 7, 7, generator=torch.Generator().manual_seed(0)) * 60
    return torch.nn.functional.interpolate(noise, 224, mode="bilinear")


@pytest.mark.slow
@torch.inference_mode()
def test_both_halves_are_those_of_torch(network, crops):
    engine, reference = OpenVinoBackend(network), TorchBackend(network)
    expected = reference.trunk(crops)
    maps = engine.trunk(crops)
    assert maps.shape == (21, 480, 14, 14)
    assert torch.allclose(maps, expected, atol=1e-3 * float(expected.max()))
    logits = engine.head(expected)
    assert torch.allclose(logits, reference.head(expected), atol=1e-2)
    assert float(logits.std()) > 1
    assert torch.allclose(engine.trunk(crops[:3]), maps[:3], atol=1e-3)


@pytest.fixture(scope="module")
def ranges():
    return load_activation_ranges(find_weights("googlenet-voc"))


def relative_error(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.slow
@torch.inference_mode()
def test_corrections_are_those_of_torch(network, regions, ranges):
    torch.manual_seed(0)
    with_regression = copy.deepcopy(network)
    with_regression.box_regressor = BoxRegressor(1024)
    torch.nn.init.normal_(with_regression.box_regressor.linear.weight, std=0.02)
    reference = TorchBackend(with_regression)
    maps = reference.trunk(regions)
    expected = reference.head(maps)[:, 21:]
    exact, eight_bits = OpenVinoBackend(with_regression), OpenVinoBackend(with_regression, "int8", ranges)
    # measured: 0.04, and 0.07 on processors where weights have seven bits
    for engine, tolerance in ((exact, 1e-3), (eight_bits, 0.12)):
        found = engine.head(maps)[:, 21:]
        assert found.shape == (12, 4)
        assert relative_error(found, expected) < tolerance


@pytest.mark.slow
def test_an_ensemble_is_the_same_with_either_engine(network, crops):
    found = Ensemble([member_of(network, backend=OpenVinoBackend(network))])({16: crops})
    expected = Ensemble([member_of(network)])({16: crops})
    assert torch.allclose(found.probabilities, expected.probabilities, atol=2e-3)


@pytest.mark.parametrize("name", [name for name, architecture in ARCHITECTURES.items() if not architecture.plain])
def test_variants_are_refused(name):
    with pytest.raises(ConfigurationError, match=name):
        OpenVinoBackend(GoogLeNet(3, architecture=ARCHITECTURES[name]))


@pytest.mark.slow
@torch.inference_mode()
def test_released_networks_neither_hang_nor_crash(network, crops):
    """Once, OpenVINO's threads waited for Python then, and a later Ctrl-C was a segmentation fault."""
    for _ in range(3):
        engine = OpenVinoBackend(network)
        assert engine.full(crops).shape == (21, 21)
    del engine
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
@torch.inference_mode()
def test_a_few_rows_more_rows_and_other_sizes(network, crops):
    engine, reference = OpenVinoBackend(network), TorchBackend(network)
    for rows in (crops[:1], crops[:9], crops[:5, :, ::2, ::2], crops[:0]):
        expected = reference.full(rows)
        for found in (engine.head(engine.trunk(rows)), engine.full(rows)):
            assert torch.allclose(found, expected, atol=2e-2)


@torch.inference_mode()
def test_eight_bits_say_nearly_the_same(network, regions, ranges):
    """Of objects and of background; the bounds are about twice what processors with weights of seven bits reach."""
    engine, reference = OpenVinoBackend(network, "int8", ranges), TorchBackend(network)
    expected_maps, maps = reference.trunk(regions), engine.trunk(regions)
    assert 1e-3 < relative_error(maps, expected_maps) < 0.12
    expected, found = reference.head(expected_maps), engine.head(maps)
    assert 1e-3 < relative_error(found, expected) < 0.05
    expected, found = expected.softmax(dim=1), found.softmax(dim=1)
    classes = expected.argmax(dim=1)
    assert classes[0] == 7, "the cat"
    assert (classes == 20).sum() >= 3, "background"
    assert torch.equal(found.argmax(dim=1), classes)
    assert float((found - expected).abs().max()) < 0.1
    assert float((found - expected).abs().mean()) < 0.0015


@torch.inference_mode()
def test_the_measured_ranges_are_better_than_smaller_and_larger_ones(network, regions, ranges):
    expected = TorchBackend(network).trunk(regions)
    smaller, measured, larger = (
        relative_error(OpenVinoBackend(network, "int8", changed).trunk(regions), expected)
        for changed in ({name: value * factor for name, value in ranges.items()} for factor in (0.5, 1, 4))
    )
    assert 1.5 * measured < larger
    assert 1.5 * measured < smaller


@torch.inference_mode()
def test_every_channel_of_weights_is_rounded_by_itself(network, regions, ranges):
    """Small weights in every other channel, made up for in the layer behind, change little more than nothing."""
    scaled = copy.deepcopy(network)
    last = scaled.inception_5b.conv_1x1
    last.weight[::2] /= 1024
    last.bias[::2] /= 1024
    scaled.classifier.weight[:, : len(last.weight) : 2] *= 1024
    maps = TorchBackend(network).trunk(regions)
    expected, found = (OpenVinoBackend(one, "int8", ranges).head(maps) for one in (network, scaled))
    assert relative_error(found, expected) < 0.05


@pytest.mark.parametrize(
    ("precision", "expected"), [("float32", "float32"), ("bfloat16", "bfloat16"), ("int8", "int8")]
)
def test_the_configuration_chooses_engine_and_precision(precision, expected):
    config = make_config(Config, {"device": "cpu", "scores": {"precision": precision}}, "test")
    detector = Detector.from_pretrained("googlenet-voc", config=config)
    engine = detector.scorer.cascade.members[0].backend
    assert isinstance(engine, OpenVinoBackend)
    assert engine.precision == detector.engine.precision == expected
    assert detector.engine.describe() == f"openvino, {expected}"


def test_variants_are_left_to_torch():
    record = WeightsRecord(classes=("cat", "dog"), background=True, origin="a test", licence="none")
    network = GoogLeNet(3, architecture=ARCHITECTURES["batchnorm"])
    detector = Detector([LoadedNetwork(network, record)], config=make_config(Config, {"device": "cpu"}, "test"))
    assert isinstance(detector.scorer.cascade.members[0].backend, TorchBackend)
    asked = make_config(Config, {"device": "cpu", "scores": {"engine": "openvino"}}, "test")
    with pytest.raises(ConfigurationError, match="does not know the network 'batchnorm'"):
        Detector([LoadedNetwork(network, record)], config=asked)


def test_eight_bits_without_fitting_ranges_are_refused(network, crops, tmp_path):
    asked = make_config(Config, {"device": "cpu", "scores": {"precision": "int8"}}, "test")
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(find_weights("googlenet-voc").read_bytes())
    with pytest.raises(WeightsError, match=r"incdet weights calibrate"):
        Detector.from_pretrained(mine, config=asked)
    stored = json.loads(activation_ranges_file(find_weights("googlenet-voc")).read_text())
    for damaged in (stored | {"tensors": "0"}, {"tensors": stored["tensors"]}, [], 3):
        activation_ranges_file(mine).write_text(json.dumps(damaged))
        with pytest.raises(WeightsError, match=r"incdet weights calibrate"):
            Detector.from_pretrained(mine, config=asked)
    # what nobody asks for does no harm
    Detector.from_pretrained(
        mine, config=make_config(Config, {"device": "cpu", "scores": {"precision": "float32"}}, "test")
    )
    with pytest.raises(WeightsError, match="lack 'norm1'"):
        OpenVinoBackend(network, "int8", {"crops": 1.0}).trunk(crops)


@pytest.mark.slow
@torch.inference_mode()
def test_threads_share_an_engine(network, crops):
    engine = OpenVinoBackend(network)
    expected = [engine.trunk(crops[start:]) for start in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, wanted in zip(
                pool.map(engine.trunk, [crops[start:] for start in range(4)]), expected, strict=True
            ):
                assert torch.equal(found, wanted)


@pytest.mark.slow
def test_without_the_package_one_sentence_says_what_to_install(chelsea_file, tmp_path):
    code = "import sys; sys.modules['openvino'] = None; from incdet.cli.app import main; main()"
    arguments = ["detect", str(chelsea_file), "--set", "scores.engine=openvino"]
    result = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 3
    assert "pip install 'incdet[openvino]'" in result.stderr
    assert "Traceback" not in result.stderr
