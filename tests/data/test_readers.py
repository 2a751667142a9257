"""The reader for every collection: folders and names that it refuses."""

import json

import pytest
from annotation_files import coco, write

from incdet.data.readers import read_dataset
from incdet.errors import DataError


def test_two_photos_of_one_name_are_told_by_their_folders(tmp_path):
    images = [{"id": number, "file_name": f"{number}/x.jpg", "width": 20, "height": 10} for number in (7, 9)]
    write(tmp_path / "annotations" / "instances_val.json", json.dumps(coco(images=images)))
    dataset = read_dataset("coco", tmp_path, "val")
    assert [truth.image for truth in dataset.ground_truths] == ["7/x", "9/x"]


@pytest.mark.parametrize("collection", ["voc", "coco", "ilsvrc"])
def test_missing_and_empty_folders_are_data_errors(tmp_path, collection):
    for root in (tmp_path / "gone", tmp_path):
        with pytest.raises(DataError, match=root.name):
            read_dataset(collection, root, "val")
