"""`incdet evaluate`: mAP of a detector, or of stored detections, on an annotated data set.

With --output it also explains the number: what costs mAP, plots, and report.html. Region scores of a detector are kept
there: interrupted, it goes on where it stopped; with other `detections.*` settings it repeats only the last stage.
With --each-network it also evaluates the networks of an ensemble one by one, for no more than the time of evaluating.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.cluster_options import ClusterAddress, ClusterOptions, ClusterWorkers, CpusPerWorker, PartSize
from incdet.cli.detector_options import Cascade, Members, Weights
from incdet.cli.options import (
    DATA,
    NETWORKS,
    RESULTS,
    SCREEN,
    Cache,
    ConfigFile,
    DatasetLayout,
    DatasetRoot,
    DeviceOption,
    NumbersFile,
    PresetOption,
    Quiet,
    Settings,
    Split,
    device_setting,
    preset_setting,
)
from incdet.data.collection import Collection

EXAMPLES = (
    "incdet evaluate --dataset voc --root VOCdevkit/VOC2012 --split val --output runs/val",
    "incdet evaluate --dataset ilsvrc --root ILSVRC --predictions submission.txt --json numbers.json",
)

RULES = "Rules"
"""Title of a panel of options."""


OWN_RULES = {
    Collection.voc: "voc",
    Collection.coco: "coco",
    Collection.ilsvrc: "ilsvrc",
    Collection.yolo: "voc",
    Collection.shards: "voc",
}
"""The rules of each layout's data sets where none are named. YOLO has none of its own."""


class RulesName(StrEnum):
    """Rules by which detections are judged."""

    ilsvrc = "ilsvrc"
    voc = "voc"
    voc07 = "voc07"
    coco = "coco"


class CocoBackend(StrEnum):
    """Package that computes COCO's numbers."""

    pycocotools = "pycocotools"
    faster = "faster-coco-eval"


EachNetwork = Annotated[
    bool,
    typer.Option(
        "--each-network",
        help="Evaluate the rejection network and every member by itself, too, on the regions where the ensemble saw "
        "them; reports in OUTPUT/networks.",
        rich_help_panel=NETWORKS,
    ),
]
Predictions = Annotated[
    Path | None,
    typer.Option(
        "--predictions",
        help="Evaluate these instead of running a detector: ILSVRC submission text, COCO results or detections.jsonl, "
        "plain or .gz.",
        rich_help_panel=DATA,
    ),
]
Blacklist = Annotated[
    Path | None,
    typer.Option("--blacklist", help="ilsvrc: instead of the development kit's.", rich_help_panel=DATA),
]
ClassMap = Annotated[
    Path | None,
    typer.Option("--class-map", help="ilsvrc: instead of the development kit's map_det.txt.", rich_help_panel=DATA),
]
Rules = Annotated[RulesName | None, typer.Option("--rules", help="Default: the data set's own.", rich_help_panel=RULES)]
CocoBackendOption = Annotated[
    CocoBackend, typer.Option("--coco-backend", help="For coco rules.", rich_help_panel=RULES)
]
ReportFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for the report; with a detector: of the run (default: runs/evaluation).",
        rich_help_panel=RESULTS,
    ),
]
Interval = Annotated[
    bool,
    typer.Option(
        "--interval",
        help="Also the 95 % interval of mAP over resampled photos; needs --output.",
        rich_help_panel=RESULTS,
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings about the data are errors.", rich_help_panel=SCREEN)]


def evaluate(
    dataset: DatasetLayout,
    root: DatasetRoot,
    split: Split = "val",
    predictions: Predictions = None,
    blacklist: Blacklist = None,
    class_map: ClassMap = None,
    cache: Cache = Path(".cache"),
    weights: Weights = None,
    members: Members = None,
    cascade: Cascade = False,
    each_network: EachNetwork = False,
    device: DeviceOption = None,
    rules: Rules = None,
    coco_backend: CocoBackendOption = CocoBackend.pycocotools,
    output: ReportFolder = None,
    json_file: NumbersFile = None,
    interval: Interval = False,
    preset: PresetOption = None,
    config: ConfigFile = None,
    settings: Settings = None,
    cluster: ClusterAddress = None,
    cpus_per_worker: CpusPerWorker = None,
    cluster_workers: ClusterWorkers = None,
    part_size: PartSize = None,
    strict: Strict = False,
    quiet: Quiet = False,
) -> int:
    """Judge detections under the rules of ILSVRC, PASCAL VOC or COCO and print AP per class and mAP."""
    from incdet.cli.detector_choice import DetectorChoice
    from incdet.cli.evaluation_job import EvaluationJob

    more = (*preset_setting(preset), *device_setting(device), *(settings or ()))
    on_cluster = ClusterOptions(cluster, None, cpus_per_worker, cluster_workers, part_size)
    on_cluster.check({"--predictions": predictions is not None, "--each-network": each_network})
    choice = DetectorChoice(tuple(weights or ()), members, cascade, each_network, config, more)
    job = EvaluationJob(
        collection=dataset,
        root=root,
        split=split,
        predictions=predictions,
        blacklist=blacklist,
        class_map=class_map,
        cache=cache,
        detector=choice,
        rules=(rules or RulesName(OWN_RULES[dataset])).value,
        coco_backend=coco_backend.value,
        output=output,
        json_file=json_file,
        interval=interval,
        strict=strict,
        quiet=quiet,
        cluster=None if cluster is None else on_cluster,
    )
    return job.run()
