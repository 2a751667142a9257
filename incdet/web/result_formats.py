"""Detections in the forms that a request may ask for: incdet's JSON, files of other programs, the picture."""

import io
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import PIL.Image

from incdet.detections import Detections
from incdet.output.labelling_writers import cvat_xml, labelme_document, yolo_text
from incdet.output.writers import coco_document, csv_text, detections_json, voc_xml
from incdet.structures import Image
from incdet.web.request_errors import RequestError
from incdet.web.request_options import DetectionsFormat, DocumentFormat

JPEG_QUALITY = 92
"""Quality of pictures, as that of the command line's."""

MAX_JPEG_SIDE = 65_500
"""Largest side in pixels of a JPEG that libjpeg writes."""


class FormattedResult(NamedTuple):
    """A result as it is sent.

    Attributes:
        content: The bytes.
        media_type: Their kind.
    """

    content: bytes
    media_type: str


MEDIA_TYPES: dict[str, str] = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "coco": "application/json",
    "csv": "text/csv; charset=utf-8",
    "voc": "application/xml",
    "yolo": "text/plain; charset=utf-8",
    "labelme": "application/json",
    "cvat": "application/xml",
    "picture": "image/jpeg",
}
"""Kind of each form."""

_Writer = Callable[[Sequence[Detections], tuple[str, ...]], str]

_WRITERS: dict[str, _Writer] = {
    "jsonl": lambda found, _: "".join(json.dumps(detections_json(each)) + "\n" for each in found),
    "coco": lambda found, class_names: json.dumps(coco_document(found, class_names)) + "\n",
    "csv": lambda found, _: csv_text(found),
    "voc": lambda found, _: "".join(map(voc_xml, found)),
    "yolo": lambda found, _: "".join(map(yolo_text, found)),
    "labelme": lambda found, _: "".join(json.dumps(labelme_document(each)) + "\n" for each in found),
    "cvat": lambda found, _: cvat_xml(found),
}

SINGLE: tuple[DocumentFormat, ...] = ("voc", "yolo", "labelme")
"""Forms whose files are about one photo each."""


def format_detections(
    found: Detections, image: Image, form: DetectionsFormat, timing: bool
) -> dict[str, Any] | FormattedResult:
    """Brings the detections of one photo into a form.

    Args:
        found: The detections.
        image: Their photo, which `require_drawable` has seen where the form is a picture.
        form: The form.
        timing: Whether incdet's JSON tells the seconds of each stage.
    """
    if form == "json":
        return detections_json(found, timing)
    if form == "picture":
        file = io.BytesIO()
        PIL.Image.fromarray(found.draw(image)).save(file, "JPEG", quality=JPEG_QUALITY)
        return FormattedResult(file.getvalue(), MEDIA_TYPES[form])
    return format_document([found], found.class_names, form)


def require_drawable(image: Image) -> None:
    """Makes sure that a photo can become a picture.

    Raises:
        RequestError: A side is too long for a JPEG.
    """
    if max(image.width, image.height) > MAX_JPEG_SIDE:
        raise RequestError(
            422,
            "bad_option",
            f"the photo is {image.width}x{image.height} and a side of a picture has at most {MAX_JPEG_SIDE} pixels; "
            "ask for another format, or cut the photo",
        )


def format_document(found: Sequence[Detections], class_names: tuple[str, ...], form: DocumentFormat) -> FormattedResult:
    """Brings the detections of one or several photos into a form; those of `SINGLE` take one photo."""
    text = _WRITERS[form](found, class_names)
    # bytes of a photo's name that are no text cannot be sent as text
    return FormattedResult(text.encode(errors="replace"), MEDIA_TYPES[form])
