"""Outputs of a finder and a namer, which are stored by everything that decides them."""

import shutil

import numpy as np
import PIL.Image
import pytest
from compare_naming import Pair, PairOutputs, _stored_outputs

from incdet.config.sections import ProposalsConfig

QUICK = ProposalsConfig(methods=("selective_search",))


class CountingPair(Pair):
    """A pair whose probabilities tell the brightness of the photo, and how many photos it has seen."""

    num_seen = 0

    def __call__(self, image):
        type(self).num_seen += 1
        probabilities = np.full((1, 2), image.pixels[0, 0, 0] / 255, np.float32)
        boxes = np.array([[0, 0, 4, 4]], np.float32)
        return PairOutputs(image.name, image.width, image.height, boxes, *[probabilities] * 3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two photos of the same name in two folders, and three files that stand for weights."""
    monkeypatch.setattr(CountingPair, "num_seen", 0)
    for name, grey in (("cats", 51), ("dogs", 102)):
        (tmp_path / name).mkdir()
        PIL.Image.new("RGB", (8, 6), (grey,) * 3).save(tmp_path / name / "1.png")
    for name in ("finder", "namer", "other"):
        (tmp_path / f"{name}.safetensors").write_text(name)
    return tmp_path


def outputs_of(folder, finder="finder", namer="namer", proposals=QUICK):
    pair = CountingPair(f"{folder}/{finder}.safetensors", f"{folder}/{namer}.safetensors", proposals)
    return list(_stored_outputs(pair, [folder / "cats/1.png", folder / "dogs/1.png"], folder / "cache"))


def test_photos_of_one_name_have_outputs_of_their_own(folder):
    for _ in range(2):
        found = outputs_of(folder)
        assert [float(one.found[0, 0]) for one in found] == pytest.approx([0.2, 0.4])
        assert [(one.image, one.width, one.height) for one in found] == [
            (f"{folder}/{name}/1.png", 8, 6) for name in ("cats", "dogs")
        ]
    assert CountingPair.num_seen == 2, "stored outputs are computed again"


def test_outputs_of_other_networks_or_settings_are_not_taken(folder):
    outputs_of(folder)
    outputs_of(folder, namer="other")
    outputs_of(folder, finder="namer", namer="finder")
    outputs_of(folder, proposals=QUICK.model_copy(update={"limit": 7}))
    assert CountingPair.num_seen == 8
    # the same name, but other weights
    shutil.copy(folder / "other.safetensors", folder / "namer.safetensors")
    outputs_of(folder)
    assert CountingPair.num_seen == 8
    (folder / "namer.safetensors").write_text("trained anew")
    outputs_of(folder)
    assert CountingPair.num_seen == 10
