"""`incdet evaluate-classification`."""

import json
import os

import PIL.Image
import torch
from command_line import one_sentence

from incdet.evaluation import classification_accuracy
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import save_weights
from incdet.networks.weights_record import Preprocessing, WeightsRecord


def network_that_names_colours(matrix):
    """Logits of the mean red, green and blue (0 to 1) of a photo: `matrix` [classes, 3] times them."""
    network = GoogLeNet(len(matrix))
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    for name, layer in network.named_modules():
        if name in ("conv1", "conv2_reduce", "conv2") or name.endswith(".conv_1x1"):
            middle = layer.kernel_size[0] // 2
            for channel in range(3):
                torch.nn.init.ones_(layer.weight[channel, channel, middle, middle])
    network.classifier.weight.data[:, :3] = torch.tensor(matrix)
    return network


def test_accuracies_of_one_network_and_of_two_are_those_calculated_by_hand(incdet, tmp_path, monkeypatch):
    """Photos of one colour. The first network says what it sees, but not surely; the second is sure of other names,
    and so decides: it calls green red and blue "f".
    """
    monkeypatch.setattr(classification_accuracy, "CHUNK", 4)
    first = [[3, 0, 0], [0, 3, 0], [0, 0, 3], [0, -1, -1], [0, -1, -1], [0, -2, -2], [0, -3, -3]]
    second = [[40, 40, 0], *[[0, 0, 0]] * 5, [0, 0, 40]]
    preprocessing = Preprocessing(mean=(0, 0, 0), scale=1 / 255)
    classes = ("red", "green", "blue", "c", "d", "e", "f")
    record = WeightsRecord(
        classes=classes, background=False, origin="a test", licence="none", preprocessing=preprocessing
    )
    for name, matrix in (("1", first), ("2", second)):
        network = network_that_names_colours([[float(number) for number in row] for row in matrix])
        save_weights(tmp_path / name, network.state_dict(), record, torch.float16)
    (tmp_path / "photos").mkdir()
    # the first network: right in 3 of 6, and the two "f" are its last guess; both: wrong in green_0 and blue_0 only
    photos = {"red_0": "red", "red_1": "lime", "green_0": "lime", "blue_0": "blue", "f_0": "blue", "f_1": "blue"}
    for name, colour in photos.items():
        PIL.Image.new("RGB", (64, 48), colour).save(tmp_path / "photos" / f"{name}.png")
    arguments = ["--root", "photos", "--weights", "1", "--weights", "2", "--cache", "cache", "--json", "out.json"]
    for _ in ("computed", "read from the cache"):
        settings = "--set", "device=cpu", "--set", "scores.precision=float32"
        code, out, _ = incdet("evaluate-classification", *arguments, *settings, "--quiet")
        assert code == 0
        assert (tmp_path / "out.json").read_text() == out
        assert json.loads(out)["table"] == [
            {"networks": 1, "crops": 1, "top1": 0.5, "top5": round(4 / 6, 6)},
            {"networks": 2, "crops": 1, "top1": round(4 / 6, 6), "top5": 1.0},
        ]
        assert len(list((tmp_path / "cache").rglob("*.npz"))) == 2
    # a photo that was replaced under its old name and time is classified anew, the other photos are not
    photo = tmp_path / "photos" / "red_0.png"
    time = photo.stat().st_mtime_ns
    PIL.Image.new("RGB", (96, 96), "lime").save(photo)
    os.utime(photo, ns=(time, time))
    code, out, _ = incdet("evaluate-classification", *arguments, *settings, "--quiet")
    assert json.loads(out)["table"][0]["top1"] < 0.5
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 3


def test_other_numbers_of_crops_are_refused(incdet, tmp_path):
    code, _, err = incdet("evaluate-classification", "--root", tmp_path, "--weights", "none", "--crops", 7)
    assert code == 2
    assert "--crops is 7; expected 1, 10 or 144" in one_sentence(err)
