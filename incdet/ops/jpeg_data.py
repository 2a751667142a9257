"""Whether a JPEG that lacks its end marker lacks anything else: some cameras and programs leave only the marker out.

libjpeg fills missing picture data with grey and says nothing, so a picture that it decodes may still be cut off. Two
checks together find that. The scans must send every coefficient of every component in full, with as many restart
intervals as the size asks for. And the bits behind the last byte must not matter: a decoder that still waits for data
takes whatever follows for it, so that other fillings give other pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

END_MARKER = b"\xff\xd9"

_FILLINGS = (
    b"",
    *(bytes([value]) * 64 for value in (0x55, 0x6D, 0x92, 0xAA, 0xB6, 0xC9, 0xDB, 0xE3, 0xEE, 0xF1, 0xFB)),
)
"""Bytes behind the data that every decoder would read differently, if it read them."""

_MAX_PADDING = 2
"""Number of bytes of the padding behind the data that may belong to it."""

_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a segment: TEM, the restart markers and the beginning."""

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Markers of frames that Huffman codes are used in: baseline, extended and progressive."""


@dataclass
class _Scans:
    """What the segments of a JPEG have said so far.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        sampling: Horizontal and vertical sampling factor of each component.
        missing_bits: Component -> number of low bits of each of the 64 coefficients that no scan has sent, [64].
        restart_interval: Number of units between two restart markers; 0 is none.
        is_complete: Whether all scans so far have as many restart intervals as they need.
    """

    width: int = 0
    height: int = 0
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    missing_bits: dict[int, np.ndarray] = field(default_factory=dict)
    restart_interval: int = 0
    is_complete: bool = True

    def read_frame(self, segment: bytes) -> None:
        """Reads size and components: precision, height, width, count, then three bytes for each component.

        Raises:
            ValueError: A sampling factor is none.
            IndexError: The segment is cut off.
        """
        self.height, self.width = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
        for place in range(6, 6 + 3 * segment[5], 3):
            component = segment[place]
            if not (segment[place + 1] >> 4 and segment[place + 1] & 15):
                raise ValueError("a sampling factor is 0")
            self.sampling[component] = (segment[place + 1] >> 4, segment[place + 1] & 15)
            self.missing_bits[component] = np.full(64, 255)

    def read_scan(self, segment: bytes, num_restarts: int) -> None:
        """Notes which coefficients a scan sends, and compares its restart markers with those that it needs."""
        number = segment[0]
        components = [segment[1 + 2 * place] for place in range(number)]
        first, last, bits = segment[1 + 2 * number : 4 + 2 * number]
        for component in components:
            self.missing_bits[component][first : last + 1] = bits & 15
        if self.restart_interval:
            self.is_complete &= num_restarts == -(-self._num_units(components) // self.restart_interval) - 1

    def _num_units(self, components: list[int]) -> int:
        """Number of coded units of a scan: blocks of a single component, else groups of blocks of all."""
        most_across = max(across for across, _ in self.sampling.values())
        most_down = max(down for _, down in self.sampling.values())
        across, down = self.sampling[components[0]] if len(components) == 1 else (1, 1)
        return -(-self.width * across // (8 * most_across)) * -(-self.height * down // (8 * most_down))

    @property
    def has_everything(self) -> bool:
        """Whether all bits of all coefficients have been sent."""
        sent = all(not bits.any() for bits in self.missing_bits.values())
        return bool(self.missing_bits) and sent and self.is_complete


def has_whole_picture(content: bytes, decode: Callable[[bytes], np.ndarray]) -> bool:
    """Whether a JPEG without an end marker holds all of its picture.

    Args:
        content: The file, which lacks the marker.
        decode: Function from a file with an end marker to pixels [H, W, C]; it may raise any exception.
    """
    try:
        if not _read_scans(content).has_everything:
            return False
    except (IndexError, KeyError, ValueError):
        return False
    # cameras fill the rest of a block with zeros, and half a marker may have been written
    data = content.rstrip(b"\0\xff")
    ends = range(len(data), min(len(data) + _MAX_PADDING, len(content)) + 1)
    return any(_needs_no_more(content[:end], decode) for end in ends)


def _needs_no_more(content: bytes, decode: Callable[[bytes], np.ndarray]) -> bool:
    """Whether the same pixels come out, whatever follows the content."""
    wanted: np.ndarray | None = None
    for filling in _FILLINGS:
        try:
            pixels = decode(content + filling + END_MARKER)
        except Exception:
            return False
        if wanted is not None and not np.array_equal(pixels, wanted):
            return False
        wanted = pixels
    return True


def _read_scans(content: bytes) -> _Scans:
    """Walks through the segments of a JPEG.

    Raises:
        ValueError: The content is no JPEG of Huffman codes.
        IndexError: A segment is cut off.
    """
    scans, place = _Scans(), 2
    while place < len(content) - 1:
        if content[place] != 0xFF:
            raise ValueError("a segment begins without a marker")
        marker = content[place + 1]
        if marker == 0xFF or marker in _NO_LENGTH:
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[place + 2 : place + 4])
        segment = content[place + 4 : place + 2 + length]
        if length < 2 or len(segment) != length - 2:
            raise IndexError("a segment is cut off")
        place += 2 + length
        if marker in _FRAMES:
            scans.read_frame(segment)
        elif marker == 0xDD:
            scans.restart_interval = int.from_bytes(segment[:2])
        elif marker == 0xDA:
            end, num_restarts = _end_of_scan(content, place)
            scans.read_scan(segment, num_restarts)
            place = end
    return scans


def _end_of_scan(content: bytes, start: int) -> tuple[int, int]:
    """Returns the place behind a scan's data and the number of restart markers in it."""
    place, num_restarts = start, 0
    while True:
        place = content.find(b"\xff", place)
        if place < 0 or place + 1 >= len(content):
            return len(content), num_restarts
        following = content[place + 1]
        if 0xD0 <= following <= 0xD7:
            num_restarts += 1
        elif following not in (0x00, 0xFF):
            return place, num_restarts
        # a stuffed zero, a restart marker or a filling byte belongs to the data
        place += 1 if following == 0xFF else 2
