"""In which precision a detector computes that nobody has asked for one."""

import pytest
import torch

from incdet.config.sections import Config, ScoresConfig
from incdet.errors import ConfigurationError
from incdet.networks import weights_origin
from incdet.networks.chosen_weights import choose_weights
from incdet.networks.engines import selection
from incdet.networks.engines.selection import Engine
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.pretrained import load_pretrained
from incdet.networks.shipped_weights import REJECTION_NETWORK, find_weights
from incdet.networks.sidecar_files import activation_ranges_file
from incdet.networks.weights import load_network, save_weights
from incdet.networks.weights_origin import may_take_ranges, origin_of
from incdet.runtime import cpu_flags

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    return GoogLeNet(4)


@pytest.fixture(params=["avx2", "amx_bf16", "unknown"])
def flag(request, monkeypatch):
    """A processor without native bfloat16, one with it, and one that nothing is known of."""
    monkeypatch.setattr(cpu_flags, "cpu_flags", lambda: frozenset({request.param}))
    return request.param


@pytest.mark.parametrize(
    ("engine", "wanted", "has_ranges", "expected"),
    [
        ("openvino", "auto", True, {"avx2": "int8", "amx_bf16": "bfloat16", "unknown": "float32"}),
        ("openvino", "auto", False, {"avx2": "float32", "amx_bf16": "bfloat16", "unknown": "float32"}),
        ("openvino", "fastest", True, {"avx2": "int8", "amx_bf16": "int8", "unknown": "int8"}),
        ("openvino", "fastest", False, {"avx2": "float32", "amx_bf16": "bfloat16", "unknown": "float32"}),
        ("openvino", "float32", True, {"avx2": "float32", "amx_bf16": "float32", "unknown": "float32"}),
        ("torch", "auto", True, {"avx2": "float32", "amx_bf16": "bfloat16", "unknown": "float32"}),
        ("torch", "fastest", True, {"avx2": "float32", "amx_bf16": "bfloat16", "unknown": "float32"}),
    ],
)
def test_eight_bits_take_the_place_of_float32_alone(monkeypatch, network, flag, engine, wanted, has_ranges, expected):
    monkeypatch.setattr(selection, "openvino_package", lambda: None)
    made = Engine(ScoresConfig(engine=engine, precision=wanted), CPU, [network], has_ranges)
    assert made.precision == expected[flag]
    assert made.describe() == f"{engine}, {expected[flag]}"


def test_torch_refuses_eight_bits(network):
    with pytest.raises(ConfigurationError, match="precision 'int8' is for regions computed by OpenVINO"):
        Engine(ScoresConfig(engine="torch", precision="int8"), CPU, [network], True)


def test_ranges_are_read_where_they_may_be_used(monkeypatch, tmp_path, flag):
    monkeypatch.setattr(weights_origin, "is_installed", lambda name: name == "openvino")
    file = find_weights(REJECTION_NETWORK)
    is_used = flag == "avx2"
    config = ScoresConfig()
    assert may_take_ranges(config) == is_used
    assert bool(load_pretrained(file, config).activation_ranges) == is_used
    for other in (ScoresConfig(precision="float32"), ScoresConfig(engine="torch")):
        assert not load_pretrained(file, other).activation_ranges
    hashes = origin_of(choose_weights((file,), None, False, Config()), config).hashes
    assert (activation_ranges_file(file).name in hashes) == is_used
    monkeypatch.setattr(weights_origin, "is_installed", lambda _: False)
    assert not may_take_ranges(config)
    # weights of one's own have none
    own = tmp_path / "own.safetensors"
    network, record = load_network(file)
    save_weights(own, network.state_dict(), record)
    assert not load_pretrained(own, config).activation_ranges


@pytest.mark.parametrize("precision", ["auto", "fastest", "float32", "bfloat16"])
def test_others_compute_as_the_engine_does_even_where_they_could_do_otherwise(network, flag, precision):
    config = ScoresConfig(engine="torch", precision=precision, rounds=1)
    engine = Engine(config, CPU, [network])
    settled = engine.settled(config)
    assert (settled.engine, settled.precision, settled.rounds) == ("torch", engine.precision, 1)


def test_eight_bits_are_not_asked_of_others(network):
    pytest.importorskip("openvino")
    config = ScoresConfig(engine="openvino", precision="fastest")
    engine = Engine(config, CPU, [network], has_ranges=True)
    assert (engine.precision, engine.settled(config).precision) == ("int8", "fastest")
