"""tools/quantize_weights.py, run as users run it: what becomes of layers that members share, and of the others."""

import torch
from running_tools import run_tool

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import load_network, load_record, read_tensors, save_weights
from incdet.networks.weights_record import Preprocessing, WeightsRecord


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
    assert load_record(tmp_path / "small.safetensors") == record
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
