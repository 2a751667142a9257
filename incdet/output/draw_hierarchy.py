"""A picture of selective search at work: superpixels, a hierarchy at several heights, the best proposals."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from incdet.config.sections import SelectiveSearchConfig
from incdet.output.draw import draw_proposals
from incdet.proposers.selective_search import SOURCE, Grouping, group_all, make_frame
from incdet.structures import Image, Proposals

_PANEL_WIDTH = 360
_MAX_PANEL_HEIGHT = 720
_CAPTION_HEIGHT = 24
_LEVELS = (64, 16, 4)
"""Numbers of regions left at which the hierarchy is shown."""

_MAX_SHOWN = 30
"""Number of best proposals that are drawn."""


def draw_hierarchy(image: Image, proposals: Proposals, config: SelectiveSearchConfig) -> np.ndarray:
    """Draws two rows of four panels.

    The first row has the photo, the first and the last segmentation in their superpixels' mean colours, and the best
    proposals. The second row has the first hierarchy of the first segmentation with 64, 16 and 4 regions left, and the
    boxes of its merges.

    Args:
        image: The photo.
        proposals: Its proposals.
        config: The settings of selective search that made them.

    Returns:
        [H, W, 3] uint8 RGB.
    """
    frame = make_frame(image, config.width)
    groupings = group_all(frame, config)
    first, hierarchy = groupings[0], groupings[0].hierarchies[0]
    proposals = proposals[proposals.sources == SOURCE]
    best = draw_proposals(image, proposals, _MAX_SHOWN)
    panels = [("the photo", frame), _superpixels(frame, first), _superpixels(frame, groupings[-1])]
    panels.append((f"the best {min(_MAX_SHOWN, len(proposals))} of {len(proposals)} proposals", best))
    for num_regions in _LEVELS:
        labels = hierarchy.cut(num_regions)[first.labels]
        panels.append((f"{len(np.unique(labels))} regions left", mean_colors(frame, labels)))
    # the first rows of the hierarchy are superpixels, the others merges; the last merge, the whole photo, ranks first
    merged = hierarchy.boxes[len(hierarchy.merges) + 1 :][::-1].astype(np.float32)
    scores = np.linspace(1, 0, len(merged), dtype=np.float32)
    boxes = Proposals(merged, scores, np.full(len(merged), "hierarchy"))
    panels.append((f"boxes of its {len(merged)} merges", draw_proposals(Image(frame), boxes, len(merged))))
    size = _panel_size(frame)
    pictures = [_panel(caption, pixels, size) for caption, pixels in panels]
    return np.concatenate([np.concatenate(pictures[:4], axis=1), np.concatenate(pictures[4:], axis=1)])


def mean_colors(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns an image with every region in its mean colour and borders in white.

    Args:
        pixels: [H, W, 3] uint8.
        labels: [H, W] int, region of each pixel.

    Returns:
        [H, W, 3] uint8.
    """
    # number the regions 0, 1, 2, ... so that sums of pixels can be counted per region
    _, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    numbers = numbers.reshape(-1)
    sums = [np.bincount(numbers, channel.reshape(-1)) for channel in np.moveaxis(pixels, 2, 0)]
    out = (np.stack(sums, axis=1) / counts[:, None]).astype(np.uint8)[numbers].reshape(pixels.shape)
    out[:, 1:][labels[:, 1:] != labels[:, :-1]] = 255
    out[1:][labels[1:] != labels[:-1]] = 255
    return out


def _superpixels(frame: np.ndarray, grouping: Grouping) -> tuple[str, np.ndarray]:
    num_superpixels = int(grouping.labels.max()) + 1
    caption = f"{grouping.color_space}, k = {grouping.k:g}: {num_superpixels} superpixels"
    return caption, mean_colors(frame, grouping.labels)


def _panel_size(frame: np.ndarray) -> tuple[int, int]:
    """Returns width and height of a panel; narrow photos are shrunk until a screen can show them."""
    height, width = frame.shape[:2]
    scale = min(_PANEL_WIDTH / width, _MAX_PANEL_HEIGHT / height)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _panel(caption: str, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns a picture in the middle of its panel, with the caption above it."""
    panel = PIL.Image.new("RGB", (_PANEL_WIDTH + 8, size[1] + _CAPTION_HEIGHT + 4), "white")
    PIL.ImageDraw.Draw(panel).text((6, 3), caption, "black", PIL.ImageFont.load_default(15))
    panel.paste(PIL.Image.fromarray(pixels).resize(size), (4 + (_PANEL_WIDTH - size[0]) // 2, _CAPTION_HEIGHT))
    return np.array(panel)
