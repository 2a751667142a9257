"""Kinds of faults in each further place where they can occur: labels, YOLO, reports, caches, MultiBox, locks."""

import csv
import io
import os
import pickle
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch
from annotation_files import write, xml
from command_line import FEW
from evaluations import evaluate
from test_photo_frames import BOX, STORED, annotation, stored_photo
from test_writing import line

from incdet.config.sections import ProposalsConfig
from incdet.data.imagenet import find_labelled_photos
from incdet.data.photo_frame import turn_to_annotation
from incdet.data.voc import read_voc
from incdet.data.yolo import read_yolo
from incdet.errors import DataError, OutputError, WeightsError
from incdet.evaluation.confusion import confusion_matrix
from incdet.evaluation.operating_points import operating_point
from incdet.evaluation.predictions import read_predictions
from incdet.evaluation.threshold_html import threshold_section
from incdet.images import read_image
from incdet.networks.multibox import MultiBox
from incdet.output.result_folder import ResultFolder
from incdet.output.result_lines import line_text
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.proposers.multibox_proposer import predict_boxes
from incdet.runtime import files, folder_lock
from incdet.runtime.folder_lock import LOCK_FILE, FolderLock
from incdet.runtime.forks import ProcessMark
from incdet.training.photo_proposals import PhotoProposals
from incdet.training.samples.photo_sources import PhotosConfig
from incdet.training.training_options import TrainingPhotos


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_reports_draw_photos_as_their_annotations_see_them(tmp_path, orientation):
    file = stored_photo(tmp_path, orientation)
    pixels = turn_to_annotation(read_image(file), annotation(*STORED), file)
    white = np.zeros(STORED[::-1], bool)
    white[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    assert np.array_equal(pixels.all(axis=2), white)
    upright = read_image(file)
    assert turn_to_annotation(upright, annotation(*STORED[::-1]), file) is upright.pixels


@pytest.fixture
def folders(tmp_path):
    for name in ("a/x.jpg", "b/x.jpg", "b/my photo 1.jpg", "c/y.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        PIL.Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def labels_of(root, text, told=None):
    found = find_labelled_photos(root, ("cat", "golden retriever"), write(root / "labels.txt", text), told)
    return found.class_ids.tolist()


def test_lists_of_labels_know_folders_and_names_with_spaces(folders):
    text = "a/x.jpg cat\nb/x.jpg golden retriever\nmy photo 1.jpg golden retriever\nelsewhere/y.JPEG 0\n"
    told = []
    assert labels_of(folders, text, told.append) == [0, 1, 1, 0]
    with pytest.raises(DataError, match="photos called x of several classes"):
        labels_of(folders, text.replace("b/x", "d/x"))
    with pytest.raises(DataError, match=r"'a/x\.jpg' two classes"):
        labels_of(folders, text + "a/x.jpg 1\n")
    with pytest.raises(DataError, match=r"entry 1: '9999"):
        labels_of(folders, f"x.jpg {'9' * 5000}\n")
    with pytest.raises(DataError, match="is no CSV"):
        labels_of(folders, f"ImageId,PredictionString\nx,{'9' * (csv.field_size_limit() + 1)}\n")


def test_classifiers_data_says_once_what_was_passed_over(folders):
    (folders / "a" / "raw.heic").touch()
    (folders / "c" / "gone.jpg").symlink_to("nowhere.jpg")
    told, photos = [], TrainingPhotos()
    for _ in range(2):
        photos.of_classes(PhotosConfig(root=str(folders)), told.append)
    assert len(told) == 1
    assert "1 dangling link, 1 file of another image format" in told[0]


def test_descriptions_of_yolo_are_bounded_like_configurations(tmp_path):
    nested = "\n".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9))
    for text, words in (("a0: &a0 [x]\n" + nested, "aliases stand for"), ("#" * (2 << 20), "larger than 1 MB")):
        write(tmp_path / "data.yaml", text)
        with pytest.raises(DataError, match=words):
            read_yolo(tmp_path, "train")


@pytest.mark.parametrize("text", ["train: {}", "path: {}\ntrain: a", "train: list.txt"])
def test_names_that_no_file_can_have_are_named(tmp_path, text):
    write(tmp_path / "list.txt", f"{'9' * 300}.jpg\n")
    write(tmp_path / "data.yaml", "names: [cat]\n" + text.format("9" * 5000))
    with pytest.raises(DataError, match=r"'9{60}'.*which no file can have"):
        read_yolo(tmp_path, "train")


def test_photos_of_one_name_in_different_folders_are_told_apart(tmp_path):
    for name in ("a/x", "b/x", "b/y"):
        photo = tmp_path / "images" / "train" / f"{name}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (8, 8)).save(photo)
        write(tmp_path / "labels" / "train" / f"{name}.txt", "0 0.5 0.5 1 1" if name == "b/x" else "")
        write(tmp_path / "Annotations" / f"{name}.xml", xml([("cat", (1, 1, 4, 4), 0)] if name == "b/x" else []))
    (tmp_path / "images" / "train" / "raw.heic").touch()
    write(tmp_path / "data.yaml", "train: [images/train, images/train/b]\nnames: [cat]\n")
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "a/x\nb/x\nb/y\n")
    told = []
    for dataset in (read_yolo(tmp_path, "train", told.append), read_voc(tmp_path, "train", told.append)):
        assert [(truth.image, len(truth)) for truth in dataset.ground_truths] == [("a/x", 0), ("b/x", 1), ("y", 0)]
        found = [line(f"/elsewhere/{name}.jpg") for name in ("b/x", "a/x", "b/y")]
        found[0]["detections"] = [{"label": "cat", "score": 0.5, "box": [0, 0, 4, 3]}]
        file = write(tmp_path / "found.jsonl", "".join(map(line_text, found)))
        assert read_predictions(file, dataset, told.append).images.tolist() == [1]
    assert len(told) == 1
    assert "1 file of another image format" in told[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_proposals_of_damaged_networks_are_a_weights_error(value):
    network = MultiBox(torch.tensor([[0.1, 0.1, 0.6, 0.6]]), "pooled").eval()
    with torch.no_grad():
        next(iter(reversed(list(network.parameters())))).fill_(value)
    with pytest.raises(WeightsError, match="not finite"):
        predict_boxes(network, torch.zeros(1, 3, 64, 64))


def test_class_names_from_outside_act_on_no_table_and_no_page():
    evaluation = evaluate([([(0, (0, 0, 9, 9), False)], [(1, (0, 0, 9, 9), 0.9)])], 2)
    evaluation = replace(evaluation, class_names=("=1+1", "<b>\x1b[2J"))
    matrix = confusion_matrix(evaluation, 0.5)
    cells = [cell for row in csv.reader(io.StringIO(matrix.to_csv())) for cell in row]
    assert "'=1+1" in cells
    assert "=1+1" not in cells
    page = threshold_section([operating_point(evaluation, 0.5)], matrix)
    assert "<b>" not in page
    assert "\x1b" not in page


def test_a_copy_in_another_process_was_made_there(monkeypatch):
    mark = ProcessMark()
    stored = pickle.dumps(mark)
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    pickle.loads(stored).require_same("a detector")
    with pytest.raises(RuntimeError):
        mark.require_same("a detector")


def test_a_folder_is_locked_until_the_last_of_a_process_lets_it_go(tmp_path, monkeypatch):
    outer = FolderLock(tmp_path)
    with FolderLock(tmp_path):
        pass
    assert (tmp_path / LOCK_FILE).exists()
    outer.release()
    outer.release()
    assert list(tmp_path.iterdir()) == []
    # a run that ended in the moment between opening and locking has removed the file
    monkeypatch.setattr(folder_lock, "_is_file_of", lambda *_: False)
    with pytest.raises(OutputError, match="has just ended"):
        FolderLock(tmp_path)


def test_caches_lose_what_killed_processes_left_unfinished(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_is_alive", lambda process: process != 12345)
    cache = ProposalCache(tmp_path, ProposalsConfig(methods=("selective_search",)))
    stale = [folder / f".incdet.{files._host()}.12345.x" for folder in (cache.settings_folder, tmp_path / "photos")]
    for file in stale:
        write(file, "")
    assert list(PhotoProposals(cache).fill([])) == []
    assert not any(file.exists() for file in stale)


def test_a_run_that_was_killed_after_its_only_json_file_goes_on(incdet, chelsea_file, tmp_path, monkeypatch):
    monkeypatch.setattr(ResultFolder, "remove", lambda self: self._unlock_folder())
    command = ("propose", str(chelsea_file), "--json", "all.jsonl", "--quiet", *FEW)
    assert incdet(*command)[0] == 0
    text = (tmp_path / "all.jsonl").read_text()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert incdet(*command)[0] == 0
    assert (tmp_path / "all.jsonl").read_text() == text
    assert not (tmp_path / "all.jsonl.unfinished").exists()
    code, _, err = incdet(*command)
    assert code == 2
    assert "exists already" in err


def test_the_second_of_two_reports_in_a_folder_is_refused(incdet, small_voc, tmp_path, monkeypatch):
    lines = write(tmp_path / "found.jsonl", "")
    lines.write_text("\n".join(f'{{"image": "{name}", "width": 4, "height": 3, "detections": []}}' for name in "ab"))
    monkeypatch.setattr("incdet.cli.evaluation_job.lock_folder", _refuse)
    code, _, err = incdet("evaluate", "--dataset", "voc", "--root", small_voc, "--split", "val",
                          "--predictions", lines, "--output", "report")  # fmt: skip
    assert code != 0
    assert "another run" in err


def _refuse(folder):
    raise OutputError(f"another run writes into {folder}")
