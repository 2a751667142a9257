"""The program that makes a data set of VOC's classes out of ILSVRC's photos."""

import numpy as np
from display_thresholds import SAME_CLASSES, with_classes_of_voc
from running_tools import run_tool

from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.readers import Collection, read_dataset
from incdet.data.voc import VOC_CLASSES


def test_photos_of_two_splits_are_read_back_with_their_objects(shared_folder, tmp_path):
    root = shared_folder / "data" / "ilsvrc-det"
    lists = [
        (root / "ImageSets" / "DET" / f"{split}-here.txt").read_text().split("\n")[:6] for split in ("val1", "val2")
    ]
    for number, lines in enumerate(lists):
        (tmp_path / f"{number}.txt").write_text("\n".join(lines) + "\n")
    arguments = ["--root", root, "--split", tmp_path / "0.txt", "--split", tmp_path / "1.txt", "--output", "clean"]
    done = run_tool("experiments/ilsvrc_as_voc.py", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = read_dataset(Collection.coco, tmp_path / "clean", "all")
    parts = [with_classes_of_voc(read_dataset(Collection.ilsvrc, root, str(tmp_path / f"{n}.txt"))) for n in (0, 1)]
    expected = [truth for part in parts for truth in part.ground_truths]
    assert found.class_names == VOC_CLASSES
    assert [path.read_bytes() for path in found.image_paths] == [
        path.read_bytes() for part in parts for path in part.image_paths
    ]
    assert sum(map(len, expected)) > 3
    for truth, wanted in zip(found.ground_truths, expected, strict=True):
        assert (truth.width, truth.height) == (wanted.width, wanted.height)
        assert np.array_equal(truth.boxes, wanted.boxes)
        assert np.array_equal(truth.class_ids, wanted.class_ids)
    config = load_config(Config, tmp_path / "clean" / "detector.yaml")
    assert set(config.detections.classes) == set(SAME_CLASSES.values())
