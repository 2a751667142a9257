"""GoogLeNet's shape, its parameters, and its response normalisation."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from incdet.errors import WeightsError
from incdet.networks.architectures import ARCHITECTURES, TABLE_1
from incdet.networks.conv_units import BatchNorm
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.importers.torchvision import from_torchvision
from incdet.networks.inception import Inception, InceptionWidths, NaiveInception
from incdet.networks.response_norm import LocalResponseNorm
from incdet.networks.summary import summarize


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_table_1():
    network = GoogLeNet(1000, auxiliary=True)
    heads = count(network.auxiliary_4a), count(network.auxiliary_4d)
    assert heads == (3_188_840, 3_190_888)
    assert count(network) == 13_378_280
    assert count(GoogLeNet(1000)) == 6_998_552


@pytest.mark.parametrize("num_classes", [1, 21, 201])
def test_logits_have_a_column_per_class(num_classes):
    network = GoogLeNet(num_classes, auxiliary=True).eval()
    with torch.inference_mode():
        logits = network(torch.randn(2, 3, 224, 224))
    assert [tuple(part.shape) for part in logits] == [(2, num_classes)] * 3
    assert network.num_classes == num_classes


def test_without_auxiliary_heads_their_logits_are_none_in_both_modes():
    network = GoogLeNet(5, dropout=0)
    crops = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        training, inference = network.train()(crops), network.eval()(crops)
    assert training.auxiliary_4a is training.auxiliary_4d is None
    assert torch.equal(training.main, inference.main)


def test_pooling_rounds_up_as_in_table_1():
    sizes = {}
    network = GoogLeNet(2).eval()
    layers = {"conv1": 112, "conv2": 56, "inception_3a": 28, "inception_4a": 14, "inception_5a": 7}
    for name in layers:
        module = network.get_submodule(name)
        module.register_forward_hook(lambda _, __, out, name=name: sizes.__setitem__(name, out.shape[2]))
    with torch.inference_mode():
        network(torch.zeros(1, 3, 224, 224))
    assert sizes == layers


def test_an_inception_module_is_its_four_branches():
    torch.manual_seed(0)
    module = Inception(12, InceptionWidths(4, 3, 5, 2, 6, 7)).eval()
    maps = torch.randn(2, 12, 9, 9)
    # ConvReLU is called here branch by branch; the module fuses the three 1x1 convolutions
    branches = (
        module.conv_1x1(maps),
        module.conv_3x3(module.reduce_3x3(maps)),
        module.conv_5x5(module.reduce_5x5(maps)),
        module.pool_projection(F.max_pool2d(maps, 3, 1, 1)),
    )
    expected = torch.cat(branches, dim=1)
    assert expected.shape[1] == 4 + 5 + 6 + 7
    assert torch.allclose(module(maps), expected, atol=1e-6)
    module.join()
    assert torch.allclose(module(maps), expected, atol=1e-6)
    assert [widths.output for widths in TABLE_1.values()] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


@pytest.mark.parametrize("channels", [1, 3, 64])
def test_response_normalisation_equals_torchs(channels):
    maps = torch.randn(2, channels, 6, 5) * 50
    expected = F.local_response_norm(maps, 5, alpha=1e-4, beta=0.75, k=1.0)
    assert torch.allclose(LocalResponseNorm(channels)(maps), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 192, 64, 70), (3, 5, 4, 3), (0, 8, 4, 4)], ids=["threads", "few", "none"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_response_normalisation_is_the_same_with_and_without_gradients(shape, memory_format):
    norm = LocalResponseNorm(shape[1], alpha=0.02, k=2.0)
    maps = (torch.randn(shape) * 20).contiguous(memory_format=memory_format)
    learnt = norm(maps.clone().requires_grad_())
    assert torch.allclose(norm(maps), learnt.detach(), rtol=1e-5, atol=1e-6)
    rounded = norm(maps.bfloat16())
    assert rounded.dtype == torch.bfloat16
    assert rounded.is_contiguous(memory_format=torch.channels_last)
    # computed in float32, then rounded to the nearest
    expected = norm(maps.bfloat16().float())
    assert ((rounded.float() - expected).abs() <= expected.abs() / 256).all()
    assert (rounded == expected.bfloat16()).float().mean() > 0.999 or not maps.numel()


def test_normalised_bfloat16_ties_go_to_the_even_number_and_nothing_is_lost_of_what_is_not_finite():
    # k = 1/16 and no sum: every number is multiplied by 8, exactly
    special = [float("inf"), float("-inf"), float("nan"), 0.0, -0.0, 1e-38, 3e38]
    norm = LocalResponseNorm(1, size=1, alpha=0.0, k=1 / 16)
    maps = torch.tensor(special).bfloat16().view(-1, 1, 1, 1)
    assert torch.equal(norm(maps).isnan(), (maps * 8 * (1 + maps.float().square() * 0)).isnan())
    ordinary = torch.linspace(-4, 4, 1000).bfloat16().view(-1, 1, 1, 1)
    assert torch.equal(norm(ordinary), ordinary * 8)
    # 1 / (1 + 2 ** -8) lies between two numbers, as most quotients do
    odd = LocalResponseNorm(1, size=1, alpha=0.0, k=(1 + 2**-8) ** (4 / 3))
    assert torch.equal(odd(ordinary), (ordinary.float() / (1 + 2**-8)).bfloat16())


def test_the_gradient_of_response_normalisation():
    norm = LocalResponseNorm(7, alpha=0.5).double()
    maps = torch.randn(2, 7, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (maps,))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_variant_has_main_and_auxiliary_logits(name):
    network = GoogLeNet(7, auxiliary=True, architecture=ARCHITECTURES[name]).eval()
    with torch.inference_mode():
        logits = network(torch.randn(1, 3, 224, 224))
    assert [tuple(part.shape) for part in logits] == [(1, 7)] * 3
    assert all(part.isfinite().all() for part in logits)


def test_the_totals_are_those_of_the_sources():
    """FACTS, section 4: 1.50 G holds with the separable first convolution, a full one gives 1.58 G."""
    table = summarize(ARCHITECTURES["table"])
    assert table.parameters == 6_998_552
    assert table.head_parameters == (3_188_840, 3_190_888)
    assert round(table.multiply_adds / 1e9, 2) == 1.58
    for name in ("table-separable", "released-separable"):
        assert round(summarize(ARCHITECTURES[name]).multiply_adds / 1e9, 2) == 1.50


def test_the_printed_operations_fit_the_released_network_with_a_separable_convolution_only():
    wrong = {
        name: [layer.name for layer in summarize(ARCHITECTURES[name]).layers if layer.contradictions[1]]
        for name in ("table", "table-separable", "released", "released-separable")
    }
    assert wrong == {
        "table": ["conv1", "4a", "5a"],
        "table-separable": ["4a", "5a"],
        "released": ["conv1"],
        "released-separable": [],
    }


def test_depth_is_22_layers_with_parameters():
    """Section 5 of the paper."""
    assert sum(layer.depth for layer in summarize(ARCHITECTURES["table"]).layers) == 22


@pytest.mark.parametrize("name", ["table", "table-separable", "naive", "torchvision", "wide"])
def test_multiply_adds_are_what_the_convolutions_do(name):
    """Counted layer by layer while a network runs; the shared 1x1 convolutions run apart here."""
    network = GoogLeNet(1000, architecture=ARCHITECTURES[name]).eval()
    done = []

    def count_one(layer, inputs, output):
        done.append(layer.weight[0].numel() * output.numel())

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count_one)
        if isinstance(layer, Inception):
            layer._reduce = lambda input, layer=layer: [
                unit(input) for unit in (layer.conv_1x1, layer.reduce_3x3, layer.reduce_5x5)
            ]
    with torch.inference_mode():
        network(torch.zeros(1, 3, 224, 224))
    assert sum(done) == summarize(ARCHITECTURES[name]).multiply_adds


def test_a_naive_module_lets_the_pooled_input_out():
    module = NaiveInception(3, InceptionWidths(2, 9, 4, 9, 5, 9)).eval()
    maps = torch.randn(2, 3, 8, 8)
    assert module(maps).shape[1] == module.out_channels == 2 + 4 + 5 + 3
    assert torch.equal(module(maps)[:, -3:], F.max_pool2d(maps, 3, 1, 1))


def test_batch_normalisation_is_torchs():
    torch.manual_seed(0)
    ours, theirs = BatchNorm(5), nn.BatchNorm2d(5, eps=1e-3)
    for step in range(4):
        maps = torch.randn(3, 5, 4, 4) * (step + 1) + step
        assert torch.allclose(ours(maps), theirs(maps), atol=1e-6)
    assert torch.allclose(ours.eval()(maps), theirs.eval()(maps), atol=1e-6)
    assert ours.state_dict().keys() | {"num_batches_tracked"} == theirs.state_dict().keys()


@pytest.fixture(scope="module")
def torchvisions():
    """torchvision's own network with random weights and statistics."""
    torch.manual_seed(3)
    network = torchvision.models.googlenet(num_classes=11, aux_logits=True, transform_input=False, init_weights=False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return network


@pytest.mark.parametrize("training", [False, True])
def test_torchvisions_variant_computes_what_torchvision_computes(torchvisions, training):
    ours = GoogLeNet(11, auxiliary=True, dropout=0, architecture=ARCHITECTURES["torchvision"])
    ours.load_state_dict(from_torchvision(torchvisions.state_dict(), "torchvision", auxiliary=True))
    theirs = torchvisions.train(training)
    for network in (ours.train(training), theirs):
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0
    crops = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        logits, expected = ours(crops), theirs(crops)
    assert torch.allclose(logits.main, expected.logits if training else expected, atol=1e-5)
    if training:
        assert torch.allclose(logits.auxiliary_4a, expected.aux_logits1, atol=1e-5)
        assert torch.allclose(logits.auxiliary_4d, expected.aux_logits2, atol=1e-5)


def test_other_tensors_than_torchvisions_are_refused(torchvisions):
    tensors = dict(torchvisions.state_dict())
    assert not any(name.startswith("auxiliary") for name in from_torchvision(tensors, "file"))
    with pytest.raises(WeightsError, match=r"file holds 'fc3.weight'"):
        from_torchvision(tensors | {"fc3.weight": torch.zeros(1)}, "file")
    del tensors["inception4c.branch3.1.bn.running_var"]
    with pytest.raises(WeightsError, match=r"file lacks 'inception4c.branch3.1.bn.running_var'"):
        from_torchvision(tensors, "file")
