"""Requests that need no network: the page, samples, what the server is, its health and numbers, changes of form."""

import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse

from incdet.detections import Detections
from incdet.output.writers import detections_from_json
from incdet.web.photo_queue import PhotoQueue
from incdet.web.request_errors import RequestError
from incdet.web.request_options import ConvertOptions
from incdet.web.response_models import ERRORS, HealthResponse, InfoResponse, Responses
from incdet.web.result_formats import SINGLE, FormattedResult, format_document
from incdet.web.server_info import describe_server, sample_files
from incdet.web.server_metrics import CONTENT_TYPE
from incdet.web.server_setup import ServerSetup
from incdet.web.uploads import read_body

PAGE = Path(__file__).parent / "page"
"""The static files of the page."""

LINE = (
    '{"image": "cat.jpg", "width": 451, "height": 300, '
    '"detections": [{"label": "cat", "class_id": 7, "score": 0.95, "box": [15.3, 8.1, 412.4, 290.3]}]}'
)
"""An example of a line of `detections.jsonl`."""

_ACCESS_ERRORS: Responses = {status: ERRORS[status] for status in (401, 421)}


_DOCUMENTS: dict[str, Any] = {
    "application/json": {},
    **{
        kind: {"schema": {"type": "string"}}
        for kind in ("application/jsonl", "application/xml", "text/csv", "text/plain")
    },
}
"""Kinds of the files that detections are turned into."""

_LINE_ERRORS: Responses = {status: ERRORS[status] for status in (400, 401, 408, 413, 421, 422)}


def add_plain_routes(app: FastAPI, setup: ServerSetup, queue: PhotoQueue) -> None:
    """Adds the routes of this module to an application."""
    _add_page_routes(app)
    _add_server_routes(app, setup, queue)
    class_names = setup.detector.class_names

    @app.post(
        "/v1/convert",
        tags=["detections"],
        response_class=Response,
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "Lines of detections.jsonl, as /v1/detect returns them; one for voc, yolo and labelme.",
                "content": {"text/plain": {"schema": {"type": "string"}, "example": LINE}},
            }
        },
        responses={
            200: {"content": _DOCUMENTS},
            **_LINE_ERRORS,
        },
    )
    async def convert(request: Request, options: Annotated[ConvertOptions, Query()]) -> Response:
        """Turns detections into the file of another program."""
        body = await read_body(request, setup.limits)
        result = await run_in_threadpool(_convert, body, class_names, options)
        return Response(result.content, headers={"Content-Type": result.media_type})


def _add_page_routes(app: FastAPI) -> None:
    """Adds the page and the samples."""
    samples = sample_files()

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html")

    @app.get("/samples/{name}", include_in_schema=False)
    async def sample(name: str) -> Response:
        # the name is looked up in a fixed list, never on the disk
        if name not in samples:
            raise RequestError(404, "not_found", "there is no such sample; /v1/info lists them")
        return FileResponse(samples[name])


def _add_server_routes(app: FastAPI, setup: ServerSetup, queue: PhotoQueue) -> None:
    """Adds what the server tells about itself."""
    info = describe_server(setup)

    @app.get("/healthz", response_model=HealthResponse, tags=["server"], responses={421: ERRORS[421]})
    async def health() -> Response:
        """Tells that the server is there."""
        return JSONResponse({"status": "ok"})

    @app.get("/v1/info", response_model=InfoResponse, tags=["server"], responses=_ACCESS_ERRORS)
    async def server_info() -> Response:
        """Tells networks, classes with their colours, and limits."""
        return JSONResponse(info)

    @app.get(
        "/metrics",
        tags=["server"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_ACCESS_ERRORS},
    )
    async def metrics() -> Response:
        """Tells the numbers of requests, seconds of stages and photos, in the text form of Prometheus."""
        text = queue.metrics.text(queue.num_photos, queue.worker.num_waiting, setup.limits.max_photos)
        return Response(text, headers={"Content-Type": CONTENT_TYPE})


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
