"""The options that requests may give, in the query of the address; unknown ones are refused."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from incdet.config.class_choice import find_classes, split_names
from incdet.config.sections import DetectionsConfig
from incdet.web.uploads import MAX_NAME_LENGTH

DetectionsFormat = Literal["json", "coco", "csv", "voc", "yolo", "labelme", "cvat", "picture"]
"""Forms of detections: incdet's line of JSON, the files of other programs, or the photo with boxes as JPEG."""

DocumentFormat = Literal["jsonl", "coco", "csv", "voc", "yolo", "labelme", "cvat"]
"""Forms into which stored detections are turned."""

MAX_BOXES = 10_000
"""Largest number of boxes that a request may ask for."""


class RequestOptions(BaseModel):
    """Base of all options: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(
        None, max_length=MAX_NAME_LENGTH, description="Name of the photo in the result.", examples=["cat.jpg"]
    )


class ProposeOptions(RequestOptions):
    """Options of proposals."""

    max_proposals: int | None = Field(
        None, ge=1, le=MAX_BOXES, description="Number of best proposals that are kept.", examples=[500]
    )


class SelectionOptions(ProposeOptions):
    """Options that select detections among the classified proposals."""

    score_threshold: float | None = Field(
        None, ge=0.001, le=1, description="Lowest score of a detection.", examples=[0.45]
    )
    iou_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Jaccard index with a better box of the class above which a box is removed.",
        examples=[0.3],
    )
    max_per_image: int | None = Field(
        None, ge=1, le=MAX_BOXES, description="Number of best detections that are kept.", examples=[100]
    )
    classes: str | None = Field(
        None, max_length=10_000, description="Classes that are looked for, between commas.", examples=["cat,dog"]
    )

    def selection(
        self, config: DetectionsConfig, class_names: tuple[str, ...], default_threshold: float
    ) -> DetectionsConfig:
        """Returns the settings of the detections with these options; the display threshold is that of the request.

        Args:
            config: The settings of the server.
            class_names: The C classes.
            default_threshold: Lowest score where the request gives none.

        Raises:
            ConfigurationError: A class is unknown.
        """
        threshold = default_threshold if self.score_threshold is None else self.score_threshold
        # what is not returned has a part in the scores of what is
        score_threshold = min(config.score_threshold, threshold)
        changed: dict[str, object] = {"score_threshold": score_threshold, "display_threshold": threshold}
        if self.iou_threshold is not None:
            changed["iou_threshold"] = self.iou_threshold
        if self.max_per_image is not None:
            changed["max_per_image"] = self.max_per_image
        if self.classes is not None:
            names = tuple(split_names(self.classes))
            find_classes(names, class_names, "the server")
            changed["classes"] = names or None
        return config.model_copy(update=changed)


class DetectOptions(SelectionOptions):
    """Options of detections."""

    format: DetectionsFormat = Field("json", description="Form of the result.")
    timing: bool = Field(False, description="Whether the JSON tells the seconds of each stage.")


class ExplainOptions(SelectionOptions):
    """Options of explanations."""


class ClassifyOptions(RequestOptions):
    """Options of classifications."""

    top: int = Field(5, ge=1, le=MAX_BOXES, description="Number of classes that are told.")


class ConvertOptions(BaseModel):
    """Options of stored detections that change their form."""

    model_config = ConfigDict(extra="forbid")

    format: DocumentFormat = Field("coco", description="Form of the result.")
