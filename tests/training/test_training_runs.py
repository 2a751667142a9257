"""A training from its first step to the weights in its folder."""

from tiny_training import make_trainer
from weights_files import record

from incdet.config.loading import make_config
from incdet.networks.weights import load_record
from incdet.runtime.reporter import Reporter
from incdet.training.run_config import RunConfig
from incdet.training.training_runs import run_training


def run(folder, steps=4, seed=0):
    """Runs the tiny training and returns the warnings."""
    config = make_config(RunConfig, {"optimization": {"steps": steps}, "seed": seed}, "test")
    told = []
    reporter = Reporter(warn=told.append)
    run_training(make_trainer(folder, steps), config, lambda numbers: record(measured=numbers), reporter)
    return told


def test_weights_of_an_earlier_training_are_not_taken_for_those_of_a_new_one(tmp_path):
    assert run(tmp_path) == []
    before = (tmp_path / "weights.safetensors").read_bytes()
    # a finished training leaves its own weights where they are
    assert run(tmp_path) == []
    (tmp_path / "checkpoint.safetensors").unlink()
    (tmp_path / "log.jsonl").unlink()
    (said,) = run(tmp_path, seed=1)
    assert "are those of an earlier training; they are called weights-earlier-1.safetensors now" in said
    assert (tmp_path / "weights-earlier-1.safetensors").read_bytes() == before
    assert load_record(tmp_path / "weights.safetensors").origin == "a test"
