"""The shipped measurements of presets, and when they are no longer told."""

import json
import shutil

import pytest

from incdet.config.sections import Config
from incdet.errors import DataError, PackageError
from incdet.evaluation.measurements import PresetTimes, record_preset
from incdet.networks import preset_measurements
from incdet.networks.preset_measurements import FILE, decisive_settings, load_preset_measurements, weights_of
from incdet.output.preset_table import TimedPreset, preset_json, preset_markdown


def test_the_shipped_measurements_are_read_and_printed():
    measured = load_preset_measurements()
    facts = preset_json({})
    assert list(facts) == ["paper", "default", "fast"]
    page = preset_markdown()
    for name in facts:
        told = facts[name]["measured"]
        assert (told is not None) == (name in measured)
        assert f"| {measured[name].mAP:.3f}" in page if name in measured else f"| `{name}` |" in page


def test_a_measurement_with_other_settings_or_weights_is_not_told(tmp_path):
    file = tmp_path / "presets.json"
    shutil.copy(FILE, file)
    stored = json.loads(file.read_text())
    for name, entry in stored.items():
        entry["settings"], entry["weights"] = decisive_settings(Config(preset=name)), weights_of(Config(preset=name))
    file.write_text(json.dumps(stored))
    assert set(load_preset_measurements(file)) == set(stored)
    stored["default"]["settings"]["detections"]["iou_threshold"] = 0.4
    stored["fast"]["weights"]["googlenet-voc-shared.safetensors"] = "another"
    file.write_text(json.dumps(stored))
    assert not load_preset_measurements(file).keys() & {"default", "fast"}
    file.write_text(json.dumps({"default": {"mAP": 3}}))
    with pytest.raises(PackageError, match="install incdet again"):
        load_preset_measurements(file)


def evaluation_of_paper(folder):
    """Writes what an evaluation of the preset `paper` leaves, and returns its description and its numbers."""
    config = Config(preset="paper")
    run = {
        "configuration": config.model_dump(mode="json"),
        "weights": weights_of(config) | {"more.int8.json": "0"},
        "engine": "torch, float32",
    }
    numbers = {"mAP": 0.51234, "dataset": "some val", "num_images": 7, "interval": [0.41, 0.62]}
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "numbers.json").write_text(json.dumps(numbers))
    return run, numbers


def test_an_evaluation_of_a_preset_is_recorded(tmp_path):
    run, numbers = evaluation_of_paper(tmp_path)
    file = tmp_path / "presets.json"
    said = record_preset(tmp_path, tmp_path / "numbers.json", file=file)
    assert said == "paper: mAP 0.512 on some val, torch, float32"
    recorded = load_preset_measurements(file)["paper"]
    assert (recorded.mAP, recorded.interval, recorded.num_images) == (0.5123, (0.41, 0.62), 7)
    for wrong, words in (
        ({"mAP": None}, "as a number"),
        ({"interval": [None, 0.6]}, "as a number"),
        ({"rules": "coco"}, "the mAP of COCO's rules"),
    ):
        (tmp_path / "wrong.json").write_text(json.dumps(numbers | wrong))
        with pytest.raises(DataError, match=words):
            record_preset(tmp_path, tmp_path / "wrong.json", file=file)
    # a run of the preset with another setting is none of the preset
    run["configuration"]["scores"]["box_deltas"] = True
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(DataError, match="other settings than those of the preset paper"):
        record_preset(tmp_path, tmp_path / "numbers.json", file=file)


def test_seconds_of_a_preset_are_recorded_with_their_machine(tmp_path):
    evaluation_of_paper(tmp_path)
    file, printed = tmp_path / "presets.json", tmp_path / "times.json"
    facts = preset_json({"paper": TimedPreset(24.5678, "openvino, int8")})
    printed.write_text(json.dumps(facts))
    times = PresetTimes(printed, "two cores")
    record_preset(tmp_path, tmp_path / "numbers.json", times, file)
    recorded = load_preset_measurements(file)["paper"]
    assert (recorded.seconds, recorded.machine) == (24.568, "two cores, openvino, int8")
    for wrong in (preset_json({}), [], {"paper": {"here": {"seconds": "long", "engine": ""}}}):
        printed.write_text(json.dumps(wrong))
        with pytest.raises(DataError, match=r"no seconds of the preset paper; give the file"):
            record_preset(tmp_path, tmp_path / "numbers.json", times, file)


def test_seconds_and_their_machine_belong_together(incdet, tmp_path):
    code, _, err = incdet("weights", "record-preset", tmp_path, tmp_path / "numbers.json", "--machine", "two cores")
    assert code == 2
    assert "--times and --machine belong together" in err


def test_files_of_a_preset_are_hashed(monkeypatch):
    monkeypatch.setattr(preset_measurements, "named_hashes", lambda files: {file.name: "" for file in files})
    assert "multibox-voc-shared.safetensors" in weights_of(Config(preset="fast"))
    assert {"googlenet-voc-6.safetensors", "multibox-voc.safetensors"} <= weights_of(Config(preset="paper")).keys()
