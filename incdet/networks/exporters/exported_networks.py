"""Our networks as ONNX models and as TorchScript, each with what a program needs to know of inputs and outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from incdet.errors import ConfigurationError
from incdet.networks.box_regression import CELLS
from incdet.networks.exporters import torchscript_modules
from incdet.networks.exporters.onnx_graph import OnnxGraph
from incdet.networks.exporters.torchscript_modules import RecordedNetwork
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.inception import Inception
from incdet.networks.multibox import MultiBox
from incdet.networks.weights_record import WeightsRecord

Expected = Callable[[np.ndarray], tuple[np.ndarray, ...]]
"""Computes by torch what the outputs of an exported network must be."""

POOLED_SIDE = 7
"""Cells on a side of a region that was pooled from shared feature maps."""

_CHECKED_ROWS = 2
"""Number of rows of the random input with which an exported network is compared."""


@dataclass(frozen=True, eq=False)
class ExportedNetwork:
    """One network that is exported.

    Attributes:
        name: Name of its file, without ending.
        make_model: Makes the ONNX model, whose library is loaded only then.
        recorded: The same by torch's own operations, for TorchScript.
        input_shape: Lengths of its input; a text names a length that may vary.
        outputs: Meaning of each output by its name.
        sample: Random input, with which the file is compared with torch.
        expected: Computes by torch what the outputs must be.
    """

    name: str
    make_model: Callable[[], Any]
    recorded: RecordedNetwork
    input_shape: tuple[int | str, ...]
    outputs: dict[str, str]
    sample: np.ndarray
    expected: Expected


def export_classifier(network: GoogLeNet, record: WeightsRecord) -> list[ExportedNetwork]:
    """Exports a network that names classes.

    Args:
        network: The network in float32 and in evaluation mode, with its box regressor, if it has one.
        record: Its record.

    Returns:
        One network for crops; for shared features two, whose regions are pooled between them.

    Raises:
        ConfigurationError: The network is a variant that is not exported.
    """
    if not network.architecture.plain:
        raise ConfigurationError(
            f"cannot export the variant '{network.architecture.name}' of GoogLeNet; export networks of the "
            "architecture 'table'"
        )
    side = POOLED_SIDE if record.features == "shared" else last_side(network, record.preprocessing.size)
    if network.box_regressor is not None and (side < CELLS or side % CELLS == CELLS - 1):
        raise ConfigurationError(
            f"cannot export the box regressor for crops of {record.preprocessing.size} pixels; give "
            "--set box_deltas=false"
        )
    if record.features == "shared":
        return [_photo_features(network), _region_head(network)]
    return [_crop_classifier(network, record.preprocessing.size, side)]


def last_side(network: GoogLeNet, size: int) -> int:
    """Returns the number of cells on a side of the last feature maps of crops.

    Args:
        network: A network of the same architecture.
        size: Side of the crops, in pixels.
    """
    # tensors on the "meta" device have shapes but no numbers: nothing is allocated or computed
    with torch.device("meta"):
        same = GoogLeNet(1, architecture=network.architecture).eval()
        return same.last_feature_maps(torch.empty(1, 3, size, size)).shape[-1]


def export_multibox(network: MultiBox, record: WeightsRecord) -> ExportedNetwork:
    """Exports MultiBox: crops of photos -> boxes and confidences.

    Raises:
        ConfigurationError: The network is a variant that is not exported.
    """
    if not network.trunk.architecture.plain:
        raise ConfigurationError(f"cannot export the variant '{network.trunk.architecture.name}' of GoogLeNet")
    size, num_priors = record.preprocessing.size, len(network.get_buffer("priors"))
    shape = ("crops", 3, size, size)

    def make_model() -> Any:
        graph, trunk = OnnxGraph(), network.trunk
        maps = _stages_4_and_5(graph, trunk, _trunk(graph, trunk, graph.input("crops", shape)))
        rows = graph.multibox_rows(network.head, maps)
        first, fourth, last, axis = (graph.constant(np.array([value], np.int64)) for value in (0, 4, 5, 2))
        offsets = graph.apply("Slice", rows, first, fourth, axis)
        logits = graph.apply("Slice", rows, fourth, last, axis)
        unit = graph.constant(np.array(network.offset_unit, np.float32))
        boxes = graph.apply("Add", graph.apply("Mul", offsets, unit), graph.constant(network.get_buffer("priors")))
        limits = (graph.constant(np.array(value, np.float32)) for value in (0, 1))
        scores = graph.apply("Flatten", graph.apply("Sigmoid", logits), axis=1)
        graph.output(graph.apply("Clip", boxes, *limits), "boxes", ("crops", num_priors, 4))
        graph.output(scores, "scores", ("crops", num_priors))
        return graph.model("multibox")

    @torch.inference_mode()
    def expected(sample: np.ndarray) -> tuple[np.ndarray, ...]:
        computed = network(torch.from_numpy(sample))
        return network.decode(computed.corner_offsets).clamp(0, 1).numpy(), computed.logits.sigmoid().numpy()

    outputs = {
        "boxes": "x1, y1, x2, y2 of every prior, normalised to [0, 1] by the crop's sides",
        "scores": "confidence in [0, 1] that an object is there",
    }
    sample = noise((_CHECKED_ROWS, 3, size, size))
    recorded = torchscript_modules.multibox(network)
    return ExportedNetwork("multibox", make_model, recorded, shape, outputs, sample, expected)


def _crop_classifier(network: GoogLeNet, size: int, side: int) -> ExportedNetwork:
    shape = ("regions", 3, size, size)

    def make_model() -> Any:
        graph = OnnxGraph()
        maps = _stages_4_and_5(graph, network, _trunk(graph, network, graph.input("crops", shape)))
        _add_outputs(graph, network, maps, side)
        return graph.model("regions")

    def compute(crops: Tensor) -> Tensor:
        return network.head(network.trunk(crops))

    recorded, expected = torchscript_modules.crop_classifier(network), _torch_outputs(network, compute)
    sample = noise((_CHECKED_ROWS, 3, size, size))
    return ExportedNetwork("regions", make_model, recorded, shape, _meanings(network), sample, expected)


def _photo_features(network: GoogLeNet) -> ExportedNetwork:
    shape = (1, 3, "height", "width")

    def make_model() -> Any:
        graph = OnnxGraph()
        maps = _trunk(graph, network, graph.input("photo", shape))
        for name in network.modules_of("4"):
            maps = graph.inception(network.get_submodule(f"inception_{name}"), maps)
        graph.output(maps, "feature_maps", (1, _shared_channels(network), "rows", "columns"))
        return graph.model("photo_features")

    @torch.inference_mode()
    def expected(sample: np.ndarray) -> tuple[np.ndarray, ...]:
        return (network.photo_features(torch.from_numpy(sample)).numpy(),)

    outputs = {"feature_maps": "those of stages 1 to 4, a cell for 16 pixels, out of which regions are pooled"}
    # an odd size, whose halves are no whole numbers
    sample = noise((1, 3, 251, 333))
    recorded = torchscript_modules.photo_features(network)
    return ExportedNetwork("photo_features", make_model, recorded, shape, outputs, sample, expected)


def _region_head(network: GoogLeNet) -> ExportedNetwork:
    channels = _shared_channels(network)
    shape = ("regions", channels, POOLED_SIDE, POOLED_SIDE)

    def make_model() -> Any:
        graph = OnnxGraph()
        maps = graph.input("pooled", shape)
        for name in network.modules_of("5"):
            maps = graph.inception(network.get_submodule(f"inception_{name}"), maps)
        _add_outputs(graph, network, maps, POOLED_SIDE)
        return graph.model("region_head")

    sample = np.abs(noise((_CHECKED_ROWS, channels, POOLED_SIDE, POOLED_SIDE), scale=1.0))
    recorded, expected = torchscript_modules.region_head(network), _torch_outputs(network, network.region_head)
    return ExportedNetwork("region_head", make_model, recorded, shape, _meanings(network), sample, expected)


def _trunk(graph: OnnxGraph, network: GoogLeNet, array: str) -> str:
    """Stages 1 to 3; see `GoogLeNet.trunk`."""
    maps = graph.pool_down(graph.convolve(network.conv1, array))
    maps = graph.convolve(network.conv2_reduce, graph.normalise(network.norm1, maps))
    maps = graph.normalise(network.norm2, graph.convolve(network.conv2, maps))
    maps = graph.pool_down(maps)
    for name in network.modules_of("3"):
        maps = graph.inception(network.get_submodule(f"inception_{name}"), maps)
    return graph.pool_down(maps)


def _stages_4_and_5(graph: OnnxGraph, network: GoogLeNet, maps: str) -> str:
    for name in network.modules_of("4"):
        maps = graph.inception(network.get_submodule(f"inception_{name}"), maps)
    maps = graph.pool_down(maps, network.architecture.last_pool)
    for name in network.modules_of("5"):
        maps = graph.inception(network.get_submodule(f"inception_{name}"), maps)
    return maps


def _add_outputs(graph: OnnxGraph, network: GoogLeNet, maps: str, side: int) -> None:
    """Adds probabilities and, where there is a box regressor, box deltas."""
    logits = graph.linear(network.classifier, graph.mean(maps))
    graph.output(graph.apply("Softmax", logits, axis=1), "probabilities", ("regions", network.num_classes))
    if network.box_regressor is not None:
        deltas = graph.linear(network.box_regressor.linear, graph.cells(maps, side))
        graph.output(deltas, "box_deltas", ("regions", 4))


def _meanings(network: GoogLeNet) -> dict[str, str]:
    """The meaning of each output of a network that names classes, in their order."""
    outputs = {"probabilities": "of the classes in their order; a last column more than classes is background"}
    if network.box_regressor is not None:
        outputs["box_deltas"] = "shift along x and y in sides of the box, logarithms of the stretch (R-CNN, appendix C)"
    return outputs


def _torch_outputs(network: GoogLeNet, compute: Callable[[Tensor], Tensor]) -> Expected:
    """Returns what computes probabilities and box deltas of a classifier by torch."""

    @torch.inference_mode()
    def expected(sample: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = compute(torch.from_numpy(sample))
        probabilities = rows[:, : network.num_classes].softmax(dim=1).numpy()
        deltas = rows[:, network.num_classes :].numpy()
        return (probabilities, deltas) if network.box_regressor is not None else (probabilities,)

    return expected


def _shared_channels(network: GoogLeNet) -> int:
    """Number of channels of the feature maps out of which regions are pooled."""
    last = network.get_submodule(f"inception_{network.modules_of('4')[-1]}")
    assert isinstance(last, Inception)
    return last.out_channels


def noise(shape: tuple[int, ...], scale: float = 60.0) -> np.ndarray:
    """Random values of the size of preprocessed pixels, the same in every run."""
    return (np.random.default_rng(0).standard_normal(shape) * scale).astype(np.float32)
