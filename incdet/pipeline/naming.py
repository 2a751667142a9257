"""Two networks on shared features: a finder tells objects from background, a namer says what the objects are.

    proposals -> finder -> regions moved to objects -> namer -> class probabilities
                 P(object)                             P(object), P(class | object)

Few classes with many boxes teach a network where objects are and where they end, whatever their class. Many classes
without boxes teach another one to name what it sees. Each forgets what the other one knows if it learns both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from incdet.networks.common_classes import CommonClass
from incdet.pipeline.cascade import Thresholds
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.runtime.stopwatch import added_seconds
from incdet.scores import ScoredRegions
from incdet.structures import Image, RegionScores


@dataclass(frozen=True, eq=False)
class NamingScorer:
    """A finder in front of a namer; see `RegionScorer`.

    A region's probability of a class is P(object) * P(class | object). P(object) is the geometric mean of both
    networks, each of which adds up the probabilities of its own classes. P(class | object) is the namer's alone, of the
    region as the finder has moved it. For a class that the finder knows, too, the mean with the finder's own
    probability is taken.

    Attributes:
        finder: the network that classifies and moves every region. Its classes need not be those of the namer.
        namer: the network that names the regions that the finder takes for objects; it classifies each of them once,
            and leaves them where they are.
        common_classes: the classes that both know.
        min_probability: lowest probability of any object, in [0, 1], by the finder with which a region reaches the
            namer. The others have probabilities of 0.
    """

    finder: SharedRegionScorer
    namer: SharedRegionScorer
    common_classes: Sequence[CommonClass]
    min_probability: float

    @property
    def network_names(self) -> tuple[str, ...]:
        """Names of the networks, the finder before the namer."""
        return "finder", "namer"

    @property
    def shared_scorer(self) -> SharedRegionScorer:
        """The finder, whose feature maps MultiBox reads."""
        return self.finder

    def describe(self) -> str:
        """Returns one phrase that describes the networks, for the screen."""
        return "a network that names the objects which another one finds, feature maps computed once for each photo"

    def with_thresholds(self, thresholds: Thresholds) -> "NamingScorer":
        """Returns the same networks with another `min_probability`; there is no half-resolution stage."""
        return replace(self, min_probability=thresholds.min_probability)

    def prepare(self) -> None:
        """Begins to make the networks ready in another thread; see `RegionScorer`."""
        self.finder.prepare()
        self.namer.prepare()

    def __call__(self, image: Image, boxes: np.ndarray) -> ScoredRegions:
        """Classifies the regions of one photo; see `RegionScorer`.

        The rows of `RegionScores.by_network` differ in P(object): that of the finder, and that of the namer, each times
        the namer's P(class | object).
        """
        found = self.finder(image, boxes)
        found_object = _object_probabilities(found.scores)
        # regions that the finder has not classified have probabilities of 0
        rows = np.flatnonzero((found_object >= self.min_probability) & (found_object > 0))
        named = self.namer(image, found.scores.boxes[rows])
        named_object = _object_probabilities(named.scores)
        # P(class | object) [K, C]; where the namer sees background alone, all of them are 0
        conditional = named.scores.probabilities / np.maximum(named_object, np.finfo(np.float32).tiny)[:, None]
        by_network = np.zeros((2, len(boxes), conditional.shape[1]), np.float32)
        by_network[0, rows] = found_object[rows, None] * conditional
        by_network[1, rows] = named.scores.probabilities
        probabilities = np.sqrt(by_network[0] * by_network[1])
        for finder_column, namer_column in self.common_classes:
            probabilities[rows, namer_column] += found.scores.probabilities[rows, finder_column]
            probabilities[rows, namer_column] /= 2
        # where the networks are sure of different classes, their sum exceeds 1
        probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1)
        scores = RegionScores(found.scores.boxes, probabilities, by_network)
        return ScoredRegions(scores, added_seconds(found.seconds, named.seconds))


def _object_probabilities(scores: RegionScores) -> np.ndarray:
    """Returns the probability of any object in each region, [R] float32."""
    # a sum of float32 probabilities may exceed 1 by a rounding
    return np.minimum(scores.probabilities.sum(axis=1), 1)
