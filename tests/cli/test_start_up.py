"""The start of a detection: what it does not load, and what it tells of its time."""

import json
import subprocess
import sys
from importlib.util import find_spec

import torch
from command_line import ONE

from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network
from incdet.runtime.start_up import StartUpTimes, process_age

UNUSED = {
    *("torchvision", "torch._dynamo", "torch._inductor", "sympy", "onnx", "torch.onnx", "torch.utils.tensorboard"),
    *("matplotlib", "pandas", "skimage", "scipy.stats", "scipy.optimize", "pycocotools", "IPython"),
    *("incdet.training.loop", "incdet.evaluation.dataset_evaluation", "incdet.web", "fastapi", "ray"),
}
"""Modules that take time to load and that a detection has no use for."""


def test_a_detection_loads_nothing_that_it_does_not_use(photo):
    program = f"""
import json, sys
sys.path[:0] = {sys.path!r}
from incdet.cli.app import app
app(["detect", {str(photo)!r}, *{ONE!r}, "--json", "-", "--quiet"], standalone_mode=False)
print(json.dumps(sorted({UNUSED!r} & sys.modules.keys())))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    line, loaded = result.stdout.splitlines()
    assert json.loads(line)["image"]
    assert json.loads(loaded) == []


def test_timing_tells_the_parts_of_the_start(incdet, photo):
    code, _, err = incdet("detect", photo, *ONE, "--json", "-", "--timing")
    assert code == 0
    parts = ["libraries and arguments", "weights", "first photo", "total"]
    if find_spec("openvino") is not None:
        # torch compiles no networks
        parts.append("meanwhile: compiled networks")
    for part in parts:
        assert f"│ {part} " in err or f"│   {part} " in err


def test_parts_of_the_start_add_up():
    times = StartUpTimes()
    with times.measure("weights"):
        pass
    parts = times.parts(ready_after=2.0, first_result_after=5.0)
    assert parts["libraries and arguments"] + parts["weights"] + parts["first photo"] == parts["total"] == 5.0
    assert 0 < process_age() < 1e6


def test_loaded_networks_have_the_numbers_of_their_file():
    """They are made without memory, so everything must come from the file or be computed."""
    network, _ = load_network(find_weights("googlenet-voc-shared"))
    tensors = [*network.parameters(), *network.buffers()]
    assert all(tensor.device.type == "cpu" and bool(tensor.isfinite().all()) for tensor in tensors)
    crops = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert bool(network(crops).main.isfinite().all())


RARELY = """
import sys
sys.path[:0] = {path!r}
from incdet.runtime.start_up import collect_garbage_rarely
collect_garbage_rarely()
"""

CYCLE = """
class Cycle:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("found")
Cycle()
"""


def test_a_program_ends_without_looking_for_garbage_again():
    """Python does so by default, which takes a second after a detection."""
    for beginning, found in (("", "found\n"), (RARELY.format(path=sys.path), "")):
        result = subprocess.run([sys.executable, "-c", beginning + CYCLE], capture_output=True, text=True, check=True)
        assert result.stdout == found
