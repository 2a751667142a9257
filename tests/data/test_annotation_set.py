"""All annotations of a split: the cache, many processes, and files that are missing or broken."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from annotation_files import write, xml

from incdet.data import annotation_set
from incdet.data.annotation_set import read_annotations
from incdet.data.xml_annotations import ILSVRC_BOXES, VOC_BOXES
from incdet.errors import DataError

CLASS_IDS = {"cat": 0, "dog": 1}


@pytest.fixture
def files(tmp_path):
    """Seven annotations with 0, 1, 2, 0, 1, 2, 0 objects of known classes and one unicorn each."""
    objects = [("cat", (1, 2, 10, 20), 0), ("dog", (5.5, 5, 7, 5), 1)]
    texts = [xml([*objects[: number % 3], ("unicorn", (1, 1, 2, 2), 0)], width=40 + number) for number in range(7)]
    # names in falling order: the files' order counts, not the alphabet's
    return [write(tmp_path / "annotations" / f"photo{9 - n}.xml", text) for n, text in enumerate(texts)]


def plain(parsed):
    """Everything in a result, types included, as values that == compares."""
    truths, unknown = parsed
    assert isinstance(unknown, Counter)
    arrays = [[truth.boxes, truth.class_ids, truth.ignored] for truth in truths]
    values = [[(array.dtype.name, array.shape, array.tolist()) for array in columns] for columns in arrays]
    heads = [(truth.image, truth.width, truth.height, type(truth.width)) for truth in truths]
    return heads, values, dict(unknown)


def forbid(*_, **__):
    raise AssertionError("not to be called")


def test_annotations_come_in_the_order_of_the_files_with_the_unknown_classes_counted(files):
    truths, unknown = read_annotations(files, CLASS_IDS, VOC_BOXES)
    assert [truth.image for truth in truths] == [f"photo{number}" for number in (9, 8, 7, 6, 5, 4, 3)]
    assert [len(truth) for truth in truths] == [0, 1, 2, 0, 1, 2, 0]
    assert truths[2].boxes.tolist() == [[0, 1, 10, 20], [4.5, 4, 7, 5]]
    assert unknown == {"unicorn": 7}


@pytest.mark.parametrize("chosen", [slice(None), slice(0, 1), slice(1, 2), slice(0, 4, 3)])
def test_what_is_kept_equals_what_is_parsed_and_is_not_parsed_again(files, tmp_path, monkeypatch, chosen):
    expected = plain(read_annotations(files[chosen], CLASS_IDS, VOC_BOXES))
    assert plain(read_annotations(files[chosen], CLASS_IDS, VOC_BOXES, tmp_path / "new" / "cache")) == expected
    monkeypatch.setattr(annotation_set, "parse_annotation", forbid)
    assert plain(read_annotations(files[chosen], CLASS_IDS, VOC_BOXES, tmp_path / "new" / "cache")) == expected
    assert len(list((tmp_path / "new" / "cache").iterdir())) == 1


def edit(files):
    files[1].write_text(files[1].read_text().replace("<xmin>1<", "<xmin>3<"))
    return files, CLASS_IDS, VOC_BOXES


def exchange(files):
    first, second = files[1].read_bytes(), files[4].read_bytes()
    assert len(first) == len(second)
    files[1].write_bytes(second)
    files[4].write_bytes(first)
    return files, CLASS_IDS, VOC_BOXES


def rename(files):
    return [*files[:-1], files[-1].rename(files[-1].with_stem("other"))], CLASS_IDS, VOC_BOXES


@pytest.mark.parametrize(
    "change",
    [
        edit,
        exchange,
        rename,
        lambda files: (files[::-1], CLASS_IDS, VOC_BOXES),
        lambda files: (files[:-1], CLASS_IDS, VOC_BOXES),
        lambda files: (files, {"cat": 1, "dog": 0}, VOC_BOXES),
        lambda files: (files, {"cat": 0}, VOC_BOXES),
        lambda files: (files, {"cat": 0, "dog": 1, "unicorn": 2}, VOC_BOXES),
        lambda files: (files, CLASS_IDS, ILSVRC_BOXES),
    ],
    ids=[
        "edited",
        "exchanged",
        "renamed",
        "order",
        "fewer",
        "class ids",
        "fewer classes",
        "more classes",
        "convention",
    ],
)
def test_any_change_gives_a_new_result_and_a_new_entry(files, tmp_path, change):
    cache = tmp_path / "cache"
    before = plain(read_annotations(files, CLASS_IDS, VOC_BOXES, cache))
    arguments = change(files)
    expected = plain(read_annotations(*arguments))
    assert expected != before
    for _ in range(2):
        assert plain(read_annotations(*arguments, cache)) == expected
        assert len(list(cache.iterdir())) == 2


def test_touching_a_file_makes_no_new_entry(files, tmp_path):
    read_annotations(files, CLASS_IDS, VOC_BOXES, tmp_path / "cache")
    files[0].write_bytes(files[0].read_bytes())
    read_annotations(files, CLASS_IDS, VOC_BOXES, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1


def flip(content, start, step):
    """One byte that holds the length of a comment in the archive's list of members, turned over."""
    position = content.rindex(start) + step
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"rubbish" * 99,
        lambda content: b"\x93NUMPY" + content[6:],
        lambda content: content[:50],
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2] + b"\x00" * 40 + content[len(content) // 2 + 40 :],
        lambda content: flip(content, b"boxes.npy", -14),
        lambda content: flip(content, b"boxes.npy", 0),
    ],
    ids=[
        "empty",
        "rubbish",
        "array",
        "start",
        "last byte",
        "middle",
        "length in the directory",
        "name in the directory",
    ],
)
def test_a_damaged_entry_is_made_anew(files, tmp_path, damage):
    expected = plain(read_annotations(files, CLASS_IDS, VOC_BOXES, tmp_path / "cache"))
    (entry,) = (tmp_path / "cache").iterdir()
    content = entry.read_bytes()
    entry.write_bytes(damage(content))
    assert plain(read_annotations(files, CLASS_IDS, VOC_BOXES, tmp_path / "cache")) == expected
    assert len(entry.read_bytes()) == len(content)
    with np.load(entry) as arrays:
        assert arrays["boxes"].shape == (6, 4)


@pytest.mark.parametrize("cache", ["file", "file/cache", "taken"])
def test_a_cache_that_cannot_be_written_to_is_no_error(files, tmp_path, monkeypatch, cache):
    (tmp_path / "file").write_text("")
    if cache == "taken":
        monkeypatch.setattr(annotation_set, "_checksum", lambda *_: "name")
        (tmp_path / "taken" / "name.npz" / "folder").mkdir(parents=True)
    for _ in range(2):
        assert len(read_annotations(files, CLASS_IDS, VOC_BOXES, tmp_path / cache)[0]) == 7
    if cache == "taken":
        assert [file.name for file in (tmp_path / cache).iterdir()] == ["name.npz"], "no temporary file stays behind"


@pytest.mark.parametrize("num_processes", [2, 5])
def test_many_processes_give_the_result_of_one(files, monkeypatch, num_processes):
    expected = plain(read_annotations(files, CLASS_IDS, VOC_BOXES))
    monkeypatch.setattr(annotation_set, "_MIN_FILES_FOR_PROCESSES", 7)
    # only this process knows of the replacement
    monkeypatch.setattr(annotation_set, "parse_annotation", forbid)
    assert plain(read_annotations(files, CLASS_IDS, VOC_BOXES, num_processes=num_processes)) == expected


@pytest.mark.parametrize(("worth", "num_processes"), [(8, 2), (7, 1)], ids=["few files", "one process asked for"])
def test_no_processes_start_when(files, monkeypatch, worth, num_processes):
    monkeypatch.setattr(annotation_set, "_MIN_FILES_FOR_PROCESSES", worth)
    monkeypatch.setattr(annotation_set, "map_in_processes", forbid)
    assert len(read_annotations(files, CLASS_IDS, VOC_BOXES, num_processes=num_processes)[0]) == 7


def test_an_error_in_another_process_arrives_as_a_data_error_that_names_the_file(files, monkeypatch, tmp_path):
    monkeypatch.setattr(annotation_set, "_MIN_FILES_FOR_PROCESSES", 2)
    files[5].write_text("<annotation>")
    with pytest.raises(DataError, match=r"the annotation .*photo4\.xml is not valid XML"):
        read_annotations(files, CLASS_IDS, VOC_BOXES, tmp_path / "cache", 2)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ([4], r"^1 of 7 annotations is missing in .*annotations \(photo5\.xml\); "),
        ([6, 0, 3], r"^3 of 7 annotations are missing in .* \(photo9\.xml, photo6\.xml, photo3\.xml\); "),
        (range(7), r"^7 of 7 annotations are missing in .* \(photo9\.xml, photo8\.xml, photo7\.xml, \.\.\.\); "),
    ],
)
def test_missing_files_are_counted_and_the_first_three_named(files, missing, message):
    for index in missing:
        files[index].unlink()
    with pytest.raises(DataError, match=message):
        read_annotations(files, CLASS_IDS, VOC_BOXES)


def test_a_missing_folder_is_a_data_error_with_thousands_set_apart(tmp_path):
    files = [tmp_path / "gone" / f"{number}.xml" for number in range(1234)]
    with pytest.raises(DataError, match=r"^1,234 of 1,234 .*gone \(0\.xml, 1\.xml, 2\.xml, \.\.\.\)"):
        read_annotations(files, CLASS_IDS, VOC_BOXES, tmp_path / "cache")


def test_a_folder_in_the_place_of_a_file_is_a_data_error(files):
    files[2].unlink()
    files[2].mkdir()
    with pytest.raises(DataError, match=r"cannot read the annotation .*photo7\.xml"):
        read_annotations(files, CLASS_IDS, VOC_BOXES)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("cache", [None, "cache"])
def test_a_number_too_large_to_be_meant_is_told(tmp_path, cache):
    file = write(tmp_path / "photo.xml", xml([], width="1e300"))
    with pytest.raises(DataError, match=r"photo\.xml"):
        read_annotations([file], CLASS_IDS, VOC_BOXES, cache and tmp_path / cache)
    write(file, xml([("cat", (1, 2, "1e39", 5), 0), ("dog", (1, 2, 3, 4), 0)]))
    for _ in range(2):
        (truth,), _ = read_annotations([file], CLASS_IDS, VOC_BOXES, cache and tmp_path / cache)
        assert (len(truth), truth.num_impossible) == (1, 1)


def test_real_annotations_from_the_cache_and_from_two_processes_equal_parsed_ones(shared_folder, tmp_path, monkeypatch):
    folder: Path = shared_folder / "data" / "ilsvrc-det" / "Annotations" / "DET" / "val"
    files, class_ids = sorted(folder.iterdir())[:600], {"n02084071": 0, "n00007846": 1}
    expected = plain(read_annotations(files, class_ids, ILSVRC_BOXES))
    monkeypatch.setattr(annotation_set, "_MIN_FILES_FOR_PROCESSES", 2)
    for _ in range(2):
        assert plain(read_annotations(files, class_ids, ILSVRC_BOXES, tmp_path, 2)) == expected
    assert sum(count for count in expected[2].values()) > 600
