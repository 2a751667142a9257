"""`incdet train regions` from the photos to the weights, killed and resumed."""

import json
import shlex

import pytest
import torch
import yaml
from command_line import one_sentence
from running_tools import kill_after_first_checkpoint, run_together
from safetensors.torch import load_file

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
    for weights in ("cut/member-2", "cut/member-2/weights.safetensors"):
        code, _, err = incdet("evaluate", "--dataset", "voc", "--root", "voc", "--weights", weights)
    assert code == 3
    sentence = one_sentence(err)
    assert "no weights in cut/member-2: the training there is unfinished at step 1 of 3; continue it with" in sentence
    # the command that it names does what the first one does
    words = shlex.split(sentence.partition("continue it with incdet ")[2])
    assert words == ["train", "regions", "cut/member-2/config.json", "--output", "cut/member-2"]
    code, _, err = incdet(*words)
    assert code == 0, err
    assert "from step 1 of 3" in err
    assert "among the best 4 proposals of each photo" in err
    assert err.index("training: 3 of 3") < err.index("wrote ") < err.index("validation: ")
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


@pytest.fixture
def shared_recipe(small_voc, tmp_path):
    """The shipped recipe for shared features, on two small photos and in float32."""
    config = yaml.safe_load(recipes()["shared_voc"].read_text())
    config["data"] |= {"root": str(small_voc), "split": "val", "validation_images": 0}
    config["proposals"] = {"methods": ["selective_search"], "limit": 40}
    config["shared"] |= {"photo_sides": [96, 128], "regions_per_photo": 8}
    config["optimization"] |= {"epochs": None, "steps": 3, "warmup_steps": 0}
    config |= {"precision": "float32", "device": "cpu", "checkpoint_every": 1, "log_every": 1, "workers": 0}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    return "train", "regions", "c.yaml", "--output"


def losses_of(folder):
    entries = [json.loads(line) for line in (folder / "log.jsonl").open()]
    return [entry[term] for entry in entries for term in ("cross_entropy", "box") if term in entry]


@pytest.mark.slow
def test_training_on_shared_features_goes_on_to_the_same_weights(incdet, tmp_path, shared_recipe):
    code, _, err = incdet(*shared_recipe, "whole")
    assert code == 0, err
    assert "2 photos to learn, which show 2 objects of 20 classes (cat 2, " in err
    assert err.rstrip().endswith("next: incdet detect photo.jpg --weights whole/weights.safetensors")
    code, _, err = incdet(*shared_recipe, "whole", "--set", "seed=7")
    assert code == 2
    assert "in whole was begun with other settings: seed is 1 there and 7 now; use" in one_sentence(err)
    kill_after_first_checkpoint(*shared_recipe, "cut", folder=tmp_path)
    code, _, err = incdet(*shared_recipe, "cut")
    assert code == 0, err
    assert "from step 1 of 3" in err
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "cut")


@pytest.mark.slow
def test_two_processes_with_one_photo_each_learn_what_one_learns_with_two(incdet, tmp_path, shared_recipe):
    """Dropout included; up to the order of additions."""
    code, _, err = incdet(*shared_recipe, "alone")
    assert code == 0, err
    both = run_together("incdet", *shared_recipe, "both", "--set", "optimization.batch_size=1", folder=tmp_path)
    assert [each.returncode for each in both] == [0, 0], both
    assert losses_of(tmp_path / "both") == pytest.approx(losses_of(tmp_path / "alone"), rel=1e-3)
    one, several = (load_file(tmp_path / name / "weights.safetensors") for name in ("alone", "both"))
    for name, value in one.items():
        assert torch.allclose(value.float(), several[name].float(), atol=1e-3), name


@pytest.mark.parametrize("setting", ["context=60", "shared.cache_features=true", "features=cropped"])
def test_settings_that_do_not_fit_are_an_error_before_the_proposals(incdet, tmp_path, shared_recipe, setting):
    code, _, err = incdet(*shared_recipe, "runs", "--set", setting)
    assert code == 2
    assert setting.partition("=")[0].rpartition(".")[2] in one_sentence(err)
    assert not (tmp_path / ".cache").exists()
