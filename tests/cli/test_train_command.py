"""`incdet train regions` from the photos to the weights, killed and resumed."""

import json

import pytest
import yaml
from command_line import one_sentence
from running_tools import kill_after_first_checkpoint

from incdet.config.recipes import recipes
from incdet.data.voc import read_voc


@pytest.mark.slow
def test_training_stopped_by_a_signal_goes_on_to_the_same_weights(incdet, shared_folder, tmp_path):
    """The whole program on two real photos: killed after its first checkpoint, run again, bit for bit the same."""
    root = shared_folder / "data" / "voc2012-subset"
    names = [truth.image for truth in read_voc(root, "val").ground_truths[:3]]
    small = tmp_path / "voc"
    (small / "ImageSets" / "Main").mkdir(parents=True)
    (small / "ImageSets" / "Main" / "train.txt").write_text("\n".join(names) + "\n")
    for folder in ("Annotations", "JPEGImages"):
        (small / folder).symlink_to(root / folder)
    config = yaml.safe_load(recipes()["rejection_voc"].read_text())
    config["data"] |= {"root": str(small), "validation_images": 1, "validation_proposals": 4}
    config |= {"initial_weights": "googlenet-voc", "frozen_stages": 3, "checkpoint_every": 1, "log_every": 1}
    config["optimization"] |= {"steps": 3, "batch_size": 4, "warmup_steps": 0}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    command = "train", "regions", "c.yaml", "--member", "2", "--output"
    code, _, err = incdet(*command, "whole")
    assert code == 0, err
    kill_after_first_checkpoint(*command, "cut", folder=tmp_path)
    assert (tmp_path / "cut" / "member-2" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "cut" / "member-2" / "weights.safetensors").exists()
    code, _, err = incdet(*command, "cut")
    assert code == 0, err
    assert "from step 1 of 3" in err
    folders = [tmp_path / name / "member-2" for name in ("whole", "cut")]
    weights = [(folder / "weights.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1]
    logs = [[json.loads(line) for line in (folder / "log.jsonl").open()] for folder in folders]
    losses = [[entry.get("cross_entropy") for entry in log] for log in logs]
    assert losses[0] == losses[1]
    assert "validation_mAP" in logs[0][-1]


def test_an_ensemble_whose_last_member_cannot_start_does_not_begin(incdet, tmp_path):
    arguments = ["--set", "members=[{}, {initial_weights: nowhere.safetensors}]", "--members", "2", "--output", "runs"]
    code, _, err = incdet("train", "regions", "regions_voc", *arguments)
    assert code == 3
    assert "nowhere.safetensors" in one_sentence(err)
    assert not (tmp_path / "runs").exists()
