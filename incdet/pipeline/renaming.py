"""A namer behind other networks: it says once more which class the objects are that they have found.

    proposals -> networks -> regions moved to objects -> namer -> class probabilities
                 P(class)                                P(class | object)

Networks that have learnt all their layers from few photos tell well where objects are, and worse which of two like
classes they show, as they know the few objects of rare classes by heart. A namer whose convolutions have learnt
little or nothing from these photos errs differently. What is an object stays with the other networks, which know that
better; see `NamingScorer` for objects of classes that only the namer knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from incdet.networks.common_classes import CommonClass
from incdet.pipeline.cascade import Thresholds
from incdet.pipeline.cropped_regions import CroppedRegionScorer
from incdet.pipeline.scene import scene_factors, scene_views
from incdet.pipeline.shared_cascade import SharedCascadeScorer
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.runtime.stopwatch import added_seconds
from incdet.scores import ScoredRegions
from incdet.structures import Image, RegionScores

FindingScorer = CroppedRegionScorer | SharedRegionScorer | SharedCascadeScorer

NAMER_SHARE = 1 / 3
"""Weight of the namer in the mean of class probabilities. Feature maps of the whole photo, crops and the namer count
alike, as the first two did before there was a namer."""


@dataclass(frozen=True, eq=False)
class RenamingScorer:
    """A namer behind the networks of a detector; see `RegionScorer`.

    A region's probability of being an object of any of the classes that both sides know is that of the networks in
    front. The namer divides it among these classes by its own probabilities, of the region as the networks in front
    have moved it. The result is the mean of this and of the probabilities of the networks in front, with `NAMER_SHARE`
    as the namer's weight. Finally, classes that the whole photo shows less lose some of their probability, which
    becomes that of background. Classes that the namer does not know keep their probabilities.

    Attributes:
        scorer: the networks in front, which classify and move every region.
        namer: the network that names regions; it classifies each of them once, and leaves them where they are.
        common_classes: the classes that both know; the networks in front are the finder.
        min_probability: lowest probability, in [0, 1], of being any of the common classes with which a region reaches
            the namer.
        scene_exponent: weight of the photo as a whole, from 0 (none) on; see `scene_factors`.
    """

    scorer: FindingScorer
    namer: SharedRegionScorer
    common_classes: Sequence[CommonClass]
    min_probability: float
    scene_exponent: float

    @property
    def network_names(self) -> tuple[str, ...]:
        """Names of the networks, the namer last."""
        return (*self.scorer.network_names, "namer")

    @property
    def shared_scorer(self) -> SharedRegionScorer | None:
        """The network in front whose feature maps MultiBox reads; None where all networks in front see crops."""
        return self.scorer.shared_scorer

    def describe(self) -> str:
        """Returns one phrase that describes the networks, for the screen."""
        return f"{self.scorer.describe()}, and a network that names what they find"

    def with_thresholds(self, thresholds: Thresholds) -> "RenamingScorer":
        """Returns the same networks with other thresholds; that of the namer is `min_probability`."""
        scorer = self.scorer
        if not isinstance(scorer, SharedRegionScorer):
            scorer = scorer.with_thresholds(thresholds)
        return replace(self, scorer=scorer, min_probability=thresholds.min_probability)

    def prepare(self) -> None:
        """Begins to make the networks ready in another thread; see `RegionScorer`."""
        self.scorer.prepare()
        self.namer.prepare()

    def __call__(self, image: Image, boxes: np.ndarray) -> ScoredRegions:
        """Classifies the regions of one photo; see `RegionScorer`.

        The last row of `RegionScores.by_network` has the probabilities of the networks in front, divided among the
        common classes as the namer says, in the scene that it sees.
        """
        found = self.scorer(image, boxes)
        columns = [common.finder_column for common in self.common_classes]
        probabilities = found.scores.probabilities
        # a sum of float32 probabilities may exceed 1 by a rounding
        is_object = np.minimum(probabilities[:, columns].sum(axis=1), 1)
        # regions that the networks in front have left out for a better neighbour have probabilities of 0
        rows = np.flatnonzero((is_object >= self.min_probability) & (is_object > 0))
        views = self._views(image, len(boxes))
        named = self.namer(image, np.concatenate([found.scores.boxes[rows], views]))
        named_probabilities = named.scores.probabilities[:, [common.namer_column for common in self.common_classes]]
        renamed = probabilities.copy()
        renamed[:, columns] = _divide(probabilities[:, columns], is_object, rows, named_probabilities[: len(rows)])
        # in this form, what is not renamed keeps its last bit
        mean = probabilities + NAMER_SHARE * (renamed - probabilities)
        if len(views):
            factors = scene_factors(named_probabilities[len(rows) :], self.scene_exponent)
            renamed[:, columns] *= factors
            mean[:, columns] *= factors
        assert found.scores.by_network is not None
        by_network = np.concatenate([found.scores.by_network, renamed[None]])
        scores = RegionScores(found.scores.boxes, mean, by_network)
        return ScoredRegions(scores, added_seconds(found.seconds, named.seconds))

    def _views(self, image: Image, num_regions: int) -> np.ndarray:
        """Returns the regions of the scene, [V, 4] float32, or none of them where the scene does not count."""
        views = scene_views(image)
        # photos without objects have a scene, too: their detections are ranked among those of other photos
        return views if self.scene_exponent > 0 and num_regions > 0 else views[:0]


def _divide(probabilities: np.ndarray, is_object: np.ndarray, rows: np.ndarray, named: np.ndarray) -> np.ndarray:
    """Divides the probability of any object among the classes as the namer says, in some of the regions.

    Args:
        probabilities: [R, C] float32, those of the networks in front.
        is_object: [R] float32, their sum in each region, 1 at most.
        rows: [K] int64, the regions that the namer has seen.
        named: [K, C] float32, the namer's own probabilities of the same classes.

    Returns:
        [R, C] float32.
    """
    # a region in which the namer sees background alone keeps its classes
    named_object = named.sum(axis=1)
    rows, named = rows[named_object > 0], named[named_object > 0]
    divided = probabilities.copy()
    # P(object) times P(class | object)
    divided[rows] = is_object[rows, None] * (named / named.sum(axis=1, keepdims=True))
    return divided
