"""`incdet propose`: photos -> regions that may hold an object."""

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
from incdet.cli.options import (
    RESULTS,
    ConfigFile,
    DeviceOption,
    JsonLines,
    OutputPlace,
    Overwrite,
    Paths,
    PresetOption,
    QuietTable,
    Settings,
    Timing,
    device_setting,
    preset_setting,
)

if TYPE_CHECKING:
    from incdet.config.sections import Config, ProposalsConfig

EXAMPLES = (
    "incdet propose photo.jpg --show-hierarchy",
    "incdet propose holiday/ --set proposals.selective_search.strategies=quality --json proposals.jsonl",
)

KINDS = ("image", "json", "hierarchy")
"""Files that can be saved."""

Save = Annotated[
    str | None,
    typer.Option(
        "--save",
        metavar="KINDS",
        help="Comma-separated: image,json,hierarchy (default: image,json).",
        rich_help_panel=RESULTS,
    ),
]
ShowHierarchy = Annotated[
    bool,
    typer.Option(
        "--show-hierarchy",
        help="Draw segmentations and how their regions merge, too.",
        rich_help_panel=RESULTS,
    ),
]


def propose(
    paths: Paths,
    output: OutputPlace = None,
    save: Save = None,
    show_hierarchy: ShowHierarchy = False,
    json_file: JsonLines = None,
    overwrite: Overwrite = False,
    device: DeviceOption = None,
    preset: PresetOption = None,
    config: ConfigFile = None,
    settings: Settings = None,
    cluster: ClusterAddress = None,
    form: ResultFormatOption = None,
    cpus_per_worker: CpusPerWorker = None,
    cluster_workers: ClusterWorkers = None,
    part_size: PartSize = None,
    timing: Timing = False,
    quiet: QuietTable = False,
) -> int:
    """Propose regions that may hold an object, best first, without classifying them."""
    from incdet.config.loading import load_config
    from incdet.config.sections import Config

    effective = load_config(Config, config, [*preset_setting(preset), *device_setting(device), *(settings or ())])
    on_cluster = ClusterOptions(cluster, form, cpus_per_worker, cluster_workers, part_size)
    on_cluster.check(
        {
            "--save": save is not None,
            "--show-hierarchy": show_hierarchy,
            "--json": json_file is not None,
            "--timing": timing,
        }
    )
    if cluster is not None:
        return _propose_on_cluster(paths, on_cluster.check_place(output), effective, on_cluster, overwrite, quiet)
    from incdet.cli.engine_check import require_opencv_engine
    from incdet.cli.given_photos import GivenPhotos
    from incdet.cli.output_options import OutputOptions
    from incdet.networks.chosen_weights import check_proposers
    from incdet.runtime.gpu_presence import refuse_missing_gpu

    options = OutputOptions(None if output is None else Path(output), save, json_file, overwrite, timing, quiet)
    kinds = options.kinds(KINDS)
    if show_hierarchy and "hierarchy" not in kinds:
        kinds = (*kinds, "hierarchy")
    if "hierarchy" in kinds:
        require_hierarchies(effective.proposals)
    given = GivenPhotos(paths, effective.images)
    options.check(given, kinds)
    refuse_missing_gpu(effective.device)
    check_proposers(effective.proposals)
    require_opencv_engine(effective.proposals)
    if not given.files:
        return 1
    from incdet.cli.finished_runs import nothing_to_do
    from incdet.networks.chosen_weights import proposer_files
    from incdet.runtime.file_hashes import named_hashes
    from incdet.runtime.provenance import describe_run

    known = describe_run(effective, named_hashes(proposer_files(effective.proposals)))
    if nothing_to_do(given, kinds, "proposals", options, known):
        return 0
    # the proposers' libraries are loaded once the arguments are known to be right
    from incdet.cli.proposal_batch import propose_in_photos

    return propose_in_photos(given, kinds, effective, options)


def _propose_on_cluster(
    paths: list[str], place: str, config: "Config", options: ClusterOptions, overwrite: bool, quiet: bool
) -> int:
    """Checks what is known without a network, and proposes on a cluster.

    Args:
        paths: Inputs as they were given.
        place: Folder or address of the results.
        config: Everything that decides the proposals.
        options: The cluster's options.
        overwrite: Whether earlier results are replaced.
        quiet: Whether nothing but errors is told.

    Raises:
        IncdetError: The arguments, the weights or the cluster cannot be used.
    """
    from incdet.cli.engine_check import require_opencv_engine
    from incdet.networks.chosen_weights import check_proposers
    from incdet.runtime.gpu_presence import refuse_missing_gpu

    refuse_missing_gpu(config.device)
    check_proposers(config.proposals)
    require_opencv_engine(config.proposals)
    from incdet.cli.cluster_batch import run_on_cluster
    from incdet.cluster.photo_work import ProposalWork

    return run_on_cluster(ProposalWork(config), paths, place, options, overwrite, quiet)


def require_hierarchies(config: "ProposalsConfig") -> None:
    """Makes sure that there are hierarchies to draw.

    Raises:
        ConfigurationError: The proposers have none.
    """
    from incdet.errors import ConfigurationError

    if config.selective_search.engine == "opencv":
        raise ConfigurationError("OpenCV does not tell its hierarchies; leave out --show-hierarchy or engine=opencv")
    if "selective_search" not in config.methods:
        raise ConfigurationError(
            "only selective search has hierarchies; leave out --show-hierarchy or add it to proposals.methods"
        )
