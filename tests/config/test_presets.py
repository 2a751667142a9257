"""Presets: what they set, and what wins over them."""

import typing

import pytest

from incdet.cli.options import PresetChoice
from incdet.config.loading import load_config, make_config
from incdet.config.presets import PRESETS, PresetName
from incdet.config.sections import Config, DetectionsConfig, ScoresConfig
from incdet.errors import ConfigurationError
from incdet.networks.chosen_weights import choose_weights


def test_the_preset_default_is_the_default():
    assert load_config(Config, None, ["preset=default"]) == Config()


def test_every_preset_is_in_the_list_of_the_command_line():
    assert list(PRESETS) == [choice.value for choice in PresetChoice] == list(typing.get_args(PresetName))


def test_paper_is_the_published_system():
    paper = Config(preset="paper")
    assert paper.scores.features == "cropped"
    assert (paper.scores.min_probability, paper.scores.half_resolution_min_probability) == (0, 0)
    assert not paper.scores.box_deltas
    assert paper.detections.voting_iou is None
    assert paper.proposals.multibox.crop_sides == ()
    assert paper.proposals.multibox.weights == "multibox-voc"
    # the rest is as always
    assert paper.proposals.selective_search == Config().proposals.selective_search


def test_settings_win_over_files_and_files_over_presets(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("preset: paper\nscores:\n  box_deltas: true\n  rounds: 3\ndetections:\n")
    config = load_config(Config, file, ["scores.rounds=4"])
    assert (config.scores.box_deltas, config.scores.rounds) == (True, 4)
    # what neither of them names is the preset's, and an empty section names nothing
    assert config.scores.features == "cropped"
    assert config.detections.voting_iou is None
    # another preset on the command line replaces that of the file
    assert load_config(Config, file, ["preset=fast"]).scores.features == "shared"


def test_another_threshold_than_that_of_a_preset_wins():
    assert load_config(Config, None, ["preset=fast"]).detections.display_threshold == 0.55
    config = load_config(Config, None, ["preset=fast", "detections.display_threshold=0.2"])
    assert config.detections.display_threshold == 0.2
    # which weights have no threshold of their own is theirs to say
    assert load_config(Config, None, ["preset=paper"]).detections.display_threshold is None


@pytest.mark.filterwarnings("ignore:the setting 'regression'")
def test_old_names_win_over_presets_too():
    assert make_config(Config, {"preset": "paper", "scores": {"regression": True}}, "test").scores.box_deltas


def test_sections_in_python_win_with_what_was_given_to_them():
    config = Config(preset="paper", scores=ScoresConfig(rounds=3), detections=DetectionsConfig(voting_iou=0.7))
    assert (config.scores.rounds, config.scores.features, config.detections.voting_iou) == (3, "cropped", 0.7)


def test_stored_settings_of_a_preset_are_read_as_they_were():
    for name in PRESETS:
        config = Config(preset=name)
        assert make_config(Config, config.model_dump(mode="json"), "run.json") == config


def test_an_unknown_preset_names_those_that_there_are():
    with pytest.raises(ConfigurationError, match="'paper', 'default' or 'fast'"):
        load_config(Config, None, ["preset=slow"])


@pytest.mark.parametrize(
    ("preset", "rejection_network", "members"), [("paper", 0, 6), ("default", 1, 6), ("fast", 0, 1)]
)
def test_the_networks_of_a_preset(preset, rejection_network, members):
    chosen = choose_weights((), None, False, Config(preset=preset))
    assert (chosen.has_rejection_network, len(chosen.files)) == (rejection_network, rejection_network + members)


@pytest.mark.parametrize("preset", ["paper", "default"])
def test_members_are_the_first_of_the_six(preset):
    files = choose_weights((), 2, False, Config(preset=preset)).files
    assert [file.stem for file in files[-2:]] == ["googlenet-voc-1", "googlenet-voc-2"]


def test_fast_has_one_network():
    assert len(choose_weights((), 1, False, Config(preset="fast")).files) == 1
    with pytest.raises(ConfigurationError, match="preset fast; leave the number out"):
        choose_weights((), 2, False, Config(preset="fast"))


def test_paper_with_a_setting_of_the_cascade_has_a_rejection_network():
    config = load_config(Config, None, ["preset=paper", "scores.min_probability=0.1"])
    assert choose_weights((), None, False, config).has_rejection_network
