"""OpenVINO's engine against torch, layer for layer the same network."""

import subprocess
import sys

import pytest
import torch

from incdet.config import Config, make_config
from incdet.detector import Detector
from incdet.errors import ConfigurationError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.openvino_engine import OpenVinoHalves
from incdet.networks.weights import WeightsRecord, find_weights, load_network
from incdet.scores import Ensemble, TorchHalves, prepare_network

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
    engine, reference = OpenVinoHalves(network, torch.float32), TorchHalves(network)
    expected = reference.trunk(crops)
    maps = engine.trunk(crops)
    assert maps.shape == (21, 480, 14, 14)
    assert torch.allclose(maps, expected, atol=1e-3 * float(expected.max()))
    logits = engine.logits(expected)
    assert torch.allclose(logits, reference.logits(expected), atol=1e-2)
    assert float(logits.std()) > 1
    assert torch.allclose(engine.trunk(crops[:3]), maps[:3], atol=1e-3)


def test_an_ensemble_is_the_same_with_either_engine(network, crops):
    found = Ensemble([network], halves=lambda one: OpenVinoHalves(one, torch.float32))(crops)
    assert torch.allclose(found, Ensemble([network])(crops), atol=2e-3)


@pytest.mark.parametrize("name", [name for name, a in ARCHITECTURES.items() if a.batch_norm or a.naive])
def test_variants_are_refused(name):
    with pytest.raises(ConfigurationError, match=name):
        OpenVinoHalves(GoogLeNet(3, architecture=ARCHITECTURES[name]), torch.float32)


def test_the_configuration_chooses_the_engine():
    record = WeightsRecord(classes=("cat", "dog"), background=True, origin="a test", licence="none")
    config = make_config(Config, {"device": "cpu", "scores": {"engine": "openvino"}}, "test")
    detector = Detector([GoogLeNet(3)], [record], config)
    assert isinstance(detector.ensemble.members[0], OpenVinoHalves)


def test_without_the_package_one_sentence_says_what_to_install(chelsea_file, tmp_path):
    code = "import sys; sys.modules['openvino'] = None; from incdet.cli import main; main()"
    arguments = ["detect", str(chelsea_file), "--set", "scores.engine=openvino"]
    result = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 3
    assert "pip install 'incdet[openvino]'" in result.stderr
    assert "Traceback" not in result.stderr
