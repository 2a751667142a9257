"""One hierarchy of selective search as plain values, from which a page draws any number of regions."""

import base64
from typing import Any

import numpy as np

from incdet.config.sections import SelectiveSearchConfig
from incdet.proposers.selective_search import group_all, make_frame
from incdet.structures import Image


def hierarchy_json(image: Image, config: SelectiveSearchConfig) -> dict[str, Any]:
    """Returns the first hierarchy of the first segmentation of a photo.

    Args:
        image: The photo.
        config: The strategies; the first colour space, similarity and k are taken.

    Returns:
        Width and height of the frame in pixels; "labels", the superpixel of each pixel row by row, as uint32 numbers of
        four bytes, the lowest byte first, in base64; "colors", the mean red, green and blue of each superpixel;
        "sizes", its number of pixels; "merges", the pairs of regions that merge, in order, where the merge m makes the
        region R + m of R superpixels; and the names of the strategy.
    """
    first = {"color_spaces": config.color_spaces[:1], "similarities": config.similarities[:1], "k": config.k[:1]}
    frame = make_frame(image, config.width)
    (grouping,) = group_all(frame, config.model_copy(update=first))
    labels = grouping.labels.reshape(-1)
    sizes = np.bincount(labels)
    # [R, 3]: mean colour of each superpixel
    sums = np.stack([np.bincount(labels, channel.reshape(-1)) for channel in np.moveaxis(frame, 2, 0)], axis=1)
    return {
        "width": frame.shape[1],
        "height": frame.shape[0],
        "labels": base64.b64encode(labels.astype("<u4").tobytes()).decode("ascii"),
        "colors": np.rint(sums / sizes[:, None]).astype(int).tolist(),
        "sizes": sizes.tolist(),
        "merges": grouping.hierarchies[0].merges.tolist(),
        "color_space": grouping.color_space,
        "similarity": config.similarities[0],
        "k": grouping.k,
    }
