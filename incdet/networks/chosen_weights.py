"""The weights of a detector or a classifier: which files they are, and whether they fit together.

Their records decide that, which are read without the tensors and without torch. So wrong weights are an error before
any network is loaded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from incdet.config.class_choice import find_classes
from incdet.config.sections import DISPLAY_THRESHOLD, Config, ProposalsConfig
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.common_classes import check_namer
from incdet.networks.engines.openvino_presence import check_openvino
from incdet.networks.record_files import load_classifier_record, load_multibox_record
from incdet.networks.shipped_weights import NAMING_NETWORK, find_weights, shipped_networks
from incdet.networks.weights_origin import ChosenWeights, origin_of
from incdet.networks.weights_record import (
    DetectorFeatures,
    WeightsRecord,
    check_finder,
    detector_features,
    same_classes,
    same_preprocessing,
)
from incdet.runtime.gpu_presence import refuse_missing_gpu

BY_THE_WEIGHTS, NONE = "auto", "none"
"""Values of `scores.finder` and `scores.namer` that name no weights: the one that belongs to the weights, and none."""


class CommonRecord(NamedTuple):
    """What the records of all networks of a detector have in common.

    Attributes:
        features: source of the feature maps of regions.
        class_names: the C classes that are found.
        display_threshold: lowest score of a detection that is shown, by the configuration or else by the first
            member's record.
    """

    features: DetectorFeatures
    class_names: tuple[str, ...]
    display_threshold: float


def choose_weights(weights: Sequence[str | Path], members: int | None, cascade: bool, config: Config) -> ChosenWeights:
    """Finds the files of a detector; see `Detector.from_pretrained`.

    Args:
        weights: names or files; none are the shipped networks.
        members: number of members of the shipped ensemble; None is all of them.
        cascade: whether the first of the weights is a rejection network.
        config: its `scores.features` choose among the shipped networks, its `scores.finder` the finder, and its
            `scores.namer` the namer.

    Raises:
        WeightsError: weights are missing, or their records name different finders.
        ConfigurationError: the choices exclude each other, or there are not that many members.
    """
    if weights and members is not None:
        raise ConfigurationError("members of the shipped ensemble and weights exclude each other; give one of them")
    if cascade and not weights:
        raise ConfigurationError(
            "the shipped networks are a cascade already, or need none; leave out cascade, or give weights"
        )
    scores = config.scores
    if weights:
        files = tuple(find_weights(name) for name in weights)
        finder = _choose_finder(files, cascade, scores.finder)
        return ChosenWeights(files, cascade, finder, _choose_namer(scores.namer, None, finder))
    if scores.finder not in (BY_THE_WEIGHTS, NONE):
        raise ConfigurationError(
            f"scores.finder is '{scores.finder}', but the shipped networks of VOC's classes need none; "
            "leave it out, or give weights that name other classes"
        )
    names = shipped_networks(scores.features, members)
    has_rejection_network = scores.features != "shared"
    # a rejection network on crops that passes every region on and moves none would only cost time
    is_idle = scores.min_probability == 0 and scores.half_resolution_min_probability == 0 and not scores.box_deltas
    if scores.features == "cropped" and is_idle:
        names, has_rejection_network = names[1:], False
    # the namer costs feature maps of its own, so what is chosen for speed or for the paper's sake goes without
    namer = _choose_namer(scores.namer, NAMING_NETWORK if scores.features == "auto" else None, None)
    return ChosenWeights(tuple(find_weights(name) for name in names), has_rejection_network, None, namer)


def _choose_finder(files: Sequence[Path], cascade: bool, wanted: str) -> Path | None:
    """Finds the file of the finder that belongs to weights.

    Args:
        files: the weights.
        cascade: whether the first of them is a rejection network.
        wanted: `scores.finder`.

    Raises:
        WeightsError: the finder is missing, or the records of the weights name different ones.
        ConfigurationError: a finder is asked for in a cascade.
    """
    if wanted == NONE:
        return None
    if cascade:
        if wanted == BY_THE_WEIGHTS:
            return None
        raise ConfigurationError(
            f"scores.finder is '{wanted}', but in a cascade the rejection network finds the objects; leave out one of "
            "them"
        )
    if wanted != BY_THE_WEIGHTS:
        return find_weights(wanted)
    names = {load_classifier_record(file).finder for file in files}
    if len(names) > 1:
        found = ", ".join(sorted(name or "none" for name in names))
        raise WeightsError(f"the weights were made for different finders ({found}); choose one by scores.finder")
    (name,) = names
    return None if name is None else find_weights(name)


def _choose_namer(wanted: str, default: str | None, finder: Path | None) -> Path | None:
    """Finds the file of the network that names once more what others find.

    Args:
        wanted: `scores.namer`.
        default: name of the weights that "auto" stands for; None is none.
        finder: the finder of the other weights, if they have one.

    Raises:
        WeightsError: the namer is missing.
        ConfigurationError: a namer is asked for beside a finder.
    """
    if wanted == NONE:
        return None
    if wanted == BY_THE_WEIGHTS:
        return None if default is None else find_weights(default)
    if finder is not None:
        raise ConfigurationError(
            f"scores.namer is '{wanted}', but these weights name what a finder finds already; leave scores.namer out, "
            "or set scores.finder=none"
        )
    return find_weights(wanted)


def check_detector_records(
    members: Sequence[WeightsRecord],
    rejection_network: WeightsRecord | None,
    config: Config,
    finder: WeightsRecord | None = None,
    namer: WeightsRecord | None = None,
) -> CommonRecord:
    """Makes sure that networks make a detector together.

    Args:
        members: records of the members.
        rejection_network: record of the network in front of them; None without one.
        config: features and classes that are asked for.
        finder: record of the network that finds the objects which the members name; None without one.
        namer: record of the network that names once more what the others find; None without one.

    Raises:
        WeightsError: there are no members, the networks differ in classes, features or preprocessing, were not trained
            on regions, or not on the features that are asked for, the finder or the namer was not trained on shared
            features, or the namer knows less than two of the classes.
        ConfigurationError: a class that is asked for is unknown, or there are both a finder and a namer.
    """
    if not members:
        raise WeightsError(
            "a detector needs at least one network, and one more behind a rejection network; give more weights or "
            "leave them out for the default"
        )
    in_front = [] if rejection_network is None else [rejection_network]
    features = detector_features(members, rejection_network, config.scores.features)
    # a rejection network on shared features gets other input than members on crops
    groups = (in_front, members) if features == "both" else ([*in_front, *members],)
    for records in groups:
        same_preprocessing(records)
    if finder is not None:
        check_finder(finder, features)
    if namer is not None:
        if finder is not None:
            raise ConfigurationError("members that name what a finder finds take no namer; leave out one of the two")
        check_namer(namer, members[0])
    class_names = same_classes([*in_front, *members])
    find_classes(config.detections.classes or (), class_names, "the detector")
    chosen = (config.detections.display_threshold, members[0].display_threshold, DISPLAY_THRESHOLD)
    display_threshold = next(threshold for threshold in chosen if threshold is not None)
    return CommonRecord(features, class_names, display_threshold)


def check_classifier_records(records: Sequence[WeightsRecord]) -> tuple[str, ...]:
    """Makes sure that networks make a classifier of whole photos together, and returns their classes.

    Raises:
        WeightsError: there is no network, one was trained on regions, or they differ in classes.
    """
    if not records:
        raise WeightsError(
            "a classifier needs weights of whole photos; import BVLC's or torchvision's with "
            "incdet weights import and give them with --weights"
        )
    for record in records:
        if record.background:
            raise WeightsError(
                f"these weights classify regions, not whole photos ({record.origin}); use incdet detect, or give "
                "weights of whole photos, as incdet weights import makes them"
            )
    return same_classes(records)


def check_detector(weights: Sequence[str | Path], members: int | None, cascade: bool, config: Config) -> CommonRecord:
    """Checks everything about a detector that is known without loading its networks; arguments: `choose_weights`.

    Raises:
        WeightsError: weights are missing, have no record, or do not fit together.
        ConfigurationError: the choices exclude each other, a class is unknown, or the device is not there.
        PackageError: OpenVINO is asked for and not installed.
    """
    refuse_missing_gpu(config.device)
    chosen = choose_weights(weights, members, cascade, config)
    records = [load_classifier_record(file) for file in chosen.files]
    rejection_network = records.pop(0) if chosen.has_rejection_network else None
    finder = None if chosen.finder is None else load_classifier_record(chosen.finder)
    namer = None if chosen.namer is None else load_classifier_record(chosen.namer)
    common = check_detector_records(records, rejection_network, config, finder, namer)
    if "multibox" in config.proposals.methods:
        load_multibox_record(find_weights(config.proposals.multibox.weights))
    check_openvino(config.scores, config.device)
    return common


def known_of_detector(
    weights: Sequence[str | Path], members: int | None, cascade: bool, config: Config
) -> dict[str, Any]:
    """Returns what decides a detector's results, without what only its networks know; arguments: `choose_weights`."""
    chosen = choose_weights(weights, members, cascade, config)
    others = proposer_files(config.proposals)
    return origin_of(chosen, config.scores, others).describe(config)


def proposer_files(config: ProposalsConfig) -> tuple[Path, ...]:
    """Returns the files of weights that proposers use."""
    return (find_weights(config.multibox.weights),) if "multibox" in config.methods else ()


def check_classifier(weights: Sequence[str | Path], config: Config) -> tuple[str, ...]:
    """Checks everything about a classifier that is known without loading its networks, and returns its classes.

    Args:
        weights: names or files.
        config: the device.

    Raises:
        WeightsError: weights are missing, have no record, or do not fit together.
        ConfigurationError: the device is not there.
    """
    refuse_missing_gpu(config.device)
    return check_classifier_records([load_classifier_record(find_weights(name)) for name in weights])


def check_proposers(config: ProposalsConfig) -> None:
    """Makes sure that the weights of MultiBox are there, where it is asked for, to propose without a detector.

    Raises:
        WeightsError: they are missing, have no record, or name classes, or the network is missing whose feature maps
            they were trained on.
    """
    if "multibox" in config.methods:
        _, description = load_multibox_record(find_weights(config.multibox.weights))
        if description.form == "shared":
            load_classifier_record(find_weights(description.network))
