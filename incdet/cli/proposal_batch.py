"""Proposals in all photos that `incdet propose` was given."""

from collections.abc import Sequence
from pathlib import Path

from incdet.cli.photo_batch import Batch, Done, OutputOptions, one_by_one, require_opencv_engine
from incdet.config.sections import Config, ProposalsConfig
from incdet.errors import ConfigurationError
from incdet.images import read_image
from incdet.output.draw import draw_proposals, save_picture
from incdet.output.draw_hierarchy import draw_hierarchy
from incdet.output.writers import proposals_json
from incdet.proposals import Proposers
from incdet.runtime.file_hashes import named_hashes
from incdet.runtime.provenance import describe_run
from incdet.runtime.stopwatch import Stopwatch

KINDS = ("image", "json", "hierarchy")
"""Files that can be saved."""


def propose_in_photos(
    paths: Sequence[str], config: Config, options: OutputOptions, show_hierarchy: bool = False
) -> int:
    """Proposes regions in all photos and returns the exit code: 0, or 1 where a photo failed.

    Args:
        paths: Photos, folders and patterns, as the user gave them.
        config: Everything that decides the proposals.
        options: Places of the results.
        show_hierarchy: Whether a picture of segmentations and hierarchies is drawn, as with its kind among those saved.

    Raises:
        IncdetError: The options or the output folder cannot be used.
    """
    kinds = options.kinds(KINDS)
    if show_hierarchy and "hierarchy" not in kinds:
        kinds = (*kinds, "hierarchy")
    if "hierarchy" in kinds:
        _require_hierarchies(config.proposals)
    require_opencv_engine(config.proposals)
    proposers = Proposers(config.proposals, config.device)
    batch = Batch(paths, options, kinds, "proposals", describe_run(config, named_hashes(proposers.files)))

    def work(photo: Path) -> Done:
        watch = Stopwatch()
        with watch.stage("read"):
            image = read_image(photo, config.images)
        with watch.stage("proposals"):
            proposals = proposers(image)
        picture = batch.file_of(photo, "image")
        if picture is not None:
            save_picture(picture, draw_proposals(image, proposals))
        hierarchy = batch.file_of(photo, "hierarchy")
        if hierarchy is not None:
            save_picture(hierarchy, draw_hierarchy(image, proposals, config.proposals.selective_search))
        return proposals_json(image, proposals, watch.seconds if options.timing else None), watch.seconds

    batch.run(one_by_one(work), "proposing")
    return batch.finish("json" in kinds)


def _require_hierarchies(config: ProposalsConfig) -> None:
    if config.selective_search.engine == "opencv":
        raise ConfigurationError("OpenCV does not tell its hierarchies; leave out --show-hierarchy or engine=opencv")
    if "selective_search" not in config.methods:
        raise ConfigurationError(
            "only selective search has hierarchies; leave out --show-hierarchy or add it to proposals.methods"
        )
