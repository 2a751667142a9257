"""Seeded changes of good files: of bytes, of words in texts, and of values in JSON."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Form = Literal["bytes", "text", "json"]
"""The make of a file, which decides how it is changed."""

ODD_WORDS = (
    *(b"-1", b"0", b"-0.0", b"1e30", b"-1e30", b"1e999", b"nan", b"inf", b"-inf", b"0x10", b"1_0", b"true", b"null"),
    *(b"9" * 400, b"9" * 5000, b"1.5", b"2147483648", b"18446744073709551616", b"", b"~", b"!!int ''", b"&a", b"*a"),
    *(b"../../x", b"/etc/passwd", b"\x1b[31m", b"\xff\xfe", b"\xc3\xa9", b"\xe2\x80\xae", b"<b>", b"=1+1", b"a b"),
    *(b"[" * 3000, b"{", b"}", b"]]>", b"&x;", b"<!DOCTYPE x>", b'"', b"'", b"\\", b"\0", b"\r", b"%s", b"-"),
)
"""Words that readers of texts meet in files of other programs, of mistakes and of malice."""

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, -0.0, 1e30, -1e30, float("nan"), float("inf"), 2**31, 2**64, 10**400),
    *("", "0", "1", "cat", "../x.jpg", "/etc/x.jpg", "\x1b[31m", "\ud800", "a\0b", [], {}, [1, 2, 3, 4], [[]]),
    *({"id": 1}, [0, 0, -1, 5], [0, 0, 0, 0], [float("nan")] * 4),
)
"""Values that no schema expects."""

_WORDS = re.compile(rb"([\s<>\"',:{}\[\]=/]+)")


@dataclass(frozen=True)
class Mutated:
    """A changed file.

    Attributes:
        content: Its bytes.
        kind: Kind of the change: "flip" is one bit, "cut" a file that ends early.
        seed: Place of the good file among those of the target.
    """

    content: bytes
    kind: str
    seed: int


def mutate(seeds: tuple[bytes, ...], form: Form, generator: np.random.Generator) -> Mutated:
    """Returns one of several good files with a random change.

    Args:
        seeds: The good files.
        form: Their make.
        generator: Source of the choice and of the change.
    """
    place = int(generator.integers(len(seeds)))
    kinds = _KINDS["bytes"] if form == "bytes" else {**_KINDS["bytes"], **_KINDS[form]}
    # a half of the changes keep the form of texts, so that they come deeper into their readers
    names = list(_KINDS[form]) if generator.random() < 0.5 else list(kinds)
    kind = str(generator.choice(names))
    return Mutated(kinds[kind](seeds[place], generator), kind, place)


def _place(content: bytes, generator: np.random.Generator) -> int:
    return int(generator.integers(max(len(content), 1)))


def flip(content: bytes, generator: np.random.Generator) -> bytes:
    """Exchanges one bit."""
    changed = bytearray(content)
    changed[_place(content, generator)] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def _flip_many(content: bytes, generator: np.random.Generator) -> bytes:
    for _ in range(int(generator.integers(2, 20))):
        content = flip(content, generator)
    return content


def _cut(content: bytes, generator: np.random.Generator) -> bytes:
    return content[: _place(content, generator)]


def _overwrite(content: bytes, generator: np.random.Generator) -> bytes:
    start, length = _place(content, generator), int(2 ** generator.uniform(0, 7))
    extremes = (b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\x7f")
    filling = generator.bytes(length) if generator.random() < 0.5 else extremes[int(generator.integers(5))] * length
    return content[:start] + filling[:length] + content[start + length :]


def _insert(content: bytes, generator: np.random.Generator) -> bytes:
    start, other = _place(content, generator), _place(content, generator)
    part = content[other : other + int(2 ** generator.uniform(0, 9))]
    return content[:start] + part + content[start:]


def _remove(content: bytes, generator: np.random.Generator) -> bytes:
    start = _place(content, generator)
    return content[:start] + content[start + int(2 ** generator.uniform(0, 9)) :]


def _words(content: bytes, generator: np.random.Generator) -> bytes:
    words = _WORDS.split(content)
    for _ in range(int(generator.integers(1, 4))):
        words[2 * int(generator.integers((len(words) + 1) // 2))] = ODD_WORDS[int(generator.integers(len(ODD_WORDS)))]
    return b"".join(words)


def _lines(content: bytes, generator: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    first, second = (int(generator.integers(len(lines))) for _ in range(2))
    action = int(generator.integers(4))
    if action == 0:
        lines[first], lines[second] = lines[second], lines[first]
    elif action == 1:
        del lines[first]
    elif action == 2:
        lines.insert(first, lines[second])
    else:
        lines[first] = lines[first].strip()
    return b"\n".join(lines)


def _encode(content: bytes, generator: np.random.Generator) -> bytes:
    text = content.decode(errors="replace")
    encodings = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1")
    chosen = encodings[int(generator.integers(len(encodings)))]
    ending = "\r\n" if generator.random() < 0.5 else "\r"
    return text.replace("\n", ending).encode(chosen, errors="replace")


def _values(content: bytes, generator: np.random.Generator) -> bytes:
    document = json.loads(content)
    for _ in range(int(generator.integers(1, 4))):
        places = list(_places_in(document))
        if not places:
            break
        container, key = places[int(generator.integers(len(places)))]
        _change(container, key, generator)
    return json.dumps(document).encode()


def _places_in(value: Any) -> list[tuple[Any, Any]]:
    """Returns container and key of every value below a value of JSON."""
    places: list[tuple[Any, Any]] = []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        places.append((value, key))
        places += _places_in(entry)
    return places


def _change(container: Any, key: Any, generator: np.random.Generator) -> None:
    action, value = int(generator.integers(6)), container[key]
    if action == 0:
        del container[key]
    elif action == 1 and isinstance(container, list):
        container.append(value)
    elif action == 1:
        container[f"{key}x"] = container.pop(key)
    elif action == 2:
        container[key] = str(value)
    elif action == 3:
        container[key] = [value]
    elif action == 4 and isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = float(-value)
    else:
        container[key] = ODD_VALUES[int(generator.integers(len(ODD_VALUES)))]


Change = Callable[[bytes, np.random.Generator], bytes]

_KINDS: dict[str, dict[str, Change]] = {
    "bytes": {
        "flip": flip,
        "flips": _flip_many,
        "cut": _cut,
        "overwrite": _overwrite,
        "insert": _insert,
        "remove": _remove,
    },
    "text": {"words": _words, "lines": _lines, "encoding": _encode},
    "json": {"values": _values, "words": _words},
}
