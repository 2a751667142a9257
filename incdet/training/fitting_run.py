"""The bounding-box regression of a region classifier, from a data set to the file beside its weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from incdet.config.sections import ImagesConfig, ProposalsConfig
from incdet.data.dataset import Dataset
from incdet.errors import ImageError, WeightsError
from incdet.networks.engines.torch_backend import prepare_network
from incdet.networks.record_files import load_region_record
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import fingerprint, save_box_regressor
from incdet.networks.weights import load_network
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.counted_words import counted
from incdet.runtime.reporter import SILENT, Reporter
from incdet.structures import GroundTruth, Image, Proposals
from incdet.training.annotated_sample import PhotoSample
from incdet.training.box_fitting import Fit, RegionFeatures, box_features, collect_examples, fit_regressor
from incdet.training.samples.annotated_photos import read_annotated
from incdet.training.samples.batch_loading import BadPhotos


def fit_box_regression(
    weights: str,
    sample: PhotoSample,
    regions_per_photo: int,
    seed: int,
    proposals_config: ProposalsConfig,
    cache: Path,
    reporter: Reporter = SILENT,
) -> Fit:
    """Fits the box regression of weights and writes it beside them (NAME.boxes.safetensors).

    Args:
        weights: Name or file of a region classifier.
        sample: The photos, some of which it was trained on.
        regions_per_photo: Most regions of a photo that the regression learns from.
        seed: Seed of the drawing.
        proposals_config: Proposers of the regions.
        cache: Folder that keeps proposals and features, so that an interrupted run goes on where it stopped.
        reporter: Listener.

    Returns:
        The regression, and how well it does on photos held out.

    Raises:
        WeightsError: The weights cannot be read, or are not those of a region classifier on crops.
        DataError: The data set cannot be read, or its photos hold too few examples.
    """
    file = find_weights(weights)
    if load_region_record(file).features == "shared":
        raise WeightsError(
            f"the weights {file} were trained on shared features and hold their own box regression; give weights that "
            "were trained on crops"
        )
    network, record = load_network(file)
    prepare_network(network, torch.device("cpu"), torch.float32)
    photos = sample.read(reporter)
    proposals = ProposalCache(cache / "proposals", proposals_config, "cpu")
    reporter.note(proposals.describe())
    reporter.follow("proposals", proposals.fill(photos.image_paths, ImagesConfig()), len(photos))
    features = RegionFeatures(box_features(network), record.preprocessing, cache / "features" / fingerprint(file)[:16])
    bad = BadPhotos(len(photos), reporter.warn, are_replaced=False)
    examples = collect_examples(features, _annotated(photos, proposals, bad, reporter), regions_per_photo, seed)
    fit = fit_regressor(examples)
    regions = counted(len(examples), "region")
    used = counted(len(photos) - len(bad.problems), "photo")
    measured_on = f"{regions} of {used} of {sample.describe()}, {regions_per_photo} a photo at most"
    fitted = {
        "on": measured_on,
        "penalty": fit.penalty,
        "seed": seed,
        "licence": record.licence,
        "mean_iou_held_out": [round(float(values.mean()), 4) for values in (fit.before, fit.after)],
        "proposals": proposals_config.model_dump(mode="json"),
    }
    beside = save_box_regressor(file, fit.regressor, fitted)
    reporter.note(f"wrote {beside}: {measured_on}, penalty {fit.penalty:g}")
    return fit


def fit_table(fit: Fit) -> Table:
    """What the regression, fitted without them, does to the regions of photos held out: a row per tenth of overlap."""
    table = Table("Jaccard index as proposed", "regions", "mean before", "mean after", title="photos held out")
    tenths = np.minimum((fit.before * 10).astype(int), 9)
    for tenth in np.unique(tenths):
        rows = tenths == tenth
        means = f"{fit.before[rows].mean():.3f}", f"{fit.after[rows].mean():.3f}"
        table.add_row(f"{tenth / 10:.1f} .. {(tenth + 1) / 10:.1f}", str(rows.sum()), *means)
    return table


def _annotated(
    photos: Dataset, proposals: ProposalCache, bad: BadPhotos, reporter: Reporter
) -> Iterator[tuple[Image, GroundTruth, Proposals]]:
    """Every photo that can be used, with its objects and its proposals."""
    with reporter.progress("regions", len(photos)) as update:
        for done in range(len(photos)):
            update(done, photos.ground_truths[done].image)
            try:
                image, truth = read_annotated(photos, done)
            except ImageError as error:
                bad.add(str(error))
                continue
            yield image, truth, proposals(image)
        update(len(photos), "")
    bad.tell_number()
