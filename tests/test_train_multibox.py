"""Weights of MultiBox, and the program that trains them."""

import json

import pytest
import torch
import yaml
from test_multibox import network_of
from test_tools import run_tool

from incdet.config import make_config
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.multibox import MultiBoxDescription
from incdet.networks.weights import WeightsRecord, load_multibox, load_network, save_weights
from incdet.training.multibox import MultiBoxTrainingConfig


def record_of(network):
    return WeightsRecord(
        classes=("cat",), background=False, origin="a test", licence="none", multibox=network.describe()
    )


def test_weights_bring_their_priors_with_them(tmp_path):
    network = network_of("map", seed=4)
    save_weights(tmp_path / "m.safetensors", network.state_dict(), record_of(network), torch.float32)
    loaded, record = load_multibox(tmp_path / "m.safetensors")
    assert record.multibox.form == "map"
    assert torch.allclose(loaded.get_buffer("priors"), network.get_buffer("priors"), atol=1e-6)
    inputs = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(loaded(inputs).logits, network(inputs).logits)


def test_boxes_and_classes_are_not_mixed_up(tmp_path):
    network, file = network_of("map"), tmp_path / "m.safetensors"
    save_weights(file, network.state_dict(), record_of(network), torch.float32)
    with pytest.raises(WeightsError, match="name no classes"):
        load_network(file)
    record = WeightsRecord(classes=("cat",), background=False, origin="a test", licence="none")
    save_weights(file, GoogLeNet(1).state_dict(), record, torch.float32)
    with pytest.raises(WeightsError, match="propose no boxes"):
        load_multibox(file)


def test_shipped_limits_hold():
    """Half precision, at most 16 MB, whatever the form."""
    for form, count in (("pooled", 200), ("map", 200), ("grids", 1420)):
        parameters = sum(parameter.numel() for parameter in network_of(form, count).parameters())
        assert parameters * 2 < 16e6, form


@pytest.fixture(scope="module")
def training_folder(tmp_path_factory, small_voc):
    folder = tmp_path_factory.mktemp("multibox")
    (small_voc / "ImageSets" / "Main" / "train.txt").write_text("first\nsecond\n")
    torch.manual_seed(0)
    record = WeightsRecord(classes=("cat",), background=False, origin="a test", licence="none")
    save_weights(folder / "initial.safetensors", GoogLeNet(1).state_dict(), record, torch.float16)
    config = {
        "data": {"dataset": "voc", "root": str(small_voc), "split": "train", "validation_images": 1},
        "initial_weights": "initial.safetensors",
        "optimization": {"steps": 3, "batch_size": 2, "learning_rate": 0.0001, "gradient_limit": 100.0},
        "log_every": 1,
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.mark.parametrize("matching", ["bipartite", "overlap"])
def test_training_writes_weights_that_propose(training_folder, matching):
    arguments = "c.yaml", "--output", matching, "--set", f"loss.matching={matching}"
    run = run_tool("train_multibox.py", *arguments, folder=training_folder)
    assert run.returncode == 0, run.stderr
    entries = [json.loads(line) for line in (training_folder / matching / "log.jsonl").read_text().splitlines()]
    assert all({"location", "confidence"} <= set(entry) for entry in entries[:3])
    assert 0 <= entries[-1]["validation_coverage"] <= 1
    _, record = load_multibox(training_folder / matching / "weights.safetensors")
    assert record.multibox.form == "grids"
    assert record.preprocessing.size == 256
    assert "root" not in json.dumps(record.recipe) or str(training_folder.parent) not in json.dumps(record.recipe)
    coverage = run_tool(
        "proposal_coverage.py", "--dataset", "voc", "--root", root_of(training_folder), "--split", "train",
        "--method", "merged", "--set", f"proposals.multibox.weights={matching}/weights.safetensors",
        "--set", "proposals.selective_search.width=100", "--json", "out.json", folder=training_folder,
    )  # fmt: skip
    assert coverage.returncode == 0, coverage.stderr
    numbers = json.loads((training_folder / "out.json").read_text())
    assert numbers["proposals_per_image"] > 200


def root_of(folder):
    return yaml.safe_load((folder / "c.yaml").read_text())["data"]["root"]


def test_mistakes_are_sentences(training_folder):
    for setting, code, words in (
        ("loss.alfa=1", 2, "did you mean 'loss.alpha'"),
        ("initial_weights=none", 3, "none"),
        ("form=map", 2, "different boxes"),
    ):
        run = run_tool("train_multibox.py", "c.yaml", "--output", "x", "--set", setting, folder=training_folder)
        assert run.returncode == code, run.stderr
        assert words in run.stderr
        assert "Traceback" not in run.stderr


def test_descriptions_and_configurations_are_strict():
    with pytest.raises(ConfigurationError, match="alpha"):
        make_config(MultiBoxTrainingConfig, {"loss": {"alpha": 0}}, "test")
    with pytest.raises(ValueError, match="priors"):
        MultiBoxDescription(form="map", offset_unit=0.01, priors=())
