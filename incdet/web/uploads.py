"""The body of a request: read within the limits, and taken apart where it is a form."""

import asyncio
from typing import NamedTuple

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from incdet.web.request_errors import RequestError
from incdet.web.server_limits import ServerLimits

PHOTO_FIELD = "photo"
"""Name of the form's field that holds the photo; without it the first field with a file is taken."""

MAX_FIELDS = 20
"""Largest number of fields of a form: millions of empty ones would keep the event loop busy for seconds."""

MAX_NAME_LENGTH = 200
"""Number of characters of a photo's name that are kept."""


class Upload(NamedTuple):
    """A photo as it was sent.

    Attributes:
        content: The encoded photo.
        name: Name of its file as the client gave it, without folders; "" where there is none.
    """

    content: bytes
    name: str


async def read_upload(request: Request, limits: ServerLimits) -> Upload:
    """Reads a photo that is the body itself, or the field of a form.

    Raises:
        RequestError: The body is too large, arrives too slowly, is empty, or is a form without a photo.
    """
    content = await read_body(request, limits, limits.max_bytes)
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    is_form = kind == b"multipart/form-data"
    upload = _photo_of_form(content, parameters.get(b"boundary", b"")) if is_form else Upload(content, "")
    if not upload.content:
        raise RequestError(
            400, "no_photo", f"the request has no photo; send it as the body, or as a form's field '{PHOTO_FIELD}'"
        )
    return upload


async def read_body(request: Request, limits: ServerLimits, max_bytes: int) -> bytes:
    """Reads the whole body of a request.

    Args:
        request: The request.
        limits: Its time is bounded by them.
        max_bytes: Largest body in bytes.

    Raises:
        RequestError: The body is too large, or arrives too slowly.
    """
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.upload_seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise RequestError(
            408,
            "slow_upload",
            f"the body took longer than {limits.upload_seconds:g} seconds; send a smaller photo",
        ) from None
    return bytes(body)


def file_name(name: str) -> str:
    r"""Returns the last part of a path of any system, without control characters.

    >>> file_name("C:\\photos\\cat.jpg"), file_name("../../etc/passwd"), file_name("a\x00b.png")
    ('cat.jpg', 'passwd', 'ab.png')
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[-MAX_NAME_LENGTH:]


def _too_large(max_bytes: int) -> RequestError:
    size = f"{max_bytes / 1e6:g} MB"
    return RequestError(
        413, "too_large", f"the body is larger than {size}, the limit here; shrink the photo or send less"
    )


class _FormFields:
    """Collects the fields of a form while it is parsed.

    Attributes:
        fields: Name of the field, name of its file ("" where it is none), and content.
    """

    def __init__(self) -> None:
        self.fields: list[tuple[str, str, bytes]] = []
        self._headers: dict[bytes, bytes] = {}
        self._key, self._value = bytearray(), bytearray()
        self._content = bytearray()

    def on_part_begin(self) -> None:
        if len(self.fields) == MAX_FIELDS:
            raise ValueError(f"it has more than {MAX_FIELDS} fields")
        self._headers, self._content = {}, bytearray()
        self._key, self._value = bytearray(), bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[bytes(self._key).lower()] = bytes(self._value)
        self._key, self._value = bytearray(), bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def on_part_end(self) -> None:
        _, parameters = parse_options_header(self._headers.get(b"content-disposition", b""))
        name, file = (parameters.get(key, b"").decode("utf-8", "replace") for key in (b"name", b"filename"))
        self.fields.append((name, file, bytes(self._content)))


def _photo_of_form(content: bytes, boundary: bytes) -> Upload:
    """Returns the photo in a form.

    Raises:
        RequestError: The form is malformed, or holds no file.
    """
    collected = _FormFields()
    names = ("on_part_begin", "on_part_data", "on_part_end", "on_header_field", "on_header_value", "on_header_end")
    try:
        parser = MultipartParser(boundary, {name: getattr(collected, name) for name in names})  # type: ignore[arg-type]
        parser.write(content)
        parser.finalize()
    except (MultipartParseError, ValueError) as error:
        problem = str(error)[:200] or "it is malformed"
        raise RequestError(400, "bad_form", f"the form cannot be read: {problem}; send multipart/form-data") from None
    named = [field for field in collected.fields if field[0] == PHOTO_FIELD]
    files = named or [field for field in collected.fields if field[1]]
    if not files:
        return Upload(b"", "")
    _, file, photo = files[0]
    return Upload(photo, file_name(file))
