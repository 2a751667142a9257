"""Regions -> probabilities, by one network, by several, and behind a rejection network."""

import copy

import numpy as np
import pytest
import torch
from cascades import CPU, SMALL, cascade_of, member_of, regions_of

from incdet.networks.engines.torch_backend import prepare_network
from incdet.networks.ensemble import Ensemble
from incdet.networks.googlenet import GoogLeNet
from incdet.pipeline import batching
from incdet.pipeline.batching import score_across_photos
from incdet.regions import RegionCropper
from incdet.structures import Image


def prepared(network):
    return prepare_network(network, CPU, torch.float32)


@pytest.fixture(scope="module")
def networks():
    """Three that differ; the last two share stages 1 to 3."""
    torch.manual_seed(0)
    first, second = (prepared(GoogLeNet(4)) for _ in range(2))
    third = copy.deepcopy(second)
    torch.nn.init.normal_(third.classifier.weight, std=0.05)
    return first, second, third


@pytest.fixture(scope="module")
def crops():
    return {16: torch.randn(5, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 60}


@pytest.fixture(scope="module")
def photos(astronaut, chelsea_file):
    """Three with 5, 0 and 3 regions."""
    generator = np.random.default_rng(0)
    corners = np.sort(generator.uniform(0, 500, (8, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    turned = Image(astronaut.pixels[::-1].copy())
    return [(astronaut, corners[:5]), (turned, corners[:0]), (turned, corners[5:])]


def ensemble_of(networks):
    return Ensemble([member_of(network) for network in networks])


def scored(photos, cascade, batch_size=64, across_photos=False):
    return [regions.scores().probabilities for regions in regions_of(photos, cascade, batch_size, across_photos)]


def close(found, expected):
    return all(np.allclose(*pair, atol=1e-5) for pair in zip(found, expected, strict=True))


def test_probabilities_sum_to_one_and_are_averaged(networks, crops):
    first, second, third = (ensemble_of([network])(crops).probabilities for network in networks)
    assert torch.allclose(first.sum(dim=1), torch.ones(5), atol=1e-6)
    assert not torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(second, third, atol=1e-3)
    assert torch.allclose(ensemble_of(networks)(crops).probabilities, (first + second + third) / 3, atol=1e-6)


def test_shared_stages_run_once(networks, crops, photos, monkeypatch):
    runs = []
    original = GoogLeNet.trunk
    monkeypatch.setattr(GoogLeNet, "trunk", lambda self, inputs: runs.append(self) or original(self, inputs))
    ensemble_of(networks)(crops)
    assert runs == [networks[0], networks[1]]
    runs.clear()
    scored(photos[:1], cascade_of(networks[2:], networks[1]))
    assert runs == [networks[1]]


@pytest.mark.parametrize("layer", ["conv2", "inception_3b.conv_5x5"])
def test_networks_that_differ_in_one_lower_layer_share_no_maps(networks, crops, layer):
    """Each gives what it gives alone, although most of their lower layers are the same."""
    first, other = networks[0], copy.deepcopy(networks[0])
    other.get_submodule(layer).weight.mul_(-1)
    crops = {16: crops[16][:2]}
    alone = [ensemble_of([network])(crops).probabilities for network in (first, other)]
    assert not torch.allclose(*alone, atol=1e-4)
    together = ensemble_of([first, other])(crops)
    assert torch.allclose(together.by_member, torch.stack(alone), atol=1e-6)
    assert torch.allclose(together.probabilities, (alone[0] + alone[1]) / 2, atol=1e-6)


@pytest.mark.slow
def test_rows_that_fill_a_batch_change_nothing(networks, crops):
    many = {16: crops[16].repeat(4, 1, 1, 1)}
    ensemble = ensemble_of(networks)
    assert torch.allclose(ensemble(many).probabilities, ensemble(crops).probabilities.repeat(4, 1), atol=1e-5)


@pytest.mark.slow
def test_background_is_dropped_and_batches_do_not_matter(networks, photos):
    cascade = cascade_of(networks[:2])
    whole = scored(photos, cascade)
    assert [rows.shape for rows in whole] == [(5, 3), (0, 3), (3, 3)]
    assert (whole[0].sum(axis=1) < 1).all()
    for batch_size in (1, 2, 7, 64):
        for across_photos in (False, True):
            assert close(scored(photos, cascade, batch_size, across_photos), whole)
    image, boxes = photos[0]
    assert close(scored([(image, boxes[::-1])], cascade), [whole[0][::-1]])


@pytest.mark.slow
@pytest.mark.parametrize("across_photos", [False, True])
@pytest.mark.parametrize("shared", [False, True], ids=["another trunk", "the same trunk"])
def test_only_regions_that_pass_the_rejection_network_reach_the_members(networks, photos, across_photos, shared):
    rejection_network, members = networks[1 if shared else 0], networks[2:]
    first, last = scored(photos, cascade_of([rejection_network])), scored(photos, cascade_of(members))
    strength = np.concatenate(first).max(axis=1)
    threshold = float(np.sort(strength)[3:5].mean())
    expected = [
        np.where(before.max(axis=1, keepdims=True) >= threshold, after, before)
        for before, after in zip(first, last, strict=True)
    ]
    assert not close(expected, first)
    assert not close(expected, last)
    for batch_size in (1, 3, 64):
        found = scored(photos, cascade_of(members, rejection_network, (threshold, 0)), batch_size, across_photos)
        assert close(found, expected)
    assert close(scored(photos, cascade_of(members, rejection_network, (0, 0))), last)
    assert close(scored(photos, cascade_of(members, rejection_network, (1, 0))), first)


@pytest.mark.slow
def test_what_each_network_says_is_what_it_would_find_alone(networks, photos):
    rejection_network, members = networks[0], networks[1:]
    threshold = float(np.median(np.concatenate(scored(photos, cascade_of([rejection_network]))).max(axis=1)))
    alone = [cascade_of([rejection_network])]
    alone += [cascade_of([member], rejection_network, (threshold, 0)) for member in members]
    expected = zip(*(scored(photos, one, 64) for one in alone), strict=True)
    cascade = cascade_of(members, rejection_network, (threshold, 0))
    found = [regions.scores() for regions in regions_of(photos, cascade, 2, across_photos=True)]
    assert len(cascade.network_names) == len(alone) == 3
    for photo, each in zip(found, expected, strict=True):
        assert photo.by_network == pytest.approx(np.stack(each), abs=1e-5)
        seen = (photo.by_network[0].max(axis=1) >= threshold)[:, None]
        mean = photo.by_network[1:].mean(axis=0)
        assert photo.probabilities == pytest.approx(np.where(seen, mean, photo.by_network[0]), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("first_context", [16, 48], ids=["as some members", "as none"])
def test_members_see_contexts_of_their_own(networks, photos, first_context):
    """Each gives what it gives alone, on crops of its own, whichever trunk and crops it shares with others."""
    contexts, members = (16, 40, 40), (networks[1], networks[1], networks[2])
    alone = [scored(photos, cascade_of([one], contexts=[own])) for one, own in zip(members, contexts, strict=True)]
    assert not close(alone[0], alone[1])
    expected = [np.mean(rows, axis=0) for rows in zip(*alone, strict=True)]
    assert close(scored(photos, cascade_of(members, contexts=contexts)), expected)
    behind = cascade_of(members, networks[1], contexts=(first_context, *contexts))
    assert close(scored(photos, behind, batch_size=3, across_photos=True), expected)


def test_the_half_resolution_stage_spares_regions_the_others(networks, photos):
    """Those that pass get the scores they have without it; the others keep those of the half-resolution stage."""
    without = scored(photos, cascade_of(networks[2:], networks[1]))
    coarse = scored(photos, cascade_of(networks[2:], networks[1], (0, 1)))
    strength = np.concatenate(coarse).max(axis=1)
    threshold = float(np.sort(strength)[3:5].mean())
    found = scored(photos, cascade_of(networks[2:], networks[1], (0, threshold)), batch_size=3, across_photos=True)
    expected = [
        np.where(before.max(axis=1, keepdims=True) >= threshold, after, before)
        for before, after in zip(coarse, without, strict=True)
    ]
    assert close(found, expected)
    assert not close(found, without)
    assert not close(found, coarse)


def test_photos_wait_for_a_full_batch(networks, photos):
    asked = []

    def cut():
        for image, boxes in photos:
            asked.append(len(boxes))
            yield RegionCropper(image, SMALL, CPU), boxes

    together = score_across_photos(cut(), cascade_of(networks[:1]), 64)
    assert [(len(next(together).boxes), len(asked)) for _ in photos] == [(5, 3), (0, 3), (3, 3)]


def test_photos_do_not_wait_for_a_full_batch_forever(networks, photos, monkeypatch):
    monkeypatch.setattr(batching, "MAX_PHOTOS_UNDER_WAY", 2)
    image, boxes = photos[0]
    asked = []

    def cut():
        for number in range(5):
            asked.append(number)
            yield RegionCropper(image, SMALL, CPU), boxes[:1]

    together = score_across_photos(cut(), cascade_of(networks[:1]), 64)
    assert [len(asked) for _ in together] == [2, 2, 4, 4, 5]


def test_seconds_are_told_for_every_photo(networks, photos):
    found = regions_of(photos, cascade_of(networks[:1]), across_photos=True)
    assert [photo.seconds["scores"] > 0 for photo in found] == [True, False, True]
    assert found[0].seconds["scores"] == pytest.approx(found[2].seconds["scores"] * 5 / 3)
    assert found[0].seconds["regions"] > 0


def test_no_photos_no_scores(networks):
    assert scored([], cascade_of(networks[:1]), across_photos=True) == []


def test_prepared_networks_keep_no_gradients(networks):
    assert not any(parameter.requires_grad for parameter in networks[0].parameters())
    assert not networks[0].training
