"""YOLO's layout: whole, as Roboflow and Label Studio write it, and broken."""

import numpy as np
import PIL.Image
import pytest
from annotation_files import write

from incdet.data.impossible_boxes import learnable
from incdet.data.readers import read_dataset
from incdet.data.yolo import read_yolo
from incdet.errors import DataError

NAMES = "names: [cat, dog]\n"


def photo(file, width=40, height=20, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (width, height)).save(file, **options)
    return file


@pytest.fixture
def root(tmp_path):
    """Two photos of train, the second one without objects, and one of val."""
    write(tmp_path / "data.yaml", "train: images/train\nval: images/val\nnc: 2\n" + NAMES)
    for name in ("train/a.jpg", "train/b.png", "val/c.jpg"):
        photo(tmp_path / "images" / name)
    write(tmp_path / "labels" / "train" / "a.txt", "1 0.5 0.5 0.5 0.2\n\n0 0.1 0.2 0.3 0.2 0.3 0.9\n")
    write(tmp_path / "labels" / "train" / "b.txt", "")
    write(tmp_path / "labels" / "val" / "c.txt", "0.0 0.25 0.5 0.5 1.0\n")
    return tmp_path


def test_boxes_polygons_and_photos_without_objects(root):
    said = []
    dataset = read_dataset("yolo", root, "train", warn=said.append)
    assert dataset.class_names == ("cat", "dog")
    assert [path.name for path in dataset.image_paths] == ["a.jpg", "b.png"]
    first, second = dataset.ground_truths
    assert (first.width, first.height) == (40, 20)
    assert first.boxes == pytest.approx(np.array([[10, 8, 30, 12], [4, 4, 12, 18]]))
    assert first.class_ids.tolist() == [1, 0]
    assert len(second) == 0
    assert said == []
    for split in ("val", "valid"):
        assert read_yolo(root, split).ground_truths[0].boxes == pytest.approx(np.array([[0, 0, 20, 20]]))


def test_sizes_are_those_of_the_upright_photo(root):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photo(root / "images" / "val" / "c.jpg", exif=exif)
    truth = read_yolo(root, "val").ground_truths[0]
    assert (truth.width, truth.height) == (20, 40)
    assert truth.boxes == pytest.approx(np.array([[0, 0, 10, 40]]))


@pytest.mark.parametrize(
    "places",
    [
        "train: ../train/images\nval: ../valid/images\n",
        "path: /home/somebody/set\ntrain: train/images\nval: valid/images\n",
        "train: /home/somebody/set/train/images\nval: /home/somebody/set/valid/images\n",
        "train: [train/images]\nval: [valid/images]\n",
        "train: train.txt\nval: val.txt\n",
        "",
    ],
)
def test_places_of_photos(tmp_path, places):
    """Also Roboflow's wrong `../` and paths of another machine; `train.txt` lists photos beside it."""
    root = tmp_path / "set"
    write(root / "data.yaml", places + NAMES)
    for split, name in (("train", "a"), ("valid", "b")):
        photo(root / split / "images" / f"{name}.jpg")
        write(root / split / "labels" / f"{name}.txt", "0 0.5 0.5 1 1\n")
    write(root / "train.txt", "./train/images/a.jpg\n")
    write(root / "val.txt", "./valid/images/b.jpg\n")
    assert [truth.image for truth in read_yolo(root, "train").ground_truths] == ["a"]
    assert [truth.image for truth in read_yolo(root, "val").ground_truths] == ["b"]


def test_classes_txt_without_data_yaml_and_labels_beside_photos(tmp_path):
    write(tmp_path / "classes.txt", "cat\ndog\n")
    photo(tmp_path / "images" / "a.jpg")
    write(tmp_path / "labels" / "a.txt", "1 0.5 0.5 1 1\n")
    assert read_yolo(tmp_path, "train").ground_truths[0].class_ids.tolist() == [1]
    (tmp_path / "labels" / "a.txt").rename(tmp_path / "images" / "a.txt")
    assert read_yolo(tmp_path, "train").ground_truths[0].class_ids.tolist() == [1]
    with pytest.raises(DataError, match=r"'val'.*splits found: train"):
        read_yolo(tmp_path, "val")


def test_names_by_number_and_names_that_look_like_other_values(root):
    write(root / "data.yaml", "train: images/train\nnames:\n  1: yes\n  0: 10\n")
    assert read_yolo(root, "train").class_names == ("10", "yes")


def test_photos_without_labels_are_counted_and_a_set_without_any_is_refused(root):
    (root / "labels" / "train" / "b.txt").unlink()
    said = []
    assert len(read_yolo(root, "train", said.append)) == 2
    assert said == ["1 of 2 photos has no file of labels and counts as empty (b.png)"]
    (root / "labels" / "train" / "a.txt").unlink()
    with pytest.raises(DataError, match=r"2 photos of .*, and none has a file of labels; .*labels/train/a\.txt"):
        read_yolo(root, "train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 1 1", "the class is '2'"), ("cat 0.5 0.5 1 1", "the class is 'cat'"), ("0.5 0.5 0.5 1 1", "'0.5'"),
        ("-1 0.5 0.5 1 1", "'-1'"), ("0 12 30 44 60", "'12'"), ("0 x 0.5 1 1", "'x'"),
        ("0 0.5 0.5 1", "3 numbers"), ("0 0.5 0.5 1 1 0.9", "5 numbers"), ("0", "0 numbers"),
    ],
)  # fmt: skip
def test_malformed_lines_are_named(root, line, message):
    file = write(root / "labels" / "train" / "a.txt", f"0 0.5 0.5 1 1\n{line}\n")
    with pytest.raises(DataError, match=r"a\.txt, line 2: ") as caught:
        read_yolo(root, "train")
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_impossible_boxes_are_counted_by_kind_and_the_others_end_at_the_border(root):
    lines = ["0 nan 0.5 1 1", "1 0.5 0.5 -0.1 0.2", "1 0.5 0.5 0 0.2", "0 1.5 0.5 0.5 0.5", "0 0.9 0.5 0.4 0.5"]
    write(root / "labels" / "train" / "a.txt", "\n".join(lines))
    said = []
    truth = read_dataset("yolo", root, "train", warn=said.append).ground_truths[0]
    assert truth.num_impossible == 2
    assert truth.boxes == pytest.approx(np.array([[20, 8, 20, 12], [50, 5, 70, 15], [28, 5, 40, 15]]))
    kinds = ["2 impossible boxes", "1 box without area", "1 box wholly outside", "1 box partly outside"]
    assert [sentence.startswith(kind) and "a.jpg" in sentence for sentence, kind in zip(said, kinds, strict=True)]
    assert learnable(truth).boxes.tolist() == [[28, 5, 40, 15]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no keys"), ("names: [", "not valid YAML"), ("train: images/train\n", "no list of classes"),
        ("names: cat\n", "no list of classes"), ("names: [cat, cat]\n", "twice"), ("names: [cat, '']\n", "no list"),
        ("names: {0: cat, 2: dog}\n", "0 to 1"), ("nc: 3\n" + NAMES, "nc: 3"), ("kpt_shape: [3, 2]\n" + NAMES, "key"),
        ("train: nowhere\n" + NAMES, "nowhere"), ("train: list.txt\n" + NAMES, "list.txt"),
    ],
)  # fmt: skip
def test_malformed_descriptions_are_named(root, text, message):
    write(root / "data.yaml", text)
    write(root / "list.txt", "\n")
    with pytest.raises(DataError) as caught:
        read_yolo(root, "train")
    assert message in str(caught.value)


def test_a_photo_that_cannot_be_read_and_one_that_is_missing(root):
    write(root / "images" / "train" / "b.png", "no photo")
    with pytest.raises(DataError, match=r"b\.png"):
        read_yolo(root, "train")
    write(root / "data.yaml", "train: list.txt\n" + NAMES)
    write(root / "list.txt", "images/train/gone.jpg\n")
    with pytest.raises(DataError, match=r"gone\.jpg"):
        read_yolo(root, "train")
