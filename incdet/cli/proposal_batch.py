"""Proposals in all photos that `incdet propose` was given."""

from pathlib import Path

from incdet.cli.given_photos import GivenPhotos
from incdet.cli.output_options import OutputOptions
from incdet.cli.photo_batch import Batch, Done, one_by_one
from incdet.config.sections import Config
from incdet.images import read_image
from incdet.output.draw import draw_proposals
from incdet.output.draw_hierarchy import draw_hierarchy
from incdet.output.writers import proposals_json
from incdet.proposals import Proposers
from incdet.runtime.file_hashes import named_hashes
from incdet.runtime.picture_files import save_picture
from incdet.runtime.provenance import describe_run
from incdet.runtime.stopwatch import Stopwatch


def propose_in_photos(given: GivenPhotos, kinds: tuple[str, ...], config: Config, options: OutputOptions) -> int:
    """Proposes regions in all photos and returns the exit code: 0, or 1 where a photo failed.

    Args:
        given: Photos.
        kinds: Kinds of files that are written.
        config: Everything that decides the proposals.
        options: Places of the results.

    Raises:
        IncdetError: The options or the output folder cannot be used.
    """
    proposers = Proposers(config.proposals, config.device, scores=config.scores)
    batch = Batch(given, options, kinds, "proposals", describe_run(config, named_hashes(proposers.files)))

    def work(photo: Path) -> Done:
        watch = Stopwatch()
        with watch.stage("read"):
            image = read_image(given.source(photo), config.images)
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
