"""Weights files: what is written is read back, and what does not fit is refused in one sentence."""

import pytest
import torch
from safetensors.torch import save_file
from weights_files import record, refused

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import RECORD_KEY, load_network, load_record, load_tensors, save_weights
from incdet.runtime.file_hashes import sha256


@pytest.fixture(scope="module")
def tensors():
    torch.manual_seed(0)
    return GoogLeNet(3).state_dict()


def test_half_precision_round_trip_keeps_the_record(tmp_path, tensors):
    kept = record(recipe={"steps": 3, "nested": {"a": [1, 2]}}, measured={"mAP": 0.5})
    save_weights(tmp_path / "w.safetensors", tensors, kept, torch.float16)
    network, loaded = load_network(tmp_path / "w.safetensors")
    # the file says its checksum, too
    assert loaded.model_copy(update={"checksum": None}) == kept
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, tensors[name].half().float())


def test_equal_weights_are_equal_files(tmp_path, tensors):
    for name in ("a", "b"):
        save_weights(
            tmp_path / name, dict(reversed(tensors.items())) if name == "b" else tensors, record(), torch.float16
        )
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")


def test_files_that_are_no_weights(tmp_path, tensors):
    (tmp_path / "text").write_text("hello")
    refused(lambda: load_network(tmp_path / "text"), "text", "safetensors")
    save_file(tensors, tmp_path / "bare")
    refused(lambda: load_network(tmp_path / "bare"), "bare", "no incdet record", "incdet weights import")
    save_file(tensors, tmp_path / "odd", {RECORD_KEY: '{"classes": 3}'})
    refused(lambda: load_record(tmp_path / "odd"), "odd", "damaged")
    save_weights(tmp_path / "other", tensors, record(architecture="alexnet"), torch.float16)
    refused(lambda: load_network(tmp_path / "other"), "alexnet", "torchvision")


def test_a_wrong_class_count_names_the_tensor_and_both_shapes(tmp_path, tensors):
    save_weights(tmp_path / "w", tensors, record(classes=("cat", "dog", "cow")), torch.float16)
    refused(lambda: load_network(tmp_path / "w"), "classifier of shape [3]", "needs 4 columns")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv1.bias": None}, ["lack 'conv1.bias'"]),
        ({"conv9.bias": torch.zeros(1)}, ["hold 'conv9.bias'"]),
        ({"conv1.bias": torch.full((64,), torch.nan)}, ["conv1.bias", "NaN"]),
        ({"conv1.bias": torch.tensor([torch.inf, -torch.inf] * 32)}, ["conv1.bias", "infinity"]),
    ],
)
def test_tensors_that_do_not_fit(tensors, change, words):
    changed = {name: value for name, value in {**tensors, **change}.items() if value is not None}
    refused(lambda: load_tensors(GoogLeNet(3), changed, "here"), *words)


def test_finite_numbers_whose_sum_is_not_are_taken(tensors):
    network = GoogLeNet(3)
    load_tensors(network, tensors | {"conv1.bias": torch.full((64,), 3e38)}, "here")
    assert network.conv1.bias.detach()[0].item() == pytest.approx(3e38)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.float8_e4m3fn])
def test_tensors_that_are_no_usual_floats_are_refused(tensors, dtype):
    changed = tensors | {"classifier.bias": tensors["classifier.bias"].to(dtype)}
    refused(lambda: load_tensors(GoogLeNet(3), changed, "w"), "classifier.bias", str(dtype))
