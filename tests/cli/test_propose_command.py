"""`incdet propose`."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from command_line import one_sentence


@pytest.mark.slow
def test_propose_writes_boxes_best_first(incdet, photo):
    small = "--set", "proposals.multibox.photo_sides=[384]"
    code, out, _ = incdet("propose", photo, "--json", "-", *small)
    assert code == 0
    line = json.loads(out)
    sources = [entry["source"] for entry in line["proposals"]]
    assert sources == ["multibox"] * 200 + ["selective_search"] * (len(sources) - 200)
    assert len(sources) > 500
    scores = [entry["score"] for entry in line["proposals"]]
    assert scores == sorted(scores[:200], reverse=True) + sorted(scores[200:], reverse=True)
    assert incdet("propose", photo, "--output", "p", *small)[0] == 0
    stored = json.loads(Path("p/proposals.jsonl").read_text())
    assert stored.pop("crc32")
    assert stored == line
    assert PIL.Image.open("p/cat.jpg").size == (451, 300)


@pytest.mark.slow
def test_the_hierarchy_is_drawn(incdet, chelsea_file, tmp_path):
    """By default MultiBox proposes, too; the picture shows selective search."""
    odd = {"dot": (1, 1), "flat": (90, 60), "strip": (40, 3000)}
    for name, size in odd.items():
        PIL.Image.new("RGB", size, "teal").save(tmp_path / f"{name}.png")
    photos = [chelsea_file, *(tmp_path / f"{name}.png" for name in odd)]
    code, _, err = incdet("propose", *photos, "--show-hierarchy", "--set", "proposals.multibox.photo_sides=[128]")
    assert code == 0, err
    folder = tmp_path / "incdet-output"
    pictures = {file.stem: np.asarray(PIL.Image.open(file)) for file in (folder / "hierarchy").iterdir()}
    assert pictures.keys() == {"chelsea", *odd}
    assert (folder / "chelsea.jpg").exists()
    assert all(picture.shape[1] == 4 * 368 for picture in pictures.values())
    # rows of panels differ: below are fewer, larger regions
    above, below = np.split(pictures["chelsea"][:, 368:736].astype(int), 2)
    assert np.abs(above - below).mean() > 2
    code, _, err = incdet("propose", chelsea_file, "--show-hierarchy", "--output", "incdet-output")
    assert code == 2
    assert "incdet-output" in one_sentence(err)


@pytest.mark.parametrize("setting", ["proposals.selective_search.engine=opencv", "proposals.methods=[multibox]"])
def test_not_everything_has_hierarchies_to_draw(incdet, photo, setting):
    code, _, err = incdet("propose", photo, "--show-hierarchy", "--set", setting)
    assert code == 2
    assert "--show-hierarchy" in one_sentence(err)
