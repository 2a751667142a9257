"""The responses of the server as OpenAPI describes them, with examples."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Box = Annotated[list[float], Field(min_length=4, max_length=4)]
"""x1, y1, x2, y2 in pixels of the upright photo, 0-based and half-open."""

Probability = float


class ErrorBody(BaseModel):
    """What is wrong with a request.

    Attributes:
        code: Word for programs.
        message: Sentence for people.
    """

    code: str = Field(examples=["too_large"])
    message: str = Field(examples=["the body is larger than 32 MB, the largest that is taken; shrink the photo"])


class ErrorResponse(BaseModel):
    """The body of every response with a status from 400 on."""

    error: ErrorBody


class DetectionEntry(BaseModel):
    """One detection."""

    label: str = Field(examples=["cat"])
    class_id: int = Field(examples=[7])
    score: Probability = Field(ge=0, le=1.000001, examples=[0.95])
    box: Box = Field(examples=[[15.3, 8.1, 412.4, 290.3]])


class PhotoResponse(BaseModel):
    """What all results about a photo tell."""

    image: str = Field(description="Name of the photo.", examples=["cat.jpg"])
    width: int = Field(ge=1, description="Width of the upright photo in pixels.", examples=[451])
    height: int = Field(ge=1, description="Height of the upright photo in pixels.", examples=[300])
    seconds: dict[str, float] | None = Field(
        None, description="Seconds of each stage.", examples=[{"read": 0.01, "proposals": 0.6, "scores": 0.5}]
    )


class DetectionsResponse(PhotoResponse):
    """The line of `detections.jsonl` for one photo, best detection first."""

    detections: list[DetectionEntry]


class ProposalEntry(BaseModel):
    """One proposal."""

    box: Box = Field(examples=[[10.0, 4.0, 430.5, 298.0]])
    score: float = Field(examples=[0.8])
    source: Literal["multibox", "selective_search"]


class ProposalsResponse(PhotoResponse):
    """The line of `proposals.jsonl` for one photo, best proposal first."""

    proposals: list[ProposalEntry]


class ClassEntry(BaseModel):
    """A class of a whole photo."""

    label: str = Field(examples=["n02124075"])
    class_id: int = Field(examples=[285])
    score: Probability = Field(examples=[0.52])


class ClassificationResponse(PhotoResponse):
    """The line of `classifications.jsonl` for one photo, most probable class first."""

    classifications: list[ClassEntry]


class ClassProbability(BaseModel):
    """The probability of a class."""

    label: str = Field(examples=["cat"])
    probability: Probability = Field(examples=[0.93])


class NetworkEntry(BaseModel):
    """What one network says about a region."""

    name: str = Field(examples=["member 1"])
    has_seen: bool = Field(description="Whether the network classified the region.")
    best: list[ClassProbability] = Field(description="The five most probable classes.")
    background: Probability = Field(description="Probability that the region shows none of the classes.")


class SuppressedEntry(BaseModel):
    """A candidate of the same class that non-maximum suppression left out."""

    proposal: int = Field(description="Row of its region among the proposals.", examples=[41])
    box: Box = Field(examples=[[22.0, 9.0, 400.0, 280.0]])
    score: Probability = Field(examples=[0.71])
    iou: float = Field(description="Jaccard index with the region of the detection.", examples=[0.66])


class ExplanationEntry(BaseModel):
    """Where one detection comes from."""

    proposal: int = Field(description="Row of its region among the proposals.", examples=[3])
    source: Literal["multibox", "selective_search"]
    rank: int = Field(ge=1, description="Place of the region among the proposals of its source.", examples=[4])
    proposal_box: Box = Field(description="The box as it was proposed.", examples=[[10.0, 4.0, 430.5, 298.0]])
    region_box: Box = Field(description="The same after box deltas moved it.", examples=[[14.8, 7.9, 415.2, 291.0]])
    networks: list[NetworkEntry]
    part_factor: float = Field(
        ge=0, le=1, description="Factor of the score; below 1 for what looks like a part of a larger object."
    )
    prominence_factor: float = Field(
        ge=0, le=1, description="Factor of the score; below 1 for what is small beside other detections."
    )
    num_suppressed: int = Field(ge=0, description="Number of candidates that were left out because of it.")
    suppressed: list[SuppressedEntry] = Field(description="The 20 best of them.")


class ExplanationsResponse(DetectionsResponse):
    """Detections from a low threshold on, each with its explanation in the same place, and all proposals."""

    explanations: list[ExplanationEntry]
    proposals: list[ProposalEntry]


class HierarchyResponse(BaseModel):
    """One hierarchy of selective search: superpixels, and the order in which they merge."""

    width: int = Field(ge=1, description="Width of the frame in pixels.")
    height: int = Field(ge=1, description="Height of the frame in pixels.")
    labels: str = Field(description="Superpixel of each pixel, row by row: base64 of uint32, lowest byte first.")
    colors: list[Annotated[list[int], Field(min_length=3, max_length=3)]] = Field(
        description="Mean red, green and blue of each superpixel."
    )
    sizes: list[int] = Field(description="Number of pixels of each superpixel.")
    merges: list[Annotated[list[int], Field(min_length=2, max_length=2)]] = Field(
        description="Pairs of regions that merge; of R superpixels, merge m makes the region R + m."
    )
    color_space: str = Field(examples=["hsv"])
    similarity: str = Field(examples=["color_texture_size_fill"])
    k: float = Field(examples=[100.0])


class ClassInfo(BaseModel):
    """A class that the server finds, and the look of its boxes."""

    name: str = Field(examples=["cat"])
    color: str = Field(examples=["#4477ff"])
    text_color: str = Field(examples=["#ffffff"])
    line: Literal["solid", "dashed", "dotted"]


class LimitsInfo(BaseModel):
    """What the server takes."""

    max_bytes: int
    max_megapixels: float
    max_photos: int
    upload_seconds: float
    photo_seconds: float


class InfoResponse(BaseModel):
    """What the server is."""

    version: str = Field(examples=["0.2.0"])
    networks: str = Field(examples=["1 network, feature maps computed once for each photo"])
    network_names: list[str]
    engine: str = Field(examples=["torch, float32"])
    device: str = Field(examples=["cpu"])
    classes: list[ClassInfo]
    display_threshold: float = Field(examples=[0.45])
    iou_threshold: float = Field(examples=[0.3])
    methods: list[str] = Field(examples=[["multibox", "selective_search"]])
    has_hierarchies: bool
    can_classify: bool = Field(description="Whether /v1/classify is offered.")
    formats: list[str]
    samples: list[str] = Field(description="Photos of scikit-image below /samples/.")
    limits: LimitsInfo


class HealthResponse(BaseModel):
    """The server is there."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["ok"]


Responses = dict[int | str, dict[str, Any]]
"""Descriptions of responses, by status."""

ERRORS: Responses = {
    400: {"model": ErrorResponse, "description": "There is no photo in the request."},
    401: {"model": ErrorResponse, "description": "The token is missing or wrong."},
    403: {"model": ErrorResponse, "description": "The request comes from a page of another site."},
    408: {"model": ErrorResponse, "description": "The body did not arrive in time."},
    413: {"model": ErrorResponse, "description": "The body has too many bytes, or the photo too many pixels."},
    421: {"model": ErrorResponse, "description": "The server does not go by the name that the request gives."},
    422: {"model": ErrorResponse, "description": "The photo or an option cannot be used, or the photo takes too long."},
    429: {"model": ErrorResponse, "description": "Too many photos wait."},
    503: {"model": ErrorResponse, "description": "The server stops."},
}
"""Responses to requests that cannot be served, by status."""

PHOTO_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A photo (JPEG, PNG, BMP, GIF, TIFF, WebP, AVIF, PNM) as the body, whatever its content type, "
        "or in the field `photo` of a form.",
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "properties": {"photo": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
"""OpenAPI's description of the body that holds a photo."""
