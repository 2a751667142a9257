"""Decoded photos in memory."""

import numpy as np
import PIL.Image
import pytest

from incdet.training.samples.photo_store import PhotoStore

SHAPES = ((200, 300, 3), (240, 160, 3))
FIRST, BOTH = 200 * 300 * 3, 200 * 300 * 3 + 240 * 160 * 3


@pytest.mark.parametrize(
    ("num_bytes", "kept"),
    [(0, [False, False]), (FIRST, [True, False]), (BOTH, [True, True]), (FIRST - 1, [False, True])],
)
def test_photos_are_kept_by_their_index_as_far_as_memory_goes(tmp_path, num_bytes, kept):
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    photos = [np.random.default_rng(0).integers(0, 256, shape, np.uint8) for shape in SHAPES]
    for path, pixels in zip(paths, photos, strict=True):
        PIL.Image.fromarray(pixels).save(path)
    store = PhotoStore(paths, num_bytes / 1e9)
    for index, pixels in enumerate(photos):
        assert np.array_equal(store(index).pixels, pixels)
        assert np.array_equal(store(index).pixels, pixels)
    assert [store(index) is store(index) for index in range(2)] == kept
