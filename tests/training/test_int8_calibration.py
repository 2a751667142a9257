"""Which weights and photos the ranges of eight bits are measured with."""

import numpy as np
import pytest
import torch
from weights_files import record

from incdet.data.collection import Collection
from incdet.errors import DataError, WeightsError
from incdet.networks.weights import save_weights
from incdet.structures import Proposals
from incdet.training.annotated_sample import PhotoSample
from incdet.training.int8_calibration import _drawn_regions, calibrate
from incdet.training.samples.batch_loading import BadPhotos


def proposals_of(image):
    """Three boxes."""
    boxes = np.array([[0, 0, 50, 50], [10, 10, 90, 90], [5, 5, 20, 40]], np.float32)
    return Proposals(boxes, np.linspace(1, 0, 3, dtype=np.float32), np.full(3, "drawn"))


def test_a_photo_that_cannot_be_read_is_left_out(chelsea_file, astronaut_file, tmp_path):
    damaged, told = tmp_path / "damaged.jpg", []
    damaged.write_bytes(b"no photo")
    bad = BadPhotos(3, told.append, are_replaced=False)
    found = list(_drawn_regions([chelsea_file, damaged, astronaut_file], proposals_of, 2, 0, bad))
    assert [len(boxes) for _, boxes in found] == [2, 2]
    bad.tell_number()
    assert told[0].endswith("; it is left out")
    assert told[1] == "1 of 3 photos could not be used: it was left out"
    # there is no setting here that allows more
    with pytest.raises(DataError, match="2 of 3 photos cannot be used, more than 50%; the last: "):
        bad.add("another one")


def test_classifiers_of_whole_photos_are_refused_before_anything_is_computed(tmp_path):
    file = tmp_path / "photos.safetensors"
    save_weights(file, {"classifier.bias": torch.zeros(2)}, record(background=False))
    with pytest.raises(WeightsError, match=r"photos\.safetensors have no background column: they classify whole"):
        calibrate([str(file)], PhotoSample(Collection.voc, tmp_path / "nowhere", "train", 2), 2, 0, tmp_path)
