"""The results of a part as a file: Parquet, one row a photo, or lines of JSON."""

import io
import json
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, Any, Literal, Protocol

from incdet.output.photo_lines import Line
from incdet.output.result_lines import line_text, parse_line

Format = Literal["parquet", "jsonl"]
"""Forms of the results."""

ROWS_AT_A_TIME = 256
"""Number of rows that a writer of Parquet holds before it writes them, as a row group."""


def part_name(number: int, form: Format) -> str:
    """Returns the name of the file of a part.

    >>> part_name(12, "parquet")
    'part-000012.parquet'
    """
    return f"part-{number:06d}.{form}"


def part_number(name: str, form: Format) -> int | None:
    """Returns the number of the part that a file holds; None where it is no part.

    >>> part_number("part-000012.parquet", "parquet"), part_number("_SUCCESS", "parquet")
    (12, None)
    """
    number = name.removeprefix("part-").removesuffix(f".{form}")
    return int(number) if number.isdecimal() and part_name(int(number), form) == name else None


class PartWriter(Protocol):
    """Writes lines into a file; the end of its block completes the file's content."""

    def __enter__(self) -> "PartWriter": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def add(self, line: Line) -> None:
        """Writes the line of one photo."""


def open_writer(stream: IO[bytes], form: Format, kind: str, description: Mapping[str, Any]) -> PartWriter:
    """Returns the writer of a part.

    Args:
        stream: File that takes it.
        form: Form of the file.
        kind: Name of the results, "detections" or "proposals".
        description: Everything that decides the results, for the metadata of Parquet.
    """
    return ParquetWriter(stream, kind, description) if form == "parquet" else JsonWriter(stream)


class JsonWriter:
    """Lines of JSON with checksums, as in `detections.jsonl`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def __enter__(self) -> "JsonWriter":
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the stream to its owner."""

    def add(self, line: Line) -> None:
        """Writes the line of one photo."""
        self._stream.write(line_text(line).encode())


class ParquetWriter:
    """Rows of Parquet, with the versions, the weights and the settings in the file's metadata."""

    def __init__(self, stream: IO[bytes], kind: str, description: Mapping[str, Any]) -> None:
        import pyarrow.parquet

        self._kind = kind
        self._schema = parquet_schema(kind).with_metadata(_metadata(description))
        self._writer = pyarrow.parquet.ParquetWriter(stream, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> "ParquetWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Writes the rest and the footer."""
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, line: Line) -> None:
        """Writes the row of one photo."""
        self._rows.append(row_of(line, self._kind))
        if len(self._rows) == ROWS_AT_A_TIME:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def _metadata(description: Mapping[str, Any]) -> dict[str, str]:
    """Returns the metadata of a file: texts, of which all but the version are JSON."""
    return {
        "incdet.version": str(description["versions"]["incdet"]),
        **{f"incdet.{key}": json.dumps(value, sort_keys=True) for key, value in description.items()},
    }


def parquet_schema(kind: str) -> Any:
    """Returns the columns of Parquet for "detections" or "proposals"."""
    import pyarrow as pa

    corners = [(side, pa.float64()) for side in ("x1", "y1", "x2", "y2")]
    if kind == "detections":
        entry = pa.struct([("label", pa.string()), ("class_id", pa.int32()), ("score", pa.float64()), *corners])
        best = pa.struct([("score_threshold", pa.float64()), ("label", pa.string()), ("score", pa.float64())])
        own = [("detections", pa.list_(entry)), ("best_below", best)]
    else:
        entry = pa.struct([("score", pa.float64()), ("source", pa.string()), *corners])
        own = [("proposals", pa.list_(entry))]
    return pa.schema(
        [("path", pa.string()), ("width", pa.int32()), ("height", pa.int32()), *own, ("error", pa.string())]
    )


def row_of(line: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Returns the row of Parquet for the line of a photo; the numbers are the same.

    >>> row_of({"image": "a.jpg", "error": "cannot read a.jpg"}, "proposals")["error"]
    'cannot read a.jpg'
    """
    row = {key: value for key, value in line.items() if key not in ("image", kind)}
    # Parquet's texts are valid UTF-8, and names of files need not be
    row = {key: _valid(value) if isinstance(value, str) else value for key, value in row.items()}
    row["path"] = _valid(str(line["image"]))
    if kind in line:
        entries = []
        for entry in line[kind]:
            values = {key: value for key, value in entry.items() if key != "box"}
            values.update(zip(("x1", "y1", "x2", "y2"), entry["box"], strict=True))
            entries.append(values)
        row[kind] = entries
    return row


def line_of(row: Mapping[str, Any], kind: str) -> Line:
    """Inverts `row_of`."""
    line: Line = {"image": row["path"]}
    for key, value in row.items():
        if key not in ("path", kind) and value is not None:
            line[key] = value
    if row[kind] is not None:
        entries = []
        for entry in row[kind]:
            values = dict(entry)
            values["box"] = [values.pop(side) for side in ("x1", "y1", "x2", "y2")]
            entries.append(values)
        line[kind] = entries
    return line


def read_part(content: bytes, form: Format, kind: str) -> Iterator[Line]:
    """Yields the lines of a part's file.

    Args:
        content: Bytes of the file.
        form: Form of the file.
        kind: Name of the results, "detections" or "proposals".
    """
    if form == "jsonl":
        for text in content.decode().removesuffix("\n").split("\n"):
            yield parse_line(text)
        return
    import pyarrow.parquet

    for batch in pyarrow.parquet.ParquetFile(io.BytesIO(content)).iter_batches():
        for row in batch.to_pylist():
            yield line_of(row, kind)


def _valid(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
