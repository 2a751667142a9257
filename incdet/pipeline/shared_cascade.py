"""A cascade that begins with shared features: one network sees every region, and crops of a few reach the members.

The network on shared features costs little for each region and moves the regions to where the objects are. Most of its
promising regions then show the same few objects, so one region of each group of overlapping ones is enough for the
members, which take longer and see more detail: crops have the resolution of the photo's objects, feature maps do not.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from incdet.ops.boxes import box_iou
from incdet.ops.nms import nms
from incdet.pipeline.cascade import Thresholds
from incdet.pipeline.cropped_regions import CroppedRegionScorer
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.runtime.stopwatch import added_seconds
from incdet.scores import ScoredRegions
from incdet.structures import Image, RegionScores


class RegionGroups(NamedTuple):
    """Promising regions in groups, each of which one region stands for.

    Attributes:
        rows: [P] int64, the promising regions.
        representatives: [G] int64, the regions that stand for the groups, most probable first.
        groups: [P] int64, positions in `representatives`: the group of each promising region.
    """

    rows: np.ndarray
    representatives: np.ndarray
    groups: np.ndarray

    def from_probability(self, scores: RegionScores, min_probability: float) -> "RegionGroups":
        """Returns the groups whose representatives have a class at a probability or above.

        Args:
            scores: the regions and their probabilities.
            min_probability: the probability, in [0, 1].
        """
        best = scores.probabilities[self.representatives].max(axis=1, initial=0)
        # the most probable representatives come first
        number = int((best >= min_probability).sum())
        kept = self.groups < number
        return RegionGroups(self.rows[kept], self.representatives[:number], self.groups[kept])


@dataclass(frozen=True, eq=False)
class SharedCascadeScorer:
    """A rejection network on shared features in front of members on crops; see `RegionScorer`.

    A promising region's probabilities are the mean of what the two kinds of features say, which err differently: of the
    rejection network's probabilities and of the members' mean. Other regions have those of the rejection network.

    Attributes:
        rejection_scorer: the rejection network, which classifies and moves every region.
        member_scorer: the members, without a rejection network of their own.
        min_probability: lowest probability of a class with which the rejection network calls a region promising.
        representative_iou: largest Jaccard index (IoU), in [0, 1], of two representatives.
        representative_min_probability: lowest probability of a class with which a representative reaches the members.
            Its whole group keeps the rejection network's probabilities otherwise.
    """

    rejection_scorer: SharedRegionScorer
    member_scorer: CroppedRegionScorer
    min_probability: float
    representative_iou: float
    representative_min_probability: float

    @property
    def network_names(self) -> tuple[str, ...]:
        """Names of the networks, the rejection network before the members."""
        return ("rejection network", *self.member_scorer.network_names)

    @property
    def shared_scorer(self) -> SharedRegionScorer:
        """The rejection network, whose feature maps MultiBox reads."""
        return self.rejection_scorer

    def describe(self) -> str:
        """Returns one phrase that describes the networks, for the screen."""
        return f"{self.member_scorer.describe()}, behind a network that shares the feature maps of the photo"

    def with_thresholds(self, thresholds: Thresholds) -> "SharedCascadeScorer":
        """Returns the same networks with another `min_probability`; there is no half-resolution stage."""
        return replace(self, min_probability=thresholds.min_probability)

    def prepare(self) -> None:
        """Begins to make the networks ready in another thread; see `RegionScorer`."""
        self.rejection_scorer.prepare()
        self.member_scorer.prepare()

    def __call__(self, image: Image, boxes: np.ndarray) -> ScoredRegions:
        """Classifies the regions of one photo; see `RegionScorer`."""
        everywhere = self.rejection_scorer(image, boxes)
        groups = group_regions(everywhere.scores, self.min_probability, self.representative_iou)
        groups = groups.from_probability(everywhere.scores, self.representative_min_probability)
        # the members see a crop of one region of each group
        members = self.member_scorer(image, everywhere.scores.boxes[groups.representatives])
        # rows of regions that no member sees are those of the rejection network: [1 + M, R, C]
        by_network = np.repeat(everywhere.scores.probabilities[None], len(self.network_names), axis=0)
        assert members.scores.by_network is not None
        by_network[1:, groups.rows] = members.scores.by_network[:, groups.groups]
        # members that have a box regressor move what they see
        moved = everywhere.scores.boxes.copy()
        moved[groups.representatives] = members.scores.boxes
        seconds = added_seconds(everywhere.seconds, members.seconds)
        probabilities = everywhere.scores.probabilities.copy()
        probabilities[groups.rows] = (by_network[0, groups.rows] + by_network[1:, groups.rows].mean(axis=0)) / 2
        return ScoredRegions(RegionScores(moved, probabilities, by_network), seconds)


def group_regions(scores: RegionScores, min_probability: float, representative_iou: float) -> RegionGroups:
    """Groups promising regions by greedy non-maximum suppression over all classes together.

    Args:
        scores: the regions and their probabilities.
        min_probability: lowest probability of a class, in [0, 1], with which a region is promising.
        representative_iou: largest Jaccard index, in [0, 1], of two representatives. A region joins the representative
            that it overlaps most.
    """
    best = scores.probabilities.max(axis=1, initial=0)
    rows = np.flatnonzero(best >= min_probability)
    # most probable first, as NMS expects them; equal ones in the order of the proposals
    rows = rows[np.argsort(-best[rows], kind="stable")]
    representatives = rows[nms(scores.boxes[rows], representative_iou)]
    # nothing overlaps nothing
    if len(rows) == 0:
        return RegionGroups(rows, representatives, np.zeros(0, np.int64))
    groups = box_iou(scores.boxes[rows], scores.boxes[representatives]).argmax(axis=1)
    return RegionGroups(rows, representatives, groups)
