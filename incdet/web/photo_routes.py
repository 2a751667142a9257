"""Requests that bring a photo: detections, explanations, proposals, hierarchies, classes of the whole photo."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response

from incdet.web.json_work import JsonWork
from incdet.web.photo_queue import PhotoQueue
from incdet.web.photo_requests import ClassificationRequest, DetectionRequest, HierarchyRequest, ProposalRequest
from incdet.web.photo_worker import PhotoWork
from incdet.web.request_errors import RequestError
from incdet.web.request_options import ClassifyOptions, DetectOptions, ExplainOptions, ProposeOptions
from incdet.web.response_models import (
    ERRORS,
    PHOTO_BODY,
    ClassificationResponse,
    DetectionsResponse,
    ErrorResponse,
    ExplanationsResponse,
    HierarchyResponse,
    ProposalsResponse,
)
from incdet.web.server_setup import ServerSetup
from incdet.web.uploads import Upload

PHOTO_ROUTE: dict[str, Any] = {"openapi_extra": PHOTO_BODY, "responses": ERRORS}
"""What all routes that take a photo have in common."""

_NOT_OFFERED = "The server was started without what the request needs."
PHOTO_ROUTE_404 = PHOTO_ROUTE | {"responses": {**ERRORS, 404: {"model": ErrorResponse, "description": _NOT_OFFERED}}}
"""The same for routes that not every server offers."""


def add_photo_routes(app: FastAPI, setup: ServerSetup, queue: PhotoQueue) -> None:
    """Adds the routes of this module to an application."""
    detector, classifier = setup.detector, setup.classifier
    other_forms: dict[str, Any] = {kind: {} for kind in ("text/csv", "text/plain", "application/xml", "image/jpeg")}
    detect_route = PHOTO_ROUTE | {"responses": {**ERRORS, 200: {"content": other_forms}}}

    @app.post("/v1/detect", response_model=DetectionsResponse | dict[str, Any], tags=["detections"], **detect_route)
    async def detect(request: Request, options: Annotated[DetectOptions, Query()]) -> Response:
        """Finds objects in a photo."""
        return await _answer(queue, request, lambda upload: DetectionRequest(upload, detector, options))

    @app.post("/v1/explain", response_model=ExplanationsResponse, tags=["detections"], **PHOTO_ROUTE)
    async def explain(request: Request, options: Annotated[ExplainOptions, Query()]) -> Response:
        """Finds objects from a low threshold on and tells where each comes from: proposal, networks, suppression."""
        return await _answer(queue, request, lambda upload: DetectionRequest(upload, detector, options))

    @app.post("/v1/propose", response_model=ProposalsResponse, tags=["proposals"], **PHOTO_ROUTE)
    async def propose(request: Request, options: Annotated[ProposeOptions, Query()]) -> Response:
        """Proposes regions that may hold an object, best first, without classifying them."""
        return await _answer(queue, request, lambda upload: ProposalRequest(upload, detector, options))

    @app.post(
        "/v1/hierarchy",
        response_model=HierarchyResponse,
        tags=["proposals"],
        **PHOTO_ROUTE_404,
    )
    async def hierarchy(request: Request) -> Response:
        """Tells how the superpixels of a photo merge, in the first hierarchy of selective search."""
        methods, search = detector.config.proposals.methods, detector.config.proposals.selective_search
        if "selective_search" not in methods or search.engine != "incdet":
            raise RequestError(404, "not_offered", "the server's proposers have no hierarchies to tell")
        return await _answer(queue, request, lambda upload: HierarchyRequest(upload, detector))

    @app.post(
        "/v1/classify",
        response_model=ClassificationResponse,
        tags=["classes"],
        **PHOTO_ROUTE_404,
    )
    async def classify(request: Request, options: Annotated[ClassifyOptions, Query()]) -> Response:
        """Names what a whole photo shows; offered where the server was started with --classifier."""
        if classifier is None:
            raise RequestError(
                404, "not_offered", "the server has no weights of whole photos; start it with --classifier"
            )
        return await _answer(
            queue, request, lambda upload: ClassificationRequest(upload, detector, classifier, options)
        )


async def _answer(queue: PhotoQueue, request: Request, make_work: Callable[[Upload], PhotoWork]) -> Response:
    """Serves a photo, and returns the response with the bytes that the worker has made."""
    result = await queue.serve(request, lambda upload: JsonWork(make_work(upload)))
    return Response(result.content, headers={"Content-Type": result.media_type})
