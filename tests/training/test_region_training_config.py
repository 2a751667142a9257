"""Settings of the members of an ensemble: the recipe's, those of `members`, and over all of them those of --set."""

import pytest

from incdet.config.loading import load_config
from incdet.config.recipes import find_recipe, recipes
from incdet.errors import ConfigurationError
from incdet.training.region_training_config import RegionsTrainingConfig

RECIPES = [name for name, file in recipes().items() if "incdet train regions " in file.read_text()]


def value_of(config, key):
    for part in key.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("optimization.steps=3", 3),
        ("optimization.learning_rate=0.5", 0.5),
        ("context=7", 7),
        ("initial_weights=mine.safetensors", "mine.safetensors"),
        ("sampling.near_share=0.25", 0.25),
        ("sampling={near_share: 0.25}", None),
        ("proposals.selective_search.strategies=quality", "quality"),
    ],
)
def test_a_setting_wins_over_every_recipe_and_each_of_its_members(name, setting, expected):
    key = setting.partition("=")[0]
    config = load_config(RegionsTrainingConfig, find_recipe(name), [setting])
    configs = [config, *(config.member(number, [setting]) for number in range(1, len(config.members) + 2))]
    for own in configs:
        if key == "sampling":
            assert own.sampling == type(own.sampling)(near_share=0.25)
        else:
            assert value_of(own, key) == expected
    if expected == "quality":
        assert {len(own.proposals.selective_search.color_spaces) for own in configs} == {5}
    if key == "optimization.steps":
        assert {own.optimization.epochs for own in configs} == {None}


def test_members_keep_what_no_setting_overrules_and_count_on_from_the_seed_that_is_set(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "data: {root: photos}\ninitial_weights: w\noptimization: {steps: 9}\n"
        "members: [{}, {context: 8, seed: 70, optimization: {steps: 90}}]\n"
    )
    settings = ["seed=5", "optimization.steps=3"]
    config = load_config(RegionsTrainingConfig, tmp_path / "own.yaml", settings)
    members = [config.member(number, settings) for number in (1, 2, 3)]
    assert [member.seed for member in members] == [5, 6, 7]
    assert [member.optimization.steps for member in members] == [3, 3, 3]
    assert [member.context for member in members] == [16, 8, 16]
    assert config.member(2).optimization.steps == 90


def test_members_that_are_set_replace_those_of_the_recipe():
    settings = ["members=[{context: 4}]", "dropout=0.1"]
    config = load_config(RegionsTrainingConfig, find_recipe("regions_voc"), settings)
    assert [config.member(number, settings).context for number in (1, 2)] == [4, 16]
    with pytest.raises(ConfigurationError, match="'dropout' is 7"):
        config.member(1, ["dropout=7"])
