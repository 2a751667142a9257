"""`incdet classify`."""

import json
from pathlib import Path

import pytest
import torch
from command_line import one_sentence

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import save_weights
from incdet.networks.weights_record import WeightsRecord


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
    del line["crc32"]  # which lines on stdout have not
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
