"""`incdet weights`: import, record. What the other sub-commands write is tested beside their layers."""

import json

import pytest
import torch

from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import load_record, read_tensors, save_weights
from incdet.networks.weights_record import WeightsRecord


@pytest.mark.slow
def test_imported_weights_classify_photos(incdet, shared_folder, tmp_path):
    source = shared_folder / "weights" / "bvlc_googlenet.safetensors"
    photos = shared_folder / "data" / "imagenet-sample"
    words = photos / "synset_words.txt"
    code, _, err = incdet("weights", "import", source, "--class-list", words, "--output", "i.safetensors")
    assert code == 0, err
    assert "6,998,552" in err
    (tmp_path / "some").mkdir()
    for photo in sorted(photos.glob("*.jpg"))[::12]:
        (tmp_path / "some" / photo.name).symlink_to(photo)
    arguments = ["--root", "some", "--weights", "i.safetensors"]
    code, out, err = incdet("evaluate-classification", *arguments)
    assert code == 0, err
    numbers = json.loads(out)
    assert numbers["num_images"] == 42
    # 69 % and 89 % are the release's own on all of ImageNet; four standard errors of 42 photos below
    assert numbers["top1"] > 0.40
    assert numbers["top5"] > 0.70


def test_weights_are_not_replaced_by_their_own_smaller_form(incdet, tmp_path):
    file = tmp_path / "w.safetensors"
    record = WeightsRecord(classes=("cat",), background=True, origin="a test", licence="none", measured={})
    save_weights(file, GoogLeNet(2).state_dict(), record)
    before = file.read_bytes()
    (tmp_path / "link.safetensors").symlink_to(file)
    code, _, err = incdet("weights", "quantize", str(file), "--output", str(tmp_path / "link.safetensors"))
    assert code == 2
    assert "is the file of the weights itself" in err
    assert file.read_bytes() == before


def test_a_measured_map_goes_into_the_record(incdet, tmp_path):
    file = tmp_path / "w.safetensors"
    record = WeightsRecord(classes=("cat",), background=True, origin="a test", licence="none", measured={"old": 0.5})
    save_weights(file, GoogLeNet(2).state_dict(), record, torch.float16)
    before = read_tensors(file)
    (tmp_path / "out.json").write_text(json.dumps({"dataset": "pets val", "mAP": 0.123456}))
    assert incdet("weights", "record", file, "out.json")[0] == 0
    assert load_record(file).measured == {"old": 0.5, "pets val mAP": 0.1235}
    after = read_tensors(file)
    assert all(torch.equal(before[name], after[name]) for name in before)
    covered = {"dataset": "pets val", "coverage": 0.98765, "proposals_per_image": 200.0}
    (tmp_path / "out.json").write_text(json.dumps(covered))
    assert incdet("weights", "record", file, "out.json")[0] == 0
    assert load_record(file).measured["pets val coverage of 200 boxes, IoU 0.5"] == 0.9877
    (tmp_path / "out.json").write_text("{}")
    assert incdet("weights", "record", file, "out.json")[0] == 3
