"""OpenCV's engine: frames that it cannot search, and an OpenCV without it."""

import cv2
import numpy as np
import pytest

from incdet.config.sections import SelectiveSearchConfig
from incdet.errors import PackageError
from incdet.proposers import opencv_engine
from incdet.proposers.selective_search import propose

SMALL = SelectiveSearchConfig(color_spaces=("lab",), similarities=("color_texture_size_fill",), width=160)
OPENCV = SMALL.model_copy(update={"engine": "opencv"})


@pytest.mark.parametrize("height", [15, 16, 17, 24])
def test_frames_around_the_lowest_that_opencv_searches(height):
    pixels = np.random.default_rng(0).integers(0, 255, (height, 500, 3), dtype=np.uint8)
    candidates = opencv_engine.group_all(pixels, OPENCV)
    boxes = np.concatenate([boxes for boxes, _ in candidates])
    assert [0, 0, 500, height] in boxes.tolist()
    assert len(boxes) > 1 if height >= 16 else len(boxes) == 1


def test_an_opencv_without_contrib_is_named_where_it_is_needed(monkeypatch, astronaut):
    monkeypatch.delattr(cv2.ximgproc, "segmentation")
    opencv_engine.segmentation_module.cache_clear()
    with pytest.raises(PackageError, match="pip install --force-reinstall --no-deps opencv-contrib-python"):
        propose(astronaut, OPENCV)
    assert len(propose(astronaut, SMALL)) > 1
    opencv_engine.segmentation_module.cache_clear()
