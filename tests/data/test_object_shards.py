"""Data sets in tar shards, in folders and at addresses: written, read, damaged."""

import io
import json
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import webdataset

from incdet.data import object_shards
from incdet.data.layouts import MissingSplitError, find_layout
from incdet.data.object_shards import read_object_shards
from incdet.data.readers import Collection, read_dataset
from incdet.data.shard_writer import write_object_shards
from incdet.data.voc import read_voc
from incdet.errors import ConfigurationError, DataError, ImageError, PackageError
from incdet.images import exif_orientation, read_image, read_size
from incdet.runtime import addresses
from incdet.runtime.addresses import list_files, read_part
from incdet.runtime.shard_photos import Shard, ShardPhoto, file_version

CLASSES = ("cat", "dog")
GOOD = {"objects": [{"class": "cat", "box": [1, 2, 9, 8]}]}


@pytest.fixture(scope="module")
def voc(small_voc):
    """Four photos, two of them twice, with an ignored object and an impossible one."""
    return read_voc(small_voc, "val").joined(read_voc(small_voc, "val"))


@pytest.fixture(scope="module")
def shards(voc, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    places = list(write_object_shards(read_voc_apart(voc), folder, "val", photos_in_shard=3))
    assert [Path(place).name for place in places] == ["val-000000.tar", "val-000001.tar"]
    return folder


def read_voc_apart(voc):
    """The photos under names of their own, which training files have, too."""
    truths = tuple(replace(truth, image=f"{truth.image}.{i}") for i, truth in enumerate(voc.ground_truths))
    flags = np.array([True])
    truths = (replace(truths[0], ignored=flags, num_impossible=2), *truths[1:])
    return replace(voc, ground_truths=truths)


def write_shard(file, samples):
    """A tar file as WebDataset writes it, without an index."""
    with webdataset.TarWriter(str(file)) as writer:
        for key, content, annotation in samples:
            writer.write({"__key__": key, "jpg": content, "json": annotation})


def assert_same(dataset, other):
    assert dataset.class_names == other.class_names
    assert len(dataset) == len(other)
    for (path, truth), (other_path, other_truth) in zip(dataset, other, strict=True):
        assert path.read_bytes() == other_path.read_bytes()
        assert read_size(path) == read_size(other_path)
        for field in ("image", "width", "height", "num_impossible"):
            assert getattr(truth, field) == getattr(other_truth, field)
        for field in ("boxes", "class_ids", "ignored"):
            assert np.array_equal(getattr(truth, field), getattr(other_truth, field))


def test_a_data_set_in_shards_is_that_of_its_folder(voc, shards):
    expected = read_voc_apart(voc)
    assert find_layout(shards) == Collection.shards
    for place in (shards, f"file://{shards}", Path(f"file://{shards}")):
        found = read_dataset(find_layout(Path(place)), place, "val")
        assert found.name == f"{shards.name} val"
        assert_same(found, expected)
        assert found.by_file_name() == sorted(range(4), key=lambda index: expected.ground_truths[index].image)


def test_the_same_at_an_address_of_objects(voc):
    list(write_object_shards(read_voc_apart(voc), "memory://bucket/cats", "train", photos_in_shard=2))
    found = read_dataset("shards", "memory://bucket/cats", "train")
    assert_same(found, read_voc_apart(voc))
    assert str(found.image_paths[2]) == "memory:///bucket/cats/train-000001.tar/000000002.jpg"
    # a validation split has other names in other programs
    with pytest.raises(MissingSplitError, match="splits found: train;"):
        read_dataset("shards", "memory://bucket/cats", "val")


def test_the_index_says_what_the_members_say(shards, monkeypatch):
    indexed = read_object_shards(shards, "val")
    monkeypatch.setattr(object_shards, "read_shard_index", lambda file: None)
    assert_same(read_object_shards(shards, "val"), indexed)


def test_webdataset_reads_shards_without_seeing_the_index(shards, voc):
    files = [str(file) for file in sorted(shards.glob("*.tar"))]
    samples = list(webdataset.WebDataset(files, shardshuffle=False))
    assert [sample["jpg"] for sample in samples] == [path.read_bytes() for path, _ in voc]
    assert [json.loads(sample["json"])["objects"][0]["class"] for sample in samples] == ["cat"] * 4


def test_an_index_is_not_used_once_something_was_appended(shards, tmp_path, chelsea_file):
    (tmp_path / "classes.txt").write_text((shards / "classes.txt").read_text())
    file = tmp_path / "val-0.tar"
    file.write_bytes((shards / "val-000000.tar").read_bytes())
    with tarfile.open(file, "a") as archive:
        for name, content in (("new.jpg", chelsea_file.read_bytes()), ("new.json", json.dumps(GOOD).encode())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert [truth.image for _, truth in read_object_shards(tmp_path, "val")][-1] == "new"


def test_photos_in_shards_are_paths_that_travel_to_other_processes(shards):
    photo = read_object_shards(shards, "val").image_paths[1]
    copy = pickle.loads(pickle.dumps(photo))
    assert copy == photo
    assert hash(copy) == hash(photo)
    assert (photo.name, photo.stem, photo.suffix) == ("000000001.jpg", "000000001", ".jpg")
    assert photo.key == "000000001"
    assert photo.parent == shards / "val-000000.tar"
    assert photo.absolute() == photo
    assert photo.is_file()
    assert read_image(copy).name == str(photo)
    assert exif_orientation(photo) == 1
    # a shard that is written anew has other photos
    assert file_version(ShardPhoto(Shard(photo.shard.place, "later"), *photo.__reduce__()[1][1:])) != file_version(
        photo
    )


def test_a_shard_that_goes_away_is_an_error_of_each_photo(shards):
    photo = read_object_shards(shards, "val").image_paths[0]
    for changed in (Shard(f"{photo.shard.place}-", "1"), Shard("foo://x/y", "1")):
        with pytest.raises(ImageError, match=r"000000000\.jpg"):
            read_image(ShardPhoto(changed, photo.member, photo.start, photo.size))
    with pytest.raises(ImageError, match="ends too early"):
        read_image(ShardPhoto(photo.shard, photo.member, 10**9, photo.size))


def test_a_network_that_fails_for_a_moment_is_asked_again(monkeypatch):
    fsspec.filesystem("memory").pipe_file("/flaky/a.bin", b"0123456789")
    system = type(fsspec.filesystem("memory"))
    read, failures = system.cat_file, [RuntimeError("slow down"), OSError("reset")]

    def cat_file(self, *arguments, **options):
        if failures:
            raise failures.pop()
        return read(self, *arguments, **options)

    monkeypatch.setattr(system, "cat_file", cat_file)
    monkeypatch.setattr(addresses, "PAUSE_SECONDS", 0)
    assert read_part("memory://flaky/a.bin", 2, 3) == b"234"
    failures += [RuntimeError("slow down")] * addresses.MAX_TRIES
    with pytest.raises(OSError, match="slow down"):
        read_part("memory://flaky/a.bin", 2, 3)


def test_objects_that_cannot_be_learnt_are_counted(tmp_path):
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    corners = ([5, 5, 1, 9], [float("nan"), 0, 1, 1], [0, 0, 1e12, 3])
    objects = [{"class": "cat", "box": box} for box in corners]
    objects += [{"class": "dog", "box": [1, 2, 3, 4], "ignored": True}, {"class": "cow", "box": [1, 2, 3, 4]}]
    write_shard(tmp_path / "train-0.tar", [("a/b", b"x", {"width": 4, "height": 5, "objects": objects})])
    told = []
    ((path, truth),) = read_dataset("shards", tmp_path, "train", warn=told.append)
    assert path.key == "a/b"
    assert (truth.image, truth.width, truth.height, truth.num_impossible) == ("b", 4, 5, 3)
    assert (truth.boxes.tolist(), truth.class_ids.tolist(), truth.ignored.tolist()) == ([[1, 2, 3, 4]], [1], [True])
    assert any("1 object of 1 class" in sentence and "cow" in sentence for sentence in told)
    assert any("3 impossible boxes" in sentence for sentence in told)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ([], "no list of objects"),
        ({"objects": [{"box": [1, 2, 3, 4]}]}, "without a class"),
        ({"objects": [3]}, "without a class"),
        ({"objects": [{"class": "cat", "box": [1, 2, 3]}]}, "without a box"),
        ({"objects": [{"class": "cat", "box": [1, 2, 3, "4"]}]}, "without a box"),
        ({"objects": [{"class": "cat", "box": [1, 2, 3, 4], "ignored": 2}]}, "'ignored'"),
        (GOOD | {"width": -1}, "the width '-1'"),
        (GOOD | {"name": 3}, "a name that is no text"),
    ],
)
def test_annotations_of_another_form_end_in_a_sentence(tmp_path, annotation, words):
    (tmp_path / "classes.txt").write_text("cat\n")
    write_shard(tmp_path / "train-0.tar", [("a", b"x", GOOD), ("b", b"x", annotation)])
    with pytest.raises(DataError, match=r"train-0\.tar: b\.jpg") as caught:
        read_object_shards(tmp_path, "train")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shards_that_are_incomplete_or_damaged_end_in_a_sentence(tmp_path, shards):
    write_shard(tmp_path / "train-0.tar", [("a", b"x", GOOD)])
    with pytest.raises(DataError, match=r"classes\.txt.*one a line"):
        read_object_shards(tmp_path, "train")
    (tmp_path / "classes.txt").write_text("cat\n")
    whole = (shards / "val-000000.tar").read_bytes()
    for content in (whole[:30_000], b"no tar file at all" * 100, whole[:-20_000] + bytes(20_000)):
        (tmp_path / "train-0.tar").write_bytes(content)
        with pytest.raises(DataError, match=r"train-0\.tar"):
            read_object_shards(tmp_path, "train")
    for name, missing in (("a.jpg", "annotation"), ("a.json", "photo"), ("a.b.jpg", "photos")):
        with tarfile.open(tmp_path / "train-0.tar", "w") as archive:
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"{}"))
        with pytest.raises(DataError, match=f"has no {missing}"):
            read_object_shards(tmp_path, "train")


def test_hidden_files_and_further_pictures_of_a_pair_are_passed_over(tmp_path):
    (tmp_path / "classes.txt").write_text("cat\n")
    write_shard(tmp_path / "train-0.tar", [("a", b"x", GOOD)])
    alone = read_object_shards(tmp_path, "train")
    with tarfile.open(tmp_path / "train-0.tar", "a") as archive:
        for name in ("a.mask.png", "._a.jpg", "._a.json", ".DS_Store"):
            archive.addfile(tarfile.TarInfo(name))
    assert read_object_shards(tmp_path, "train").image_ids == alone.image_ids


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a.jpg", "a.json", "a.png"), r"a\.jpg and a\.png are two photos of one key"),
        (("a.jpg", "a.json", "b.2.jpg", "b.2.json"), r"b\.2\.jpg has a second dot in its name"),
        (("a.jpg", "a.json", "a.2.jpg", "a.2.json"), r"a\.2\.jpg has a second dot in its name"),
    ],
)
def test_photos_that_would_be_lost_are_told(tmp_path, names, words):
    (tmp_path / "classes.txt").write_text("cat\n")
    with tarfile.open(tmp_path / "train-0.tar", "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"{}"))
    with pytest.raises(DataError, match=words):
        read_object_shards(tmp_path, "train")


def test_addresses_that_cannot_be_read_end_in_a_sentence(monkeypatch):
    with pytest.raises(ConfigurationError, match="foo://bucket"):
        read_dataset("shards", "foo://bucket/x", "train")
    with pytest.raises(DataError, match="in the layout voc: at addresses, data sets lie in tar shards"):
        read_dataset("voc", "memory://bucket/x", "train")
    monkeypatch.setattr("incdet.runtime.optional_packages.find_spec", lambda package: None)
    with pytest.raises(PackageError, match=r"incdet\[cluster\]"):
        list_files("memory://bucket/x")
