"""Results of photos as the bytes of JSON, which the worker's thread makes: the event loop serves others meanwhile."""

import json
from collections.abc import Mapping
from typing import Any

from incdet.runtime.stopwatch import Stopwatch
from incdet.scores import ScoredRegions
from incdet.web.photo_worker import PhotoRegionsRequest, PhotoWork
from incdet.web.result_formats import MEDIA_TYPES, FormattedResult

MAX_ENTRIES = 100
"""Number of entries of a list that are encoded at a time: no other thread of Python runs during such a call."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class JsonWork:
    """Work whose result becomes the bytes of JSON, unless it has its form already.

    Args:
        work: The work.
    """

    def __init__(self, work: PhotoWork) -> None:
        self._work = work

    @property
    def watch(self) -> Stopwatch:
        """Seconds of each stage of the work."""
        return self._work.watch

    def prepare(self) -> PhotoRegionsRequest | None:
        """Does all that comes before the networks; see `PhotoWork.prepare`."""
        return self._work.prepare()

    def finish(self, scored: ScoredRegions | None) -> FormattedResult:
        """Makes the result and its bytes; see `PhotoWork.finish`."""
        result = self._work.finish(scored)
        if isinstance(result, FormattedResult):
            return result
        return FormattedResult(json_bytes(result), MEDIA_TYPES["json"])


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """Returns the JSON of named values, the long lists among them in pieces.

    >>> json_bytes({"image": "a.jpg", "boxes": [[1, 2], [3, 4]], "none": []})
    b'{"image":"a.jpg","boxes":[[1,2],[3,4]],"none":[]}'
    """
    members = (f"{_ENCODER.encode(name)}:{_text(value)}" for name, value in values.items())
    return f"{{{','.join(members)}}}".encode()


def _text(value: Any) -> str:
    if not isinstance(value, list):
        return _ENCODER.encode(value)
    pieces = (_ENCODER.encode(value[start : start + MAX_ENTRIES]) for start in range(0, len(value), MAX_ENTRIES))
    # the brackets of the pieces give way to those of the whole
    return f"[{','.join(piece[1:-1] for piece in pieces)}]"
