"""Requests that need no network: the page, samples, what the server is, its health and numbers."""

from pathlib import Path

from fastapi import FastAPI, Response
from starlette.responses import FileResponse, JSONResponse

from incdet.web.photo_queue import PhotoQueue
from incdet.web.request_errors import RequestError
from incdet.web.response_models import ERRORS, HealthResponse, InfoResponse, Responses
from incdet.web.server_info import describe_server, sample_files
from incdet.web.server_metrics import CONTENT_TYPE
from incdet.web.server_setup import ServerSetup

PAGE = Path(__file__).parent / "page"
"""The static files of the page."""

_ACCESS_ERRORS: Responses = {status: ERRORS[status] for status in (401, 421)}


def add_plain_routes(app: FastAPI, setup: ServerSetup, queue: PhotoQueue) -> None:
    """Adds the routes of this module to an application."""
    _add_page_routes(app)
    _add_server_routes(app, setup, queue)


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
