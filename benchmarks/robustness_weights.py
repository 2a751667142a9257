"""Mutated weights, ranges, files of other projects and checkpoints: a file with a checksum is unchanged or refused."""

import io
import json
from pathlib import Path

import torch
from robustness_mutations import Mutated
from robustness_targets import Prepared, Target, expect
from torch import Tensor, nn

from incdet.networks.importers.caffemodel import _net_parameter
from incdet.networks.importers.foreign_files import read_foreign_tensors
from incdet.networks.sidecar_files import (
    MAX_RANGE,
    MIN_RANGE,
    activation_ranges_file,
    load_activation_ranges,
    save_activation_ranges,
)
from incdet.networks.weights import load_record, read_checked_tensors, save_weights
from incdet.networks.weights_record import WeightsRecord
from incdet.training.averaging import ParameterAverage
from incdet.training.checkpoints import load_checkpoint, save_checkpoint


def _tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"a.weight": torch.randn(4, 3, 2, 2, generator=generator), "a.bias": torch.randn(4, generator=generator)}


def _save(file: Path) -> Path:
    record = WeightsRecord(classes=("cat", "dog"), background=True, origin="a campaign", licence="none")
    save_weights(file, _tensors(), record, torch.float16)
    return file


def _same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def _weights(folder: Path) -> Prepared:
    file = _save(folder / "mine.safetensors")
    record = load_record(file)
    tensors = read_checked_tensors(file, record)

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        found = load_record(file)
        read = read_checked_tensors(file, found)
        # without a checksum it is a file of an earlier version
        expect(found.checksum is None or (found == record and _same(read, tensors)), "damaged weights are used")

    return Prepared((file.read_bytes(),), check)


def _ranges(folder: Path) -> Prepared:
    weights = _save(folder / "mine.safetensors")
    ranges = {"conv1": 3.5, "conv2/3x3": 0.125, "classifier": 17.0}
    file = save_activation_ranges(weights, ranges, "three photos")

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        found = load_activation_ranges(weights)
        expect(all(MIN_RANGE <= value <= MAX_RANGE for value in found.values()), "a range is no range")
        stated = json.loads(mutated.content)
        expect("checksum" not in stated or found == ranges, "damaged ranges are used")

    assert file == activation_ranges_file(weights)
    return Prepared((file.read_bytes(),), check)


def _caffemodel(folder: Path) -> Prepared:
    file, seeds = folder / "mine.caffemodel", []
    for layers in ("layers", "layer"):
        network = _net_parameter()()
        for name, tensor in (("conv1", _tensors()["a.weight"]), ("loss3/classifier", torch.ones(1, 1, 4, 3))):
            layer = getattr(network, layers).add(name=name)
            for part in (tensor, torch.zeros(1, 1, 1, tensor.shape[0])):
                blob = layer.blobs.add()
                blob.data.extend(part.flatten().tolist())
                if layers == "layer":
                    blob.shape.dim.extend(part.shape)
                else:
                    blob.num, blob.channels, blob.height, blob.width = part.shape
        seeds.append(network.SerializeToString())

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        _state_dict_is_right(read_foreign_tensors(file))

    return Prepared(tuple(seeds), check)


def _pth(folder: Path) -> Prepared:
    file, seeds = folder / "mine.pth", []
    for is_zip in (True, False):
        stream = io.BytesIO()
        torch.save(_tensors(), stream, _use_new_zipfile_serialization=is_zip)
        seeds.append(stream.getvalue())

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        _state_dict_is_right(read_foreign_tensors(file))

    return Prepared(tuple(seeds), check)


def _state_dict_is_right(tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        expect(isinstance(name, str) and isinstance(tensor, Tensor), "a name is no text, or a value no tensor")
        # a view of few numbers may claim millions, which the comparison of shapes refuses before they are copied
        if tensor.numel() <= 1000:
            tensor.float().isfinite().all()


def _checkpoint(folder: Path) -> Prepared:
    file = folder / "checkpoint.safetensors"
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    optimizer, average = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9), ParameterAverage(network, 0.9)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    settings = {"seed": 3, "data_set": {"classes": ["cat", "dog"], "photos": "ab"}}
    save_checkpoint(file, 7, network, optimizer, average, settings)
    good = {name: value.clone() for name, value in network.state_dict().items()}

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        step = load_checkpoint(file, network, optimizer, average, settings)
        has_checksum = b'"checksum"' in mutated.content
        expect(not has_checksum or (step == 7 and _same(network.state_dict(), good)), "a damaged checkpoint is used")

    return Prepared((file.read_bytes(),), check)


WEIGHT_TARGETS = (
    Target("safetensors", "bytes", 5000, _weights),
    Target("int8-ranges", "json", 5000, _ranges),
    Target("caffemodel", "bytes", 4000, _caffemodel, is_parser=True),
    Target("pth", "bytes", 3000, _pth),
    Target("checkpoint", "bytes", 3000, _checkpoint),
)
