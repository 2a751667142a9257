"""Fine-tuning region classifiers: what learns, what stays, and how the members of an ensemble differ."""

import pytest
import torch

from incdet.config import make_config
from incdet.data.readers import Collection, read_dataset
from incdet.errors import ConfigurationError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import WeightsRecord
from incdet.proposals import ProposalCache
from incdet.training.loop import Trainer
from incdet.training.regions import RegionsTask, RegionsTrainingConfig


def training(root="here", **more):
    values = {
        "data": {"root": str(root), "split": "val", "validation_images": 1, "validation_proposals": 2},
        "initial_weights": "of a test",
        "proposals": {"methods": ["selective_search"], "limit": 40, "selective_search": {"color_spaces": ["lab"]}},
        "optimization": {"steps": 2, "batch_size": 4, "learning_rate": 0.1},
        "precision": "float32",
        "device": "cpu",
    }
    return make_config(RegionsTrainingConfig, values | more, "test")


@pytest.fixture(scope="module")
def task_of(small_voc, tmp_path_factory):
    dataset = read_dataset(Collection("voc"), small_voc, "val")
    folder = tmp_path_factory.mktemp("cache")

    def make(classes, **more):
        config = training(small_voc, **more)
        torch.manual_seed(0)
        record = WeightsRecord(classes=classes or dataset.class_names, background=True, origin="a test", licence="none")
        start = GoogLeNet(record.num_columns)
        before = {name: value.clone() for name, value in start.state_dict().items()}
        return before, RegionsTask(dataset, ProposalCache(folder, config.proposals), (start, record), config)

    return make


def test_frozen_stages_and_a_fitting_classifier_stay(task_of, tmp_path):
    before, task = task_of(None, frozen_stages=3, sampling={"positive_iou": 0.3, "full_iou": 0.8, "jittered_boxes": 5})
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
    assert not torch.allclose(task.draw(0).crops, task_of(None)[1].draw(0).crops, atol=1)
    with pytest.raises(ConfigurationError, match="set context to 56 or less"):
        task_of(None, context=57)


def test_soft_targets_lower_the_loss_of_a_network_that_is_not_sure(task_of):
    """Cross entropy with probabilities: the least value is that of a network that says just them."""
    _, task = task_of(None, sampling={"positive_iou": 0.3, "full_iou": 1.0, "jittered_boxes": 40, "positive_share": 1})
    batch = task.draw(0)
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
