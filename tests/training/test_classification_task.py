"""Training a classifier: its losses and inputs by hand; the program killed, resumed, and run as two processes."""

import json

import numpy as np
import pytest
import torch
import yaml
from class_folders import CLASSES
from running_tools import kill_after_first_checkpoint, run_together, run_tool
from safetensors.torch import load_file
from torch.nn import functional as F

from incdet.classifier import Classifier
from incdet.config.loading import load_config, make_config
from incdet.config.sections import Config
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import load_network, save_weights
from incdet.networks.weights_record import Preprocessing, WeightsRecord
from incdet.runtime.distributed import Processes
from incdet.training.checkpoint_settings import DATA_KEY
from incdet.training.classification_task import ClassificationTask
from incdet.training.classifier_training_config import ClassifierTrainingConfig
from incdet.training.loop import Trainer
from incdet.training.optimization import OptimizationConfig
from incdet.training.samples.crop_batches import CropBatch
from incdet.training.schedule import Schedule


def make_task(folders, **settings):
    values = {"data": {"root": str(folders)}, "optimization": {"steps": 4}}
    values |= {"precision": "float32", "device": "cpu", "workers": 0} | settings
    return ClassificationTask(make_config(ClassifierTrainingConfig, values, "test"))


def batch_of(count, size=224):
    generator = torch.Generator().manual_seed(1)
    crops = torch.randint(0, 256, (count, size, size, 3), generator=generator, dtype=torch.uint8)
    noise = torch.randn(count, 3, generator=generator)
    return CropBatch(crops, noise, torch.arange(count) % len(CLASSES), [f"photo {i}" for i in range(count)])


def test_inputs_are_pixels_and_noise_without_the_mean(folders):
    batch = batch_of(2)
    inputs = make_task(folders).inputs(batch)
    assert inputs.shape == (2, 3, 224, 224)
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    expected = float(batch.crops[1, 7, 9, 2]) + float(batch.noise[1, 2]) - 104
    assert float(inputs[1, 2, 7, 9]) == pytest.approx(expected, abs=1e-3)


def test_auxiliary_losses_count_a_third_less_and_are_per_photo(folders):
    task, batch = make_task(folders), batch_of(2)
    task.network.eval()
    losses = task.losses(task.network, batch)
    logits = task.network(task.inputs(batch))
    assert list(losses) == ["main", "auxiliary_4a", "auxiliary_4d"]
    for name, weight in (("main", 1.0), ("auxiliary_4a", 0.3), ("auxiliary_4d", 0.3)):
        expected = [weight * F.cross_entropy(getattr(logits, name)[i], batch.targets[i]).detach() for i in range(2)]
        assert losses[name].tolist() == pytest.approx([float(value) for value in expected], rel=1e-5)
    assert list(make_task(folders, auxiliary=False).losses(GoogLeNet(3), batch)) == ["main"]


@pytest.mark.slow
def test_every_variant_trains_with_auxiliary_classifiers(folders):
    for name in ARCHITECTURES:
        task = make_task(folders, architecture=name)
        losses = task.losses(task.network, batch_of(1))
        sum(values.mean() for values in losses.values()).backward()
        assert len(losses) == 3
        assert all(parameter.grad is not None for parameter in task.network.parameters()), name


def test_the_batchnorm_variant_takes_small_crops(folders):
    task = make_task(folders, architecture="batchnorm", size=96)
    assert task.losses(task.network, batch_of(2, 96))["auxiliary_4a"].isfinite().all()
    assert task.preprocessing.size == 96


@pytest.fixture(scope="module")
def initial(tmp_path_factory):
    file = tmp_path_factory.mktemp("initial") / "initial.safetensors"
    record = WeightsRecord(
        classes=("a", "b"), background=False, origin="a test", licence="none", preprocessing=Preprocessing(scale=0.5)
    )
    torch.manual_seed(0)
    save_weights(file, GoogLeNet(2).state_dict(), record, torch.float32)
    return file


def test_fine_tuning_keeps_all_layers_but_the_last_and_their_preprocessing(folders, initial):
    task = make_task(folders, initial_weights=str(initial))
    before, record = load_network(initial)
    for name, value in before.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(task.network.state_dict()[name], value), name
    assert task.network.num_classes == 3
    assert task.preprocessing == record.preprocessing.model_copy(update={"context": 0})
    assert task.task().new_layers == ("classifier.", "auxiliary_")
    assert make_task(folders).task().new_layers == ()


def test_the_same_seed_starts_the_same_network(folders):
    one, same, other = (make_task(folders, seed=seed).network.classifier.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_validation_is_the_accuracy_of_a_classifier_with_one_crop(folders, tmp_path):
    task = make_task(folders, validation_images=5, auxiliary=False, size=96, seed=3)
    found = task.validate(task.network.eval())
    classifier = Classifier([task.network], [task.record({})], config=Config(device="cpu"))
    right = [
        np.argmax(classifier.classify(task.source.read(index)).probabilities) == task.source.class_ids[index]
        for index in task.validation_indices
    ]
    assert found == {"validation_top1": pytest.approx(np.mean(right)), "validation_top5": 1.0}
    assert make_task(folders).validate(task.network) == {}


def test_validation_photos_may_be_others_and_must_have_the_same_classes(folders, tmp_path):
    task = make_task(folders, validation={"root": str(folders)})
    assert len(task.validation_indices) == 12
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.jpg").write_bytes((folders / "cat" / "0.jpg").read_bytes())
    with pytest.raises(ConfigurationError, match="differ in their classes"):
        make_task(folders, validation={"root": str(tmp_path)})


def test_validation_photos_that_are_all_unreadable_are_named_and_give_no_number(folders, tmp_path):
    for name in CLASSES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"no photo")
    task, told = make_task(folders, validation={"root": str(tmp_path)}, size=96, auxiliary=False), []
    task.warn = told.append
    assert task.validate(task.network.eval()) == {}
    assert [sentence.endswith("; it is left out of the validation") for sentence in told] == [True] * 3


def test_the_context_of_regions_does_not_stay_when_whole_photos_are_learnt(folders, tmp_path):
    record = WeightsRecord(
        classes=("a", "b"), background=True, origin="a test", licence="none", preprocessing=Preprocessing(context=40)
    )
    save_weights(tmp_path / "regions.safetensors", GoogLeNet(3).state_dict(), record, torch.float16)
    task = make_task(folders, initial_weights=str(tmp_path / "regions.safetensors"), size=128, auxiliary=False)
    preprocessing = task.record({}).preprocessing
    assert (preprocessing.size, preprocessing.context) == (128, 0)


def test_the_identity_of_the_data_tells_which_photos_are_learnt(folders):
    whole, some, others = (make_task(folders, validation_images=count).data_identity() for count in (0, 3, 4))
    assert [identity["learnt_photos"] for identity in (whole, some, others)] == [12, 9, 8]
    assert whole["photos"] == some["photos"]
    assert len({identity["learnt"] for identity in (whole, some, others)}) == 3


def test_what_cannot_be_trained_is_refused(folders):
    with pytest.raises(ConfigurationError, match="no network 'googlenet2'"):
        make_task(folders, architecture="googlenet2")
    with pytest.raises(WeightsError, match="none"):
        make_task(folders, initial_weights="none.safetensors")


def test_the_record_says_how_the_weights_were_made_and_not_where(folders):
    task = make_task(folders, validation_images=3)
    record = task.record({"validation_top1": 0.5, "validation_top1_without_averaging": 0.25})
    assert record.recipe["data"]["root"] == folders.name
    assert str(folders.parent) not in record.model_dump_json()
    assert record.measured == {"top-1, centre crops of photos kept out of training": 0.5}


def two_steps(folders, folder, device):
    """The losses of two steps, without dropout, whose random numbers differ between devices."""
    folder.mkdir()
    task = make_task(folders, device=device, dropout=0.0, auxiliary=False)
    optimization = OptimizationConfig(steps=2, batch_size=4, learning_rate=0.001)
    trainer = Trainer(task.task(), optimization, Schedule(log_every=1), folder, 0)
    trainer.resume({})
    trainer.run(lambda step, terms: None)
    return [entry["main"] for entry in losses_of(folder) if "main" in entry]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_learns_what_a_cpu_learns(folders, tmp_path):
    cpu, gpu = (two_steps(folders, tmp_path / device, device) for device in ("cpu", "cuda"))
    assert gpu == pytest.approx(cpu, rel=0.01)


STEPS = 3


@pytest.fixture(scope="module")
def one_process(folders, tmp_path_factory):
    """A training of the paper's network, with dropout and auxiliary classifiers, in one go."""
    folder = tmp_path_factory.mktemp("trainings")
    config = {
        "data": {"root": str(folders)},
        "validation_images": 2,
        "optimization": {"steps": STEPS, "batch_size": 4, "learning_rate": 0.003},
        "log_every": 1,
        "checkpoint_every": 2,
        "validate_without_averaging": True,
        "device": "cpu",
        "precision": "float32",
        "workers": 0,
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    run = train("c.yaml", "--output", "one", folder=folder)
    assert run.returncode == 0, run.stderr
    return folder


def train(*arguments, folder):
    return run_tool("incdet", "train", "classifier", *arguments, "--quiet", folder=folder)


def losses_of(folder):
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: entry[key] for key in entry if key != "samples_per_second"} for entry in entries]


@pytest.mark.slow
def test_a_training_writes_weights_that_classify(one_process):
    log = losses_of(one_process / "one")
    assert [entry["step"] for entry in log] == [1, 2, 3, 3]
    assert set(log[-1]) == {"step"} | {
        f"validation_top{k}{suffix}" for k in (1, 5) for suffix in ("", "_without_averaging")
    }
    network, record = load_network(one_process / "one" / "weights.safetensors")
    assert record.classes == CLASSES
    assert network.auxiliary_4a is None
    assert record.measured["top-1, centre crops of photos kept out of training"] == log[-1]["validation_top1"]
    average = load_file(one_process / "one" / "checkpoint.safetensors")["average.classifier.weight"]
    assert torch.equal(network.classifier.weight, average.half().float())


@pytest.mark.slow
def test_two_processes_learn_what_one_does_with_twice_the_batch(one_process):
    """Dropout included; what differs is the order in which gradients are added up."""
    arguments = "train", "classifier", "c.yaml", "--output", "two", "--set", "optimization.batch_size=2", "--quiet"
    both = run_together("incdet", *arguments, folder=one_process)
    assert [each.returncode for each in both] == [0, 0], both
    assert "2 processes" in both[0].stderr
    one, two = (losses_of(one_process / name) for name in ("one", "two"))
    assert len(two) == len(one)
    for entry, other in zip(one[:STEPS], two, strict=False):
        assert other == pytest.approx(entry, rel=1e-3)
    one, two = (load_file(one_process / name / "checkpoint.safetensors") for name in ("one", "two"))
    for name in (name for name in one if name.startswith(("network.", "average."))):
        assert torch.allclose(one[name], two[name], rtol=0.01, atol=1e-4), name


@pytest.mark.slow
def test_a_killed_training_ends_bit_for_bit_like_one_in_one_go(one_process):
    kill_after_first_checkpoint("train", "classifier", "c.yaml", "--output", "cut", "--quiet", folder=one_process)
    assert not (one_process / "cut" / "weights.safetensors").exists()
    run = train("c.yaml", "--output", "cut", folder=one_process)
    assert run.returncode == 0, run.stderr
    assert "from step 2 of 3" in run.stderr
    assert losses_of(one_process / "cut") == losses_of(one_process / "one")
    cut, one = (load_file(one_process / name / "checkpoint.safetensors") for name in ("cut", "one"))
    assert cut.keys() == one.keys()
    assert all(torch.equal(cut[name], one[name]) for name in one)
    assert len({(one_process / name / "weights.safetensors").read_bytes() for name in ("cut", "one")}) == 1


@pytest.mark.slow
def test_another_configuration_does_not_go_on_from_the_checkpoint(one_process):
    run = train("c.yaml", "--output", "one", "--set", "distortions.photometric=0.2", folder=one_process)
    assert run.returncode == 2
    assert "distortions.photometric is 0.5 there and 0.2 now" in run.stderr
    assert "Traceback" not in run.stderr


class TwoThatAgree(Processes):
    """The second of two processes; the first one, which does not run here, sees the same files."""

    def gather(self, names):
        return names * 2


@pytest.mark.slow
def test_equal_steps_of_other_processes_go_on_and_other_steps_do_not(one_process):
    config = load_config(ClassifierTrainingConfig, one_process / "c.yaml")
    task = make_task(config.data.root, validation_images=config.validation_images)
    optimization = config.optimization.model_copy(update={"batch_size": 2})
    arguments = optimization, config.schedule(), one_process / "one", 0
    settings = config.decisive() | {DATA_KEY: task.data_identity()}
    Trainer(task.task(), *arguments, TwoThatAgree(1, 2)).resume(settings)
    with pytest.raises(ConfigurationError, match=r"samples a step \(.*\) is 4 there and 2 now"):
        Trainer(task.task(), *arguments).resume(settings)


@pytest.mark.slow
def test_mistakes_are_sentences(one_process):
    run = run_tool("train_classifier.py", "c.yaml", "--set", "architektur=wide", folder=one_process)
    assert run.returncode == 2
    assert "did you mean 'architecture'" in run.stderr
    assert "Traceback" not in run.stderr


def test_more_photos_than_there_are_cannot_be_held_out(folders):
    with pytest.raises(ConfigurationError, match="only 12 photos"):
        make_task(folders, validation_images=99)
