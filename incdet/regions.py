"""Image + boxes -> crops [R, 3, 224, 224] on the device: R-CNN's warp with context and mean fill."""

from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from incdet.networks.weights_record import Preprocessing
from incdet.ops.crop_kernels import sample_crops_on_cpu
from incdet.ops.crops import sample_crops
from incdet.runtime.threads import split_among_threads
from incdet.structures import Image

MIN_CROPS_PER_THREAD = 4
"""With fewer crops, handing them to a thread takes longer than the thread saves."""


class RegionCropper:
    """Cuts warped regions out of one image, which stays on the device.

    Each box is enlarged so that it fills all but `context` pixels on every side of the crop, then warped to the crop's
    square whatever its shape (R-CNN report, appendix A; p = 16 at 227, so 224 / 192 here). Outside the image the crop
    holds the mean colour, zero after the mean is subtracted. Inside, samples are bilinear and clamped at the border,
    which is R-CNN's "clip, resize, paste" without rounding to whole pixels. Where samples would lie two pixels apart or
    more, they are read from a halved image (quartered, ...), because bilinear samples would alias.

    Args:
        image: the photo.
        preprocessing: mean, scale, crop size and context, as the network was trained with.
        device: the device that holds the photo and makes the crops.

    Attributes:
        preprocessing, device: the arguments.
        width, height: size of the photo in pixels.
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
        """Preprocessed crops of boxes.

        Args:
            boxes: [N, 4] float32, xyxy pixels; may reach outside the image.
            flipped: [N] bool, the crops that are mirrored; None mirrors none.
            context: pixels on every side of a crop, at full size, that show what surrounds the box; None is that of
                the preprocessing.
            shrink: factor by which a crop has fewer samples along each side; it shows the same part of the photo.
            out: [N, 3, S, S] float32 on the device, where the crops are written; None takes new memory.

        Returns:
            [N, 3, S, S] float32, S being the preprocessing's size divided by `shrink`.
        """
        context = self.preprocessing.context if context is None else context
        size = self.preprocessing.size // shrink
        shape = (len(boxes), 3, size, size)
        crops = torch.empty(shape, device=self.device) if out is None else out
        assert crops.shape == shape, f"out must be {list(shape)}, got {list(crops.shape)}"
        enlarged = self._enlarged(boxes, context)
        levels = self._levels_of(enlarged, size)
        boxes_unit = (enlarged / np.array([self.width, self.height] * 2)).astype(np.float32)
        if flipped is not None:
            # left and right side exchanged
            boxes_unit[flipped] = boxes_unit[flipped][:, [2, 1, 0, 3]]
        rows = torch.from_numpy(boxes_unit).to(self.device)
        for level in np.unique(levels):
            planes, chosen = self._level(int(level)), np.flatnonzero(levels == level)
            if self.device.type == "cpu":
                arrays = planes[0].numpy(), rows.numpy(), crops.numpy()
                split_among_threads(partial(_sample_some, *arrays, chosen), len(chosen), MIN_CROPS_PER_THREAD)
            else:
                own = torch.from_numpy(chosen).to(self.device)
                crops[own] = sample_crops(planes, rows[own], size)
        return crops

    def _enlarged(self, boxes: np.ndarray, context: int) -> np.ndarray:
        """Boxes with what surrounds them, [N, 4] float64, xyxy pixels of the image."""
        size = self.preprocessing.size
        # in float64 no sum of two float32 overflows
        low, high = np.split(boxes.astype(np.float64), 2, axis=1)
        half, center = (high - low) / 2 * (size / (size - 2 * context)), (low + high) / 2
        return np.concatenate([center - half, center + half], axis=1)

    def _levels_of(self, enlarged: np.ndarray, size: int) -> np.ndarray:
        """How often the image is halved before each box is sampled, [N] int64."""
        sides = (enlarged[:, 2:] - enlarged[:, :2]).max(axis=1, initial=1)
        # a strip of few pixels cannot be halved as often as its length asks for
        max_level = int(np.log2(min(self.width, self.height)))
        return np.floor(np.log2(np.maximum(sides / size, 1))).clip(max=max_level).astype(int)

    def _level(self, level: int) -> Tensor:
        """The image halved `level` times, [1, 3, H, W] float32, made when it is first needed."""
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


def _sample_some(
    planes: np.ndarray, boxes_unit: np.ndarray, crops: np.ndarray, chosen: np.ndarray, some: slice
) -> None:
    """The share of one thread."""
    sample_crops_on_cpu(planes, boxes_unit, chosen[some], crops)
