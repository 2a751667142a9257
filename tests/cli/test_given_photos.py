"""Photos that a command is given: wrong paths are told at once, and "-" is a photo on standard input."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import FEW, ONE, one_sentence

from incdet.cli.given_photos import STDIN_PHOTO, GivenPhotos
from incdet.images import read_image


@pytest.fixture
def send(monkeypatch):
    """Bytes -> standard input holds them."""

    def send(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return send


def test_wrong_paths_are_failures_and_the_others_are_photos(chelsea_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    paths = ["missing.jpg", str(chelsea_file), "https://example.org/a.jpg", "empty", "", str(chelsea_file), "x" * 300]
    given = GivenPhotos(paths)
    assert given.files == [chelsea_file]
    words = [
        "no such file or folder",
        "https://example.org/a.jpg: it is a URL",
        "holds no photos",
        "is empty",
        "too long",
    ]
    for sentence, word in zip(given.failures, words, strict=True):
        assert word in sentence


def test_a_photo_on_standard_input_has_the_name_stdin(chelsea_file, send):
    send(chelsea_file.read_bytes())
    given = GivenPhotos(["-", str(chelsea_file), "-"])
    assert given.files == [STDIN_PHOTO, chelsea_file]
    image = given.source(given.files[0])
    assert image.name == "stdin"
    assert np.array_equal(image.pixels, read_image(chelsea_file).pixels)
    assert given.source(chelsea_file) == chelsea_file
    # another photo there is another run
    other = send(b"P6 1 1 255\n123") or GivenPhotos(["-"])
    assert given.identity(STDIN_PHOTO) != other.identity(STDIN_PHOTO)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "standard input: it is empty"), (b"no photo", "cannot read standard input: it is not an image")],
)
def test_standard_input_without_a_photo_is_one_sentence(incdet, send, content, words):
    send(content)
    code, out, err = incdet("propose", "-", "--json", "-")
    assert (code, out) == (1, "")
    assert words in one_sentence(err)


def test_a_terminal_sends_no_photo(monkeypatch, send):
    send(b"")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    (sentence,) = GivenPhotos(["-"]).failures
    assert "it is a terminal" in sentence


def test_a_photo_from_standard_input_is_proposed_in(incdet, chelsea_file, send):
    send(chelsea_file.read_bytes())
    code, out, err = incdet("propose", "-", "--json", "-", *FEW)
    assert code == 0, err
    line = json.loads(out)
    assert (line["image"], line["width"], line["height"]) == ("stdin", 451, 300)
    assert line["proposals"]


@pytest.mark.slow
def test_results_of_standard_input_are_those_of_the_file(incdet, chelsea_file, send):
    send(chelsea_file.read_bytes())
    code, out, err = incdet("detect", "-", str(chelsea_file), *ONE, "--json", "-", "--save", "image", "--output", "o")
    assert code == 0, err
    piped, filed = map(json.loads, out.splitlines())
    assert piped.pop("image") == "stdin"
    assert filed.pop("image") == str(chelsea_file)
    assert piped == filed
    assert sorted(path.name for path in Path("o").glob("*.jpg")) == ["chelsea.jpg", "stdin.jpg"]
