"""Training on shared features: what learns, from where it starts, that it is exact, and what is stored."""

from dataclasses import replace

import pytest
import torch

from incdet.config.loading import make_config
from incdet.data.readers import Collection, read_dataset
from incdet.errors import ConfigurationError, DataError
from incdet.networks.box_regression import BoxRegressor
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network, save_weights
from incdet.networks.weights_record import WeightsRecord
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.distributed import Processes
from incdet.training.averaging import averaged_network
from incdet.training.loop import Trainer
from incdet.training.region_training_config import RegionsTrainingConfig
from incdet.training.shared_network import SharedNetwork, plain_network
from incdet.training.shared_region_task import SharedRegionsTask

SAMPLING = {"positive_share": 0.4, "positive_iou": 0.3, "full_iou": 0.7, "num_jittered_boxes": 6, "near_share": 0.5}
SHARED = {"photo_sides": [96, 128], "regions_per_photo": 10}
LONGER = {
    "optimization": {"steps": 20, "batch_size": 2, "learning_rate": 0.005},
    "shared": {"photo_sides": [160, 192], "regions_per_photo": 12},
}
STILL = {"photo_sides": [128, 128], "regions_per_photo": 10, "color_gain": 0.0, "color_shift": 0.0}


def training(root="here", **more):
    values = {
        "features": "shared",
        "data": {"root": str(root), "split": "val", "validation_images": 0, "validation_proposals": 20},
        "initial_weights": "of a test",
        "proposals": {"methods": ["selective_search"], "limit": 40, "selective_search": {"color_spaces": ["lab"]}},
        "optimization": {"steps": 3, "batch_size": 2, "learning_rate": 0.002},
        "sampling": SAMPLING,
        "shared": SHARED,
        "precision": "float32",
        "device": "cpu",
        "workers": 0,
    }
    return make_config(RegionsTrainingConfig, values | more, "test")


def untrained(classes, regressor):
    """A network that has learnt nothing, and its record."""
    torch.manual_seed(0)
    features = "cropped" if regressor is None else "shared"
    record = WeightsRecord(classes=classes, features=features, background=True, origin="a test", licence="none")
    network = GoogLeNet(record.num_columns)
    network.box_regressor = regressor
    return network, record


@pytest.fixture(scope="module")
def photos(small_voc):
    return read_dataset(Collection("voc"), small_voc, "val")


@pytest.fixture(scope="module")
def task_of(small_voc, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")

    def make(classes=None, processes=None, dataset=photos, start=None, regressor=None, extra=None, **more):
        config = training(small_voc, **more)
        cache = ProposalCache(folder, config.proposals)
        start = start or untrained(classes or photos.class_names, regressor)
        return SharedRegionsTask(dataset, cache, start, config, processes, extra)

    return make


def trainer_of(task, folder):
    return Trainer(task.task(), task.config.optimization, task.config.schedule(), folder, 0)


def trained(task, folder, stop=None):
    folder.mkdir(exist_ok=True)
    trainer = trainer_of(task, folder)
    trainer.resume(task.config.decisive())

    def progress(step, terms):
        if step == stop:
            raise KeyboardInterrupt

    if stop is None:
        trainer.run(progress)
    else:
        with pytest.raises(KeyboardInterrupt):
            trainer.run(progress)
    return trainer


def losses_of(task, step=0, training=False):
    batch = next(task.task().batches(range(step, step + 1)))
    return task.losses(SharedNetwork(task.network).train(training), batch)


def mean_losses(task):
    with torch.no_grad():
        return {name: float(values.mean()) for name, values in losses_of(task).items()}


def assert_same_state(trainer, other):
    for name, value in trainer.average.state().items():
        assert torch.equal(value, other.average.state()[name]), name


def test_a_kept_classifier_learns_like_all_layers_and_a_new_one_faster(task_of):
    assert task_of().task().new_layers == ()
    task = task_of(("a", "b"))
    assert task.task().new_layers == ("googlenet.classifier.",)
    assert task.network.num_classes == 21
    names = [name for name, _ in task.task().network.named_parameters()]
    assert any(name.startswith("googlenet.classifier.") for name in names)


def test_the_box_regressor_goes_on_or_starts_anew(task_of):
    plain = BoxRegressor(1024)
    task = task_of(regressor=plain)
    folded = plain_network(SharedNetwork(task.network)).box_regressor
    assert torch.allclose(folded.linear.weight, plain.linear.weight, atol=1e-8)
    fresh = task_of().network.box_regressor
    assert 0.0009 < fresh.linear.weight.std() < 0.0011
    assert torch.equal(fresh.linear.weight, task_of().network.box_regressor.linear.weight)
    assert not torch.equal(fresh.linear.weight, task_of(seed=4).network.box_regressor.linear.weight)


@pytest.mark.slow
def test_an_interrupted_run_ends_bit_for_bit_like_one_in_one_go(task_of, tmp_path):
    whole = trained(task_of(), tmp_path / "whole")
    trained(task_of(), tmp_path / "cut", stop=1)
    again = trained(task_of(workers=1), tmp_path / "cut")
    assert_same_state(whole, again)


@pytest.mark.slow
def test_the_stored_weights_are_those_that_were_validated(task_of, photos, tmp_path):
    task = task_of(dataset=photos.joined(photos), frozen_stages=4, data={"root": "here", "validation_images": 1})
    trainer = trained(task, tmp_path)
    averaged = averaged_network(trainer.task.network, trainer.average).eval()
    record = task.record({"validation_mAP": 0.25})
    save_weights(tmp_path / "weights.safetensors", trainer.task.weights(averaged), record, torch.float16)
    network, stored = load_network(tmp_path / "weights.safetensors")
    assert stored.features == "shared"
    assert stored.preprocessing.photo_sides == (111,)
    assert list(stored.measured.values()) == [0.25]
    pooled = torch.rand(2, 832, 7, 7)
    with torch.no_grad():
        expected = plain_network(averaged).region_head(pooled)
        # the file holds eleven bits of each weight
        assert torch.allclose(network.region_head(pooled), expected, atol=1e-3)
    assert set(trainer.log.last("validation")) == {"validation_mAP"}


@pytest.mark.slow
@pytest.mark.parametrize("frozen_stages", [2, 4])
def test_frozen_stages_stay_and_the_loss_falls(task_of, photos, tmp_path, frozen_stages):
    """From shipped weights, which know crops and neither these feature maps nor box deltas."""
    start, record = load_network(find_weights("googlenet-voc"))
    task = task_of(start=(start, record), frozen_stages=frozen_stages, dropout=0.0, **LONGER)
    before = {name: value.clone() for name, value in task.task().network.state_dict().items()}
    first = mean_losses(task)
    trainer = trained(task, tmp_path)
    frozen = {2: ("conv",), 4: ("conv", "inception_3", "inception_4")}[frozen_stages]
    for name, value in trainer.task.network.state_dict().items():
        assert torch.equal(value, before[name]) == name.removeprefix("googlenet.").startswith(frozen), name
    last = mean_losses(task)
    assert last["cross_entropy"] < first["cross_entropy"] * 0.7
    assert last["box"] < first["box"] * 0.9


@pytest.mark.parametrize("gigabytes", [0.0, 1.0])
def test_cached_feature_maps_teach_what_photos_teach(task_of, monkeypatch, gigabytes):
    settings = {"frozen_stages": 4, "memory_gigabytes": gigabytes}
    cached = task_of(shared=STILL | {"cache_features": True}, **settings)
    fresh = task_of(shared=STILL, **settings)
    computed, compute = [], cached.network.photo_features
    monkeypatch.setattr(cached.network, "photo_features", lambda photo: computed.append(1) or compute(photo))
    for step in range(6):
        ours, theirs = losses_of(cached, step), losses_of(fresh, step)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    # two photos, plain and mirrored
    assert len(computed) == (12 if gigabytes == 0 else 4)


def test_cached_feature_maps_are_those_of_the_photo_sides_of_detection(task_of):
    sizes = {"photo_sides": [96, 200], "detection_sides": [96, 160], "size_spread": 0.3}
    cached = task_of(shared=STILL | sizes | {"cache_features": True}, frozen_stages=4)
    sides = set()
    for batch in cached.task().batches(range(10)):
        sides.update(batch.photo_sides)
        heights = [features.shape[2] for features in cached.inputs(batch)]
        # the photos are no taller than wide, so that the height is the shorter side
        assert heights == [side // 16 for side in batch.photo_sides]
    assert sides == {96, 160}


def test_hard_regions_have_the_highest_loss(task_of):
    every, hard = losses_of(task_of()), losses_of(task_of(shared=SHARED | {"hard_regions": 3}))
    total = (sum(losses.values()) for losses in (every, hard))
    for mean_of_all, mean_of_hard in zip(*total, strict=True):
        assert mean_of_hard > mean_of_all
        assert mean_of_hard * 3 <= mean_of_all * 10 + 1e-3


@pytest.mark.slow
def test_processes_share_the_step_of_one(task_of):
    """Two processes with a photo each compute the gradients of one with two, dropout aside."""
    settings = {"optimization": {"steps": 2, "batch_size": 1}, "dropout": 0.0}
    shares = [losses_of(task_of(processes=Processes(rank, 2), **settings), 1) for rank in range(2)]
    settings["optimization"]["batch_size"] = 2
    whole = losses_of(task_of(**settings), 1)
    for name, values in whole.items():
        assert torch.allclose(values, torch.cat([share[name] for share in shares]), atol=1e-4)


def test_the_photo_side_is_that_of_the_initial_weights_where_the_training_shows_it(task_of):
    assert task_of(shared={"photo_sides": [400, 640]}).preprocessing.photo_sides == (512,)
    assert task_of(shared={"photo_sides": [200, 450]}).preprocessing.photo_sides == (300,)
    several = task_of(shared={"photo_sides": [200, 450], "detection_sides": [256, 400]})
    assert several.preprocessing.photo_sides == (256, 400)


def test_photos_that_lend_objects_come_last(task_of, photos):
    task = task_of(extra=photos)
    assert task.num_exhaustive == 2
    assert len(task.photos.weights) == 4


def test_photos_without_objects_are_refused(task_of, photos):
    bare = tuple(replace(truth, ignored=truth.ignored | True) for truth in photos.ground_truths)
    with pytest.raises(DataError, match="cannot train on 0 regions with an object"):
        task_of(dataset=replace(photos, ground_truths=bare))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"features": "cropped"}, "shared.photo_sides is a setting of shared features, but features are cropped"),
        ({"shared": {"photo_sides": [600, 400]}}, "photo_sides go from 600 down to 400"),
        ({"shared": {"hard_regions": 60}}, "hard_regions 60 are to be chosen among regions_per_photo 48"),
        ({"shared": STILL | {"cache_features": True}}, "with frozen_stages 0 they still learn; set frozen_stages=4"),
        ({"shared": STILL | {"cache_features": True, "color_gain": 0.1}}, "set color_gain and color_shift to 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_a_sentence(settings, sentence):
    with pytest.raises(ConfigurationError, match=sentence.replace("[", r"\[")):
        training(**settings)


def test_members_keep_the_settings_of_shared_features():
    config = training(members=[{"shared": {"hard_regions": 4}}])
    assert config.member(1).shared.hard_regions == 4
    assert config.member(1).shared.regions_per_photo == 10
