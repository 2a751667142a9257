"""What `import incdet` offers, and that the names work together on a small data set."""

import json
import subprocess
import sys

import numpy as np
import pytest

import incdet
from incdet.errors import ConfigurationError, DataError, WeightsError


def test_every_public_name_has_a_home_and_a_docstring():
    assert {"detect", "propose", "classify", "evaluate", "Classifier", "read_dataset", "Detector", "Proposers"} <= set(
        incdet.__all__
    )
    assert all(getattr(incdet, name).__doc__ for name in incdet.__all__)
    assert set(incdet.__all__) <= set(dir(incdet))
    with pytest.raises(AttributeError, match="no attribute 'detects'"):
        incdet.detects  # noqa: B018


def test_importing_the_package_does_not_wait_for_torch():
    code = "import incdet, sys; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def perfect(dataset):
    """The annotated objects as detections."""
    return [
        incdet.Detections(
            image=truth.image,
            width=truth.width,
            height=truth.height,
            boxes=truth.boxes,
            scores=np.ones(len(truth), np.float32),
            class_ids=truth.class_ids,
            class_names=dataset.class_names,
        )
        for _, truth in dataset
    ]


def test_detections_of_a_data_set_are_evaluated(small_voc):
    dataset = incdet.read_dataset("voc", small_voc, "val")
    found = perfect(dataset)
    assert incdet.evaluate(found, dataset).mean_average_precision == 1
    # the photo of the second annotation is twice as large as it states
    doubled = [found[0], found[1].rescaled(2 * found[1].width, 2 * found[1].height)]
    assert incdet.evaluate(doubled, dataset, "ilsvrc").mean_average_precision == 1
    # one of two objects, with full precision
    nothing = found[1][np.zeros(len(found[1]), bool)]
    assert incdet.evaluate([found[0], nothing], dataset).mean_average_precision == pytest.approx(0.5)


def test_detections_that_do_not_belong_to_the_data_set_are_refused(small_voc):
    dataset = incdet.read_dataset("voc", small_voc, "val")
    found = perfect(dataset)
    with pytest.raises(DataError, match=r"detections in 1 photo and .* has 2"):
        incdet.evaluate(found[:1], dataset)
    stranger = incdet.Detections(
        image="photo",
        width=9,
        height=9,
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        class_ids=np.zeros(0, np.int64),
        class_names=("unicorn",),
    )
    with pytest.raises(DataError, match="photo are of 1 class,"):
        incdet.evaluate([found[0], stranger], dataset)


def test_weights_of_regions_do_not_classify_photos(chelsea_file):
    with pytest.raises(WeightsError, match="these weights classify regions"):
        incdet.classify(chelsea_file, "googlenet-voc")


def test_a_data_set_is_evaluated_under_the_rules_of_its_collection(small_voc, tmp_path):
    """Also a subset, and also where the collection says nothing else that tells it."""
    document = {
        "images": [{"id": 7, "file_name": "first.jpg", "width": 451, "height": 300}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 400, 300], "area": 1, "iscrowd": 0}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(document))
    coco = incdet.read_dataset("coco", tmp_path, "val")
    voc = incdet.read_dataset("voc", small_voc, "val")
    assert incdet.evaluate(perfect(coco), coco).rules == "coco"
    assert incdet.evaluate(perfect(coco), coco.subset([0])).rules == "coco"
    assert incdet.evaluate(perfect(voc)[:1], voc.subset([0])).rules == "voc"
    with pytest.raises(
        ConfigurationError, match="no layout of data sets 'kitti'; give voc, coco, yolo, ilsvrc or shards"
    ):
        incdet.read_dataset("kitti", tmp_path, "val")
