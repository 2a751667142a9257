"""The request that turns stored detections into the file of another program."""

import asyncio
import json
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from incdet.detections import Detections
from incdet.output.writers import detections_from_json
from incdet.web.request_errors import RequestError
from incdet.web.request_options import ConvertOptions
from incdet.web.response_models import ERRORS, Responses
from incdet.web.result_formats import SINGLE, FormattedResult, format_document
from incdet.web.server_setup import ServerSetup
from incdet.web.uploads import read_body

MAX_LINES_BYTES = 8_000_000
"""Largest body in bytes: lines take some thirty times their length in memory while they are turned into a file."""

MAX_CONVERSIONS = 8
"""Number of bodies of lines that the server holds at a time; one of them is turned into a file at a time."""

LINE = (
    '{"image": "cat.jpg", "width": 451, "height": 300, '
    '"detections": [{"label": "cat", "class_id": 7, "score": 0.95, "box": [15.3, 8.1, 412.4, 290.3]}]}'
)
"""An example of a line of `detections.jsonl`."""

_DOCUMENTS: dict[str, Any] = {
    "application/json": {},
    **{
        kind: {"schema": {"type": "string"}}
        for kind in ("application/jsonl", "application/xml", "text/csv", "text/plain")
    },
}
"""Kinds of the files that detections are turned into."""

_LINE_ERRORS: Responses = {status: ERRORS[status] for status in (400, 401, 403, 408, 413, 421, 422, 429)}

_LINES_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Lines of detections.jsonl, as /v1/detect returns them; one for voc, yolo and labelme.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": LINE}},
    }
}


def add_conversion_route(app: FastAPI, setup: ServerSetup) -> None:
    """Adds the route of this module to an application."""
    class_names, conversions = setup.detector.class_names, Conversions(setup)

    @app.post(
        "/v1/convert",
        tags=["detections"],
        response_class=Response,
        openapi_extra=_LINES_BODY,
        responses={200: {"content": _DOCUMENTS}, **_LINE_ERRORS},
    )
    async def convert(request: Request, options: Annotated[ConvertOptions, Query()]) -> Response:
        """Turns detections into the file of another program."""
        result = await conversions.serve(request, class_names, options)
        return Response(result.content, headers={"Content-Type": result.media_type})


class Conversions:
    """Bodies of lines that are turned into files one after the other, so that their memory is bounded.

    Args:
        setup: Its limits bound sizes and times.

    Attributes:
        num_bodies: Number of bodies that arrive, wait or are turned into files.
    """

    def __init__(self, setup: ServerSetup) -> None:
        self._limits = setup.limits
        self._turn = asyncio.Lock()
        self.num_bodies = 0

    async def serve(self, request: Request, class_names: tuple[str, ...], options: ConvertOptions) -> FormattedResult:
        """Reads the lines of a request, waits for their turn, and returns the file.

        Raises:
            RequestError: There is no place, the body is over a limit, or cannot be used.
            DataError: A line does not hold detections of these classes.
        """
        if self.num_bodies >= MAX_CONVERSIONS:
            raise RequestError(
                429,
                "busy",
                f"the server turns {MAX_CONVERSIONS} bodies into files and takes no more; try again in a moment",
                {"Retry-After": "1"},
            )
        self.num_bodies += 1
        try:
            body = await read_body(request, self._limits, min(MAX_LINES_BYTES, self._limits.max_bytes))
            async with self._turn:
                return await run_in_threadpool(_convert, body, class_names, options)
        finally:
            self.num_bodies -= 1


def _convert(body: bytes, class_names: tuple[str, ...], options: ConvertOptions) -> FormattedResult:
    """Reads lines of detections and brings them into a form.

    Raises:
        RequestError: There is no line, or more than the form takes, or one is no JSON.
        DataError: A line does not hold detections of these classes.
    """
    found: list[Detections] = []
    for number, line in enumerate(body.splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            raise RequestError(422, "bad_line", f"line {number} is no JSON; send lines of detections.jsonl") from None
        found.append(detections_from_json(values, class_names))
    if not found:
        raise RequestError(400, "no_lines", "the body holds no detections; send lines of detections.jsonl")
    if options.format in SINGLE and len(found) > 1:
        raise RequestError(422, "bad_option", f"{options.format} files are about one photo; send one line")
    return format_document(found, class_names, options.format)
