"""Photos for training a classifier: folders, shards and objects."""

import io
import shutil
import tarfile

import numpy as np
import PIL.Image
import pytest
import webdataset
from class_folders import CLASSES, jpeg, pixels_of

from incdet.config.loading import make_config
from incdet.data import shards
from incdet.data.shards import ShardPhotos
from incdet.data.voc import VOC_CLASSES, read_voc
from incdet.errors import ConfigurationError, DataError, ImageError
from incdet.training.samples.photo_sources import ObjectPhotos, PhotosConfig, hold_out_photos, open_photos


def write_shard(file, photos, labels=CLASSES):
    """A tar file of (key, photo's bytes, class id) as WebDataset writes it."""
    with webdataset.TarWriter(str(file)) as writer:
        for key, content, class_id in photos:
            writer.write({"__key__": key, "jpg": content, "cls": class_id})


@pytest.fixture(scope="module")
def shard_folder(tmp_path_factory, folders):
    root = tmp_path_factory.mktemp("shards")
    photos = [(f"{name}/{file.stem}", file.read_bytes(), i) for i, name in enumerate(CLASSES)
              for file in sorted((folders / name).iterdir())]  # fmt: skip
    for number in range(4):
        write_shard(root / f"train-{number}.tar", photos[number::4])
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return root


def test_folders_are_classes_in_alphabetical_order(folders):
    source = open_photos(PhotosConfig(root=str(folders)))
    assert source.class_names == CLASSES
    assert source.class_ids.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert source.name(5).endswith("cup/1.jpg")
    assert np.array_equal(source.read(5).pixels, np.asarray(PIL.Image.open(folders / "cup" / "1.jpg")))


def test_a_list_of_classes_decides_their_order(folders, tmp_path):
    listed = tmp_path / "classes.txt"
    listed.write_text("rocket\ncat\ncup\n")
    source = open_photos(PhotosConfig(root=str(folders), classes=str(listed)))
    assert source.class_names == ("rocket", "cat", "cup")
    assert source.class_ids.tolist() == [1] * 4 + [2] * 4 + [0] * 4


def test_wordnet_ids_with_names_behind_them_are_classes(tmp_path):
    (tmp_path / "n01440764").mkdir()
    (tmp_path / "n01440764" / "a.jpg").write_bytes(jpeg(pixels_of("cat")))
    (tmp_path / "words.txt").write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish\n")
    source = open_photos(PhotosConfig(root=str(tmp_path), classes=str(tmp_path / "words.txt")))
    assert source.class_names == ("n01440764", "n01443537")


def test_shards_hold_what_webdataset_reads_from_them(shard_folder):
    source = open_photos(
        PhotosConfig(layout="shards", root=str(shard_folder), classes=str(shard_folder / "classes.txt"))
    )
    files = [str(file) for file in sorted(shard_folder.glob("*.tar"))]
    expected = list(webdataset.WebDataset(files, shardshuffle=False))
    assert len(source.class_ids) == len(expected) == 12
    for index, sample in enumerate(expected):
        assert source.name(index).endswith(f": {sample['__key__']}")
        assert source.class_ids[index] == int(sample["cls"])
        assert np.array_equal(source.read(index).pixels, np.asarray(PIL.Image.open(io.BytesIO(sample["jpg"]))))


def test_a_class_in_a_shard_may_be_a_name(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, content in (("x.cls", b"cup\n"), ("x.jpg", jpeg(pixels_of("cup")))):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert ShardPhotos(tmp_path, CLASSES).class_ids.tolist() == [1]


def test_the_order_of_shards_takes_every_photo_once_and_few_shards_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHUFFLED_TOGETHER", 2)
    content = jpeg(np.zeros((8, 8, 3), np.uint8))
    for number in range(6):
        write_shard(tmp_path / f"{number}.tar", [(f"{number}-{i}", content, 0) for i in range(5)])
    source = ShardPhotos(tmp_path, CLASSES)
    first, second = (source.order(np.random.default_rng(seed)) for seed in (1, 2))
    assert sorted(first) == sorted(second) == list(range(30))
    assert not np.array_equal(first, second)
    windows = [{index // 5 for index in first[start : start + 10]} for start in (0, 10, 20)]
    assert [len(window) for window in windows] == [2, 2, 2]
    assert any(first[i] // 5 != first[i + 1] // 5 for i in range(4)), "two shards are not mixed"


def refused(config, *words, error=DataError):
    with pytest.raises(error) as caught:
        open_photos(config)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("photos", "words"),
    [([("a", b"x", 3)], ("a", "'3'", "3 classes")), ([], ()), ([("a", b"x", "dog")], ("'dog'",))],
)
def test_a_class_that_is_not_listed_is_refused(tmp_path, photos, words):
    (tmp_path / "classes.txt").write_text("cat\ncup\nrocket\n")
    if photos:
        write_shard(tmp_path / "s.tar", photos)
    config = PhotosConfig(layout="shards", root=str(tmp_path), classes=str(tmp_path / "classes.txt"))
    refused(config, *(words or ("holds no shards",)))


def test_incomplete_and_damaged_shards_are_refused(tmp_path, shard_folder):
    config = PhotosConfig(layout="shards", root=str(tmp_path), classes=str(shard_folder / "classes.txt"))
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("folder/x.jpg"))
    refused(config, "s.tar", "folder/x has no class")
    (tmp_path / "s.tar").write_bytes((shard_folder / "train-0.tar").read_bytes()[:30_000])
    refused(config, "s.tar")
    (tmp_path / "s.tar").write_bytes(b"no tar file at all" * 100)
    refused(config, "s.tar", "uncompressed tar")


def test_an_unreadable_photo_in_a_shard_is_named(tmp_path):
    write_shard(tmp_path / "s.tar", [("good", jpeg(pixels_of("cat")), 0), ("bad", b"no photo", 0)])
    source = ShardPhotos(tmp_path, CLASSES)
    assert source.read(0).width == 451
    with pytest.raises(ImageError, match=r"s\.tar: bad"):
        source.read(1)


def test_objects_are_cut_out_of_their_photos(small_voc):
    source = open_photos(PhotosConfig(layout="objects", root=str(small_voc), split="val"))
    assert source.class_names == VOC_CLASSES
    assert source.class_ids.tolist() == [VOC_CLASSES.index("cat")] * 2
    photo = np.asarray(PIL.Image.open(small_voc / "JPEGImages" / "second.jpg"))
    assert np.array_equal(source.read(1).pixels, photo[0:300, 61:461])
    assert "second.jpg, object 1" in source.name(1)


def test_real_objects_have_the_size_of_their_boxes(shared_folder):
    dataset = read_voc(shared_folder / "data" / "voc2012-subset", "val")
    source = ObjectPhotos(dataset)
    boxes = np.concatenate([truth.boxes[~truth.ignored] for truth in dataset.ground_truths])
    assert len(source.class_ids) == len(boxes)
    for index in range(0, len(boxes), 40):
        left, top, right, bottom = boxes[index]
        assert source.read(index).pixels.shape == (bottom - top, right - left, 3)


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"root": "nowhere"}, DataError, ("nowhere", "no such folder")),
        ({"root": "."}, DataError, ("no folders, one per class",)),
        ({"root": ".", "layout": "shards"}, ConfigurationError, ("class ids only",)),
        ({"root": ".", "layout": "shards", "classes": "none.txt"}, DataError, ("none.txt",)),
    ],
)
def test_what_is_missing_is_said(tmp_path, monkeypatch, values, error, words):
    monkeypatch.chdir(tmp_path)
    refused(make_config(PhotosConfig, values, "test"), *words, error=error)


def test_a_data_set_without_objects_is_refused(small_voc, tmp_path):
    shutil.copytree(small_voc, tmp_path / "voc")
    for file in (tmp_path / "voc" / "Annotations").iterdir():
        file.write_text(file.read_text().replace("<difficult>0", "<difficult>1"))
    config = PhotosConfig(layout="objects", root=str(tmp_path / "voc"), split="val")
    refused(config, "there are no objects that count in its split 'val'")


@pytest.mark.parametrize("text", ["", "cat\ncat\n"])
def test_a_list_of_classes_without_or_with_equal_names_is_refused(folders, tmp_path, text):
    (tmp_path / "classes.txt").write_text(text)
    refused(PhotosConfig(root=str(folders), classes=str(tmp_path / "classes.txt")), "classes.txt")


def test_photos_held_out_are_evenly_spaced_and_objects_of_a_photo_stay_together(folders):
    source = open_photos(PhotosConfig(root=str(folders)))
    training, kept_out = hold_out_photos(source, 3)
    assert kept_out.tolist() == [0, 6, 11]
    assert sorted([*training, *kept_out]) == list(range(12))

    class Grouped:
        groups = np.array([0, 0, 1, 2, 2, 2])

    training, kept_out = hold_out_photos(Grouped(), 2)
    assert (training.tolist(), kept_out.tolist()) == ([2], [0, 1, 3, 4, 5])
    assert len(hold_out_photos(source, 0)[1]) == 0
    with pytest.raises(ConfigurationError, match="only 12 photos"):
        hold_out_photos(source, 12)
