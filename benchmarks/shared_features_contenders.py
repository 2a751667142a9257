"""The contenders of `benchmarks/benchmark.py shared-features`, and which of them are compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from contender_processes import make_incdet
from detection_peers import (
    TEXTBOOK,
    TORCHVISION_DETECTORS,
    Contender,
    make_textbook_loop,
    make_torchvision_detector,
)

from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.errors import ConfigurationError
from incdet.networks.engines.selection import openvino_works_on
from incdet.networks.shipped_weights import REJECTION_NETWORK, SHARED_NETWORK, find_weights
from incdet.networks.sidecar_files import activation_ranges_file
from incdet.runtime.cpu_flags import prefers_eight_bits
from incdet.runtime.device import choose_device, choose_precision

SHARED, CROPS, ENSEMBLE = "shared features", "one network on crops", "shipped ensemble on crops"
DEFAULT = "default detector"
PEER = "fasterrcnn_resnet50_fpn"

GOALS = {"networks": 10.0, "photo": 1.0}
"""What is compared -> the factor by which shared features should be faster at least."""


@dataclass(frozen=True)
class ContenderPlan:
    """How a contender is made and measured.

    Attributes:
        make: makes the contender inside its process.
        on_crops: whether each region is a crop of its own, so that a photo takes long.
        precision: number format of its networks.
    """

    make: Callable[[], Contender]
    on_crops: bool
    precision: str


class Pair(NamedTuple):
    """Two contenders to compare.

    Attributes:
        what: "networks", or "photo" for all of a photo.
        fast: the contender with shared features.
        slow: name of the contender that it is compared with.
        goal: the smallest factor that is wanted; None where none is.
    """

    what: str
    fast: str
    slow: str
    goal: float | None


class _EngineChoice(NamedTuple):
    """An engine and the precision in which it computes."""

    name: str
    precision: str

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"

    def plan(self, on_crops: bool, weights: Sequence[str], settings: Sequence[str]) -> ContenderPlan:
        """Plans a detector of incdet with this engine."""
        chosen = (*settings, f"scores.engine={self.name.lower()}", f"scores.precision={self.precision}")
        return ContenderPlan(partial(make_incdet, weights, chosen), on_crops, self.precision)


def find_contenders(
    settings: Sequence[str], only: Sequence[str] = ()
) -> tuple[dict[str, ContenderPlan], dict[str, str]]:
    """Finds the contenders that can run on this machine.

    Args:
        settings: settings `dotted.key=value` for incdet's detectors.
        only: texts of which a contender's name contains one; none take all contenders.

    Returns:
        Name -> plan, and name -> reason why a contender cannot run.

    Raises:
        ConfigurationError: no contender has such a name.
    """
    device = choose_device(load_config(Config, settings=settings).device)
    native = "bfloat16" if choose_precision("auto", device) == torch.bfloat16 else "float32"
    skipped: dict[str, str] = {}
    engines = [_EngineChoice("torch", native)]
    shared_engines = [_EngineChoice("torch", precision) for precision in dict.fromkeys([native, "float32"])]
    if native != "bfloat16":
        skipped["bfloat16"] = "this machine does not multiply it natively"
    if openvino_works_on(device):
        engines.append(_EngineChoice("OpenVINO", native))
        shared_engines.append(_EngineChoice("OpenVINO", native))
        if activation_ranges_file(find_weights(SHARED_NETWORK)).is_file():
            shared_engines.append(_EngineChoice("OpenVINO", "int8"))
        else:
            skipped[f"{SHARED}, OpenVINO int8"] = f"{SHARED_NETWORK} has no activation ranges"
    else:
        skipped["OpenVINO"] = "it is not installed, or the device is no CPU"
    plans: dict[str, ContenderPlan] = {}
    for engine in shared_engines:
        plans[f"{SHARED}, {engine}"] = engine.plan(False, [SHARED_NETWORK], settings)
    for engine in engines:
        chosen = [*settings, "scores.features=cropped", "scores.box_deltas=false"]
        plans[f"{CROPS}, {engine}"] = engine.plan(True, [REJECTION_NETWORK], chosen)
    own = _EngineChoice("OpenVINO", "int8") if len(engines) > 1 and prefers_eight_bits() else engines[-1]
    plans[f"{DEFAULT}, {own}"] = own.plan(False, [], settings)
    plans[f"{ENSEMBLE}, {engines[-1]}"] = engines[-1].plan(True, [], [*settings, "scores.features=cropped"])
    plans[TEXTBOOK] = ContenderPlan(partial(make_textbook_loop, settings), True, "float32")
    for name in reversed(TORCHVISION_DETECTORS):
        for precision in dict.fromkeys(["float32", native]):
            make = partial(make_torchvision_detector, name, device, getattr(torch, precision))
            plans[f"{name}, {precision}"] = ContenderPlan(make, False, precision)
    wanted = {name: plan for name, plan in plans.items() if not only or any(text in name for text in only)}
    if not wanted:
        raise ConfigurationError(f"no contender's name contains {' or '.join(only)}; there are: {'; '.join(plans)}")
    return wanted, skipped


def find_pairs(names: Sequence[str]) -> list[Pair]:
    """Lists the comparisons between these contenders."""
    shared = [name for name in names if name.startswith((SHARED, DEFAULT))]
    peers = [name for name in names if name.startswith(PEER)]
    pairs = []
    for name in shared:
        crops = name.replace(SHARED, CROPS)
        if name != crops and crops in names:
            pairs.append(Pair("networks", name, crops, GOALS["networks"]))
    pairs += [Pair("photo", name, peer, GOALS["photo"]) for name in shared for peer in peers]
    if TEXTBOOK in names:
        pairs += [Pair("photo", name, TEXTBOOK, None) for name in shared]
    return pairs
