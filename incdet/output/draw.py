"""Drawing of proposals into photos."""

import numpy as np

from incdet.ops.drawing import draw_boxes_by_rank
from incdet.structures import Image, Proposals

_MAX_SHOWN = 100


def draw_proposals(image: Image, proposals: Proposals, max_shown: int = _MAX_SHOWN) -> np.ndarray:
    """Returns the photo [H, W, 3] uint8 RGB with the boxes of the best proposals, from yellow (best) to blue.

    Args:
        image: The photo.
        proposals: Its proposals, best first.
        max_shown: Number of proposals that are drawn, default 100.
    """
    return draw_boxes_by_rank(image.pixels, proposals.boxes[:max_shown])
