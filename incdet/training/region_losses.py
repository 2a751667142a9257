"""The losses of regions on shared features: classes and box deltas learnt together (Fast R-CNN)."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from incdet.training.shared_network import DELTA_SCALE, RegionOutputs


class RegionLosses(NamedTuple):
    """The losses of R regions of each of B photos.

    Attributes:
        cross_entropy: [B, R] float32, over the classes and background.
        box: [B, R] float32, smooth L1 distance of the box deltas, summed over the four; 0 where they are not learnt.
    """

    cross_entropy: Tensor
    box: Tensor


@dataclass(frozen=True, eq=False)
class RegionLessons:
    """What R regions of each of B photos teach.

    Attributes:
        targets: [B, R, C + 1] float32, probabilities of the classes and, last, of background.
        box_deltas: [B, R, 4] float32, from the regions to the boxes of their objects.
        teaches_box: [B, R] bool, whether the box deltas are learnt.
        box_loss_weight: weight of the loss of the box deltas.
    """

    targets: Tensor
    box_deltas: Tensor
    teaches_box: Tensor
    box_loss_weight: float

    def chosen(self, rows: Tensor | None) -> "RegionLessons":
        """Returns what the regions of these numbers [B, K] teach; None is all regions."""
        if rows is None:
            return self
        return RegionLessons(
            _gather(self.targets, rows),
            _gather(self.box_deltas, rows),
            self.teaches_box.gather(1, rows),
            self.box_loss_weight,
        )

    def losses(self, outputs: RegionOutputs) -> RegionLosses:
        """Computes the losses of these regions."""
        logits = outputs.logits.flatten(0, 1)
        cross_entropy = F.cross_entropy(logits, self.targets.flatten(0, 1), reduction="none")
        wanted = self.box_deltas / self.box_deltas.new_tensor(DELTA_SCALE)
        distances = F.smooth_l1_loss(outputs.box_deltas, wanted, reduction="none").sum(dim=2)
        return RegionLosses(
            cross_entropy.reshape(self.teaches_box.shape), self.box_loss_weight * distances * self.teaches_box
        )

    def hardest(self, outputs: RegionOutputs, number: int) -> Tensor:
        """Finds the regions of every photo with the highest losses (Shrivastava et al. 2016).

        Args:
            outputs: the outputs for all regions.
            number: number of regions of a photo that are wanted, K.

        Returns:
            [B, K] int64, ascending numbers of regions.
        """
        losses = self.losses(outputs)
        return (losses.cross_entropy + losses.box).topk(number, dim=1).indices.sort(dim=1).values


def _gather(values: Tensor, rows: Tensor) -> Tensor:
    """[B, R, K] at regions [B, L] -> [B, L, K]."""
    return values.gather(1, rows[:, :, None].expand(-1, -1, values.shape[2]))
