"""Batches of photo crops with their objects."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from incdet.data.voc import read_voc
from incdet.images import read_image
from incdet.training.samples.box_batches import box_batches
from incdet.training.samples.box_samples import BoxSamplingConfig
from incdet.training.samples.distortions import DistortionsConfig


def test_batches_pair_every_photo_with_its_own_objects_at_the_size_of_its_file(small_voc):
    """The cat is further right in the second photo, which is annotated at half the size of its file."""
    dataset = read_voc(small_voc, "val")
    nothing = {"photometric": 0.0, "noise": 0.0, "flip_probability": 0.0, "interpolations": ("area",)}
    config = BoxSamplingConfig(whole_photo_share=1.0, distortions=DistortionsConfig(**nothing))
    expected = {"first.jpg": [0, 0, 400 / 451, 1], "second.jpg": [61 / 512, 0, 461 / 512, 1]}
    seen = []
    for batch in box_batches(dataset, 64, config, 2, seed=0, num_workers=0)(range(3)):
        assert batch.noise.tolist() == [[0, 0, 0]] * 2
        for name, crop, boxes in zip(batch.names, batch.crops.numpy(), batch.boxes_unit, strict=True):
            assert boxes.tolist() == [pytest.approx(expected[Path(name).name], abs=1e-6)]
            photo_crops = cv2.resize(read_image(Path(name)).pixels, (64, 64), interpolation=cv2.INTER_AREA)
            assert np.abs(crop.astype(int) - photo_crops).max() <= 1
            seen.append(Path(name).name)
    assert sorted(seen) == ["first.jpg"] * 3 + ["second.jpg"] * 3
