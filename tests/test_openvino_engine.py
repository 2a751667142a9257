"""OpenVINO's engine against torch, layer for layer the same network."""

import copy
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from incdet.config import Config, make_config
from incdet.detector import Detector
from incdet.ensemble import Ensemble
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.companions import load_ranges, ranges_file
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.openvino_engine import OpenVinoHalves
from incdet.networks.torch_engine import TorchHalves, prepare_network
from incdet.networks.weights import WeightsRecord, find_weights, load_network, load_record
from incdet.regions import RegionCropper

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


@torch.inference_mode()
def test_both_halves_are_those_of_torch(network, crops):
    engine, reference = OpenVinoHalves(network), TorchHalves(network)
    expected = reference.trunk(crops)
    maps = engine.trunk(crops)
    assert maps.shape == (21, 480, 14, 14)
    assert torch.allclose(maps, expected, atol=1e-3 * float(expected.max()))
    logits = engine.outputs(expected)
    assert torch.allclose(logits, reference.outputs(expected), atol=1e-2)
    assert float(logits.std()) > 1
    assert torch.allclose(engine.trunk(crops[:3]), maps[:3], atol=1e-3)


@torch.inference_mode()
def test_corrections_are_those_of_torch(network, crops):
    with_regression = copy.deepcopy(network)
    with_regression.box_regressor = BoxRegressor(1024)
    torch.nn.init.normal_(with_regression.box_regressor.linear.weight, std=0.02)
    expected = TorchHalves(with_regression)
    maps = expected.trunk(crops)
    ranges = load_ranges(find_weights("googlenet-voc"))
    exact, eight_bits = OpenVinoHalves(with_regression), OpenVinoHalves(with_regression, "int8", ranges)
    for engine, tolerance in ((exact, 1e-3), (eight_bits, 0.3)):
        found, wanted = engine.outputs(maps)[:, 21:], expected.outputs(maps)[:, 21:]
        assert found.shape == (21, 4)
        assert float((found - wanted).abs().max()) < tolerance * float(wanted.abs().max())


def test_an_ensemble_is_the_same_with_either_engine(network, crops):
    found = Ensemble([network], halves=[OpenVinoHalves(network)])({16: crops})
    expected = Ensemble([network])({16: crops})
    assert torch.allclose(found.probabilities, expected.probabilities, atol=2e-3)


@pytest.mark.parametrize("name", [name for name, architecture in ARCHITECTURES.items() if not architecture.plain])
def test_variants_are_refused(name):
    with pytest.raises(ConfigurationError, match=name):
        OpenVinoHalves(GoogLeNet(3, architecture=ARCHITECTURES[name]))


@torch.inference_mode()
def test_released_networks_neither_hang_nor_crash(network, crops):
    """Once, OpenVINO's threads waited for Python then, and a later Ctrl-C was a segmentation fault."""
    for _ in range(3):
        engine = OpenVinoHalves(network)
        assert engine.outputs(engine.trunk(crops)).shape == (21, 21)
    del engine
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@torch.inference_mode()
def test_a_few_rows_more_rows_and_other_sizes(network, crops):
    engine, reference = OpenVinoHalves(network), TorchHalves(network)
    for rows in (crops[:1], crops[:9], crops[:5, :, ::2, ::2], crops[:0]):
        found, expected = (halves.outputs(halves.trunk(rows)) for halves in (engine, reference))
        assert torch.allclose(found, expected, atol=2e-2)


@torch.inference_mode()
def test_eight_bits_say_nearly_the_same(network, astronaut):
    record, ranges = load_record(find_weights("googlenet-voc")), load_ranges(find_weights("googlenet-voc"))
    generator = np.random.default_rng(0)
    corners = np.sort(generator.uniform(0, 500, (24, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    real = RegionCropper(astronaut, record.preprocessing, torch.device("cpu")).crop(corners)
    found, expected = (
        halves.outputs(halves.trunk(real)).softmax(dim=1)
        for halves in (OpenVinoHalves(network, "int8", ranges), TorchHalves(network))
    )
    assert float((found - expected).abs().mean()) < 0.01
    assert not torch.allclose(found, expected, atol=1e-6)
    assert expected.amax(dim=1).std() > 0.01


@pytest.mark.parametrize(
    ("precision", "expected"), [("float32", "float32"), ("bfloat16", "bfloat16"), ("int8", "int8")]
)
def test_the_configuration_chooses_engine_and_precision(precision, expected):
    config = make_config(Config, {"device": "cpu", "scores": {"precision": precision}}, "test")
    detector = Detector.from_pretrained("googlenet-voc", config=config)
    engine = detector.ensemble.members[0]
    assert isinstance(engine, OpenVinoHalves)
    assert engine.precision == detector.engine.precision == expected
    assert detector.engine.describe() == f"openvino, {expected}"


def test_variants_are_left_to_torch():
    record = WeightsRecord(classes=("cat", "dog"), background=True, origin="a test", licence="none")
    network = GoogLeNet(3, architecture=ARCHITECTURES["batchnorm"])
    detector = Detector([network], [record], make_config(Config, {"device": "cpu"}, "test"))
    assert isinstance(detector.ensemble.members[0], TorchHalves)
    asked = make_config(Config, {"device": "cpu", "scores": {"engine": "openvino"}}, "test")
    with pytest.raises(ConfigurationError, match="does not know the network 'batchnorm'"):
        Detector([network], [record], asked)


def test_eight_bits_without_fitting_ranges_are_refused(network, crops, tmp_path):
    asked = make_config(Config, {"device": "cpu", "scores": {"precision": "int8"}}, "test")
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(find_weights("googlenet-voc").read_bytes())
    with pytest.raises(WeightsError, match=r"calibrate_int8\.py"):
        Detector.from_pretrained(mine, config=asked)
    stored = json.loads(ranges_file(find_weights("googlenet-voc")).read_text())
    for damaged in (stored | {"tensors": "0"}, {"tensors": stored["tensors"]}, [], 3):
        ranges_file(mine).write_text(json.dumps(damaged))
        with pytest.raises(WeightsError, match=r"calibrate_int8\.py"):
            Detector.from_pretrained(mine, config=asked)
    # what nobody asks for does no harm
    Detector.from_pretrained(mine, config=make_config(Config, {"device": "cpu"}, "test"))
    with pytest.raises(WeightsError, match="lack 'norm1'"):
        OpenVinoHalves(network, "int8", {"crops": 1.0}).trunk(crops)


@torch.inference_mode()
def test_threads_share_an_engine(network, crops):
    engine = OpenVinoHalves(network)
    expected = [engine.trunk(crops[start:]) for start in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, wanted in zip(
                pool.map(engine.trunk, [crops[start:] for start in range(4)]), expected, strict=True
            ):
                assert torch.equal(found, wanted)


def test_without_the_package_one_sentence_says_what_to_install(chelsea_file, tmp_path):
    code = "import sys; sys.modules['openvino'] = None; from incdet.cli import main; main()"
    arguments = ["detect", str(chelsea_file), "--set", "scores.engine=openvino"]
    result = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 3
    assert "pip install 'incdet[openvino]'" in result.stderr
    assert "Traceback" not in result.stderr
