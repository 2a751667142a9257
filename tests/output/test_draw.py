"""Proposals in photos, and saved pictures."""

import numpy as np
import PIL.Image
from detection_samples import grey

from incdet.output.draw import draw_proposals
from incdet.runtime.picture_files import save_picture
from incdet.structures import Proposals


def test_proposals_are_drawn():
    proposals = Proposals(np.array([[10, 10, 50, 50]], np.float32), np.ones(1, np.float32), np.array(["x"]))
    assert (draw_proposals(grey(), proposals) != 90).any()


def test_pictures_wider_than_jpeg_can_hold_are_shrunk(tmp_path):
    save_picture(tmp_path / "wide.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert PIL.Image.open(tmp_path / "wide.jpg").size == (65_500, 1)
    save_picture(tmp_path / "usual.jpg", np.zeros((20, 30, 3), np.uint8))
    assert PIL.Image.open(tmp_path / "usual.jpg").size == (30, 20)
