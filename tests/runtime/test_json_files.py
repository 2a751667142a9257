"""JSON in files: what is no JSON is an error that names its place."""

import gzip

import pytest

from incdet.errors import DataError
from incdet.runtime.json_files import parse_json, read_json, write_json


def test_what_is_written_is_read_again(tmp_path):
    write_json(tmp_path / "numbers.json", {"b": [1, 0.1], "a": None})
    assert (tmp_path / "numbers.json").read_text() == '{\n  "b": [\n    1,\n    0.1\n  ],\n  "a": null\n}\n'
    assert read_json(tmp_path / "numbers.json") == {"b": [1, 0.1], "a": None}


def test_compressed_files_are_read(tmp_path):
    (tmp_path / "numbers.json.gz").write_bytes(gzip.compress(b"[1, 2]"))
    assert read_json(tmp_path / "numbers.json.gz") == [1, 2]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "1" * 5000], ids=["empty", "cut", "too deep", "too long"])
def test_what_is_no_json_is_a_data_error(text):
    with pytest.raises(DataError, match=r"numbers\.json is not valid JSON"):
        parse_json(text, "numbers.json")


def test_a_missing_file_says_what_it_was_and_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"cannot read the numbers .*gone\.json.*; check the path"):
        read_json(tmp_path / "gone.json", "the numbers", "check the path")
