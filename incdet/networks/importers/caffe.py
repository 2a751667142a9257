"""Caffe's layer names for GoogLeNet, and the translation of its release into ours."""

from torch import Tensor

from incdet.errors import WeightsError
from incdet.networks.architectures import TABLE_1

CAFFE_MEAN = (123.0, 117.0, 104.0)
"""Mean colour that Caffe's release subtracts, here as RGB (its own order is BGR: 104, 117, 123)."""


def parameter_names() -> dict[str, str]:
    """Name of each of our layers -> Caffe's name of it."""
    names = {"conv1": "conv1/7x7_s2", "conv2_reduce": "conv2/3x3_reduce", "conv2": "conv2/3x3"}
    layers = {
        "conv_1x1": "1x1",
        "reduce_3x3": "3x3_reduce",
        "conv_3x3": "3x3",
        "reduce_5x5": "5x5_reduce",
        "conv_5x5": "5x5",
        "pool_projection": "pool_proj",
    }
    for module in TABLE_1:
        names.update({f"inception_{module}.{ours}": f"inception_{module}/{theirs}" for ours, theirs in layers.items()})
    return names | {"classifier": "loss3/classifier"}


def from_caffe(tensors: dict[str, Tensor], origin: str) -> dict[str, Tensor]:
    """Translates Caffe's tensors.

    Args:
        tensors: "<Caffe's layer>.weight" and "<Caffe's layer>.bias" -> tensor, in Caffe's shapes, which are torch's.
        origin: name of the file, for messages.

    Returns:
        Our parameter name -> tensor. The first filters take RGB instead of BGR.

    Raises:
        WeightsError: a layer is missing, or one is unknown.
    """
    translated = {}
    for ours, theirs in parameter_names().items():
        for part in ("weight", "bias"):
            if f"{theirs}.{part}" not in tensors:
                raise WeightsError(f"{origin} lacks '{theirs}.{part}'; expected the layers of BVLC's GoogLeNet")
            translated[f"{ours}.{part}"] = tensors[f"{theirs}.{part}"]
    known = {f"{name}.{part}" for name in parameter_names().values() for part in ("weight", "bias")}
    # the release also holds the auxiliary heads, which only training uses
    extra = sorted(name for name in tensors.keys() - known if not name.startswith(("loss1/", "loss2/")))
    if extra:
        raise WeightsError(f"{origin} holds '{extra[0]}', which is no layer of BVLC's GoogLeNet")
    first = translated["conv1.weight"]
    # [64, 3, 7, 7]: Caffe reads photos with OpenCV, so its input channels are blue, green, red; any other shape is
    # refused when the tensors are put into a network
    if first.ndim == 4:
        translated["conv1.weight"] = first.flip(1)
    return translated
