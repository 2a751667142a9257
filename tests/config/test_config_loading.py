"""Configurations from files and settings, and the messages about wrong ones."""

import os
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import pytest
from pydantic import Field

from incdet.config.loading import load_config, make_config, valid_keys
from incdet.config.sections import Config, DetectionsConfig, Section
from incdet.config.yaml_text import parse_yaml, quoted
from incdet.errors import ConfigurationError


def refusal(tmp_path: Path, text: str) -> str:
    """The message with which a configuration file of this text is refused."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"mine\.yaml") as caught:
        load_config(Config, file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_given_means_the_defaults():
    config = load_config(Config)
    assert config == Config()
    assert (config.detections.iou_threshold, config.detections.max_per_image) == (0.3, 100)
    assert config.proposals.selective_search.color_spaces == ("hsv", "lab")


def test_empty_file_means_the_defaults(tmp_path):
    file = tmp_path / "empty.yaml"
    file.write_text("# nothing yet\n")
    assert load_config(Config, file) == Config()


def test_file_changes_only_what_it_names(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("device: cpu\nproposals:\n  selective_search:\n    color_spaces: [lab]\n    k: [50, 150]\n")
    config = load_config(Config, file)
    search = config.proposals.selective_search
    assert (config.device, search.color_spaces, search.k) == ("cpu", ("lab",), (50.0, 150.0))
    assert (search.width, config.detections) == (500, DetectionsConfig())


def test_settings_win_over_the_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("detections:\n  max_per_image: 7\n  score_threshold: 0.2\n")
    settings = ["detections.max_per_image=8", "detections.classes=[cat, dog]", "images.max_megapixels=1"]
    config = load_config(Config, str(file), settings)
    assert config.detections == DetectionsConfig(max_per_image=8, score_threshold=0.2, classes=("cat", "dog"))
    assert config.images.max_megapixels == 1


def test_the_last_of_equal_settings_wins():
    assert load_config(Config, settings=["device=cuda", "device=cpu"]).device == "cpu"


def test_a_setting_can_hold_an_equals_sign_and_none():
    config = load_config(Config, settings=["detections.classes=[a=b]", "proposals.limit=null"])
    assert (config.detections.classes, config.proposals.limit) == (("a=b",), None)


@pytest.mark.parametrize(
    ("text", "path", "advice"),
    [
        ("detections: {score_treshold: 0.1}", "'detections.score_treshold'", "'detections.score_threshold'"),
        ("proposals: {selective_search: {widht: 3}}", "'proposals.selective_search.widht'", "'proposals.sel"),
        ("detection: {}", "'detection'", "'detections'"),
        ("iou_threshold: 0.5", "'iou_threshold'", "'detections.iou_threshold'"),
        ("proposals: {width: 400}", "'proposals.width'", "'proposals.selective_search.width'"),
        ("zzzzzz: 1", "'zzzzzz'", "valid keys: preset, device, images, proposals, scores, detections"),
        ("1: 2", "'1'", "valid keys"),
    ],
)
def test_unknown_key_names_its_path_and_the_nearest_valid_key(tmp_path, text, path, advice):
    message = refusal(tmp_path, text)
    assert f"unknown key {path}" in message
    assert advice in message


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("detections: {max_per_image: many}", "detections.max_per_image", "'many'"),
        ("detections: {max_per_image: '5'}", "detections.max_per_image", "'5'"),
        ("detections: {max_per_image: 2.5}", "detections.max_per_image", "2.5"),
        ("detections: {max_per_image: true}", "detections.max_per_image", "True"),
        ("detections: {classes: cat}", "detections.classes", "'cat'"),
        ("detections: {classes: [cat, 3]}", "detections.classes.1", "3"),
        ("detections: 5", "detections", "5"),
        ("detections: {score_threshold: 1.5}", "detections.score_threshold", "1.5"),
        ("detections: {score_threshold: .nan}", "detections.score_threshold", "nan"),
        ("detections: {max_per_image: 0}", "detections.max_per_image", "0"),
        ("images: {max_megapixels: -1}", "images.max_megapixels", "-1"),
        ("proposals: {methods: []}", "proposals.methods", "()"),
        ("proposals: {methods: [edge_boxes]}", "proposals.methods.0", "'edge_boxes'"),
        ("proposals: {selective_search: {width: 31}}", "proposals.selective_search.width", "31"),
        ("device: gpu", "device", "'gpu'"),
    ],
)
def test_wrong_type_or_impossible_value_names_its_path_and_what_was_found(tmp_path, text, path, found):
    assert f"'{path}' is {found}, but " in refusal(tmp_path, text)


def test_impossible_choice_lists_the_possible_ones(tmp_path):
    message = refusal(tmp_path, "device: gpu")
    assert all(choice in message for choice in ("'auto'", "'cpu'", "'cuda'"))


@pytest.mark.parametrize("text", ["device: [cpu", "a: b: c", "\tdevice: cpu", "!!python/object:os.system {}"])
def test_bad_yaml_is_refused(tmp_path, text):
    assert "not valid YAML" in refusal(tmp_path, text)


@pytest.mark.parametrize(("text", "kind"), [("- device", "list"), ("device", "str"), ("5", "int")])
def test_yaml_that_is_no_mapping_is_refused(tmp_path, text, kind):
    assert f"holds a {kind}" in refusal(tmp_path, text)


def test_missing_file_folder_and_binary_file_are_refused(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    for name in ("gone.yaml", ".", "photo.jpg"):
        with pytest.raises(ConfigurationError, match=r"cannot read the configuration|is not valid YAML") as caught:
            load_config(Config, tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("setting", ["device", "", "=cpu", "device.kind=cpu", "device=[cpu"])
def test_bad_setting_is_refused(setting):
    with pytest.raises(ConfigurationError) as caught:
        load_config(Config, settings=["device=cpu", setting])
    assert (setting.partition("=")[0] or setting) in str(caught.value)


def test_misspelt_setting_names_the_nearest_key():
    with pytest.raises(ConfigurationError, match=r"did you mean 'detections\.iou_threshold'"):
        load_config(Config, settings=["detections.iou_treshold=0.5"])


def test_settings_do_not_change_the_values_they_came_from():
    values = {"proposals": {"methods": ["selective_search"]}}
    config = make_config(Config, values, "test")
    assert config.proposals.methods == ("selective_search",)
    assert values == {"proposals": {"methods": ["selective_search"]}}


def test_configuration_is_frozen():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Config().device = "cpu"


def test_valid_keys_are_dotted_paths_that_can_be_set():
    keys = valid_keys(Config)
    assert {"device", "proposals.selective_search.k", "detections.classes"} <= set(keys)
    assert len(keys) == len(set(keys))


def test_effective_configuration_survives_a_round_trip():
    config = load_config(Config, settings=["proposals.limit=50", "detections.classes=[cat]"])
    assert make_config(Config, config.model_dump(mode="json"), "stored") == config


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "+1e-3"])
def test_numbers_in_powers_of_ten_are_numbers(text):
    config = load_config(Config, None, [f"detections.score_threshold={text}"])
    assert config.detections.score_threshold == 0.001


def test_a_setting_wins_over_keys_of_the_file_that_mean_the_same(tmp_path):
    """A set of strategies wins over the parts that a file lists, and a name over its old name."""
    (tmp_path / "own.yaml").write_text(
        "proposals: {selective_search: {color_spaces: [lab], k: [100.0]}}\nscores: {gate: 0.3}\n"
    )
    settings = ["proposals.selective_search.strategies=quality", "scores.min_probability=0.2"]
    config = load_config(Config, tmp_path / "own.yaml", settings)
    search = config.proposals.selective_search
    assert (len(search.color_spaces), len(search.k), config.scores.min_probability) == (5, 4, 0.2)
    # but what another setting says stays, whatever their order
    settings = ["proposals.selective_search.k=[75.0]", "proposals.selective_search.strategies=quality"]
    search = load_config(Config, tmp_path / "own.yaml", settings).proposals.selective_search
    assert (len(search.color_spaces), search.k) == (5, (75.0,))


def test_the_message_names_the_setting_that_is_wrong(tmp_path):
    (tmp_path / "own.yaml").write_text("device: cpu")
    with pytest.raises(ConfigurationError, match=r"^setting 'scores\.rounds=99': 'scores\.rounds' is 99"):
        load_config(Config, tmp_path / "own.yaml", ["scores.rounds=99"])
    (tmp_path / "own.yaml").write_text("scores: {rounds: 99}")
    with pytest.raises(ConfigurationError, match=r"own\.yaml: 'scores\.rounds' is 99"):
        load_config(Config, tmp_path / "own.yaml", ["device=cpu"])


@pytest.mark.parametrize(
    ("setting", "advice"),
    [
        ("scores.treshold=1", "did you mean one of proposals.multibox.iou_threshold, detections.score_threshold, "),
        ("x=1", "valid keys: preset, device, images"),
        ("scores.zzzzzzz=1", "valid keys: scores.features, scores.photo_sides"),
    ],
)
def test_only_near_keys_are_suggested(setting, advice):
    with pytest.raises(ConfigurationError) as caught:
        load_config(Config, settings=[setting])
    assert advice in str(caught.value)


def test_the_key_of_a_value_of_several_types_is_named_without_the_type():
    class Length(Section):
        steps: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None

    for value in ("-3", "soon", "1.5"):
        with pytest.raises(
            ConfigurationError, match=rf"^setting 'steps={value}': 'steps' is .* or input should be 'auto'"
        ):
            load_config(Length, settings=[f"steps={value}"])


def test_a_key_that_is_written_twice_is_refused_and_merged_ones_are_not(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("scores:\n  rounds: 7\ndevice: cpu\nscores:\n  batch_size: 3\n")
    with pytest.raises(ConfigurationError, match="the key 'scores' is there twice"):
        load_config(Config, file)
    merged = parse_yaml("a: &a {x: 1, y: 1}\nb:\n  c: &c\n    <<: *a\n    x: 2\nd:\n  <<: *c\n  x: 3\n")
    assert merged == {"a": {"x": 1, "y": 1}, "b": {"c": {"x": 2, "y": 1}}, "d": {"x": 3, "y": 1}}


@pytest.mark.parametrize("text", ["2012", "null", "a: b", '\U0001f4f7 it\'s "here"', os.fsdecode(b"\xff.jpg"), "\n"])
def test_a_quoted_text_is_read_back_as_it_is(text):
    assert parse_yaml(quoted(text)) == text
