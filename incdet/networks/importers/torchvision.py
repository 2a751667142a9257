"""torchvision's tensor names for its GoogLeNet, and their translation into ours."""

from torch import Tensor

from incdet.errors import WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.weights_record import Preprocessing

TORCHVISION_PREPROCESSING = Preprocessing(mean=(127.5, 127.5, 127.5), scale=1 / 127.5, context=0)
"""Pixels from -1 to 1. torchvision's weights switch on `transform_input`, which undoes the usual mean and deviation and
comes to this (pytorch/vision #4136)."""

# our name inside a convolution with batch normalisation -> torchvision's
_UNIT = {"convolution.weight": "conv.weight"} | {
    f"norm.{part}": f"bn.{part}" for part in ("weight", "bias", "running_mean", "running_var")
}
# our name inside an Inception module -> torchvision's
_BRANCHES = {
    "conv_1x1": "branch1",
    "reduce_3x3": "branch2.0",
    "conv_3x3": "branch2.1",
    "reduce_5x5": "branch3.0",
    "conv_5x5": "branch3.1",
    "pool_projection": "branch4.1",
}


def parameter_names(auxiliary: bool) -> dict[str, str]:
    """Name of each of our tensors -> torchvision's name of it.

    Args:
        auxiliary: whether the auxiliary heads are included.
    """
    # convolutions, by the name of the unit
    units = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3"}
    for module in ARCHITECTURES["torchvision"].modules:
        units |= {f"inception_{module}.{ours}": f"inception{module}.{theirs}" for ours, theirs in _BRANCHES.items()}
    # linear layers
    linear = {"classifier": "fc"}
    if auxiliary:
        for ours, theirs in (("auxiliary_4a", "aux1"), ("auxiliary_4d", "aux2")):
            units[f"{ours}.reduce"] = f"{theirs}.conv"
            linear |= {f"{ours}.hidden": f"{theirs}.fc1", f"{ours}.classifier": f"{theirs}.fc2"}
    names: dict[str, str] = {}
    for our_unit, their_unit in units.items():
        names |= {f"{our_unit}.{ours}": f"{their_unit}.{theirs}" for ours, theirs in _UNIT.items()}
    for our_layer, their_layer in linear.items():
        names |= {f"{our_layer}.{part}": f"{their_layer}.{part}" for part in ("weight", "bias")}
    return names


def from_torchvision(tensors: dict[str, Tensor], origin: str, auxiliary: bool = False) -> dict[str, Tensor]:
    """Translates torchvision's tensors.

    Args:
        tensors: state dict of `torchvision.models.googlenet`.
        origin: name of the file, for messages.
        auxiliary: whether the auxiliary heads are wanted; torchvision's weights hold heads that were never trained.

    Returns:
        Our tensor name -> tensor.

    Raises:
        WeightsError: a tensor is missing, or one is unknown that is no auxiliary head and no counter.
    """
    names = parameter_names(auxiliary)
    for theirs in names.values():
        if theirs not in tensors:
            raise WeightsError(f"{origin} lacks '{theirs}'; expected the state dict of torchvision's googlenet")
    unused = tensors.keys() - set(names.values())
    for name in sorted(unused):
        # batch normalisation counts its batches in tensors that only training reads
        if not name.startswith("aux") and not name.endswith("num_batches_tracked"):
            raise WeightsError(f"{origin} holds '{name}', which is no tensor of torchvision's googlenet")
    return {ours: tensors[theirs] for ours, theirs in names.items()}
