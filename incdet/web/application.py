"""The FastAPI application: its routes, its errors, and the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import incdet
from incdet.pipeline.photo_groups import score_photos
from incdet.web.access import AccessCheck, error_response
from incdet.web.conversion_routes import add_conversion_route
from incdet.web.photo_queue import PhotoQueue
from incdet.web.photo_routes import add_photo_routes
from incdet.web.photo_worker import PhotoWorker
from incdet.web.plain_routes import PAGE, add_plain_routes
from incdet.web.request_errors import CLIENT_ERRORS, RequestError, request_error_of
from incdet.web.server_metrics import ServerMetrics
from incdet.web.server_setup import ServerSetup

DESCRIPTION = """Finds objects in photos as the system that won ILSVRC 2014: selective search and MultiBox, GoogLeNet,
per-class NMS. Boxes are x1, y1, x2, y2 in pixels of the upright photo, 0-based and half-open. Photos are kept in memory
only, until they are answered."""

_ERROR_CODES = {404: "not_found", 405: "wrong_method"}


def make_application(setup: ServerSetup) -> FastAPI:
    """Makes the application of a server, with its worker, which stops when the application does."""
    metrics = ServerMetrics()
    detector = setup.detector
    worker = PhotoWorker(lambda photos: score_photos(detector.scorer, detector.device, photos))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        worker.stop()

    app = FastAPI(
        title="incdet",
        version=incdet.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        # their pages would load scripts from other hosts
        docs_url=None,
        redoc_url=None,
    )
    # whoever runs the application may end the worker's photo, too
    app.state.worker = worker
    queue = PhotoQueue(worker, setup.limits, metrics)
    add_plain_routes(app, setup, queue)
    add_conversion_route(app, setup)
    add_photo_routes(app, setup, queue)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    for kind in (RequestError, *CLIENT_ERRORS):
        app.add_exception_handler(kind, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_wrong_options)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_middleware(AccessCheck, token=setup.token, is_local=setup.is_local, count=metrics.count_request)
    return app


async def _answer_error(_request: Request, error: Exception) -> Response:
    known = request_error_of(error)
    assert known is not None
    return error_response(known)


async def _answer_wrong_options(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    message = f"the option '{place[:100]}' cannot be used: {first['msg'].lower()}; see /openapi.json"
    return error_response(RequestError(422, "bad_option", message))


async def _answer_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _ERROR_CODES.get(error.status_code, "bad_request")
    message = f"{str(error.detail).lower()}; see /openapi.json for what there is"
    return error_response(RequestError(error.status_code, code, message, dict(error.headers or {})))
