"""Every setting of a detector and of every training: its description, its line, and its place in the JSON schema."""

import pytest

from incdet.config.loading import valid_keys
from incdet.config.sections import Config
from incdet.config.setting_list import inner_sections, json_schema, list_settings
from incdet.training.classifier_training_config import ClassifierTrainingConfig
from incdet.training.multibox_training_config import MultiBoxTrainingConfig
from incdet.training.region_training_config import RegionsTrainingConfig

ROOTS = [Config, RegionsTrainingConfig, MultiBoxTrainingConfig, ClassifierTrainingConfig]


def properties_of(schema):
    """Class and key -> schema, of every property in a schema."""
    parts = {"": schema, **schema["$defs"]}
    return {(part, key): value for part, own in parts.items() for key, value in own.get("properties", {}).items()}


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.__name__)
def test_no_setting_lacks_a_description(root):
    schema = json_schema(root, "settings")
    properties = properties_of(schema)
    expected = [root, *inner_sections(root)]
    assert len(properties) == sum(len(section.model_fields) for section in expected)
    for place, own in properties.items():
        assert own.get("description", "").endswith("."), place
    for part in (schema, *schema["$defs"].values()):
        assert part["description"].endswith(".")
        assert part["additionalProperties"] is False


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.__name__)
def test_every_key_has_a_line(root):
    settings = {setting.key: setting for setting in list_settings(root)}
    keys = valid_keys(root)
    assert list(settings) == [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]
    for setting in settings.values():
        assert setting.values
        assert setting.meaning.endswith(".")


def test_a_schema_says_what_a_file_may_hold():
    schema = json_schema(RegionsTrainingConfig, "settings")
    assert {"data", "optimization", "initial_weights"} <= set(schema["required"])
    assert schema["$defs"]["DataConfig"]["properties"]["root"]["type"] == "string"
    limits = json_schema(Config, "settings")["$defs"]["ScoresConfig"]["properties"]["rounds"]
    assert (limits["minimum"], limits["maximum"], limits["default"]) == (1, 10, 2)
