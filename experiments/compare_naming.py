"""mAP of pairs of a finder and a namer under several formulas, and of their names for photos of one class each.

    python experiments/adapt_ilsvrc200.py ... --held-out held.txt --output namer.safetensors
    python experiments/compare_naming.py --namer namer.safetensors --root ILSVRC --split held.txt \
        --class-photos ilsvrc200 --cache naming

The finder tells objects from background and moves regions to them, the namer tells what they are. Both classify the
same regions, so their probabilities can be combined afterwards in any way: which of them says how probable an object
is, whether the namer sees the proposals or the regions that the finder has moved, and what is done for classes that
both know. Probabilities are stored: interrupted, the same command goes on where it stopped.

Choose a formula on photos that neither network has learnt from, and measure it on others.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from incdet.cli.console import notes, progress_bar, run_program, table_console, warning
from incdet.config.sections import Config, DetectionsConfig, ProposalsConfig
from incdet.data.collection import Collection
from incdet.data.dataset import Dataset
from incdet.data.ilsvrc_classes import VOC_NAMES, ilsvrc_classes
from incdet.data.readers import read_dataset
from incdet.evaluation.average_precision import Evaluation, evaluate_detections
from incdet.evaluation.operating_points import operating_points
from incdet.evaluation.placed_objects import placed_objects
from incdet.images import read_image
from incdet.networks.chosen_weights import proposer_files
from incdet.networks.engines.selection import Engine
from incdet.networks.pretrained import load_pretrained
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_record
from incdet.ops.nms import nms
from incdet.pipeline.detection_selection import select_detections
from incdet.pipeline.proposal_cache import image_key
from incdet.pipeline.scorer_choice import ScorerChoice
from incdet.pipeline.shared_regions import SharedRegionScorer
from incdet.proposals import Proposers
from incdet.runtime.device import choose_device
from incdet.runtime.file_hashes import named_hashes, sha256
from incdet.runtime.files import load_arrays, save_arrays
from incdet.runtime.provenance import describe_run
from incdet.structures import Image, RegionScores

NAMES = tuple(kind.name for kind in ilsvrc_classes())

MIN_OBJECT_PROBABILITIES = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Lowest probabilities of an object with which the namer sees a region."""


@dataclass(frozen=True, eq=False)
class PairOutputs:
    """The outputs of both networks for R regions of a photo.

    Attributes:
        image: name of the photo, whose pixels are of no interest to formulas.
        width: its width in pixels.
        height: its height in pixels.
        boxes: [R, 4] float32, xyxy pixels, where the finder has moved the proposals in two rounds.
        found: [R, F] float32, the finder's probabilities, the mean over its rounds.
        named_proposals: [R, C] float32, the namer's probabilities of the proposals.
        named_moved: [R, C] float32, the namer's probabilities of `boxes`.
    """

    image: str
    width: int
    height: int
    boxes: np.ndarray
    found: np.ndarray
    named_proposals: np.ndarray
    named_moved: np.ndarray


Objectness = Callable[[np.ndarray, np.ndarray], np.ndarray]

OBJECTNESS: dict[str, Objectness] = {
    "namer": lambda found, named: named,
    "finder": lambda found, named: found,
    "finder 1/4": lambda found, named: found**0.25 * named**0.75,
    "geometric mean": lambda found, named: np.sqrt(found * named),
    "finder 3/4": lambda found, named: found**0.75 * named**0.25,
    "mean": lambda found, named: (found + named) / 2,
    "product": lambda found, named: found * named,
}
"""Probability of any object by both networks, [R, 1] each -> the one that is taken."""

NUMBERS = ("mAP", "pooled", "VOC", "others", "named right", "photos: top-1", "top-5")
"""Names of the columns of `_numbers`."""

SHIPPED = ("geometric mean", "mean", "moved")
"""The formula of `NamingScorer`: objectness, known classes, what the namer sees."""

MIN_PROBABILITY = Config().scores.min_probability
"""Lowest probability of an object with which a region reaches the namer of `NamingScorer`."""

DISPLAY_THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)
"""Scores from which detections could be shown."""

KNOWN_CLASSES = ("namer", "mean", "geometric mean", "finder")
"""Whose probability is taken for a class that both networks know."""


def main(
    namer: Annotated[str, typer.Option(help="Name or file of the namer's weights.")],
    root: Annotated[Path, typer.Option(help="Folder of ILSVRC's detection task.")],
    split: Annotated[str, typer.Option(help="Photos that are judged.")],
    cache: Annotated[Path, typer.Option(help="Folder that keeps the networks' outputs.")],
    class_photos: Annotated[
        Path | None, typer.Option(help="Folders of photos, named by the classes' WordNet ids; the last one counts.")
    ] = None,
    finder: Annotated[str, typer.Option(help="Name or file of the finder's weights.")] = "googlenet-voc-shared",
) -> None:
    """Prints a row for each formula, and a row for each threshold of the shipped one."""
    data = read_dataset(Collection.ilsvrc, root, split, warn=warning)
    outputs = list(_stored_outputs(Pair(finder, namer, ProposalsConfig()), data.image_paths, cache / "boxes"))
    samples: list[tuple[int, PairOutputs]] = []
    if class_photos is not None:
        # photos of one large object: the proposals of MultiBox are enough
        quick = Pair(finder, namer, ProposalsConfig(methods=("multibox",)))
        paths = [sorted((class_photos / kind.wordnet_id).glob("*.jpg"))[-1] for kind in ilsvrc_classes()]
        samples = list(enumerate(_stored_outputs(quick, paths, cache / "classes")))
    columns = ("objects", "known classes", "namer sees", "from", *NUMBERS)
    table = Table(*columns, title=f"{len(data)} photos; {len(samples)} photos of a class")
    classes = load_record(find_weights(finder)).classes
    for formula in _formulas(classes):
        cells = [formula.objectness, formula.known_classes, formula.sees, f"{formula.min_object_probability:g}"]
        table.add_row(*cells, *_numbers(formula, data, outputs, samples))
    table_console(None).print(table)
    shipped = Formula(*SHIPPED, classes, MIN_PROBABILITY)
    shares = [float((one.found.sum(axis=1) >= MIN_PROBABILITY).mean()) for one in outputs]
    notes.print(f"the namer sees {np.mean(shares):.1%} of the regions", markup=False)
    table_console(None).print(_threshold_table(_evaluate(shipped, data, outputs)))


def _formulas(classes: tuple[str, ...]) -> list["Formula"]:
    """Returns the formulas that are compared, for a finder of some classes."""
    formulas = []
    for objectness, sees in itertools.product(OBJECTNESS, ("proposals", "moved", "both")):
        formulas.append(Formula(objectness, "namer", sees, classes))
    for known in KNOWN_CLASSES[1:]:
        formulas.append(Formula("geometric mean", known, "moved", classes))
    for threshold in MIN_OBJECT_PROBABILITIES:
        formulas.append(Formula(*SHIPPED, classes, threshold))
    return formulas


class Pair:
    """Both networks, and what proposes regions to them; loaded when they are first needed.

    Args:
        finder: name or file of the weights that find objects.
        namer: name or file of the weights that name them.
        proposals: the proposers.
    """

    def __init__(self, finder: str, namer: str, proposals: ProposalsConfig) -> None:
        self.files = [find_weights(name) for name in (finder, namer)]
        self.config = Config(proposals=proposals)

    @cached_property
    def scorers(self) -> tuple[SharedRegionScorer, SharedRegionScorer]:
        """The finder, and the namer, which classifies the regions that it is given once."""
        scores, device = self.config.scores, choose_device("auto")
        networks = [load_pretrained(file, scores) for file in self.files]
        engine = Engine(scores, device, [loaded.network for loaded in networks])
        choice = ScorerChoice(scores, device, engine)
        finder, namer = (choice.make("shared", [loaded], None) for loaded in networks)
        assert isinstance(finder, SharedRegionScorer)
        assert isinstance(namer, SharedRegionScorer)
        return finder, replace(namer, rounds=1, region_iou=1.0)

    @cached_property
    def proposers(self) -> Proposers:
        """The proposers, which read the finder's feature maps."""
        return Proposers(self.config.proposals, "auto", self.scorers[0].store)

    def __call__(self, image: Image) -> PairOutputs:
        """Classifies the regions of a photo by both networks."""
        finder, namer = self.scorers
        boxes = self.proposers(image).boxes
        rows = nms(boxes, self.config.scores.region_iou)
        found = finder(image, boxes).scores
        # one call, so that the namer computes its feature maps once
        named = namer(image, np.concatenate([boxes[rows], found.boxes[rows]])).scores.probabilities
        before, after = named[: len(rows)], named[len(rows) :]
        kept = found.boxes[rows], found.probabilities[rows], before, after
        return PairOutputs(image.name, image.width, image.height, *kept)

    def key(self) -> str:
        """Returns a name for everything that decides the outputs for a photo."""
        proposers = named_hashes(proposer_files(self.config.proposals))
        networks = [sha256(file) for file in self.files]
        description = describe_run(self.config, proposers, networks=networks, device=choose_device("auto").type)
        return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]


def _stored_outputs(pair: Pair, paths: Sequence[Path], folder: Path) -> Iterator[PairOutputs]:
    """Returns the outputs for each photo, those of an earlier run where there are some."""
    names = ("boxes", "found", "named_proposals", "named_moved")
    # outputs of other networks or settings, or of another photo of this name, are not taken for those of these
    own_folder = folder / pair.key()
    with progress_bar(folder.name, len(paths), False) as update:
        for number, path in enumerate(paths):
            update(number, path.name)
            image = read_image(path)
            file = own_folder / f"{path.stem}-{image_key(image)}.npz"
            arrays = load_arrays(file, *names)
            if arrays is None:
                outputs = pair(image)
                arrays = {name: getattr(outputs, name) for name in names}
                save_arrays(file, **arrays)
            yield PairOutputs(image.name, image.width, image.height, *(arrays[name] for name in names))


@dataclass(frozen=True)
class Formula:
    """A way from the outputs of both networks to probabilities of the namer's classes.

    Attributes:
        objectness: key of `OBJECTNESS`.
        known_classes: one of `KNOWN_CLASSES`.
        sees: source of the namer's probabilities: "proposals", "moved", or "both" for the mean of these.
        finder_classes: names of the finder's classes, which are VOC's.
        min_object_probability: lowest probability of an object by the finder with which a region counts.
    """

    objectness: str
    known_classes: str
    sees: str
    finder_classes: tuple[str, ...]
    min_object_probability: float = 0.0

    def __call__(self, outputs: PairOutputs) -> RegionScores:
        """Returns the regions with their probabilities [R, 200]."""
        named = {"proposals": outputs.named_proposals, "moved": outputs.named_moved}.get(
            self.sees, (outputs.named_proposals + outputs.named_moved) / 2
        )
        found_object = outputs.found.sum(axis=1, keepdims=True)
        named_object = named.sum(axis=1, keepdims=True)
        is_object = OBJECTNESS[self.objectness](found_object, named_object)
        probabilities = is_object * named / np.maximum(named_object, 1e-9)
        for column, name in enumerate(self.finder_classes):
            if name in VOC_NAMES:
                class_id = NAMES.index(VOC_NAMES[name])
                own, other = probabilities[:, class_id], outputs.found[:, column]
                mixed = {"mean": (own + other) / 2, "geometric mean": np.sqrt(own * other), "finder": other}
                probabilities[:, class_id] = mixed.get(self.known_classes, own)
        probabilities *= found_object >= self.min_object_probability
        # where the networks are sure of different classes, their sum exceeds 1
        probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1)
        return RegionScores(outputs.boxes, probabilities.astype(np.float32).clip(0, 1))


def _numbers(
    formula: Formula, data: Dataset, outputs: Sequence[PairOutputs], samples: Sequence[tuple[int, PairOutputs]]
) -> list[str]:
    """Returns the numbers of a formula, as the table shows them."""
    evaluation = _evaluate(formula, data, outputs)
    known = np.isin(evaluation.class_names, list(VOC_NAMES.values()))
    precisions = evaluation.average_precision
    numbers = [evaluation.mean_average_precision, evaluation.pooled_average_precision]
    numbers += [float(np.nanmean(precisions[known])), float(np.nanmean(precisions[~known]))]
    numbers.append(placed_objects(evaluation).top1)
    ranks = []
    for class_id, one in samples:
        best = formula(one).probabilities.max(axis=0, initial=0)
        ranks.append(int((best > best[class_id]).sum()))
    numbers += [float(np.mean(np.array(ranks) < rank)) if ranks else float("nan") for rank in (1, 5)]
    return [f"{number:.3f}" for number in numbers]


def _threshold_table(evaluation: Evaluation) -> Table:
    """Returns precision, recall and F1 of what is shown from some thresholds on."""
    table = Table("threshold", "shown", "precision", "recall", "F1", title="the shipped formula")
    for point in operating_points(evaluation, DISPLAY_THRESHOLDS):
        both = point.num_detections + point.num_objects
        cells = (point.precision, point.recall, 2 * point.num_right / both if both else float("nan"))
        table.add_row(f"{point.score_threshold:g}", str(point.num_detections), *(f"{cell:.3f}" for cell in cells))
    return table


def _evaluate(formula: Formula, data: Dataset, outputs: Sequence[PairOutputs]) -> Evaluation:
    """Evaluates the detections of a formula by the development kit's rules."""
    found = []
    for one, truth in zip(outputs, data.ground_truths, strict=True):
        image = Image(np.zeros((one.height, one.width, 3), np.uint8), one.image)
        entry = select_detections(formula(one), image, data.class_names, DetectionsConfig())
        found.append(entry.rescaled(truth.width, truth.height))
    return evaluate_detections(data.class_names, data.ground_truths, found, "ilsvrc")


if __name__ == "__main__":
    run_program(main)
