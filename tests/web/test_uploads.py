"""Photos in forms of any client, taken apart."""

import pytest

pytest.importorskip("fastapi", reason="needs the extra web")


from incdet.web.request_errors import RequestError
from incdet.web.uploads import _photo_of_form, file_name

PHOTO = b"\x00--b\r\n-- \xff\r\n\r\n"


def form_of(*fields):
    parts = [b"--b\r\n" + headers + b"\r\n\r\n" + content + b"\r\n" for headers, content in fields]
    return b"".join(parts) + b"--b--\r\n"


def test_the_named_field_wins_over_other_files():
    note = b'Content-Disposition: form-data; name="note"; filename="a.txt"', b"hello"
    photo = (
        b'content-disposition: form-data; name="photo"; filename="d\xc3\xa9j\xc3\xa0.png"\r\nContent-Type: x/y',
        PHOTO,
    )
    assert _photo_of_form(form_of(note, photo), b"b") == (PHOTO, "déjà.png")
    assert _photo_of_form(form_of(note), b"b") == (b"hello", "a.txt")


def test_fields_without_files_are_no_photo():
    assert _photo_of_form(form_of((b'Content-Disposition: form-data; name="x"', b"1")), b"b") == (b"", "")


@pytest.mark.parametrize(
    "content",
    [
        b"garbage",
        b"--b\r\nA" * 10_000,
        b"--b\r\n" + b"A: b\r\n" * 10_000,
        # each of them costs time in which nobody else is answered
        b"--b\r\n\r\n\r\n" * 22 + b"--b--\r\n",
    ],
)
def test_malformed_forms_are_refused(content):
    with pytest.raises(RequestError) as refused:
        _photo_of_form(content, b"b")
    assert (refused.value.status, refused.value.code) == (400, "bad_form")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a" * 500 + ".png", "a" * 196 + ".png"), ("\x1b[31m.png", "[31m.png"), ("/", ""), ("..\\..\\x", "x")],
)
def test_names_are_the_last_part_of_a_path(given, expected):
    assert file_name(given) == expected
