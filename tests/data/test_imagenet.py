"""ImageNet's list of classes."""

import PIL.Image
import pytest
from annotation_files import write

from incdet.data.imagenet import find_labelled_photos, read_synset_words
from incdet.errors import DataError, ImageError
from incdet.training.samples.photo_sources import PhotosConfig, open_photos


def test_synset_words(tmp_path):
    file = write(tmp_path / "words.txt", "n01 tench, Tinca\nn02 goldfish\n")
    assert read_synset_words(file) == [("n01", "tench, Tinca"), ("n02", "goldfish")]
    for content in ("n01\n", "cat n01\n", b"n01 caf\xe9\n"):
        with pytest.raises(DataError, match=r"words\.txt"):
            read_synset_words(write(file, content))


@pytest.fixture
def photos(tmp_path):
    for name in ("n01/x.jpg", "n02/y.png", "n02_17.jpg", "val_3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        PIL.Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def test_photos_are_labelled_by_folder_or_name(photos):
    (photos / "val_3.jpg").unlink()
    found = find_labelled_photos(photos, ("n01", "n02"))
    assert {path.name: class_id for path, class_id in zip(found.paths, found.class_ids.tolist(), strict=True)} == {
        "x.jpg": 0,
        "y.png": 1,
        "n02_17.jpg": 1,
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("val.txt", "x.jpg 1\nn02/y.png 0\nn02_17.jpg 1\nval_3.jpg n02\n"),
        (
            "LOC_val_solution.csv",
            "ImageId,PredictionString\nx,n02 1 2 3 4 n02 5 6 7 8\ny,n01 0 0 1 1\nn02_17,n02 \nval_3,n02 1",
        ),
    ],
)
def test_lists_of_labels(photos, name, text):
    (photos / name).write_text(text)
    found = find_labelled_photos(photos, ("n01", "n02"), photos / name if name == "val.txt" else None)
    labels = {path.stem: class_id for path, class_id in zip(found.paths, found.class_ids.tolist(), strict=True)}
    assert labels == {"x": 1, "y": 0, "n02_17": 1, "val_3": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "val_3.jpg"),
        ("x.jpg 7\n", "entry 1: '7'"),
        ("x.jpg 1\n", "not in the list"),
        ("ImageId,PredictionString\nx\n", "entry 1: ''"),
    ],
)
def test_unknown_labels_are_named(photos, text, words):
    if text is not None:
        (photos / "labels").write_text(text)
    with pytest.raises(DataError, match=words):
        find_labelled_photos(photos, ("n01", "n02"), None if text is None else photos / "labels")


def test_a_folder_without_photos(tmp_path):
    with pytest.raises(ImageError):
        find_labelled_photos(tmp_path, ("n01",))


def test_hidden_folders_are_no_classes(tmp_path):
    for name in ("cat/1.jpg", "dog/2.jpg", ".ipynb_checkpoints/1-checkpoint.jpg", "__MACOSX/3.jpg"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        PIL.Image.new("RGB", (8, 8)).save(file)
    source = open_photos(PhotosConfig(root=str(tmp_path)))
    assert source.class_names == ("cat", "dog")
    assert source.class_ids.tolist() == [0, 1]
