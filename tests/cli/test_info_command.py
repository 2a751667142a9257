"""`incdet info`."""

import json

import torch
from command_line import one_sentence

from incdet.output.preset_table import TimedPreset


def test_info_computes_the_papers_table_of_a_network(incdet):
    code, out, _ = incdet("info", "--network", "table", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["parameters"] == 6_998_552
    assert [layer["layer"] for layer in facts["layers"]][:3] == ["conv1", "conv2", "3a"]
    assert facts["layers"][0]["contradicts_paper"] == {"weights": True, "multiply_adds": True}
    code, out, _ = incdet("info", "--network", "released-separable")
    assert code == 0
    assert "1,501M" in out
    assert "14x14x508" in out
    code, out, _ = incdet("info", "--network", "all")
    assert "torchvision" in out
    code, _, err = incdet("info", "--network", "tabel")
    assert code == 2
    assert "did you mean 'table'?" in one_sentence(err)


def test_info_tells_versions_weights_and_opencv(incdet):
    code, out, _ = incdet("info", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["versions"]["torch"] == torch.__version__.split("+")[0]
    assert facts["weights"]["googlenet-voc"]["classes"] == 20
    assert facts["weights"]["googlenet-voc"]["beside"] == ["googlenet-voc.int8.json", "googlenet-voc.boxes.safetensors"]
    assert facts["weights"]["multibox-voc"]["beside"] == []
    assert facts["opencv_engine"] == "ok"


def test_info_lists_the_classes_of_the_challenge(incdet):
    code, out, _ = incdet("info", "--classes", "ilsvrc", "--json")
    classes = json.loads(out)
    assert code == 0
    assert len(classes) == 200
    assert classes[1]["name"] == "airplane"
    assert classes[1]["voc_name"] == "aeroplane"
    assert "n02690373" in classes[1]["synsets"]
    code, out, _ = incdet("info", "--classes", "ilsvrc")
    assert code == 0
    assert "n02084071" in next(line for line in out.splitlines() if " dog " in line)
    code, _, err = incdet("info", "--classes", "ilsvrc", "--network", "table")
    assert code == 2
    assert "leave all of them but one out" in one_sentence(err)


def test_info_compares_presets_and_times_them(incdet, photo, monkeypatch):
    code, out, _ = incdet("info", "--presets")
    assert code == 0
    assert all(f"│ {name} " in out for name in ("paper", "default", "fast"))
    timed = {"fast": TimedPreset(1.5, "torch, float32")}
    monkeypatch.setattr("incdet.cli.preset_timing.time_presets", lambda file, reporter: timed)
    code, out, _ = incdet("info", "--presets", "--time", str(photo), "--json")
    assert code == 0
    assert json.loads(out)["fast"]["here"] == {"seconds": 1.5, "engine": "torch, float32"}
    assert "here" not in json.loads(out)["paper"]
    code, _, err = incdet("info", "--time", str(photo))
    assert code == 2
    assert "--presets" in one_sentence(err)
