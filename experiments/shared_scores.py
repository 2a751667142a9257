"""Region scores by one network for shared features under several settings, each stored when it is first computed."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from incdet.config.sections import Config, ProposalsConfig
from incdet.errors import WeightsError
from incdet.networks.engines.selection import Engine, check_shared_features
from incdet.networks.ensemble import Member
from incdet.networks.pretrained import load_pretrained
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import fingerprint
from incdet.networks.weights import load_record
from incdet.ops.boxes import flip_boxes
from incdet.pipeline.proposal_cache import image_key
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.runtime.device import choose_batch_size, choose_device
from incdet.runtime.files import load_arrays, save_arrays
from incdet.runtime.provenance import versions
from incdet.structures import Image, Proposals, RegionScores


class SharedSettings(Config):
    """The settings of a detector, and two more that are only compared.

    Attributes:
        region_side: Side of a region with its context at which the network sees it, in pixels of the resized photo.
            None takes that of the weights.
        mirrored: Whether the answers about a photo and about its mirror image are averaged.
    """

    region_side: float | None = None
    mirrored: bool = False


@dataclass(frozen=True, eq=False)
class _Network:
    """The network as an engine computes it.

    Attributes:
        member: the network, ready to compute.
        engine: engine, precision and device, in words.
    """

    member: Member
    engine: str


@dataclass(frozen=True)
class _Scoring:
    """Everything that decides the outputs of the network for given regions of a photo.

    Attributes:
        engine: engine and precision, in words.
        photo_sides: lengths of the photo's shorter side, in pixels.
        region_side: side of a region, in pixels of the resized photo.
        rounds: number of times that promising regions are classified.
        round_min_probability: lowest probability with which a region takes part in another round.
        region_iou: largest Jaccard index of two regions that are classified.
        is_mirrored: whether the mirror image of the photo is scored.
    """

    engine: str
    photo_sides: tuple[int, ...]
    region_side: float
    rounds: int
    round_min_probability: float
    region_iou: float
    is_mirrored: bool


class SharedScores:
    """The region scores of photos by one network, under any settings.

    Args:
        weights: name or file of weights for shared features.
        folder: folder that keeps the scores.

    Raises:
        WeightsError: the weights are missing or damaged, or were trained on crops.
    """

    def __init__(self, weights: str, folder: Path) -> None:
        self.file, self.folder = find_weights(weights), folder
        self.record = load_record(self.file)
        if self.record.features != "shared":
            raise WeightsError(f"{weights} was trained on crops; give weights that were trained on shared features")
        self._fingerprint = fingerprint(self.file)
        self._networks: dict[str, _Network] = {}

    def __call__(self, settings: SharedSettings, image: Image, proposals: Proposals) -> RegionScores:
        """Returns the scores of a photo's regions, computed now or at an earlier time.

        Args:
            settings: the settings.
            image: the photo.
            proposals: its regions.
        """
        scores = self._stored(settings, image, proposals, is_mirrored=False)
        if settings.mirrored:
            mirrored = self._stored(settings, image, proposals, is_mirrored=True)
            scores = mirrored_mean(scores, mirrored, image.width)
        if not settings.scores.box_deltas:
            scores = RegionScores(proposals.boxes, scores.probabilities)
        return scores

    def _stored(self, settings: SharedSettings, image: Image, proposals: Proposals, is_mirrored: bool) -> RegionScores:
        """The scores of a photo or, with the boxes as they lie there, of its mirror image."""
        network = self._network(settings)
        scoring = self._scoring(settings, network, is_mirrored)
        # the name of the folder tells everything but the photo that decides the scores
        file = self.folder / self._key(settings.proposals, scoring) / f"{image_key(image)}.npz"
        arrays = load_arrays(file, "boxes", "probabilities")
        if arrays is None:
            boxes = proposals.boxes
            if is_mirrored:
                image, boxes = mirror_image(image), flip_boxes(boxes, image.width)
            scores = self._scorer(settings, network, scoring)(image, boxes).scores
            arrays = {"boxes": scores.boxes, "probabilities": scores.probabilities}
            save_arrays(file, **arrays)
        return RegionScores(arrays["boxes"], arrays["probabilities"])

    def _network(self, settings: SharedSettings) -> _Network:
        """The network for the engine and the precision of the settings, loaded once."""
        key = f"{settings.device} {settings.scores.engine} {settings.scores.precision}"
        if key not in self._networks:
            # the box deltas are always computed; settings without them leave the boxes in their places
            loaded = load_pretrained(self.file, settings.scores.model_copy(update={"box_deltas": True}))
            check_shared_features(loaded.network)
            device = choose_device(settings.device)
            engine = Engine(settings.scores, device, [loaded.network])
            prepared = engine.prepare(loaded.network)
            backend = engine.backend(prepared, loaded.activation_ranges)
            member = Member(prepared, backend, self.record.preprocessing.context)
            self._networks[key] = _Network(member, f"{engine.describe()}, {device.type}")
        return self._networks[key]

    def _scoring(self, settings: SharedSettings, network: _Network, is_mirrored: bool) -> _Scoring:
        """The settings that decide the scores, those of the weights where none are given."""
        scores, preprocessing = settings.scores, self.record.preprocessing
        return _Scoring(
            network.engine,
            scores.photo_sides or preprocessing.photo_sides,
            settings.region_side or preprocessing.region_side,
            # without box deltas a second round would see the same boxes again
            scores.rounds if scores.box_deltas else 1,
            scores.round_min_probability,
            scores.region_iou,
            is_mirrored,
        )

    def _scorer(self, settings: SharedSettings, network: _Network, scoring: _Scoring) -> SharedRegionScorer:
        """The product's scorer with these settings."""
        device = choose_device(settings.device)
        return SharedRegionScorer(
            [network.member],
            self.record.preprocessing.model_copy(update={"region_side": scoring.region_side}),
            scoring.photo_sides,
            device,
            choose_batch_size(settings.scores.batch_size, device),
            scoring.rounds,
            scoring.round_min_probability,
            scoring.region_iou,
        )

    def _key(self, proposals: ProposalsConfig, scoring: _Scoring) -> str:
        description = {
            "versions": versions(),
            "weights": self._fingerprint,
            "proposals": proposals.model_dump(mode="json"),
            "scoring": asdict(scoring),
        }
        return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]


def mirror_image(image: Image) -> Image:
    """Returns the mirror image of a photo."""
    return Image(np.ascontiguousarray(image.pixels[:, ::-1]), image.name)


def mirrored_mean(scores: RegionScores, mirrored: RegionScores, width: int) -> RegionScores:
    """Averages the answers about the regions of a photo and about the same regions of its mirror image.

    Args:
        scores: the scores of the photo's R regions.
        mirrored: the scores of the same regions in the mirror image, with boxes as they lie there.
        width: width of the photo, in pixels.

    Returns:
        The mean probabilities and the mean boxes, in the photo.
    """
    boxes = (scores.boxes + flip_boxes(mirrored.boxes, width)) / 2
    return RegionScores(boxes, (scores.probabilities + mirrored.probabilities) / 2)
