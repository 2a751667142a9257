"""Centre crops of the photos that validate."""

import shutil

import numpy as np
import torch

from incdet.classifier import crop_image
from incdet.networks.weights_record import Preprocessing
from incdet.training.samples.centre_crops import centre_batches
from incdet.training.samples.photo_sources import PhotosConfig, open_photos


def test_centres_come_in_order_without_unreadable_photos(folders, tmp_path):
    shutil.copytree(folders, tmp_path / "damaged")
    (tmp_path / "damaged" / "cup" / "2.jpg").write_bytes(b"no photo")
    source, preprocessing = open_photos(PhotosConfig(root=str(tmp_path / "damaged"))), Preprocessing(size=96)
    told = []
    batches = list(centre_batches(source, np.array([0, 6, 7, 11]), preprocessing, 2, num_workers=0, warn=told.append))
    assert len(told) == 1
    assert "cup/2.jpg" in told[0]
    assert told[0].endswith("; it is left out of the validation")
    assert [ids.tolist() for _, ids in batches] == [[0], [1, 2]]
    assert torch.equal(batches[1][0][1], crop_image(source.read(11), preprocessing, 1)[0])


def test_a_batch_of_unreadable_photos_is_left_out(folders, tmp_path):
    shutil.copytree(folders, tmp_path / "damaged")
    for number in (0, 1):
        (tmp_path / "damaged" / "cat" / f"{number}.jpg").write_bytes(b"no photo")
    source = open_photos(PhotosConfig(root=str(tmp_path / "damaged")))
    batches = list(centre_batches(source, np.arange(4), Preprocessing(size=96), 2, num_workers=0))
    assert [ids.tolist() for _, ids in batches] == [[0, 0]]
