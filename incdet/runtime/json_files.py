"""JSON in files, read with one kind of error and written in one form."""

import json
from pathlib import Path
from typing import Any

from incdet.errors import DataError, reason
from incdet.runtime.files import write_text
from incdet.runtime.text_files import read_text


def read_json(file: Path, what: str = "the annotations", hint: str = "check --root and --split") -> Any:
    """Returns the content of a JSON file, which may be compressed with gzip.

    Args:
        file: The file.
        what: Its role, for the message: "the annotations".
        hint: Advice for the message where it cannot be read.

    Raises:
        DataError: The file is missing, unreadable or not JSON.
    """
    return parse_json(read_text(file, what, hint), str(file))


def parse_json(text: str, origin: str) -> Any:
    """Returns the value of a JSON text.

    Args:
        text: The text.
        origin: Its place, for the message: a file, or a file and a line.

    Raises:
        DataError: The text is not JSON, or nested more deeply than Python can follow.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{origin} is not valid JSON: {reason(error)}; get a whole copy") from None


def json_text(value: Any, sort_keys: bool = False) -> str:
    """Returns a value as the text of a JSON file: indented by two spaces, with a line break at the end."""
    return json.dumps(value, indent=2, sort_keys=sort_keys) + "\n"


def write_json(file: Path, value: Any) -> None:
    """Writes a JSON file atomically, keys in their order.

    Raises:
        OutputError: The folder cannot be made or written to.
    """
    write_text(file, json_text(value))
