"""Weights in eight bits: their precision, and the command that makes them from a file."""

import pytest
import torch
from running_tools import run_tool
from weights_files import record, refused

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.quantization import dequantize, quantize
from incdet.networks.quantized_files import quantize_file
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network, load_record, read_tensors, save_weights
from incdet.networks.weights_record import Preprocessing, WeightsRecord


@pytest.mark.slow
def test_frozen_stages_stay_exact_and_the_others_become_eight_bits(tmp_path):
    torch.manual_seed(0)
    state = GoogLeNet(3).state_dict()
    record = WeightsRecord(
        classes=("cat", "dog"), background=True, origin="a test", licence="none", measured={"pets val mAP": 0.5},
        recipe={"frozen_stages": 3, "seed": 4}, preprocessing=Preprocessing(context=32),
    )  # fmt: skip
    save_weights(tmp_path / "w.safetensors", state, record, torch.float16)
    result = run_tool("quantize_weights.py", "w.safetensors", "small.safetensors", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert load_record(tmp_path / "small.safetensors").model_copy(update={"checksum": None}) == record
    before, after = (read_tensors(tmp_path / name) for name in ("w.safetensors", "small.safetensors"))
    lower = {name for name in state if name.startswith(("conv1.", "conv2_reduce.", "conv2.", "inception_3"))}
    assert len(lower) == 2 * (3 + 2 * 6)
    for name, tensor in before.items():
        if name in lower or name.endswith(".bias"):
            assert after[name].dtype == torch.float16, name
            assert torch.equal(after[name], tensor), name
        else:
            assert after[name].dtype == torch.int8, name
    loaded = load_network(tmp_path / "small.safetensors")[0].state_dict()
    for name, tensor in before.items():
        assert torch.allclose(loaded[name], tensor.float(), atol=float(tensor.abs().max()) / 250), name


@pytest.mark.slow
@torch.inference_mode()
def test_a_box_regressor_stored_with_the_weights_becomes_eight_bits(tmp_path):
    quantize_file(find_weights("googlenet-voc-shared"), tmp_path / "small.safetensors")
    stored = read_tensors(tmp_path / "small.safetensors")
    assert stored["box_regressor.linear.weight"].dtype == torch.int8
    exact, small = (
        load_network(file)[0] for file in (find_weights("googlenet-voc-shared"), tmp_path / "small.safetensors")
    )
    pooled = torch.rand(4, 832, 7, 7, generator=torch.Generator().manual_seed(0)) * 10
    wanted, found = (network.region_head(pooled)[:, 21:] for network in (exact, small))
    # measured: 0.0005 where box deltas have a standard deviation of 0.1
    small.box_regressor = exact.box_regressor
    of_other_layers = (small.region_head(pooled)[:, 21:] - wanted).abs().max()
    assert 0 < float((found - wanted).abs().max()) < 0.02 + float(of_other_layers)


@pytest.fixture(scope="module")
def tensors():
    torch.manual_seed(0)
    return GoogLeNet(3).state_dict()


def test_eight_bits_move_a_weight_by_half_a_step_of_its_channel(tmp_path, tensors):
    frozen = {"conv1.weight"}
    save_weights(tmp_path / "w.safetensors", quantize(tensors, frozen), record())
    network, _ = load_network(tmp_path / "w.safetensors")
    for name, tensor in network.state_dict().items():
        if name in frozen or tensor.ndim < 2:
            assert torch.equal(tensor, tensors[name].half().float())
            continue
        step = tensors[name].flatten(1).abs().amax(dim=1) / 127
        error = (tensor - tensors[name]).flatten(1).abs().amax(dim=1)
        assert (error <= step * 0.5001).all(), name
        assert (error > step * 0.3).float().mean() > 0.5, f"{name} is not in eight bits"
    save_weights(tmp_path / "half.safetensors", tensors, record(), torch.float16)
    assert (tmp_path / "w.safetensors").stat().st_size < 0.55 * (tmp_path / "half.safetensors").stat().st_size


def test_a_channel_of_zeros_stays_zero():
    stored = quantize({"weight": torch.tensor([[0.0, 0.0], [-1.0, 0.25]])})
    assert torch.allclose(dequantize(stored, "here")["weight"], torch.tensor([[0, 0], [-1, 0.25]]), atol=0.5 / 127)


@pytest.mark.parametrize("scales", [None, torch.ones(3)])
def test_eight_bits_without_their_scales_are_refused(scales):
    stored = quantize({"weight": torch.ones(2, 2)})
    stored = {"weight": stored["weight"]} | ({} if scales is None else {"weight.scale": scales})
    refused(lambda: dequantize(stored, "here"), "here", "weight", "needs scales of shape [2]")


def test_a_number_in_eight_bits_without_scales_is_refused():
    refused(lambda: dequantize({"weight": torch.tensor(3, dtype=torch.int8)}, "here"), "'weight'", "found none")
