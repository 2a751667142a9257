"""torchvision's parameter names for its GoogLeNet and their translation into ours."""

from torch import Tensor

from incdet.errors import WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.weights import Preprocessing

TORCHVISION_PREPROCESSING = Preprocessing(mean=(127.5, 127.5, 127.5), scale=1 / 127.5, context=0)
"""What `transform_input`, which its weights switch on, makes of any mean and deviation: -1..1 (vision #4136)."""

_UNIT = {"convolution.weight": "conv.weight"} | {
    f"norm.{part}": f"bn.{part}" for part in ("weight", "bias", "running_mean", "running_var")
}
_BRANCHES = {
    "conv_1x1": "branch1",
    "reduce_3x3": "branch2.0",
    "conv_3x3": "branch2.1",
    "reduce_5x5": "branch3.0",
    "conv_5x5": "branch3.1",
    "pool_projection": "branch4.1",
}


def parameter_names(auxiliary: bool) -> dict[str, str]:
    """Our tensor's name -> torchvision's."""
    units = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3"}
    for module in ARCHITECTURES["torchvision"].modules:
        units |= {f"inception_{module}.{ours}": f"inception{module}.{theirs}" for ours, theirs in _BRANCHES.items()}
    linear = {"classifier": "fc"}
    if auxiliary:
        for ours, theirs in (("auxiliary_4a", "aux1"), ("auxiliary_4d", "aux2")):
            units[f"{ours}.reduce"] = f"{theirs}.conv"
            linear |= {f"{ours}.hidden": f"{theirs}.fc1", f"{ours}.classifier": f"{theirs}.fc2"}
    names = {f"{ours}.{part}": f"{theirs}.{its}" for ours, theirs in units.items() for part, its in _UNIT.items()}
    return names | {
        f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in linear.items() for part in ("weight", "bias")
    }


def from_torchvision(tensors: dict[str, Tensor], origin: str, auxiliary: bool = False) -> dict[str, Tensor]:
    """torchvision's tensors under our names.

    Args:
        tensors: a state dict of `torchvision.models.googlenet`.
        origin: for messages.
        auxiliary: whether the auxiliary heads are wanted; torchvision's weights hold heads that were never trained.

    Raises:
        WeightsError: a tensor is missing, or one is left over that is no auxiliary head and no counter.
    """
    names = parameter_names(auxiliary)
    for theirs in names.values():
        if theirs not in tensors:
            raise WeightsError(f"{origin} lacks '{theirs}'; expected the state dict of torchvision's googlenet")
    unused = tensors.keys() - set(names.values())
    left_over = [
        name for name in sorted(unused) if not name.startswith("aux") and not name.endswith("num_batches_tracked")
    ]
    if left_over:
        raise WeightsError(f"{origin} holds '{left_over[0]}', which is no tensor of torchvision's googlenet")
    return {ours: tensors[theirs] for ours, theirs in names.items()}
