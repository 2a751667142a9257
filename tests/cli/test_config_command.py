"""`incdet config`: effective settings, and the recipes that are shipped."""

import json
import re

import pytest
import yaml
from command_line import one_sentence
from running_tools import ROOT

from incdet.cli.app import app
from incdet.config.loading import load_config
from incdet.config.recipes import find_recipe, recipe_summary, recipes
from incdet.config.sections import Config
from incdet.errors import ConfigurationError
from incdet.training.classifier_training_config import ClassifierTrainingConfig
from incdet.training.multibox_training_config import MultiBoxTrainingConfig
from incdet.training.region_training_config import RegionsTrainingConfig

TRAININGS = {
    "regions": RegionsTrainingConfig,
    "multibox": MultiBoxTrainingConfig,
    "classifier": ClassifierTrainingConfig,
}
"""Sub-command of `incdet train` -> what it reads."""


def test_the_effective_settings_are_a_configuration_again(incdet, tmp_path):
    code, out, _ = incdet("config", "--set", "detections.iou_threshold=0.4", "--set", "scores.batch_size=8")
    assert code == 0
    (tmp_path / "detector.yaml").write_text(out)
    effective = load_config(Config, tmp_path / "detector.yaml")
    expected = load_config(Config, None, ["detections.iou_threshold=0.4", "scores.batch_size=8"])
    assert effective == expected
    assert "# Largest photo that is read, in millions of pixels" in out
    assert incdet("config", "--config", "detector.yaml")[1] == out


def test_a_recipe_is_printed_with_its_comments(incdet):
    code, out, _ = incdet("config", "regions_voc")
    assert code == 0
    assert out == (ROOT / "configs" / "regions_voc.yaml").read_text()
    code, out, _ = incdet("config", "--list")
    assert [line.partition(":")[0] for line in out.splitlines()] == sorted(
        file.stem for file in (ROOT / "configs").glob("*.yaml")
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["regions_vco"], "did you mean 'regions_voc'"),
        (["nothing like it"], "shipped are classifier_voc, "),
        (["regions_voc", "--set", "device=cpu"], "leave out NAME, --list, --keys and --schema"),
        (["--keys", "--config", "mine.yaml"], "leave out NAME, --list, --keys and --schema"),
        (["regions_voc", "--schema"], "exclude each other"),
        (["--of", "regions"], "--of belongs to --keys and --schema"),
        (["--set", "devise=cpu"], "'devise'"),
    ],
)
def test_wrong_names_are_one_sentence(incdet, arguments, words):
    code, out, err = incdet("config", *arguments)
    assert (code, out) == (2, "")
    assert words in one_sentence(err)


def test_a_file_goes_before_a_recipe_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_recipe("regions_voc") == recipes()["regions_voc"]
    (tmp_path / "regions_voc").write_text("mine")
    assert find_recipe("regions_voc").read_text() == "mine"
    with pytest.raises(ConfigurationError, match=r"'configs/regions_vos.yaml'; did you mean 'regions_voc'"):
        find_recipe("configs/regions_vos.yaml")


@pytest.mark.parametrize("name", recipes())
def test_the_header_of_a_recipe_says_what_it_is_and_its_command_reads_it(name):
    text = recipes()[name].read_text()
    for heading in ("Reproduces: ", "Cost: ", "Expected: "):
        assert f"# {heading}" in text
    assert recipe_summary(recipes()[name]).count("\n") == 0
    (command,) = {line.split("incdet train ")[1].split()[0] for line in text.splitlines() if "incdet train " in line}
    assert f"incdet train {command} {name} --output runs/" in text
    load_config(TRAININGS[command], recipes()[name])
    assert "tools/" not in text


@pytest.mark.parametrize("name", recipes())
def test_the_options_in_a_recipes_header_exist(name):
    """Every command of a header is parsed; the data that it names is not there."""
    import typer

    group = typer.main.get_command(app)
    for line in recipes()[name].read_text().splitlines():
        words = line.lstrip("# ").split()
        if not words or words[0] not in ("incdet", "torchrun") or not line.startswith("#   "):
            continue
        command, rest = group, words[words.index("incdet") + 1 :]
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known


def test_recipes_are_yaml_that_people_can_copy(incdet, tmp_path):
    (tmp_path / "mine.yaml").write_text(incdet("config", "classifier_voc")[1])
    assert yaml.safe_load((tmp_path / "mine.yaml").read_text())["validation_images"] == 600


def test_every_key_is_printed_on_a_line_of_its_own(incdet):
    code, out, _ = incdet("config", "--keys")
    assert code == 0
    lines = out.splitlines()
    (line,) = [line for line in lines if line.startswith("detections.iou_threshold ")]
    assert line.startswith("detections.iou_threshold (number from 0 to 1; default 0.3): Jaccard index (IoU) with a ")
    assert all(re.match(r"[a-z_.]+ \(.+; (default .+|required)\): .+\.$", line) for line in lines)
    regions = incdet("config", "--keys", "--of", "regions")[1]
    (root,) = [line for line in regions.splitlines() if line.startswith("data.root ")]
    assert root.startswith("data.root (text; required): Folder of the data set; ")


@pytest.mark.parametrize("of", ["detector", *TRAININGS])
def test_the_schema_is_json_and_describes_its_keys(incdet, of):
    code, out, err = incdet("config", "--schema", "--of", of)
    assert (code, err) == (0, "")
    schema = json.loads(out)
    assert schema["title"] == f"Settings of incdet: {of}"
    assert schema["properties"]["device"]["description"].startswith("Device ")
