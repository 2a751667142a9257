"""The regions of several photos classified one photo after the other, or in shared batches where that pays off."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from incdet.pipeline.batching import score_across_photos
from incdet.pipeline.cropped_regions import CroppedRegionScorer
from incdet.scores import RegionScorer, ScoredRegions
from incdet.structures import Image


def score_photos(
    scorer: RegionScorer, device: torch.device, photos: Iterable[tuple[Image, np.ndarray]]
) -> Iterator[ScoredRegions]:
    """Classifies the regions of photos, and yields the result of each in order.

    Args:
        scorer: Classifies regions.
        device: Device of its networks. On a GPU, crops of several photos share batches; a CPU computes few regions at
            a time, whatever the batch, so there each photo is done before the next one is taken.
        photos: A photo and its regions [R, 4] float32, xyxy pixels, for each; read as the results are consumed.
    """
    if device.type == "cuda" and isinstance(scorer, CroppedRegionScorer):
        yield from score_in_shared_batches(scorer, photos)
        return
    for image, boxes in photos:
        yield scorer(image, boxes)


def score_in_shared_batches(
    scorer: CroppedRegionScorer, photos: Iterable[tuple[Image, np.ndarray]]
) -> Iterator[ScoredRegions]:
    """Classifies crops of several photos in batches that they share; see `score_photos`."""
    regions = ((scorer.cropper(image), boxes) for image, boxes in photos)
    for scored in score_across_photos(regions, scorer.cascade, scorer.batch_size):
        yield scored.scored()
