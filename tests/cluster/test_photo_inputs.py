"""The inputs of a cluster's run: folders, lists, shards and addresses name the photos that one machine would find."""

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from trivial_work import save_photo

from incdet.cluster.address_search import SearchError
from incdet.cluster.part_photos import read_photos
from incdet.cluster.photo_inputs import ListedPhoto, ListedShard, PhotoInputs
from incdet.errors import ImageError
from incdet.images import find_images
from incdet.runtime.provenance import RUN_FILE

pytest.importorskip("fsspec", reason="needs fsspec")


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """The photos of `small_photos` and files that are none, below the current folder."""
    monkeypatch.chdir(tmp_path)
    for place in ("photos/b.png", "photos/a/c.PNG", "photos/.hidden/d.png", "photos/found/e.png", "photos/.f.png"):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        save_photo(Path(place), 1)
    Path("photos/found", RUN_FILE).write_text('{"versions": {"incdet": "0"}, "configuration": {}}')
    Path("photos/notes.txt").write_text("none")
    Path("photos/dangling.jpg").symlink_to("nowhere")
    return tmp_path


def test_folders_hold_what_one_machine_finds(in_folder):
    inputs = PhotoInputs(["photos", "photos/a", "photos"])
    listed = list(inputs)
    assert {entry.name for entry in listed} == {str(photo) for photo in find_images(["photos"])}
    assert len(listed) == 2
    assert all(Path(entry.place).is_absolute() and Path(entry.place).exists() for entry in listed)
    assert inputs.passed_over.dangling_links == 1
    assert inputs.failures == []
    assert inputs.local_places() == [f"{in_folder}/photos", f"{in_folder}/photos/a", f"{in_folder}/photos"]


def test_lists_name_each_photo_once(in_folder):
    Path("list.txt").write_text("# some\nphotos/b.png\n\nphotos/b.png\ns3://bucket/x.jpg\nshards/1.tar\n")
    assert list(PhotoInputs(["list.txt"])) == [
        ListedPhoto("photos/b.png", f"{in_folder}/photos/b.png"),
        ListedPhoto("s3://bucket/x.jpg", "s3://bucket/x.jpg"),
        ListedShard("shards/1.tar", f"{in_folder}/shards/1.tar"),
    ]


def test_what_names_no_photo_is_a_sentence_and_the_rest_goes_on(in_folder):
    Path("empty").mkdir()
    given = ["nowhere", "empty", "photos/*.gif", "no.txt", "nosuch://x/y", "memory://absent/folder", "", "photos/b.png"]
    inputs = PhotoInputs(given)
    assert [entry.name for entry in inputs] == ["photos/b.png"]
    assert len(inputs.failures) == 7
    assert all(name in " ".join(inputs.failures) for name in given[:-2])


def test_inputs_below_a_given_folder_are_left_out_only_where_its_search_finds_them(in_folder):
    Path("other").mkdir()
    for place in ("photos/d.dat", "other/x.png"):
        save_photo(Path("new.png"), 2)
        Path("new.png").rename(place)
    Path("photos/list.txt").write_text("other/x.png")
    shutil.copytree("photos/a", "outside/a")
    Path("photos/link").symlink_to(in_folder / "outside/a")
    given = ["photos", "./photos/", "photos/b.png", "photos/../other", "photos/.hidden/d.png", "photos/d.dat"]
    given += ["photos/*.png", "photos/.hidden", "photos/link/../a/c.PNG", "photos/link", "photos/missing.jpg"]
    inputs = PhotoInputs(given)
    names = [entry.name for entry in inputs]
    expected = ["photos/b.png", "photos/a/c.PNG", "photos/../other/x.png", "photos/.hidden/d.png", "photos/d.dat"]
    expected += ["photos/link/../a/c.PNG", "photos/link/c.PNG"]
    assert sorted(names) == sorted(expected)
    assert inputs.failures == ["cannot read photos/missing.jpg: there is no such file or folder; check the path"]
    assert inputs.passed_over.linked_folders == 1
    assert [entry.name for entry in PhotoInputs(["photos/a", "photos/list.txt", "photos/a/../list.txt"])] == [
        "photos/a/c.PNG",
        "other/x.png",
    ]


def test_a_search_that_breaks_off_is_an_error_and_never_a_failure(in_folder, monkeypatch):
    import fsspec

    memory = fsspec.filesystem("memory")
    for place in ("/breaking/a.png", "/breaking/inside/b.png", "/breaking/private/c.png"):
        memory.pipe_file(place, b"x")
    errors = {"/breaking/private": PermissionError("not yours")}
    list_folder, info = type(memory).ls, type(memory).info

    def break_off(driver, path, **options):
        if path in errors:
            raise errors[path]
        return list_folder(driver, path, **options)

    monkeypatch.setattr(type(memory), "ls", break_off)
    try:
        inputs = PhotoInputs(["memory://breaking"])
        assert [entry.name for entry in inputs] == ["memory:///breaking/a.png", "memory:///breaking/inside/b.png"]
        assert ["private: not yours" in failure for failure in inputs.failures] == [True]
        matched = [entry.name for entry in PhotoInputs(["memory://breaking/*/*.png", "memory://breaking/**/a.*"])]
        assert matched == ["memory:///breaking/inside/b.png", "memory:///breaking/a.png"]
        wrong = PhotoInputs(["memory://breaking/**.png"])
        assert (list(wrong), len(wrong.failures)) == ([], 1)
        errors["/breaking/inside"] = OSError("connection lost")
        with pytest.raises(SearchError, match="connection lost"):
            list(PhotoInputs(["memory://breaking/*/*.png"]))
        found = iter(PhotoInputs(["memory://breaking", "photos/b.png"]))
        assert next(found).name == "memory:///breaking/a.png"
        with pytest.raises(SearchError, match="cannot list all of memory://breaking: connection lost; check"):
            next(found)
        # a driver that says that there is nothing, because it cannot ask
        monkeypatch.setattr(type(memory), "info", lambda *_, **__: exec("raise OSError('no route')"))
        with pytest.raises(SearchError, match="no route"):
            list(PhotoInputs(["memory://breaking/a.png"]))
    finally:
        monkeypatch.setattr(type(memory), "info", info)
        memory.rm("/breaking", recursive=True)


def test_folders_and_lists_that_break_off_are_errors(in_folder, monkeypatch):
    scan = os.scandir

    def break_off(folder):
        if str(folder).endswith("photos/a"):
            raise error
        return scan(folder)

    monkeypatch.setattr("incdet.cluster.photo_inputs.os.scandir", break_off)
    error = PermissionError(13, "Permission denied")
    inputs = PhotoInputs(["photos"])
    assert [entry.name for entry in inputs] == ["photos/b.png"]
    assert inputs.failures == ["cannot read the folder photos/a: permission denied; check its rights"]
    # a folder that the user names is another matter than one that is found
    with pytest.raises(SearchError, match="cannot list all of photos/a: permission denied"):
        list(PhotoInputs(["photos/a"]))
    error = OSError(116, "Stale file handle")
    with pytest.raises(SearchError, match="cannot list all of photos/a: stale file handle; check"):
        list(PhotoInputs(["photos"]))
    Path("list.txt").mkdir()
    with pytest.raises(SearchError, match=r"cannot list all of list\.txt: is a directory"):
        list(PhotoInputs(["list.txt"]))


def test_addresses_are_read_by_the_drivers(in_folder):
    import fsspec

    content = Path("photos/b.png").read_bytes()
    memory = fsspec.filesystem("memory")
    for place in (
        "/photos-of-the-cluster/one.png",
        "/photos-of-the-cluster/deep/two.png",
        "/photos-of-the-cluster/.git/three.png",
        "/photos-of-the-cluster/readme.md",
    ):
        memory.pipe_file(place, content)
    try:
        inputs = PhotoInputs(["memory://photos-of-the-cluster"])
        assert [entry.name for entry in inputs] == [
            "memory:///photos-of-the-cluster/one.png",
            "memory:///photos-of-the-cluster/deep/two.png",
        ]
        assert [entry.name for entry in PhotoInputs(["memory://photos-of-the-cluster/deep/*.png"])] == [
            "memory:///photos-of-the-cluster/deep/two.png"
        ]
        photos = list(read_photos(list(inputs)))
        assert [photo.content for photo in photos] == [content, content]
        (missing,) = read_photos(
            [ListedPhoto("memory:///photos-of-the-cluster/no.png", "memory:///photos-of-the-cluster/no.png")]
        )
        assert isinstance(missing.content, ImageError)
        assert "memory:///photos-of-the-cluster/no.png" in str(missing.content)
    finally:
        memory.rm("/photos-of-the-cluster", recursive=True)


def test_chained_addresses_keep_their_chain(in_folder):
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.write("photos/b.png", "inside/b.png")
    (entry,) = PhotoInputs(["zip://inside::photos.zip"])
    assert entry.name == "zip://inside/b.png::photos.zip"
    (photo,) = read_photos([entry], begin=lambda _: None)
    assert photo.content == Path("photos/b.png").read_bytes()


def test_shards_give_their_photos_in_order_and_their_damage_as_an_error(in_folder):
    content = Path("photos/b.png").read_bytes()
    with tarfile.open("1.tar", "w") as archive:
        for name in ("x/one.png", "x/one.cls", "x/._one.png", "two.png"):
            archive.add("photos/b.png", name)
    photos = list(read_photos([ListedShard("1.tar", f"{in_folder}/1.tar")]))
    assert [(photo.name, photo.content) for photo in photos] == [
        ("1.tar/x/one.png", content),
        ("1.tar/two.png", content),
    ]
    whole = Path("1.tar").read_bytes()
    Path("cut.tar").write_bytes(whole[: 512 + len(content) // 2])
    for name in ("cut.tar", "absent.tar", "photos/b.png"):
        *_, last = read_photos([ListedShard(name, f"{in_folder}/{name}")])
        assert isinstance(last.content, ImageError), name
        assert name in str(last.content)
