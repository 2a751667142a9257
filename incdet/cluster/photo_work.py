"""What the workers of a cluster do with photos: detections or proposals, the same lines as on one machine."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from incdet.cluster.part_photos import NamedPhoto
from incdet.config.sections import Config
from incdet.errors import ImageError
from incdet.output.photo_lines import Line, detection_line, error_line
from incdet.output.writers import proposals_json
from incdet.structures import Image


class Lines(Protocol):
    """A function: photos -> the line of each, in order. A photo that cannot be read gets a line with its error."""

    def __call__(self, photos: Iterable[NamedPhoto], one_by_one: bool = False) -> Iterator[Line]:
        """Yields the lines.

        Args:
            photos: The photos.
            one_by_one: Whether the next photo is only taken when the line of the one before has been handed out.
        """


class PhotoWork(Protocol):
    """Work on photos, small enough to be sent to every worker.

    Attributes:
        kind: Name of the results.
    """

    @property
    def kind(self) -> Literal["detections", "proposals"]:
        """Name of the results."""

    @property
    def uses_gpu(self) -> bool:
        """Whether a GPU may compute."""

    def describe(self) -> dict[str, Any]:
        """Returns everything that decides the results, as far as it is known without loading a network.

        Raises:
            IncdetError: The weights or the settings cannot be used.
        """

    def start(self) -> Lines:
        """Loads what all photos need, once in each worker."""


@dataclass(frozen=True)
class DetectionWork:
    """Detection with one detector in each worker.

    Attributes:
        weights: Weights, see `Detector.from_pretrained`.
        members: Networks of the shipped ensemble that are averaged; None is all of them.
        cascade: Whether the first weights are a rejection network.
        config: Everything else that decides the detections.
        display_threshold: Lowest score of a detection that is written.
        num_workers: Processes of each worker that read photos and propose regions ahead.
    """

    weights: tuple[str, ...]
    members: int | None
    cascade: bool
    config: Config
    display_threshold: float
    num_workers: int = 0

    @property
    def kind(self) -> Literal["detections", "proposals"]:
        """Name of the results."""
        return "detections"

    @property
    def uses_gpu(self) -> bool:
        """Whether a GPU may compute."""
        return self.config.device != "cpu"

    def describe(self) -> dict[str, Any]:
        """Returns everything that decides the detections."""
        from incdet.networks.chosen_weights import known_of_detector

        known = known_of_detector(self.weights, self.members, self.cascade, self.config)
        return known | {"display_threshold": self.display_threshold}

    def start(self) -> Lines:
        """Loads the detector."""
        # torch is loaded by workers alone, after their threads have been limited
        from incdet.detections import Detections
        from incdet.detector import Detector

        detector = Detector.from_pretrained(
            *self.weights, members=self.members, cascade=self.cascade, config=self.config
        )

        def lines(photos: Iterable[NamedPhoto], one_by_one: bool = False) -> Iterator[Line]:
            waiting: deque[NamedPhoto] = deque()
            num_workers = 0 if one_by_one else self.num_workers
            for photo_result in detector.photo_results(_contents(photos, waiting), num_workers):
                yield from _errors_before_the_next(waiting)
                name = waiting.popleft().name
                if isinstance(photo_result.result, Detections):
                    yield detection_line(replace(photo_result.result, image=name), self.display_threshold)
                else:
                    yield error_line(name, _named(photo_result.result, photo_result.source, name))
            yield from _errors_before_the_next(waiting)

        return lines


@dataclass(frozen=True)
class ProposalWork:
    """Proposals, without classifying them.

    Attributes:
        config: Everything that decides the proposals.
    """

    config: Config

    @property
    def kind(self) -> Literal["detections", "proposals"]:
        """Name of the results."""
        return "proposals"

    @property
    def uses_gpu(self) -> bool:
        """Whether a GPU may compute."""
        return self.config.device != "cpu"

    def describe(self) -> dict[str, Any]:
        """Returns everything that decides the proposals."""
        from incdet.networks.chosen_weights import proposer_files
        from incdet.runtime.file_hashes import named_hashes
        from incdet.runtime.provenance import describe_run

        return describe_run(self.config, named_hashes(proposer_files(self.config.proposals)))

    def start(self) -> Lines:
        """Loads the proposers."""
        from incdet.images import read_image
        from incdet.proposals import Proposers

        proposers = Proposers(self.config.proposals, self.config.device, scores=self.config.scores)

        def lines(photos: Iterable[NamedPhoto], one_by_one: bool = False) -> Iterator[Line]:
            for photo in photos:
                try:
                    if isinstance(photo.content, ImageError):
                        raise photo.content
                    image = Image(read_image(photo.content, self.config.images).pixels, photo.name)
                    yield proposals_json(image, proposers(image))
                except ImageError as error:
                    yield error_line(photo.name, _named(error, photo.content, photo.name))

        return lines


def _contents(photos: Iterable[NamedPhoto], waiting: deque[NamedPhoto]) -> Iterator[str | bytes]:
    """Yields what a detector reads, and keeps all photos until their results are there."""
    for photo in photos:
        waiting.append(photo)
        if not isinstance(photo.content, ImageError):
            yield photo.content


def _errors_before_the_next(waiting: deque[NamedPhoto]) -> Iterator[Line]:
    """Removes the photos at the head of the queue that could not be fetched, and yields their lines."""
    while waiting and isinstance(waiting[0].content, ImageError):
        failed = waiting.popleft()
        yield error_line(failed.name, str(failed.content))


def _named(error: ImageError, source: object, name: str) -> str:
    """Returns the sentence of an error with the photo's name in the results in place of what was read."""
    # reading calls encoded bytes "bytes"
    read_from = "bytes" if isinstance(source, bytes) else str(source)
    return str(error) if isinstance(source, ImageError) else str(error).replace(read_from, name, 1)
