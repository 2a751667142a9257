"""Pictures, files and folders of results."""

import json

import numpy as np
import PIL.Image
import pytest

from incdet.data.xml_annotations import VOC_BOXES, read_annotation
from incdet.detections import Detections
from incdet.errors import DataError, OutputError
from incdet.ops.drawing import class_color
from incdet.output.draw import draw_proposals, save_picture
from incdet.output.result_folder import ResultFolder
from incdet.output.writers import (
    coco_document,
    csv_text,
    detections_from_json,
    detections_json,
    read_detections,
    voc_xml,
)
from incdet.structures import Image, Proposals

CLASSES = ("cat", "dog", "cow")


def detections(boxes, scores, class_ids, image="photos/a.jpg", size=(100, 80)):
    return Detections(
        image=image,
        width=size[0],
        height=size[1],
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        class_ids=np.array(class_ids, np.int64),
        class_names=CLASSES,
    )


def random_detections(seed, count=20):
    generator = np.random.default_rng(seed)
    corners = np.sort(generator.uniform(0, 80, (count, 2, 2)), axis=1)
    return detections(corners.reshape(-1, 4), generator.random(count), generator.integers(0, 3, count))


def grey(width=100, height=80):
    return Image(np.full((height, width, 3), 90, np.uint8), "grey")


def test_json_round_trips_every_bit():
    found = random_detections(0)
    line = json.loads(json.dumps(detections_json(found)))
    again = detections_from_json(line, CLASSES)
    assert np.array_equal(found.boxes, again.boxes)
    assert np.array_equal(found.scores, again.scores)
    assert np.array_equal(found.class_ids, again.class_ids)
    assert (found.image, found.width, found.height) == (again.image, again.width, again.height)


def test_labels_decide_when_the_class_order_differs():
    line = detections_json(detections([[0, 0, 5, 5]], [0.5], [2]))
    assert detections_from_json(line, ("cow", "cat")).labels == ["cow"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detections": [{"label": "yak", "score": 0.5, "box": [0, 0, 1, 1]}]}, "label"),
        ({"detections": [{"label": "cat", "score": 1.5, "box": [0, 0, 1, 1]}]}, "scores"),
        ({"detections": [{"label": "cat", "score": 0.5, "box": [5, 0, 1, 1]}]}, "exchanged"),
        ({"detections": [{"label": "cat", "box": [0, 0, 1, 1]}]}, "'score'"),
        ({"detections": 3}, "int"),
    ],
)
def test_malformed_lines_are_refused(tmp_path, change, words):
    file = tmp_path / "d.jsonl"
    good = detections_json(detections([[0, 0, 5, 5]], [0.5], [2]))
    file.write_text(json.dumps(good) + "\n" + json.dumps({**good, **change}) + "\n")
    with pytest.raises(DataError, match="line 2") as refused:
        read_detections(file, CLASSES)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_coco_boxes_are_corner_and_size():
    found = detections([[10, 20, 30, 50]], [0.25], [1])
    entry = {"image_id": 9, "category_id": 2, "bbox": [10, 20, 20, 30], "score": 0.25}
    assert found.to_coco(9) == [entry]
    assert found.to_coco(9, {"dog": 18})[0]["category_id"] == 18


def test_pycocotools_reads_the_coco_document(tmp_path):
    from pycocotools.coco import COCO

    file = tmp_path / "c.json"
    file.write_text(json.dumps(coco_document([random_detections(2), random_detections(3)], CLASSES)))
    coco = COCO(file)
    assert len(coco.getImgIds()) == 2
    assert len(coco.getAnnIds()) == 40
    assert {entry["name"] for entry in coco.loadCats(coco.getCatIds())} == set(CLASSES)


def test_csv_quotes_names_with_commas():
    found = detections([[1, 2, 3.5, 4]], [0.5], [0], image='odd, "name".jpg')
    assert csv_text([found]).splitlines()[1] == '"odd, ""name"".jpg",cat,0,0.5,1.0,2.0,3.5,4.0'


def test_voc_xml_is_read_back_by_our_reader(tmp_path):
    found = detections([[0, 0, 100, 80], [10, 20, 30, 50]], [0.5, 0.4], [1, 2])
    file = tmp_path / "a.xml"
    file.write_text(voc_xml(found))
    truth = read_annotation(file, {name: index for index, name in enumerate(CLASSES)}, VOC_BOXES)
    assert np.array_equal(truth.boxes, found.boxes)
    assert truth.class_ids.tolist() == [1, 2]


def test_a_drawn_box_lies_on_its_pixels():
    image = grey()
    picture = detections([[20, 40, 60, 70]], [0.5], [1]).draw(image)
    changed = (picture != image.pixels).any(axis=2)
    assert tuple(picture[69, 40]) == class_color(1)
    assert tuple(picture[55, 59]) == class_color(1)
    assert not changed[70:].any()
    assert not changed[:, 60:].any() or not changed[45:, 60:].any()
    assert not changed[50:60, 30:50].any()


def test_drawing_changes_neither_image_nor_size_and_survives_edges():
    for width, height in ((1, 1), (3, 50), (200, 2)):
        image = grey(width, height)
        box = [[0, 0, width, height]]
        assert detections(box, [1], [0], size=(width, height)).draw(image).shape == (height, width, 3)
        assert (image.pixels == 90).all()
    assert np.array_equal(detections([], [], []).draw(grey()), grey().pixels)


def test_proposals_are_drawn():
    proposals = Proposals(np.array([[10, 10, 50, 50]], np.float32), np.ones(1, np.float32), np.array(["x"]))
    assert (draw_proposals(grey(), proposals) != 90).any()


def test_class_colors_differ():
    assert len({class_color(index) for index in range(200)}) == 200


def test_pictures_wider_than_jpeg_can_hold_are_shrunk(tmp_path):
    save_picture(tmp_path / "wide.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert PIL.Image.open(tmp_path / "wide.jpg").size == (65_500, 1)
    save_picture(tmp_path / "usual.jpg", np.zeros((20, 30, 3), np.uint8))
    assert PIL.Image.open(tmp_path / "usual.jpg").size == (30, 20)


def line(name):
    return {"image": name, "detections": []}


def begun(path, description, **options):
    folder = ResultFolder(path, "detections", description, **options)
    folder.begin([], [])
    return folder


def test_result_folder_goes_on_after_a_line_cut_short(tmp_path):
    folder = begun(tmp_path / "r", {"a": 1})
    folder.add(line("x"))
    with (tmp_path / "r" / "detections.unfinished.jsonl").open("a") as file:
        file.write('{"image": "y", "det')
    again = begun(tmp_path / "r", {"a": 1})
    assert again.done == {"x": line("x")}
    again.add(line("y"))
    again.finish()
    lines = (tmp_path / "r" / "detections.jsonl").read_text().splitlines()
    assert [json.loads(text)["image"] for text in lines] == ["x", "y"]


def test_result_folder_refuses_other_settings_and_finished_results(tmp_path):
    begun(tmp_path / "r", {"a": 1}).add(line("x"))
    with pytest.raises(OutputError, match="other settings"):
        ResultFolder(tmp_path / "r", "detections", {"a": 2})
    assert begun(tmp_path / "r", {"a": 1}, overwrite=True).done == {"x": line("x")}, "the same run goes on"
    replaced = begun(tmp_path / "r", {"a": 2}, overwrite=True)
    assert replaced.done == {}
    replaced.finish()
    with pytest.raises(OutputError, match="exists already"):
        ResultFolder(tmp_path / "r", "detections", {"a": 2})
    numbered = ResultFolder(tmp_path / "r", "detections", {"a": 2}, numbered=True)
    assert numbered.path == tmp_path / "r-2"


def test_result_folder_without_lines_still_counts_as_finished(tmp_path):
    folder = begun(tmp_path / "r", {})
    folder.finish(keep=False)
    assert [file.name for file in (tmp_path / "r").iterdir()] == ["run.json"]
    with pytest.raises(OutputError, match="holds results already"):
        ResultFolder(tmp_path / "r", "detections", {})


def test_files_that_exist_are_protected_and_a_refusal_leaves_nothing_behind(tmp_path):
    (tmp_path / "s").mkdir()
    photo = tmp_path / "s" / "a.jpg"
    photo.write_text("somebody's")
    for inputs, words in (([tmp_path / "s" / ".." / "s" / "a.jpg"], "one of the photos given"), ([], "exists already")):
        with pytest.raises(OutputError, match=words):
            ResultFolder(tmp_path / "s", "detections", {}).begin([photo], inputs)
    assert [file.name for file in (tmp_path / "s").iterdir()] == ["a.jpg"]
    begun(tmp_path / "t", {"a": 1}).add(line("x"))
    (tmp_path / "t" / "x.jpg").write_text("made by the interrupted run")
    ResultFolder(tmp_path / "t", "detections", {"a": 1}).begin([tmp_path / "t" / "x.jpg"], [])


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"{}", b""])
def test_a_damaged_description_is_no_run_to_go_on_with(tmp_path, damage):
    begun(tmp_path / "r", {}).add(line("x"))
    (tmp_path / "r" / "run.json").write_bytes(damage)
    with pytest.raises(OutputError, match="other settings"):
        ResultFolder(tmp_path / "r", "detections", {})


def test_damaged_lines_of_an_interrupted_run_are_dropped(tmp_path):
    begun(tmp_path / "r", {}).add(line("x"))
    with (tmp_path / "r" / "detections.unfinished.jsonl").open("ab") as file:
        file.write(b'{"image": \xff}\n{"no": "image"}\n[1]\n')
    assert begun(tmp_path / "r", {}).done == {"x": line("x")}
