"""Text files from other programs and from nobody's program: marks, line ends, bombs, odd tags, endless numbers."""

import gzip
import json

import pytest

from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.class_names import read_class_list
from incdet.data.xml_annotations import read_image_list
from incdet.errors import ConfigurationError, DataError
from incdet.runtime import text_files
from incdet.runtime.json_files import read_json
from incdet.runtime.text_files import open_text, read_text

MARKED = ("utf-8", "utf-8-sig", "utf-16")


@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("compressed", [False, True])
def test_marks_and_line_ends_are_no_part_of_a_text(tmp_path, encoding, line_end, compressed):
    file = tmp_path / "list.txt"
    content = line_end.join(["cat", "dining table", ""]).encode(encoding)
    file.write_bytes(gzip.compress(content) if compressed else content)
    assert read_text(file, "the list", "check it").splitlines() == ["cat", "dining table"]
    with open_text(file) as stream:
        assert [line.strip() for line in stream] == ["cat", "dining table"]
    assert read_class_list(file) == ("cat", "dining table")
    assert [name for name, _ in read_image_list(file)] == ["cat", "dining table"]


@pytest.mark.parametrize("encoding", MARKED)
def test_json_and_yaml_may_begin_with_a_mark(tmp_path, encoding):
    file = tmp_path / "any"
    file.write_bytes('{"a": [1]}'.encode(encoding))
    assert read_json(file) == {"a": [1]}
    file.write_bytes("device: cpu\r\n".encode(encoding))
    assert load_config(Config, file).device == "cpu"


def test_a_compressed_file_may_not_become_larger_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MAX_DECOMPRESSED_BYTES", 10_000)
    file = tmp_path / "bomb.json.gz"
    file.write_bytes(gzip.compress(b"[" + b" " * 100_000 + b"]"))
    with pytest.raises(DataError, match="holds more than") as caught:
        read_json(file)
    assert "bomb.json.gz" in str(caught.value)
    with pytest.raises(OSError, match="holds more than"), open_text(file) as stream:
        stream.readlines()
    monkeypatch.setattr(text_files, "MAX_TEXT_BYTES", 100)
    plain = tmp_path / "large.json"
    plain.write_text(" " * 101)
    with pytest.raises(DataError, match=r"large\.json"):
        read_json(plain)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "nested too deeply"),
        (f"[{'9' * 5000}]", "too many digits"),
        (json.dumps({"a": 1})[:-1], "not valid JSON"),
    ],
)
def test_json_that_python_cannot_hold_is_a_sentence(tmp_path, text, problem):
    file = tmp_path / "deep.json"
    file.write_text(text)
    with pytest.raises(DataError, match=problem):
        read_json(file)


def bomb(line: str) -> str:
    """Returns aliases of aliases, nine times nine deep."""
    lines = ["a: &a {x: [1, 1, 1, 1, 1, 1, 1, 1, 1]}"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} " + line.format(", ".join([f"*{before}"] * 9)))
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (bomb("[{}]"), "aliases stand for more than"),
        (bomb("{{<<: [{}]}}"), "aliases stand for more than"),
        ("device: !!int ''", "does not fit its tag"),
        ("device: !!timestamp x", "does not fit its tag"),
        ("device: 2001-14-44", "month"),
        (f"detections: {{iou_threshold: {'9' * 5000}}}", "too many digits"),
        (f"detections: {{iou_threshold: {'9' * 400}}}", r"detections\.iou_threshold"),
        ("x" * (1 << 20) + "y", "larger than 1 MB"),
    ],
)
def test_yaml_bombs_and_odd_tags_are_a_sentence(tmp_path, text, problem):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load_config(Config, file)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "NoneType" not in str(caught.value)
