"""Fine-tuning region classifiers: what learns, what stays, and how the members of an ensemble differ."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from incdet.config.loading import make_config
from incdet.config.sections import DetectionsConfig
from incdet.data.readers import Collection, read_dataset
from incdet.errors import ConfigurationError
from incdet.evaluation.average_precision import evaluate_detections
from incdet.images import read_image
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.regions import RegionCropper
from incdet.runtime.distributed import Processes
from incdet.runtime.reporter import SILENT
from incdet.structures import RegionScores
from incdet.training.loop import Trainer
from incdet.training.region_task import RegionsTask
from incdet.training.region_training import RegionTraining
from incdet.training.region_training_config import RegionsTrainingConfig

CPU = torch.device("cpu")


def training(root="here", **more):
    values = {
        "data": {"root": str(root), "split": "val", "validation_images": 1, "validation_proposals": 2},
        "initial_weights": "of a test",
        "proposals": {"methods": ["selective_search"], "limit": 40, "selective_search": {"color_spaces": ["lab"]}},
        "optimization": {"steps": 2, "batch_size": 4, "learning_rate": 0.1},
        "precision": "float32",
        "device": "cpu",
        "workers": 0,
    }
    return make_config(RegionsTrainingConfig, values | more, "test")


@pytest.fixture(scope="module")
def task_of(small_voc, tmp_path_factory):
    dataset = read_dataset(Collection("voc"), small_voc, "val")
    folder = tmp_path_factory.mktemp("cache")

    def make(classes, size=224, processes=None, extra=None, **more):
        """The first photo validates, the other one is trained on; those of `extra` lend objects."""
        config = training(small_voc, **more)
        torch.manual_seed(0)
        about = {"classes": classes or dataset.class_names, "preprocessing": Preprocessing(size=size)}
        record = WeightsRecord(**about, background=True, origin="a test", licence="none")
        start = GoogLeNet(record.num_columns)
        before = {name: value.clone() for name, value in start.state_dict().items()}
        cache = ProposalCache(folder, config.proposals)
        lent = None if extra is None else dataset.subset(list(extra))
        return before, RegionsTask(dataset, cache, (start, record), config, processes, lent)

    return make


def batch_of(task, step=0):
    return next(task.task().batches(range(step, step + 1)))


@pytest.mark.slow
def test_frozen_stages_and_a_fitting_classifier_stay(task_of, tmp_path):
    sampling = {"positive_iou": 0.3, "full_iou": 0.8, "num_jittered_boxes": 5}
    before, task = task_of(None, size=96, frozen_stages=3, sampling=sampling)
    assert task.task().new_layers == ()
    assert torch.equal(task.network.classifier.weight, before["classifier.weight"])
    trainer = Trainer(task.task(), task.config.optimization, task.config.schedule(), tmp_path, 0)
    trainer.resume(task.config.decisive())
    trainer.run(lambda step, terms: None)
    frozen = ("conv", "inception_3")
    for name, value in trainer.average.state().items():
        assert torch.equal(value, before[name]) == name.startswith(frozen), name
    assert task.record({}).origin.startswith("stages 4 to 5 fine-tuned")


def test_other_classes_get_a_new_classifier(task_of):
    before, task = task_of(("a", "b"))
    assert task.task().new_layers == ("classifier.",)
    assert task.network.num_classes == 21
    assert torch.equal(task.network.conv1.weight, before["conv1.weight"])
    assert all(parameter.requires_grad for parameter in task.network.parameters())


def test_the_context_is_what_the_training_says(task_of):
    _, task = task_of(None, context=40)
    assert task.record({}).preprocessing.context == 40
    assert not torch.allclose(batch_of(task).crops, batch_of(task_of(None)[1]).crops, atol=1)
    with pytest.raises(ConfigurationError, match="set context to 56 or less"):
        task_of(None, context=57)


def test_the_dropout_is_what_the_training_says(task_of):
    for classes in (None, ("a", "b")):
        assert task_of(classes, dropout=0.15)[1].network.dropout.p == 0.15


def test_objects_lie_where_they_are_in_the_file(task_of):
    """The second photo, which is trained on, is annotated at half the size of its file."""
    _, task = task_of(None)
    assert [path.name for path in task.training.image_paths] == ["second.jpg"]
    assert task.sampler.pool.boxes[0] == pytest.approx([61, 0, 461, 300])
    assert all("second.jpg at [" in name for name in batch_of(task).names)


def test_photos_with_known_proposals_are_not_decoded(task_of, monkeypatch):
    _, task = task_of(None)
    read = []
    monkeypatch.setattr("incdet.training.photo_proposals.read_image", lambda *arguments: read.append(arguments))
    pool = task_of(None)[1].sampler.pool
    assert read == []
    assert np.array_equal(pool.boxes, task.sampler.pool.boxes)


def test_processes_share_the_batch_of_one(task_of):
    settings = {"optimization": {"steps": 2, "batch_size": 4}, "size": 96}
    shares = [batch_of(task_of(None, processes=Processes(rank, 2), **settings)[1], 1) for rank in range(2)]
    settings["optimization"]["batch_size"] = 8
    whole = batch_of(task_of(None, **settings)[1], 1)
    assert shares[0].names != shares[1].names
    for rank, share in enumerate(shares):
        assert share.names == whole.names[rank::2]
        assert torch.equal(share.crops, whole.crops[rank::2])
        assert torch.equal(share.targets, whole.targets[rank::2])


def test_photos_of_the_extra_split_lend_objects_and_no_background(task_of):
    _, task = task_of(None, extra=[0, 1])
    assert [path.name for path in task.training.image_paths] == ["second.jpg", "first.jpg", "second.jpg"]
    pool = task.sampler.pool
    assert [bool((pool.objects[pool.images == image] < 0).any()) for image in range(3)] == [True, False, False]
    assert [bool((pool.objects[pool.images == image] >= 0).any()) for image in range(3)] == [True, True, True]


def test_an_epoch_is_as_many_regions_with_an_object_as_there_are_objects(task_of):
    """Three objects, and every fourth region shows one."""
    assert task_of(None, extra=[0, 1], sampling={"positive_share": 0.25})[1].task().epoch_size == 12


@pytest.mark.slow
def test_validation_is_detection_in_the_photos_kept_out(task_of):
    """Against the stages one by one; the photo is annotated at half the size of its file."""
    data = {"root": "here", "validation_images": 1, "validation_proposals": 24}
    _, task = task_of(None, size=96, context=24, data=data)
    # the photo that is annotated at half its size
    task.validation = task.training
    (path,), (truth,) = task.validation.image_paths, task.validation.ground_truths
    image, network = read_image(path), task.network.eval()
    boxes = task.proposals.cache(image)[:24].boxes
    # a network that tells these regions apart, and objects of six classes where some of them are
    crops = RegionCropper(image, task.preprocessing, CPU).crop(boxes)
    with torch.no_grad():
        features = network.last_feature_maps(crops).mean(dim=(2, 3))
        network.classifier.weight.normal_(generator=torch.Generator().manual_seed(0)).div_(features.std(dim=0).norm())
        network.classifier.bias.copy_(-(network.classifier.weight @ features.mean(dim=0)))
        probabilities = network(crops).main.softmax(dim=1)[:, :-1].contiguous().numpy()
    columns = {"boxes": boxes[:24:4] / 2, "class_ids": np.arange(6), "ignored": np.zeros(6, bool)}
    task.validation = replace(task.validation, ground_truths=(replace(truth, **columns),))
    truth = task.validation.ground_truths[0].rescaled(image.width, image.height)
    detections = select_detections(RegionScores(boxes, probabilities), image, task.classes, DetectionsConfig())
    expected = evaluate_detections(task.classes, [truth], [detections]).mean_average_precision
    assert 0.1 < expected < 0.9
    assert task.validate(network)["validation_mAP"] == pytest.approx(expected, abs=1e-6)


def test_validation_photos_without_objects_have_no_precision(small_voc):
    dataset = read_dataset(Collection("voc"), small_voc, "val")
    bare = [replace(truth, ignored=np.ones(len(truth), bool)) for truth in dataset.ground_truths]
    training = SimpleNamespace(reporter=SILENT, classes=dataset.class_names)

    def detect(image):
        scores = RegionScores(np.zeros((0, 4), np.float32), np.zeros((0, 20), np.float32))
        return select_detections(scores, image, dataset.class_names, DetectionsConfig())

    for truths, expected in ((bare, {}), (dataset.ground_truths, {"validation_mAP": 0.0})):
        training.validation = replace(dataset, ground_truths=tuple(truths))
        assert RegionTraining.measure(training, detect) == expected


def test_soft_targets_lower_the_loss_of_a_network_that_is_not_sure(task_of):
    """Cross entropy with probabilities: the least value is that of a network that says just them."""
    sampling = {"positive_iou": 0.3, "full_iou": 1.0, "num_jittered_boxes": 40, "positive_share": 1}
    _, task = task_of(None, size=96, sampling=sampling)
    batch = batch_of(task)
    assert ((batch.targets > 0) & (batch.targets < 1)).any()

    class Says(torch.nn.Module):
        def __init__(self, probabilities):
            super().__init__()
            self.logits = probabilities.clamp(1e-9).log()

        def forward(self, crops):
            return type("Logits", (), {"main": self.logits})

    right, wrong = (task.losses(Says(p), batch)["cross_entropy"] for p in (batch.targets, batch.targets.flip(1)))
    entropy = -(batch.targets * batch.targets.clamp(1e-9).log()).sum(dim=1)
    assert torch.allclose(right, entropy, atol=1e-4)
    assert (wrong > right).all()


def test_members_differ_in_their_seeds_and_in_what_the_recipe_says():
    config = training(seed=7, members=[{}, {"sampling": {"positive_iou": 0.4}}])
    first, second, third = (config.member(number) for number in (1, 2, 3))
    assert [first.seed, second.seed, third.seed] == [7, 8, 9]
    assert [one.sampling.positive_iou for one in (first, second, third)] == [0.5, 0.4, 0.5]
    assert second.sampling.full_iou == config.sampling.full_iou
    assert second.members == ()
    assert second.optimization == config.optimization


def test_a_member_with_an_unknown_setting_is_refused():
    with pytest.raises(ConfigurationError, match=r"member 1: unknown key 'sampling\.positive_you'"):
        training(members=[{"sampling": {"positive_you": 0.4}}]).member(1)
