"""Softmax or SVMs: mAP of a region classifier with either, on the same features of the same regions.

    python experiments/compare_svms.py googlenet-voc --root VOC2012 --set scores.precision=int8

R-CNN scores regions with SVMs; the paper says nothing of SVMs for GoogLeNet. As in R-CNN, the positive examples are the
boxes of the objects, and regions stay where they were proposed. VOC's rules judge, whatever the data set. Interrupted,
the same command goes on where it stopped.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.table import Table
from svms import Svms, collect_examples, fit_svms

from incdet.cli.console import notes, progress_bar, run_program, warning
from incdet.config.loading import load_config
from incdet.config.sections import Config, ImagesConfig, ProposalsConfig
from incdet.data.dataset import Dataset
from incdet.data.readers import Collection, read_dataset
from incdet.detections import Detections
from incdet.errors import DataError
from incdet.evaluation.average_precision import Evaluation
from incdet.evaluation.columns import detection_columns
from incdet.evaluation.dataset_evaluation import evaluate_dataset, write_report
from incdet.images import read_image
from incdet.networks.engines.selection import Engine
from incdet.networks.shipped_weights import find_weights
from incdet.networks.sidecar_files import fingerprint, load_activation_ranges
from incdet.networks.weights import load_network
from incdet.ops.decimals import plain_number
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.runtime.device import choose_device
from incdet.runtime.files import write_text
from incdet.structures import GroundTruth, Image, Proposals, RegionScores
from incdet.training.box_fitting import RegionFeatures

LEARN_FROM = ["multibox.weights=multibox-voc", "multibox.crop_sides=[]", "selective_search.color_spaces=[lab]"]
LEARN_FROM += ["selective_search.similarities=[color_texture_size_fill]"]


def main(
    weights: Annotated[str, typer.Argument(help="Name or file of weights.")],
    root: Annotated[Path, typer.Option(help="The data set's folder, in its official layout.")],
    dataset: Annotated[Collection, typer.Option(help="Layout of the folder.")] = Collection.voc,
    train_split: Annotated[str, typer.Option(help="Photos that the SVMs learn from.")] = "train",
    split: Annotated[str, typer.Option(help="Photos that are judged.")] = "val",
    photos: Annotated[
        int | None, typer.Option(min=2, help="Number of photos to learn from, evenly spaced (default: all).")
    ] = None,
    judged_photos: Annotated[
        int | None, typer.Option(min=1, help="Number of photos to judge, evenly spaced (default: all).")
    ] = None,
    regions: Annotated[int, typer.Option(min=1, help="Proposals of each photo to learn from.")] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value of the detector.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the two reports.")] = Path("runs/compare_svms"),
    cache: Annotated[Path, typer.Option(help="Folder that keeps proposals and features.")] = Path(".cache"),
) -> None:
    """Fit SVMs to the last features of a region classifier and judge detections by them and by its softmax."""
    config = load_config(Config, None, settings or ())
    learnt = read_dataset(dataset, root, train_split, warn=warning).evenly_spaced(photos)
    judged = read_dataset(dataset, root, split, warn=warning).evenly_spaced(judged_photos)
    features, classifier, class_names = _features(weights, config, cache)
    if class_names != judged.class_names:
        raise DataError(f"{weights} knows other classes than {judged.name}; give weights that were trained for it")
    quick = load_config(ProposalsConfig, None, LEARN_FROM)
    examples = collect_examples(
        features, _annotated(learnt, ProposalCache(cache / "proposals", quick), config), len(class_names), regions, seed
    )
    svms, losses = fit_svms(examples)
    tried = ", ".join(f"{cost:g}: {loss:.5f}" for cost, loss in losses.items())
    notes.print(f"{len(examples.labels)} examples, {(examples.labels > 0).sum()} objects; loss by cost: {tried}")
    found: dict[str, list[Detections]] = {"softmax": [], "SVMs": []}
    proposals = ProposalCache(cache / "proposals", config.proposals)
    for image, truth, proposed in _annotated(judged, proposals, config):
        seen = features(image, proposed.boxes)
        for name, values in _probabilities(seen, classifier, svms).items():
            entry = select_detections(RegionScores(proposed.boxes, values), image, class_names, config.detections)
            found[name].append(entry.rescaled(truth.width, truth.height))
    _report(found, judged, output)


def _features(weights: str, config: Config, cache: Path) -> tuple[RegionFeatures, torch.nn.Linear, tuple[str, ...]]:
    """The features of regions, the network's last layer that takes them, and the class names."""
    file = find_weights(weights)
    network, record = load_network(file)
    classifier = network.classifier
    width = classifier.in_features
    # a backend computes logits; with an identity as the last layer, these are the features
    network.classifier = torch.nn.Linear(width, width)
    torch.nn.init.eye_(network.classifier.weight)
    torch.nn.init.zeros_(network.classifier.bias)
    engine = Engine(config.scores, choose_device("cpu"), [network])
    ranges = load_activation_ranges(file) if engine.precision == "int8" else None
    backend = engine.backend(engine.prepare(network), ranges)
    folder = cache / "features" / f"{fingerprint(file)[:16]}-last-{engine.describe().replace(', ', '-')}"
    compute = RegionFeatures(backend.full, record.preprocessing, folder)
    return compute, classifier, record.classes


def _annotated(
    data: Dataset, proposals: ProposalCache, config: Config
) -> Iterator[tuple[Image, GroundTruth, Proposals]]:
    with progress_bar("proposals", len(data)) as update:
        for done, path in enumerate(proposals.fill(data.image_paths, ImagesConfig()), 1):
            update(done, path.name)
    with progress_bar("regions", len(data)) as update:
        for done, (path, truth) in enumerate(data):
            update(done, truth.image)
            image = read_image(path, config.images)
            yield image, truth, proposals(image)
        update(len(data), "")


@torch.inference_mode()
def _probabilities(features: torch.Tensor, classifier: torch.nn.Linear, svms: Svms) -> dict[str, np.ndarray]:
    """Probabilities [R, C] by softmax and by SVMs; a logistic function of the distance keeps the order."""
    softmax = classifier(features.float()).softmax(dim=1)[:, : svms.bias.shape[0]]
    return {"softmax": softmax.numpy(), "SVMs": svms(features).sigmoid().numpy()}


def _report(found: dict[str, list[Detections]], data: Dataset, output: Path) -> None:
    table = Table("scores", "mAP", "pooled AP", title=data.name)
    numbers = {}
    for name, entries in found.items():
        evaluation = evaluate_dataset(data, detection_columns(entries), "voc", "pycocotools", None, lambda _: None)
        assert isinstance(evaluation, Evaluation)
        write_report(evaluation, data, output / name.lower())
        numbers[name] = [evaluation.mean_average_precision, evaluation.pooled_average_precision]
        table.add_row(name, *(f"{value:.4f}" for value in numbers[name]))
    plain = {name: [plain_number(value) for value in values] for name, values in numbers.items()}
    write_text(output / "map.json", json.dumps(plain, indent=2) + "\n")
    notes.print(table)
    notes.print(f"wrote {output}; `incdet compare {output}/softmax {output}/svms` says more", markup=False)


if __name__ == "__main__":
    run_program(main)
