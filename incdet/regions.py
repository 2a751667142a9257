"""Image + boxes -> crops [R, 3, 224, 224] on the device: R-CNN's warp with context and mean fill."""

from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from incdet.networks.weights import Preprocessing
from incdet.runtime.compilation import kernel
from incdet.runtime.threads import split_among_threads
from incdet.structures import Image

THREAD_CROPS = 4
"""A thread is not worth starting for fewer."""


class RegionCropper:
    """Cuts warped regions out of one image that stays on the device.

    Each box is enlarged so that it fills all but `context` pixels on every side of the crop, then warped to the crop's
    square whatever its shape (R-CNN report, appendix A; p = 16 at 227, so 224 / 192 here). Outside the image the crop
    holds the mean colour, zero after the mean is subtracted. Inside, samples are bilinear and clamped at the border,
    which is R-CNN's "clip, resize, paste" without rounding to whole pixels. Where samples would lie two pixels apart or
    more, they are read from a halved image (quartered, ...), because bilinear samples would alias.
    """

    def __init__(self, image: Image, preprocessing: Preprocessing, device: torch.device):
        self.preprocessing = preprocessing
        self.device = device
        self.width, self.height = image.width, image.height
        self._pixels = image.pixels
        self._levels: list[Tensor] = []

    def crop(
        self,
        boxes: np.ndarray,
        flipped: np.ndarray | None = None,
        context: int | None = None,
        shrink: int = 1,
        out: Tensor | None = None,
    ) -> Tensor:
        """Preprocessed crops [N, 3, size / shrink, size / shrink] float32 of boxes [N, 4], xyxy pixels.

        Args:
            boxes: [N, 4] float32, xyxy pixels; may reach outside the image.
            flipped: [N] bool: crops that are mirrored.
            context: pixels on every side of a crop, at full size, that show what surrounds the box; None is that of
                the preprocessing.
            shrink: what the crops show stays the same, with so many times fewer samples along each side.
            out: of that shape and type, on the device: where the crops are written; None is new memory.
        """
        context = self.preprocessing.context if context is None else context
        size = self.preprocessing.size // shrink
        shape = (len(boxes), 3, size, size)
        crops = torch.empty(shape, device=self.device) if out is None else out
        assert crops.shape == shape, f"out must be {list(shape)}, got {list(crops.shape)}"
        enlarged = self._enlarged(boxes, context)
        sides = (enlarged[:, 2:] - enlarged[:, :2]).max(axis=1, initial=1)
        # a strip of few pixels cannot be halved as often as its length asks for
        most = int(np.log2(min(self.width, self.height)))
        levels = np.floor(np.log2(np.maximum(sides / size, 1))).clip(max=most).astype(int)
        shares = (enlarged / np.array([self.width, self.height] * 2)).astype(np.float32)
        if flipped is not None:
            shares[flipped] = shares[flipped][:, [2, 1, 0, 3]]
        rows = torch.from_numpy(shares).to(self.device)
        for level in np.unique(levels):
            planes, chosen = self._level(int(level)), np.flatnonzero(levels == level)
            if self.device.type == "cpu":
                arrays = planes[0].numpy(), rows.numpy(), crops.numpy()
                split_among_threads(partial(_sample_some, *arrays, chosen), len(chosen), THREAD_CROPS)
            else:
                own = torch.from_numpy(chosen).to(self.device)
                crops[own] = sample(planes, rows[own], size)
        return crops

    def _enlarged(self, boxes: np.ndarray, context: int) -> np.ndarray:
        """Boxes with what surrounds them, in pixels of the image."""
        size = self.preprocessing.size
        low, high = np.split(boxes.astype(np.float64), 2, axis=1)  # in which no sum of float32 overflows
        half, center = (high - low) / 2 * (size / (size - 2 * context)), (low + high) / 2
        return np.concatenate([center - half, center + half], axis=1)

    def _level(self, level: int) -> Tensor:
        """The image halved `level` times, made when first needed."""
        if not self._levels:
            pixels = torch.tensor(self._pixels, device=self.device)
            planes = torch.empty(1, 3, self.height, self.width, device=self.device)
            # in place: of a photo of 100 megapixels every copy takes 1.2 GB
            for plane, channel, mean in zip(planes[0], pixels.unbind(2), self.preprocessing.mean, strict=True):
                torch.sub(channel, mean, out=plane).mul_(self.preprocessing.scale)
            self._levels.append(planes)
        while len(self._levels) <= level:
            self._levels.append(F.interpolate(self._levels[-1], scale_factor=0.5, mode="area"))
        return self._levels[level]


def sample(planes: Tensor, enlarged: Tensor, size: int) -> Tensor:
    """Bilinear samples [N, 3, size, size] of planes [1, 3, H, W]; zero outside, on any device.

    Args:
        planes: of the image.
        enlarged: [N, 4] boxes in shares of the image; left and right may be exchanged.
        size: of the crops.
    """
    steps = (torch.arange(size, device=planes.device) + 0.5) / size
    x = enlarged[:, 0:1] + (enlarged[:, 2:3] - enlarged[:, 0:1]) * steps
    y = enlarged[:, 1:2] + (enlarged[:, 3:4] - enlarged[:, 1:2]) * steps
    count = len(enlarged)
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=3)
    # expanded, not copied: every crop reads the same photo, and the threads share the crops
    photo = planes.expand(count, -1, -1, -1)
    crops = F.grid_sample(photo, grid * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)
    inside_x = ((x >= 0) & (x < 1))[:, None, None, :]
    inside_y = ((y >= 0) & (y < 1))[:, None, :, None]
    return crops * inside_x * inside_y


def _sample_some(planes: np.ndarray, enlarged: np.ndarray, crops: np.ndarray, chosen: np.ndarray, some: slice) -> None:
    _sample_on_cpu(planes, enlarged, chosen[some], crops)


@kernel
def _taps(low: float, high: float, length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, int]:
    """Along one side: the two pixels that each sample lies between, the second one's weight, which samples are inside.

    Args:
        low: where the crop starts, in shares of the image's side.
        high: where it ends.
        length: of that side, in pixels.
        size: of the crop.

    Returns:
        Three arrays [size], and the first sample inside the image with the one after the last.
    """
    # unsigned, so that no index can count from the end, and none is checked for it
    first, second, weight = np.empty(size, np.uint32), np.empty(size, np.uint32), np.empty(size, np.float32)
    start, stop = size, 0
    for index in range(size):
        share = low + (high - low) * ((index + 0.5) / size)
        position = min(max(share * length - 0.5, 0.0), length - 1.0)
        first[index] = int(position)
        second[index] = min(first[index] + 1, length - 1)
        weight[index] = position - first[index]
        if 0 <= share < 1:
            start, stop = min(start, index), index + 1
    return first, second, weight, start, stop


@kernel
def _sample_on_cpu(planes: np.ndarray, enlarged: np.ndarray, chosen: np.ndarray, crops: np.ndarray) -> None:
    """`sample` of planes [3, H, W] into the chosen ones of crops [N, 3, size, size].

    Along x first, once for every row of the image that is needed: crops usually enlarge.
    """
    size, height, width = crops.shape[2], planes.shape[1], planes.shape[2]
    rows = np.empty((2, 3, size), np.float32)  # the last even one and the last odd one: samples lie between neighbours
    held = np.empty(2, np.int64)
    for number in chosen:
        left, right, across, start, stop = _taps(enlarged[number, 0], enlarged[number, 2], width, size)
        top, bottom, down, upper, lower = _taps(enlarged[number, 1], enlarged[number, 3], height, size)
        left, right, across = left[start:stop], right[start:stop], across[start:stop]
        crop, held[:] = crops[number], -1
        crop[:, :upper], crop[:, lower:], crop[:, :, :start], crop[:, :, stop:] = 0, 0, 0, 0
        for y in range(upper, lower):
            for row in (top[y], bottom[y]):
                if held[row % 2] != row:
                    held[row % 2] = row
                    _sample_row(planes, row, left, right, across, rows[row % 2])
            for channel in range(3):
                above, below = rows[top[y] % 2, channel], rows[bottom[y] % 2, channel]
                _blend(above, below, down[y], crop[channel, y, start:stop])


@kernel
def _sample_row(
    planes: np.ndarray, row: int, left: np.ndarray, right: np.ndarray, across: np.ndarray, out: np.ndarray
) -> None:
    """Samples out [3, :len(left)] of a row of planes [3, H, W]."""
    for x in range(len(left)):
        for channel in range(3):
            value = planes[channel, row, left[x]]
            out[channel, x] = value + (planes[channel, row, right[x]] - value) * across[x]


@kernel
def _blend(above: np.ndarray, below: np.ndarray, weight: float, out: np.ndarray) -> None:
    for x in range(len(out)):
        out[x] = above[x] + (below[x] - above[x]) * weight
