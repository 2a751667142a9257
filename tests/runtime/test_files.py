"""Files that are written whole or not at all, and arrays that are read whole or not at all."""

import os
from pathlib import Path

import numpy as np
import pytest

from incdet.errors import OutputError
from incdet.runtime.files import (
    atomic_file,
    load_arrays,
    require_writable_file,
    require_writable_folder,
    save_arrays,
    write_text,
)


def write_and_fail(file: Path, error: BaseException) -> None:
    with atomic_file(file) as stream:
        stream.write(b"half")
        raise error


def test_file_and_its_folders_appear_with_the_content(tmp_path):
    write_text(tmp_path / "new" / "folder" / "note.txt", "Grüße\n")
    assert (tmp_path / "new" / "folder" / "note.txt").read_bytes() == "Grüße\n".encode()
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["note.txt"]


def test_old_content_stays_until_the_block_ends(tmp_path):
    file = tmp_path / "note.txt"
    file.write_text("old")
    with atomic_file(file) as stream:
        stream.write(b"new")
        stream.flush()
        assert file.read_text() == "old"
    assert file.read_text() == "new"


@pytest.mark.parametrize(
    ("error", "raised"),
    [(RuntimeError("stop"), RuntimeError), (KeyboardInterrupt(), KeyboardInterrupt), (OSError("full"), OutputError)],
)
def test_nothing_is_left_over_after_an_error_inside_the_block(tmp_path, error, raised):
    file = tmp_path / "note.txt"
    file.write_text("old")
    with pytest.raises(raised):
        write_and_fail(file, error)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("note.txt", "old")]


def test_a_full_disk_is_told_with_the_file_name(tmp_path):
    with pytest.raises(OutputError, match=r"note\.txt: no space left on device"):
        write_and_fail(tmp_path / "note.txt", OSError(28, "No space left on device"))


# a file where a folder is needed stops root too, whom permissions would not stop
@pytest.mark.parametrize("name", ["taken/note.txt", "taken/folder/note.txt"])
def test_folder_that_cannot_be_made_is_an_output_error(tmp_path, name):
    (tmp_path / "taken").touch()
    with pytest.raises(OutputError, match=rf"cannot write .*{name}"):
        write_text(tmp_path / name, "x")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not stop this user")
def test_unwritable_folder_is_an_output_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"):
        write_text(tmp_path / "note.txt", "x")


def test_name_taken_by_a_folder_is_an_output_error_that_leaves_nothing_over(tmp_path):
    (tmp_path / "result" / "kept").mkdir(parents=True)
    with pytest.raises(OutputError, match="result"):
        write_text(tmp_path / "result", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_written_files_get_the_usual_permissions(tmp_path):
    (tmp_path / "plain.txt").write_text("x")
    write_text(tmp_path / "atomic.txt", "x")
    assert (tmp_path / "atomic.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {
        "boxes": np.arange(8, dtype=np.float32).reshape(2, 4),
        "empty": np.zeros((0, 4), np.float32),
        "names": np.array(["selective_search", "größer"]),
    }
    save_arrays(tmp_path / "stored.npz", **arrays)
    stored = load_arrays(tmp_path / "stored.npz")
    assert list(stored) == list(arrays)
    for name, array in arrays.items():
        assert stored[name].dtype == array.dtype
        np.testing.assert_array_equal(stored[name], array)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04", b"\x80\x04K\x01."])
def test_damaged_archive_is_none(tmp_path, content):
    (tmp_path / "stored.npz").write_bytes(content)
    assert load_arrays(tmp_path / "stored.npz") is None


def test_missing_archive_and_folder_are_none(tmp_path):
    assert load_arrays(tmp_path / "gone.npz") is None
    assert load_arrays(tmp_path) is None


def test_single_array_file_is_none(tmp_path):
    with (tmp_path / "stored.npz").open("wb") as stream:
        np.save(stream, np.arange(3))
    assert load_arrays(tmp_path / "stored.npz") is None


def test_an_archive_that_lacks_an_array_is_damaged(tmp_path):
    file = tmp_path / "stored.npz"
    save_arrays(file, boxes=np.zeros(3), scores=np.ones(2))
    assert list(load_arrays(file, "scores", "boxes")) == ["boxes", "scores"]
    assert load_arrays(file, "boxes", "sources") is None


def test_objects_are_never_unpickled(tmp_path):
    with (tmp_path / "stored.npz").open("wb") as stream:
        np.savez(stream, trap=np.array([{"a": 1}], object))
    assert load_arrays(tmp_path / "stored.npz") is None


def test_random_damage_gives_none_or_the_arrays_as_they_were(tmp_path):
    file = tmp_path / "stored.npz"
    arrays = {"boxes": np.arange(400, dtype=np.float32).reshape(100, 4), "names": np.array(["a", "b"])}
    save_arrays(file, **arrays)
    whole, random, results = file.read_bytes(), np.random.default_rng(0), []
    for _ in range(200):
        damaged = bytearray(whole[: random.integers(1, len(whole))] if random.random() < 0.2 else whole)
        damaged[random.integers(len(damaged))] ^= int(random.integers(1, 256))
        file.write_bytes(damaged)
        results.append(load_arrays(file))
    survivors = [result for result in results if result is not None]
    assert 5 < len(survivors) < 100
    for result in survivors:
        assert result
        for name, array in result.items():
            assert array.dtype == arrays[name].dtype
            np.testing.assert_array_equal(array, arrays[name])


def test_places_that_cannot_be_written_to_are_told_and_nothing_is_left_behind(tmp_path):
    (tmp_path / "file").write_text("kept")
    require_writable_folder(tmp_path / "new" / "deep")
    require_writable_file(tmp_path / "new" / "result.json")
    require_writable_file(tmp_path / "file")
    require_writable_file(Path(os.devnull))
    for check, place in [
        (require_writable_folder, tmp_path / "file"),
        (require_writable_folder, tmp_path / "file" / "below"),
        (require_writable_file, tmp_path / "file" / "result.json"),
        (require_writable_file, tmp_path),
        (require_writable_folder, tmp_path / ("x" * 300) / "below"),
    ]:
        with pytest.raises(OutputError) as caught:
            check(place)
        assert str(place) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"
