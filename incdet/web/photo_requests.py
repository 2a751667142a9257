"""What requests want of a photo: detections, explanations, proposals, a hierarchy, classes of the whole photo."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from incdet.classifier import Classifier
from incdet.detections import Detections
from incdet.detector import Detector
from incdet.images import read_image
from incdet.output.writers import classification_json, detections_json, proposals_json
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.explanation import explain_detections
from incdet.runtime.stopwatch import Stopwatch
from incdet.scores import ScoredRegions
from incdet.structures import Image, Proposals
from incdet.web.explanation_json import explanation_json
from incdet.web.hierarchy_json import hierarchy_json
from incdet.web.photo_worker import PhotoRegionsRequest
from incdet.web.request_options import ClassifyOptions, DetectOptions, ExplainOptions, ProposeOptions
from incdet.web.result_formats import FormattedResult, format_detections, require_drawable
from incdet.web.uploads import Upload, file_name

MIN_EXPLAINED_SCORE = 0.05
"""Lowest score of a detection that is explained where the request gives none: the page's slider begins there."""


@dataclass(eq=False)
class PhotoRequest:
    """A photo that was sent; see `PhotoWork`.

    Attributes:
        upload: The encoded photo and its name.
        watch: Seconds of each stage.
    """

    upload: Upload
    watch: Stopwatch = field(default_factory=Stopwatch, init=False)

    def read(self, detector: Detector, name: str | None) -> Image:
        """Decodes the photo.

        Args:
            detector: Its settings limit the photo's size.
            name: Name that the request gives to the photo; None leaves that of its file.

        Raises:
            ImageError: The photo cannot be read, or is too large.
        """
        with self.watch.stage("read"):
            image = read_image(self.upload.content, detector.config.images)
        # a result names the photo as the client does, never a place on the server's disk
        return Image(image.pixels, file_name(name or self.upload.name) or "photo")

    def propose(self, detector: Detector, image: Image, options: ProposeOptions) -> Proposals:
        """Proposes the regions of the photo."""
        with self.watch.stage("proposals"):
            return detector.propose(image)[: options.max_proposals]


@dataclass(eq=False)
class DetectionRequest(PhotoRequest):
    """A photo whose objects are wanted, with an explanation or without.

    Attributes:
        detector: The detector.
        options: Options of the detections; `ExplainOptions` ask for explanations, too.
    """

    detector: Detector
    options: DetectOptions | ExplainOptions
    _image: Image = field(init=False)
    _proposals: Proposals = field(init=False)

    def __post_init__(self) -> None:
        config = self.detector.config.detections
        is_explained = isinstance(self.options, ExplainOptions)
        threshold = MIN_EXPLAINED_SCORE if is_explained else self.detector.display_threshold
        self._selection = self.options.selection(config, self.detector.class_names, threshold)

    def prepare(self) -> PhotoRegionsRequest:
        """Reads the photo and proposes regions."""
        self._image = self.read(self.detector, self.options.name)
        if isinstance(self.options, DetectOptions) and self.options.format == "picture":
            # before the work, not after it
            require_drawable(self._image)
        self._proposals = self.propose(self.detector, self._image, self.options)
        return PhotoRegionsRequest(self._image, self._proposals.boxes)

    def finish(self, scored: ScoredRegions | None) -> dict[str, Any] | FormattedResult:
        """Selects the detections and brings them into their form."""
        assert scored is not None
        self.watch.seconds |= scored.seconds
        class_names = self.detector.class_names
        with self.watch.stage("detections"):
            everything = select_detections(scored.scores, self._image, class_names, self._selection)
        threshold = self._selection.display_threshold
        assert threshold is not None
        found = everything[everything.scores >= threshold]
        if isinstance(self.options, DetectOptions):
            found = replace(found, seconds=dict(self.watch.seconds))
            return format_detections(found, self._image, self.options.format, self.options.timing)
        return self._explain(found, scored)

    def _explain(self, found: Detections, scored: ScoredRegions) -> dict[str, Any]:
        detector = self.detector
        explanations = explain_detections(
            self._proposals, scored.scores, detector.class_names, detector.scorer.network_names, self._selection
        )
        # in the order of the scores, so that those of what is not returned come last
        explanations = explanations[: len(found)]
        line = detections_json(replace(found, seconds=self.watch.seconds), timing=True)
        proposals = proposals_json(self._image, self._proposals)["proposals"]
        return line | {"explanations": list(map(explanation_json, explanations)), "proposals": proposals}


@dataclass(eq=False)
class ProposalRequest(PhotoRequest):
    """A photo whose proposals are wanted."""

    detector: Detector
    options: ProposeOptions

    def prepare(self) -> None:
        """Nothing is classified."""

    def finish(self, scored: ScoredRegions | None) -> dict[str, Any]:
        """Proposes regions."""
        image = self.read(self.detector, self.options.name)
        return proposals_json(image, self.propose(self.detector, image, self.options), self.watch.seconds)


@dataclass(eq=False)
class HierarchyRequest(PhotoRequest):
    """A photo whose first hierarchy of selective search is wanted."""

    detector: Detector

    def prepare(self) -> None:
        """Nothing is classified."""

    def finish(self, scored: ScoredRegions | None) -> dict[str, Any]:
        """Segments the photo and groups the superpixels."""
        image = self.read(self.detector, None)
        with self.watch.stage("hierarchy"):
            return hierarchy_json(image, self.detector.config.proposals.selective_search)


@dataclass(eq=False)
class ClassificationRequest(PhotoRequest):
    """A photo whose classes are wanted, as a whole."""

    detector: Detector
    classifier: Classifier
    options: ClassifyOptions

    def prepare(self) -> None:
        """Nothing is classified region by region."""

    def finish(self, scored: ScoredRegions | None) -> Mapping[str, Any]:
        """Classifies the photo."""
        image = self.read(self.detector, self.options.name)
        with self.watch.stage("classes"):
            found = self.classifier.classify(image)
        return classification_json(found, self.options.top)
