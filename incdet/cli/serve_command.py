"""`incdet serve`: a page that detects, explains and shows proposals, and a JSON API for programs."""

from typing import Annotated

import typer

from incdet.cli.detector_options import Cascade, Classes, Engine, Members, ScoreThreshold, Weights
from incdet.cli.options import (
    NETWORKS,
    SCREEN,
    ConfigFile,
    DeviceOption,
    PresetOption,
    Settings,
    device_setting,
    preset_setting,
    refuse_nan,
)

EXAMPLES = (
    "incdet serve",
    "incdet serve --port 9000 --preset fast",
)

SERVER = "Server"
"""Title of the panel of options that belong to the server."""

Host = Annotated[
    str,
    typer.Option("--host", help="Address to listen on; 0.0.0.0 is every one of this machine.", rich_help_panel=SERVER),
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes any free one.", rich_help_panel=SERVER)
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="INCDET_TOKEN",
        metavar="TEXT",
        help="Word that requests must bring; other users of the machine do not see it in INCDET_TOKEN.",
        show_envvar=False,
        rich_help_panel=SERVER,
    ),
]
MaxMegabytes = Annotated[
    float,
    typer.Option(
        "--max-megabytes",
        min=0.001,
        max=2000,
        callback=refuse_nan,
        help="Largest request.",
        rich_help_panel=SERVER,
    ),
]
MaxPhotos = Annotated[
    int,
    typer.Option(
        "--max-photos", min=1, max=10_000, help="Photos at a time; further ones get 429.", rich_help_panel=SERVER
    ),
]
UploadSeconds = Annotated[
    float,
    typer.Option(
        "--upload-seconds", min=0.1, callback=refuse_nan, help="Longest time of an upload.", rich_help_panel=SERVER
    ),
]
PhotoSeconds = Annotated[
    float,
    typer.Option(
        "--photo-seconds",
        min=0.1,
        callback=refuse_nan,
        help="Longest time from upload to result.",
        rich_help_panel=SERVER,
    ),
]
Classifier = Annotated[
    list[str] | None,
    typer.Option(
        "--classifier",
        metavar="FILE",
        help="Weights of whole photos for /v1/classify; repeat the option for an ensemble.",
        rich_help_panel=NETWORKS,
    ),
]
Crops = Annotated[
    int,
    typer.Option(
        "--crops", metavar="N", help="Crops of a photo that are classified: 1, 10 or 144.", rich_help_panel=NETWORKS
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Warnings and errors only.", rich_help_panel=SCREEN)]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token: Token = None,
    max_megabytes: MaxMegabytes = 32.0,
    max_photos: MaxPhotos = 16,
    upload_seconds: UploadSeconds = 20.0,
    photo_seconds: PhotoSeconds = 60.0,
    preset: PresetOption = None,
    score_threshold: ScoreThreshold = None,
    classes: Classes = None,
    weights: Weights = None,
    members: Members = None,
    cascade: Cascade = False,
    classifier: Classifier = None,
    crops: Crops = 1,
    device: DeviceOption = None,
    engine: Engine = None,
    config: ConfigFile = None,
    settings: Settings = None,
    quiet: Quiet = False,
) -> int:
    """Show detections in the browser, with the reason for each, and answer programs (JSON API)."""
    from incdet.cli.detect_command import detection_config
    from incdet.cli.engine_check import require_opencv_engine
    from incdet.config.crop_counts import choose_crops
    from incdet.errors import ConfigurationError
    from incdet.networks.chosen_weights import check_classifier, check_detector
    from incdet.runtime.optional_packages import require_package

    for package in ("fastapi", "uvicorn", "python_multipart"):
        require_package(package, "the page and the API", "web")
    more = [*preset_setting(preset), *device_setting(device)]
    effective = detection_config(score_threshold, classes, engine, more, config, settings)
    check_detector(weights or (), members, cascade, effective)
    require_opencv_engine(effective.proposals)
    (num_crops,) = choose_crops([crops])
    if classifier:
        check_classifier(classifier, effective)
    elif num_crops != 1:
        raise ConfigurationError("--crops belongs to --classifier; add one, or leave it out")
    require_usable_token(token)
    from incdet.web.listening import bind_socket

    listener = bind_socket(host, port)
    from incdet.pipeline.first_compilation import compile_in_another_process

    compile_in_another_process()
    # the networks' library is loaded once the arguments are known to be right
    from incdet.cli.detection_batch import EnsembleChoice
    from incdet.cli.server_run import ServerOptions, run
    from incdet.web.server_limits import ServerLimits

    limits = ServerLimits(
        max_bytes=round(max_megabytes * 1e6),
        max_photos=max_photos,
        upload_seconds=upload_seconds,
        photo_seconds=photo_seconds,
    )
    options = ServerOptions(host, token, limits, tuple(classifier or ()), num_crops, quiet)
    return run(listener, options, EnsembleChoice(tuple(weights or ()), members, cascade), effective)


def require_usable_token(token: str | None) -> None:
    """Makes sure that a token can be sent in a header.

    Raises:
        ConfigurationError: It is empty, begins or ends with a space, or has characters that no header holds.
    """
    from incdet.errors import ConfigurationError

    # spaces at the ends are no part of a header's value, so that no request could bring them
    if token is not None and (not token or token != token.strip() or not token.isascii() or not token.isprintable()):
        raise ConfigurationError(
            "--token (or INCDET_TOKEN) is empty, begins or ends with a space, or has letters that no header of HTTP "
            "holds; give letters and digits"
        )
