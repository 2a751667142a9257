"""Weights of other projects: Caffe's protocol buffers, PyTorch's state dicts, and what only looks like them."""

import pickle
import struct

import numpy as np
import pytest
import torch
import torchvision
from running_tools import run_tool
from safetensors.torch import save_file

from incdet.errors import WeightsError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.importers.foreign_files import read_foreign_tensors
from incdet.networks.weights import load_network


def varint(number):
    """Protocol buffers' integer: seven bits a byte, the lowest first."""
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    """A field of the wire type 2: length and bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(values, *, old):
    """A BlobProto: its shape as field 7, or as the four numbers of 2014."""
    values = np.asarray(values, "<f4")
    data = field(5, values.tobytes())
    if old:
        shape = (1,) * (4 - values.ndim) + values.shape
        return b"".join(varint(number << 3) + varint(side) for number, side in enumerate(shape, 1)) + data
    return field(7, field(1, b"".join(map(varint, values.shape)))) + data


def caffemodel(layers, old):
    """A network of Caffe's, byte by byte: layers of the first (old) or the second generation."""
    content = field(1, b"GoogleNet")
    for name, values in layers.items():
        blobs = b"".join(field(6 if old else 7, blob(value, old=old)) for value in values)
        layer = field(4 if old else 1, name.encode()) + blobs + varint(40 << 3) + varint(300)
        content += field(2 if old else 100, layer)
    return content


@pytest.mark.parametrize("old", [True, False])
def test_caffes_layers_are_read_as_they_were_written(tmp_path, old):
    random = np.random.default_rng(0)
    layers = {
        "conv1/7x7_s2": [random.normal(size=(4, 3, 7, 7)), random.normal(size=4)],
        "data": [],
        "loss3/classifier": [random.normal(size=(10, 6)), random.normal(size=10)],
    }
    (tmp_path / "net.caffemodel").write_bytes(caffemodel(layers, old))
    tensors = read_foreign_tensors(tmp_path / "net.caffemodel")
    assert tensors.keys() == {f"{name}.{part}" for name in layers if name != "data" for part in ("weight", "bias")}
    for name, values in layers.items():
        for part, value in zip(("weight", "bias"), values, strict=False):
            assert np.array_equal(tensors[f"{name}.{part}"].numpy(), value.astype(np.float32))


def test_a_blob_that_is_cut_short_is_named(tmp_path):
    content = caffemodel({"conv1": [np.zeros((2, 2))]}, old=False)
    broken = content.replace(struct.pack("<4f", 0, 0, 0, 0), struct.pack("<3f", 0, 0, 0)).replace(
        b"\x2a\x10", b"\x2a\x0c"
    )
    (tmp_path / "net.caffemodel").write_bytes(broken)
    with pytest.raises(WeightsError):
        read_foreign_tensors(tmp_path / "net.caffemodel")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80garbage", b"PK\x03\x04", bytes(range(256)) * 40])
def test_what_holds_no_weights_is_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(WeightsError, match="file"):
        read_foreign_tensors(tmp_path / "file")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"nothing\.pth"):
        read_foreign_tensors(tmp_path / "nothing.pth")


class Harmful:
    """Unpickling it would make a file."""

    def __reduce__(self):
        return open, ("harmed", "w")


@pytest.mark.parametrize("new", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path, monkeypatch, new):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Harmful()}, "evil.pth", _use_new_zipfile_serialization=new)
    with pytest.raises(WeightsError, match=r"evil\.pth"):
        read_foreign_tensors(tmp_path / "evil.pth")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(WeightsError, match=r"plain\.pkl"):
        read_foreign_tensors(tmp_path / "plain.pkl")
    assert not (tmp_path / "harmed").exists()


@pytest.fixture
def words(tmp_path):
    file = tmp_path / "synset_words.txt"
    file.write_text("".join(f"n{number:08d} thing {number}\n" for number in range(1000)))
    return file


@pytest.mark.slow
def test_torchvisions_file_becomes_weights_that_compute_the_same(tmp_path, words):
    torch.manual_seed(0)
    theirs = torchvision.models.googlenet(transform_input=True, init_weights=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "googlenet.pth")
    result = run_tool(
        "import_weights.py", "googlenet.pth", "--class-list", words, "--output", "w.safetensors", folder=tmp_path
    )
    assert result.returncode == 0, result.stderr
    ours, record = load_network(tmp_path / "w.safetensors")
    assert record.architecture == "torchvision"
    pixels = torch.randint(0, 256, (2, 3, 224, 224)).float()
    mean, deviation = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        expected = theirs((pixels / 255 - mean) / deviation)
        found = ours(
            (pixels - torch.tensor(record.preprocessing.mean)[:, None, None]) * record.preprocessing.scale
        ).main
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.slow
def test_caffes_file_becomes_the_same_weights_as_its_safetensors(tmp_path, words, old):
    from incdet.networks.importers.caffe import parameter_names

    network = GoogLeNet(1000)
    tensors = network.state_dict()
    theirs = {
        theirs: [tensors[f"{ours}.weight"], tensors[f"{ours}.bias"]] for ours, theirs in parameter_names().items()
    }
    flat = {
        f"{name}.{part}": pair[i].contiguous()
        for name, pair in theirs.items()
        for i, part in enumerate(("weight", "bias"))
    }
    save_file(flat, tmp_path / "net.safetensors")
    heads = {"loss1/fc": [torch.zeros(3, 2), torch.zeros(3)]}
    (tmp_path / "net.caffemodel").write_bytes(caffemodel({**theirs, **heads}, old))
    for name in ("net.caffemodel", "net.safetensors"):
        result = run_tool("import_weights.py", name, "--class-list", words, "--output", f"{name}.w", folder=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "6,998,552" in result.stderr
    assert (tmp_path / "net.caffemodel.w").read_bytes() == (tmp_path / "net.safetensors.w").read_bytes()
