"""`incdet detect`: photos, or a video -> pictures with boxes, and files of detections."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incdet.cli.cluster_options import (
    ClusterAddress,
    ClusterOptions,
    ClusterWorkers,
    CpusPerWorker,
    PartSize,
    ResultFormatOption,
)
from incdet.cli.detector_options import Cascade, Classes, Engine, Members, ScoreThreshold, Weights
from incdet.cli.options import (
    RESULTS,
    SCREEN,
    SETTINGS,
    ConfigFile,
    DeviceOption,
    EngineName,
    JsonLines,
    OutputPlace,
    Overwrite,
    PresetOption,
    QuietTable,
    Settings,
    Timing,
    device_setting,
    preset_setting,
)
from incdet.errors import ConfigurationError

if TYPE_CHECKING:
    from incdet.cli.output_options import OutputOptions
    from incdet.config.sections import Config

EXAMPLES = (
    "incdet detect photo.jpg holiday/ --output found",
    "incdet detect clip.mp4 --every 5 --classes cat,dog --score-threshold 0.3 --json -",
)

KINDS = ("image", "json", "coco", "csv", "voc", "yolo", "labelme", "cvat", "crops")
"""Files that can be saved."""

PhotosOrVideo = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...",
        help="Photos, folders of photos, or glob patterns; '-' is a photo on standard input. Or one video, or a "
        "camera, such as camera:0.",
    ),
]
Save = Annotated[
    str | None,
    typer.Option(
        "--save",
        metavar="KINDS",
        help="Comma-separated: image,json,coco,csv,voc,yolo,labelme,cvat,crops (default: image,json).",
        rich_help_panel=RESULTS,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        metavar="N",
        help="Processes that read photos and propose regions ahead of the networks (default: fitting the machine).",
        rich_help_panel=SETTINGS,
    ),
]
Show = Annotated[
    bool,
    typer.Option("--show", help="Show the pictures in terminals that can (kitty, iTerm).", rich_help_panel=SCREEN),
]
Every = Annotated[
    int | None,
    typer.Option(
        "--every",
        min=1,
        metavar="N",
        help="Of a video, detect in every N-th frame only (default: 1).",
        rich_help_panel=SETTINGS,
    ),
]


def detect(
    paths: PhotosOrVideo,
    output: OutputPlace = None,
    save: Save = None,
    json_file: JsonLines = None,
    score_threshold: ScoreThreshold = None,
    classes: Classes = None,
    overwrite: Overwrite = False,
    weights: Weights = None,
    members: Members = None,
    cascade: Cascade = False,
    device: DeviceOption = None,
    engine: Engine = None,
    preset: PresetOption = None,
    config: ConfigFile = None,
    settings: Settings = None,
    workers: Workers = None,
    every: Every = None,
    cluster: ClusterAddress = None,
    form: ResultFormatOption = None,
    cpus_per_worker: CpusPerWorker = None,
    cluster_workers: ClusterWorkers = None,
    part_size: PartSize = None,
    timing: Timing = False,
    show: Show = False,
    quiet: QuietTable = False,
) -> int:
    """Find objects; pictures with boxes and detections.jsonl go to incdet-output/ unless told otherwise."""
    more = [*preset_setting(preset), *device_setting(device)]
    effective = detection_config(score_threshold, classes, engine, more, config, settings)
    on_cluster = ClusterOptions(cluster, form, cpus_per_worker, cluster_workers, part_size)
    on_cluster.check(
        {
            "--save": save is not None,
            "--json": json_file is not None,
            "--every": every is not None,
            "--timing": timing,
            "--show": show,
        }
    )
    if cluster is not None:
        place = on_cluster.check_place(output)
        choice = (tuple(weights or ()), members, cascade)
        return _detect_on_cluster(paths, place, choice, effective, on_cluster, workers or 0, overwrite, quiet)
    from incdet.cli.engine_check import require_opencv_engine
    from incdet.cli.given_photos import GivenPhotos
    from incdet.cli.output_options import OutputOptions
    from incdet.cli.video_places import only_video
    from incdet.networks.chosen_weights import check_detector, known_of_detector

    options = OutputOptions(None if output is None else Path(output), save, json_file, overwrite, timing, quiet, show)
    ensemble = (tuple(weights or ()), members, cascade)
    video = only_video(paths)
    if video is not None:
        return _detect_in_video(video, every or 1, workers, ensemble, effective, options)
    if every is not None:
        raise ConfigurationError("--every belongs to a video, and no path names one; leave it out")
    kinds = options.kinds(KINDS)
    if show and "image" not in kinds:
        raise ConfigurationError("--show shows the pictures that are saved; add image to --save, or leave it out")
    given = GivenPhotos(paths, effective.images)
    options.check(given, kinds)
    check_detector(*ensemble, effective)
    require_opencv_engine(effective.proposals)
    if not given.files:
        return 1
    from incdet.cli.finished_runs import nothing_to_do

    if nothing_to_do(given, kinds, "detections", options, known_of_detector(*ensemble, effective)):
        return 0
    from incdet.pipeline.first_compilation import compile_in_another_process

    compile_in_another_process()
    # the networks' library is loaded once the arguments are known to be right
    from incdet.cli.detection_batch import EnsembleChoice, detect_photos

    return detect_photos(given, kinds, EnsembleChoice(*ensemble), effective, options, workers)


def _detect_on_cluster(
    paths: list[str],
    place: str,
    ensemble: tuple[tuple[str, ...], int | None, bool],
    config: "Config",
    options: ClusterOptions,
    num_workers: int,
    overwrite: bool,
    quiet: bool,
) -> int:
    """Checks what is known without a network, and detects on a cluster.

    Args:
        paths: Inputs as they were given.
        place: Folder or address of the results.
        ensemble: Weights, members and whether there is a cascade, see `EnsembleChoice`.
        config: Everything else that decides the detections.
        options: The cluster's options.
        num_workers: Processes of each worker that read photos and propose regions ahead.
        overwrite: Whether earlier results are replaced.
        quiet: Whether nothing but errors is told.

    Raises:
        IncdetError: The arguments, the weights or the cluster cannot be used.
    """
    from incdet.cli.engine_check import require_opencv_engine
    from incdet.networks.chosen_weights import check_detector

    display_threshold = check_detector(*ensemble, config).display_threshold
    require_opencv_engine(config.proposals)
    from incdet.cli.cluster_batch import run_on_cluster
    from incdet.cluster.photo_work import DetectionWork

    weights, members, cascade = ensemble
    work = DetectionWork(weights, members, cascade, config, display_threshold, num_workers)
    return run_on_cluster(work, paths, place, options, overwrite, quiet)


def _detect_in_video(
    path: str,
    every: int,
    workers: int | None,
    ensemble: tuple[tuple[str, ...], int | None, bool],
    config: "Config",
    options: "OutputOptions",
) -> int:
    """Checks what is known without a network, and detects in a video.

    Args:
        path: A file, or `camera:0`.
        every: Distance of two frames that are detected in.
        workers: Number of processes that was asked for.
        ensemble: Weights, members and whether there is a cascade, see `EnsembleChoice`.
        config: Everything else that decides the detections.
        options: Places of the results.

    Raises:
        IncdetError: The arguments, the video or the weights cannot be used.
    """
    # OpenCV's own words about every way to open a camera would hide the sentence that says what is wrong; it reads
    # this once, when it is loaded by the next lines
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    from incdet.cli.engine_check import require_opencv_engine
    from incdet.cli.video_places import choose_places
    from incdet.networks.chosen_weights import check_detector
    from incdet.pipeline.video_frames import Video

    if options.show:
        raise ConfigurationError("--show shows photos in the terminal, and a video is none; leave it out")
    if workers:
        raise ConfigurationError("--workers read photos ahead, and the frames of a video come one by one; leave it out")
    check_detector(*ensemble, config)
    require_opencv_engine(config.proposals)
    places = choose_places(path, options)
    video = Video(path, every)
    from incdet.pipeline.first_compilation import compile_in_another_process

    compile_in_another_process()
    from incdet.cli.detection_batch import EnsembleChoice
    from incdet.cli.video_batch import detect_in_video

    return detect_in_video(video, places, EnsembleChoice(*ensemble), config, options)


def detection_config(
    score_threshold: float | None,
    classes: str | None,
    engine: EngineName | None,
    more: list[str],
    config: Path | None,
    settings: list[str] | None,
) -> "Config":
    """The effective configuration of a command that detects.

    Args:
        score_threshold: Lowest score that is shown; None is that of the configuration.
        classes: Classes that are looked for, between commas; None looks for all.
        engine: Library that computes networks; None is that of the configuration.
        more: Settings that other options stand for.
        config: File of the configuration; None is the default.
        settings: Settings that win over everything else.

    Raises:
        ConfigurationError: A setting cannot be used.
    """
    from incdet.config.class_choice import split_names
    from incdet.config.loading import load_config
    from incdet.config.sections import Config
    from incdet.config.yaml_text import quoted

    more = list(more)
    if score_threshold is not None:
        more.append(f"detections.display_threshold={score_threshold}")
    if classes is not None:
        more.append(f"detections.classes=[{', '.join(map(quoted, split_names(classes)))}]")
    if engine is not None:
        more.append(f"scores.engine={engine.value}")
    effective = load_config(Config, config, [*more, *(settings or ())])
    if score_threshold is not None and score_threshold < effective.detections.score_threshold:
        # detections below this threshold are dropped long before they could be shown
        more.append(f"detections.score_threshold={score_threshold}")
        effective = load_config(Config, config, [*more, *(settings or ())])
    return effective
