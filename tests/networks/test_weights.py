"""Weights files: what is written is read back, and what does not fit is refused in one sentence."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from incdet.errors import WeightsError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.quantization import dequantize, quantize
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import RECORD_KEY, load_network, load_record, load_tensors, save_weights
from incdet.networks.weights_record import WeightsRecord, same_classes
from incdet.runtime.file_hashes import named_hashes, sha256


def record(**more):
    values = {"classes": ("cat", "dog"), "background": True, "origin": "a test", "licence": "none"}
    return WeightsRecord(**(values | more))


@pytest.fixture(scope="module")
def tensors():
    torch.manual_seed(0)
    return GoogLeNet(3).state_dict()


def refused(action, *words):
    with pytest.raises(WeightsError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_half_precision_round_trip_keeps_the_record(tmp_path, tensors):
    kept = record(recipe={"steps": 3, "nested": {"a": [1, 2]}}, measured={"mAP": 0.5})
    save_weights(tmp_path / "w.safetensors", tensors, kept, torch.float16)
    network, loaded = load_network(tmp_path / "w.safetensors")
    assert loaded == kept
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, tensors[name].half().float())


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
    refused(lambda: dequantize(stored, "here"), "here", "weight", "2 scales")


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
    refused(lambda: load_network(tmp_path / "bare"), "bare", "no incdet record", "import_weights")
    save_file(tensors, tmp_path / "odd", {RECORD_KEY: '{"classes": 3}'})
    refused(lambda: load_record(tmp_path / "odd"), "odd", "damaged")
    save_weights(tmp_path / "other", tensors, record(architecture="alexnet"), torch.float16)
    refused(lambda: load_network(tmp_path / "other"), "alexnet", "torchvision")


def test_a_wrong_class_count_names_the_tensor_and_both_shapes(tmp_path, tensors):
    save_weights(tmp_path / "w", tensors, record(classes=("cat", "dog", "cow")), torch.float16)
    refused(lambda: load_network(tmp_path / "w"), "classifier.bias", "[3]", "[4]")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv1.bias": None}, ["lack 'conv1.bias'"]),
        ({"conv9.bias": torch.zeros(1)}, ["hold 'conv9.bias'"]),
        ({"conv1.bias": torch.full((64,), torch.nan)}, ["conv1.bias", "NaN"]),
    ],
)
def test_tensors_that_do_not_fit(tensors, change, words):
    changed = {name: value for name, value in {**tensors, **change}.items() if value is not None}
    refused(lambda: load_tensors(GoogLeNet(3), changed, "here"), *words)


def test_an_unknown_name_lists_the_shipped_ones():
    refused(lambda: find_weights("googlenet-vok"), "googlenet-vok", "googlenet-voc")


def test_an_ensemble_shares_classes_in_the_same_order():
    assert same_classes([record(), record()]) == ("cat", "dog")
    refused(lambda: same_classes([record(), record(classes=("cat", "cow"))]), "cow", "dog")
    refused(lambda: same_classes([record(), record(classes=("dog", "cat"))]), "order")


@pytest.mark.parametrize(
    "change",
    [
        {"classes": []}, {"classes": ["cat", "cat"]}, {"preprocessing": {"size": 0}}, {"preprocessing": {"size": 32}},
        {"preprocessing": {"context": 112}}, {"preprocessing": {"scale": 0}}, {"preprocessing": {"scale": 1e30}},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_cannot_be_meant_is_refused(tmp_path, tensors, change):
    document = record().model_dump(mode="json") | change
    save_file(tensors, tmp_path / "w.safetensors", {RECORD_KEY: json.dumps(document)})
    refused(lambda: load_record(tmp_path / "w.safetensors"), "w.safetensors", "record")


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.float8_e4m3fn])
def test_tensors_that_are_no_usual_floats_are_refused(tensors, dtype):
    changed = tensors | {"classifier.bias": tensors["classifier.bias"].to(dtype)}
    refused(lambda: load_tensors(GoogLeNet(3), changed, "w"), "classifier.bias", str(dtype))


def test_files_of_one_name_keep_hashes_of_their_own(tmp_path):
    files = []
    for folder, content in (("a", b"1"), ("b", b"2"), ("c", b"3")):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / ("other" if folder == "c" else "weights.safetensors"))
        files[-1].write_bytes(content)
    hashes = named_hashes([*files, files[0]])
    assert list(hashes) == [str(files[0]), str(files[1]), "other"]
    assert list(hashes.values()) == [hashlib.sha256(content).hexdigest() for content in (b"1", b"2", b"3")]
