"""Text files of users, which may be compressed with gzip and begin with a byte order mark."""

import gzip
import io
import zlib
from pathlib import Path
from typing import IO

from incdet.errors import DataError, reason

GZIP_START = b"\x1f\x8b"
"""First bytes of every gzip file."""

MAX_DECOMPRESSED_BYTES = 1 << 30
"""Largest size of what a compressed file holds: a few megabytes of gzip can become more than any memory."""

MAX_TEXT_BYTES = 4 << 30
"""Largest size of a text file that is read as a whole."""

_MAX_DIGITS = 18
"""Number of digits that always fit 64 bits."""

UNREADABLE = (OSError, UnicodeError, EOFError, zlib.error)
"""The errors of reading text that may be compressed."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""First bytes of a text that Windows programs call "Unicode"."""


class _BoundedGzip(gzip.GzipFile):
    """A gzip file that refuses to give more than `MAX_DECOMPRESSED_BYTES`."""

    _given = 0

    def read(self, size: int | None = -1) -> bytes:
        """Reads up to `size` bytes."""
        if size is not None and size >= 0:
            return self._counted(super().read(size))
        content = io.BytesIO()
        while chunk := self.read1(1 << 20):
            content.write(chunk)
        return content.getvalue()

    def read1(self, size: int = -1) -> bytes:
        """Reads what is there, up to `size` bytes."""
        return self._counted(super().read1(size))

    def _counted(self, content: bytes) -> bytes:
        self._given += len(content)
        if self._given > MAX_DECOMPRESSED_BYTES:
            raise OSError(f"it holds more than {MAX_DECOMPRESSED_BYTES >> 20:,} MB; decompress it and give a part")
        return content


def read_text(file: Path, what: str, hint: str) -> str:
    """Reads an input file in UTF-8, or in UTF-16 with a byte order mark; the mark is no part of the text.

    Args:
        file: name of the file.
        what: the file's role, for the message, such as "the image list".
        hint: advice for the message, when the file cannot be read.

    Raises:
        DataError: the file is missing, unreadable, no text, or too large.
    """
    try:
        size = file.stat().st_size
        if size > MAX_TEXT_BYTES:
            raise OSError(f"it has {size >> 20:,} MB, and {MAX_TEXT_BYTES >> 20:,} MB is the limit")
        with open_text(file) as stream:
            return stream.read()
    except UNREADABLE as error:
        raise DataError(f"cannot read {what} {file}: {reason(error)}; {hint}") from None


def open_text(file: Path) -> IO[str]:
    """Opens a text file for reading; see `read_text`.

    Raises:
        OSError: The file cannot be opened.
    """
    with file.open("rb") as stream:
        compressed = stream.read(len(GZIP_START)) == GZIP_START
    content: IO[bytes] = _BoundedGzip(file) if compressed else file.open("rb")  # type: ignore[assignment]
    try:
        start = content.read(2)
        content.seek(0)
    except BaseException:
        content.close()
        raise
    # Python's own name for UTF-8 that may begin with a byte order mark
    encoding = "utf-16" if start in _UTF_16 else "utf-8-sig"
    return io.TextIOWrapper(content, encoding=encoding)


def is_whole_number(word: str) -> bool:
    """Whether a word is a number of ASCII digits that fits 64 bits; Python refuses to read thousands of digits.

    >>> is_whole_number("12"), is_whole_number("-1"), is_whole_number("9" * 5000)
    (True, False, False)
    """
    return word.isascii() and word.isdecimal() and len(word) <= _MAX_DIGITS
