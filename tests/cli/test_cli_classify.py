"""`incdet classify` and `incdet info`."""

import json
from pathlib import Path

import pytest
import torch
from test_cli import one_sentence

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import WeightsRecord, save_weights


def test_classify_names_what_photos_show(incdet, photo, tmp_path):
    record = WeightsRecord(classes=("a", "b", "c"), background=False, origin="a test", licence="none")
    torch.manual_seed(0)
    save_weights(tmp_path / "w", GoogLeNet(3).state_dict(), record, torch.float16)
    (tmp_path / "broken.png").write_bytes(b"no photo")
    options = ("--weights", tmp_path / "w", "--crops", 10, "--top", 2)
    code, _, err = incdet("classify", photo, tmp_path / "broken.png", *options)
    assert code == 1
    assert "broken.png" in one_sentence(err)
    (text,) = Path("incdet-output/classifications.jsonl").read_text().splitlines()
    line = json.loads(text)
    assert (line["width"], line["height"]) == (451, 300)
    scores = [entry["score"] for entry in line["classifications"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert all(entry["label"] == "abc"[entry["class_id"]] for entry in line["classifications"])
    code, out, _ = incdet("classify", photo, *options, "--json", "-")
    assert (code, json.loads(out)) == (0, line)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 3, "--weights"),
        (("--weights", "googlenet-voc"), 3, "regions"),
        (("--weights", "googlenet-voc", "--crops", "7"), 2, "1, 10 or 144"),
    ],
)
def test_classify_refuses_in_one_sentence(incdet, photo, options, code, words):
    found, _, err = incdet("classify", photo, *options)
    assert found == code
    assert words in one_sentence(err)
    assert not Path("incdet-output").exists()


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
