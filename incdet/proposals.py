"""Image -> proposals: run the proposers, join what they found, leave out near-duplicates."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from incdet.config.sections import ProposalsConfig, ScoresConfig
from incdet.images import ImageSource, read_image
from incdet.networks.record_files import load_multibox_record
from incdet.networks.shipped_weights import find_weights
from incdet.ops.boxes import box_iou
from incdet.proposers import selective_search
from incdet.proposers.photo_crops import PhotoCropper
from incdet.structures import Image, Proposals

if TYPE_CHECKING:
    from incdet.networks.photo_levels import PhotoLevels
    from incdet.proposers.multibox_proposer import MultiBoxProposer
    from incdet.proposers.shared_multibox_proposer import SharedMultiBoxProposer

Method = Literal["selective_search", "multibox"]


class Proposers:
    """The proposers that a configuration names, their networks loaded once.

    Args:
        config: the methods and their settings.
        device: "auto", "cpu" or "cuda", which computes networks.
        photo_levels: computes feature maps of photos for the classification of regions, too; a MultiBox that was
            trained on such feature maps reads them. None where nobody else needs any.
        scores: engine and precision of a network that is loaded for its feature maps; None is the default.

    Attributes:
        config: the methods and their settings.
        scores: engine and precision, as given.
        files: the files of weights that the proposers use.

    Raises:
        WeightsError: a network's weights are missing, damaged or of another kind.
        ConfigurationError: the device is not there.
    """

    def __init__(
        self,
        config: ProposalsConfig,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        photo_levels: "PhotoLevels | None" = None,
        scores: ScoresConfig | None = None,
    ):
        self.config, self.scores = config, scores
        self._multibox = _load_multibox(config, device, photo_levels, scores) if "multibox" in config.methods else None
        self.files: tuple[Path, ...] = () if self._multibox is None else self._multibox.files
        used_levels = getattr(self._multibox, "photo_levels", None)
        self._shared_levels = photo_levels if used_levels is photo_levels else None

    @property
    def shares_features(self) -> bool:
        """Whether MultiBox reads feature maps that the classification of regions needs, too."""
        return self._shared_levels is not None

    @property
    def photo_cropper(self) -> PhotoCropper | None:
        """Cuts the photo crops that MultiBox sees, which other processes can do ahead; None where it sees none."""
        return None if self._multibox is None else self._multibox.photo_cropper

    def __call__(self, image: Image, num_threads: int | None = None) -> Proposals:
        """All proposals of an image, at most `config.limit`.

        Args:
            image: the photo.
            num_threads: number of threads of selective search; None is one for each core.
        """
        return self.join({method: self.propose_by(method, image, num_threads) for method in self.config.methods})

    def propose_by(
        self, method: Method, image: Image, num_threads: int | None = None, photo_crops: np.ndarray | None = None
    ) -> Proposals:
        """The proposals of one method, best first.

        Args:
            method: one of the configuration's methods.
            image: the photo.
            num_threads: number of threads of selective search; None is one for each core.
            photo_crops: crops that `photo_cropper` has cut already; None cuts them now.
        """
        if method == "selective_search":
            return selective_search.propose(image, self.config.selective_search, num_threads)
        assert method == "multibox"
        assert self._multibox is not None
        return self._multibox(image, photo_crops)

    def shared_seconds(self, image: Image) -> float:
        """Returns the time that feature maps of a photo have taken so far which its regions need, too."""
        return 0.0 if self._shared_levels is None else self._shared_levels.shared_seconds(image)

    def join(self, by_method: Mapping[Method, Proposals]) -> Proposals:
        """Joins what each method found, in the configured order, without near-duplicates, at most `config.limit`."""
        parts = [by_method[method] for method in self.config.methods]
        return merge_proposals(parts, self.config.duplicate_iou)[: self.config.limit]


def _load_multibox(
    config: ProposalsConfig,
    device: Literal["auto", "cpu", "cuda"],
    photo_levels: "PhotoLevels | None",
    scores: ScoresConfig | None,
) -> "MultiBoxProposer | SharedMultiBoxProposer":
    # torch takes seconds to load: only where a network proposes
    from incdet.proposers.multibox_proposer import MultiBoxProposer
    from incdet.proposers.shared_multibox_proposer import SharedMultiBoxProposer
    from incdet.runtime.device import choose_device

    # the weights say which feature maps they were trained on
    _, description = load_multibox_record(find_weights(config.multibox.weights))
    if description.form == "shared":
        return SharedMultiBoxProposer(config.multibox, choose_device(device), photo_levels, scores)
    return MultiBoxProposer(config.multibox, choose_device(device))


def propose(source: ImageSource, config: ProposalsConfig | None = None, num_threads: int | None = None) -> Proposals:
    """All proposals of one photo; for many photos, `Proposers` loads its networks once.

    Example:
        >>> import skimage.data
        >>> quick = ProposalsConfig(methods=("selective_search",), limit=5)
        >>> propose(skimage.data.chelsea(), quick).boxes.shape
        (5, 4)

    Args:
        source: a path, encoded bytes, an RGB or grey array, or an `Image`.
        config: the methods and their settings; None is the default, MultiBox and selective search.
        num_threads: number of threads of selective search; None is one for each core.

    Raises:
        ImageError: the photo cannot be read.
        WeightsError: a network's weights are missing, damaged or of another kind.
    """
    return Proposers(config or ProposalsConfig())(read_image(source), num_threads)


def merge_proposals(parts: list[Proposals], duplicate_iou: float = 1.0) -> Proposals:
    """Joins proposals of several sources, one after the other; each box keeps its source and score.

    Args:
        parts: proposals of each source, best first.
        duplicate_iou: largest Jaccard index that a box may have with a box of an earlier part; one that overlaps more,
            or is equal, is left out.
    """
    kept = parts[0]
    for part in parts[1:]:
        overlaps = box_iou(part.boxes, kept.boxes).max(axis=1, initial=0)
        # up to rounding, the overlap of equal boxes is 1
        new = part[(overlaps <= duplicate_iou) & (overlaps < 1 - 1e-9)]
        kept = Proposals(
            np.concatenate([kept.boxes, new.boxes]),
            np.concatenate([kept.scores, new.scores]),
            np.concatenate([kept.sources, new.sources]),
        )
    return kept
