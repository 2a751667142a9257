"""Every engine in every precision against the network itself in float32, on real regions."""

import copy

import pytest
import torch

from incdet.config.sections import ScoresConfig
from incdet.networks.engines.selection import Engine
from incdet.networks.engines.torch_backend import MAX_GRAPH_ROWS, TorchBackend, prepare_network
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import load_activation_ranges
from incdet.networks.weights import load_network

NAMES = ["googlenet-voc", "googlenet-voc-4"]

gpu = (
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
)


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def network(name):
    return load_network(find_weights(name))[0].eval()


@pytest.fixture(scope="module")
def expected(network, regions):
    """Probabilities of the 20 classes and background, computed layer by layer in float32."""
    with torch.inference_mode():
        return network(regions).main.softmax(dim=1)


@pytest.fixture
def exact_gpu():
    """float32 means float32 on a GPU, too."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "engine", "precision", "largest"),
    [
        ("cpu", "torch", "float32", 1e-4),
        ("cpu", "torch", "bfloat16", 0.02),
        ("cpu", "openvino", "float32", 1e-3),
        ("cpu", "openvino", "bfloat16", 0.02),
        ("cpu", "openvino", "int8", 0.1),
        pytest.param("cuda", "torch", "float32", 1e-3, marks=gpu),
        pytest.param("cuda", "torch", "bfloat16", 0.02, marks=gpu),
    ],
)
@torch.inference_mode()
def test_every_engine_says_what_the_network_says(
    network, name, regions, expected, device, engine, precision, largest, exact_gpu
):
    if engine == "openvino":
        pytest.importorskip("openvino")
    made = Engine(ScoresConfig(engine=engine, precision=precision), torch.device(device), [network])
    halves = made.backend(made.prepare(copy.deepcopy(network)), load_activation_ranges(find_weights(name)))
    classes = expected.argmax(dim=1)
    assert classes[0] == 7, "the cat"
    assert (classes == 20).sum() >= 4, "background"
    # torch takes five times as long where a processor has no bfloat16
    some = slice(None, None, 2 if (device, engine, precision) == ("cpu", "torch", "bfloat16") else 1)
    crops = regions[some].to(device)
    for outputs in (halves.head(halves.trunk(crops)), halves.full(crops)):
        assert outputs.dtype == torch.float32
        found = outputs.softmax(dim=1).cpu()
        assert torch.equal(found.argmax(dim=1), classes[some])
        assert float((found - expected[some]).abs().max()) < largest


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[:1], indirect=True)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=gpu)])
@torch.inference_mode()
def test_batches_of_any_size_in_any_order(network, regions, device, exact_gpu):
    """A GPU replays small batches, and answers must not be those of the batch before."""
    halves = TorchBackend(prepare_network(copy.deepcopy(network), torch.device(device), torch.float32))
    # only a GPU treats small batches and large ones differently
    repeats = MAX_GRAPH_ROWS // len(regions) + 2 if device == "cuda" else 2
    rows = regions.repeat(repeats, 1, 1, 1).to(device)
    expected = network(regions).main.repeat(len(rows) // len(regions), 1)
    kept = []
    for start, stop in [(0, 5), (2, 7), (0, len(rows)), (1, 2), (3, 8), (4, 4), (0, 13), (0, 5)]:
        some = rows[start:stop]
        kept += [(start, stop, halves.head(halves.trunk(some))), (start, stop, halves.full(some))]
    for start, stop, found in kept:
        assert found.shape == (stop - start, 21)
        assert torch.allclose(found.cpu(), expected[start:stop], atol=2e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_was_recorded_outlives_what_becomes_of_the_network(network, regions):
    """Another detector may prepare the same network for itself, in another precision."""
    shared = prepare_network(copy.deepcopy(network), torch.device("cuda"), torch.float32)
    halves, crops = TorchBackend(shared), regions[:5].cuda()
    with torch.inference_mode():
        maps = halves.trunk(crops)
    prepare_network(shared, torch.device("cuda"), torch.float32)
    torch.cuda.empty_cache()
    filler = [torch.full_like(parameter, 7) for parameter in shared.parameters()]
    # outside inference mode, too
    assert torch.equal(halves.trunk(crops), maps)
    assert filler
