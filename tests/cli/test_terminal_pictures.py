"""Pictures in terminals, as kitty and iTerm take them; elsewhere the names of the files."""

import base64
import io
import re

import numpy as np
import PIL.Image
import pytest
from command_line import FEW, one_sentence

from incdet.cli.terminal_pictures import MAX_PICTURES, encode_picture, picture_protocol, show_pictures


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "screen-256color", "KITTY_WINDOW_ID": "1"}, None),
        ({}, None),
    ],
)
def test_terminals_are_told_by_what_they_say(environment, expected):
    assert picture_protocol(environment, True) == expected
    assert picture_protocol(environment, False) is None


def picture_file(folder, number=0, width=1000):
    file = folder / f"{number}.jpg"
    noise = np.random.default_rng(number).integers(0, 255, (60, width, 3), np.uint8)
    PIL.Image.fromarray(noise).save(file)
    return file


def test_both_protocols_carry_the_picture(tmp_path):
    stream = io.StringIO()
    show_pictures([picture_file(tmp_path)], stream, "kitty")
    pieces = re.findall(r"\033_G([^;]*);([^\033]*)\033\\", stream.getvalue())
    assert pieces[0][0] == "f=100,a=T,q=2,m=1"
    assert {keys for keys, _ in pieces[1:-1]} == {"m=1"}
    assert pieces[-1][0] == "m=0"
    assert max(len(piece) for _, piece in pieces) <= 4096
    png = base64.b64decode("".join(piece for _, piece in pieces))
    assert PIL.Image.open(io.BytesIO(png)).size == (800, 48)
    text = encode_picture(png, "iterm")
    assert text.startswith(f"\033]1337;File=inline=1;size={len(png)}:")
    assert base64.b64decode(text.rpartition(":")[2].rstrip("\a")) == png


def test_without_pictures_the_files_are_named(tmp_path, capsys):
    stream = io.StringIO()
    files = [picture_file(tmp_path, number, 30) for number in range(MAX_PICTURES + 2)]
    show_pictures(files[:1], stream, None)
    show_pictures(files, stream, None)
    assert stream.getvalue() == ""
    err = capsys.readouterr().err
    assert "open the files above" in err
    assert "and 2 more pictures" in err


def test_show_needs_pictures(incdet, photo):
    code, _, err = incdet("detect", photo, *FEW, "--show", "--json", "-")
    assert code == 2
    assert "--show" in one_sentence(err)
