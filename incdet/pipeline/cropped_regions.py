"""Regions classified by crops of their own, as in R-CNN and the paper."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from incdet.networks.weights_record import Preprocessing
from incdet.pipeline.cascade import Cascade, Thresholds
from incdet.regions import RegionCropper
from incdet.scores import ScoredRegions, score_regions
from incdet.structures import Image


@dataclass(frozen=True, eq=False)
class CroppedRegionScorer:
    """Cuts every region out of the photo and sends the crops through a cascade; see `RegionScorer`.

    Attributes:
        cascade: the networks in the order in which regions pass them.
        preprocessing: mean, scale and size of crops, shared by all networks, and the context of the first network.
        device: the device that computes.
        batch_size: largest number of regions that are classified at a time.
    """

    cascade: Cascade
    preprocessing: Preprocessing
    device: torch.device
    batch_size: int

    @property
    def network_names(self) -> Sequence[str]:
        """Names of the networks, the rejection network, if any, before the members."""
        return self.cascade.network_names

    @property
    def shared_scorer(self) -> None:
        """None: no feature maps of whole photos are computed, which MultiBox could read."""
        return None

    def __call__(self, image: Image, boxes: np.ndarray) -> ScoredRegions:
        """Classifies the regions of one photo; see `RegionScorer`."""
        return score_regions(self.cropper(image), boxes, self.cascade, self.batch_size).scored()

    def prepare(self) -> None:
        """Begins to make the networks ready in another thread; see `RegionScorer`."""
        self.cascade.prepare(self.preprocessing.size)

    def cropper(self, image: Image) -> RegionCropper:
        """Returns what cuts regions out of an image as the networks expect them."""
        return RegionCropper(image, self.preprocessing, self.device)

    def with_thresholds(self, thresholds: Thresholds) -> "CroppedRegionScorer":
        """Returns the same networks with other thresholds."""
        return replace(self, cascade=self.cascade.with_thresholds(thresholds))

    def describe(self) -> str:
        """Returns one phrase that describes the networks, for the screen."""
        return self.cascade.describe()
