"""Image + boxes -> crops [R, 3, 224, 224] on the device: R-CNN's warp with context and mean fill."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from incdet.networks.weights import Preprocessing
from incdet.structures import Image


class RegionCropper:
    """Cuts warped regions out of one image that stays on the device.

    Each box is enlarged so that it fills all but `context` pixels on every side of the crop, then warped to the crop's
    square whatever its shape (R-CNN report, appendix A; p = 16 at 227, so 224 / 192 here). Outside the image the crop
    holds the mean colour, zero after the mean is subtracted. Inside, samples are bilinear and clamped at the border,
    which is R-CNN's "clip, resize, paste" without rounding to whole pixels. Regions of 448 pixels and more are read
    from a halved image (quartered, ...), because bilinear samples that lie further apart would alias.
    """

    def __init__(self, image: Image, preprocessing: Preprocessing, device: torch.device):
        self.preprocessing = preprocessing
        self.device = device
        self.width, self.height = image.width, image.height
        pixels = torch.tensor(image.pixels, device=device)
        mean = torch.tensor(preprocessing.mean, device=device)
        planes = (pixels.float() - mean) * preprocessing.scale
        self._levels = [planes.permute(2, 0, 1).contiguous()[None]]

    def crop(self, boxes: np.ndarray, flipped: np.ndarray | None = None, shrink: int = 1) -> Tensor:
        """Preprocessed crops [N, 3, size / shrink, size / shrink] float32 of boxes [N, 4], xyxy pixels.

        Args:
            boxes: [N, 4] float32, xyxy pixels; may reach outside the image.
            flipped: [N] bool: crops that are mirrored.
            shrink: what the crops show stays the same, with so many times fewer samples along each side.
        """
        size = self.preprocessing.size // shrink
        crops = torch.empty(len(boxes), 3, size, size, device=self.device)
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=1)
        # a strip of few pixels cannot be halved as often as its length asks for
        most = int(np.log2(min(self.width, self.height)))
        levels = np.floor(np.log2(np.maximum(sides / size, 1))).clip(max=most).astype(int)
        rows = torch.from_numpy(self._enlarged(boxes, flipped)).to(self.device)
        for level in np.unique(levels):
            chosen = torch.from_numpy(np.flatnonzero(levels == level)).to(self.device)
            crops[chosen] = self._sample(int(level), rows[chosen], size)
        return crops

    def _enlarged(self, boxes: np.ndarray, flipped: np.ndarray | None) -> np.ndarray:
        """Boxes with their context, in shares of the image; mirrored ones have their left and right exchanged."""
        size, context = self.preprocessing.size, self.preprocessing.context
        half = (boxes[:, 2:] - boxes[:, :2]) / 2 * (size / (size - 2 * context))
        center = (boxes[:, :2] + boxes[:, 2:]) / 2
        enlarged = np.concatenate([center - half, center + half], axis=1)
        enlarged = (enlarged / np.array([self.width, self.height] * 2)).astype(np.float32)
        if flipped is not None:
            enlarged[flipped] = enlarged[flipped][:, [2, 1, 0, 3]]
        return enlarged

    def _sample(self, level: int, enlarged: Tensor, size: int) -> Tensor:
        planes = self._level(level)
        steps = (torch.arange(size, device=self.device) + 0.5) / size
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

    def _level(self, level: int) -> Tensor:
        """The image halved `level` times, made when first needed."""
        while len(self._levels) <= level:
            self._levels.append(F.interpolate(self._levels[-1], scale_factor=0.5, mode="area"))
        return self._levels[level]
