"""Classification of all photos that `incdet classify` was given."""

from collections.abc import Sequence
from pathlib import Path

from incdet.classifier import Classifier
from incdet.cli.given_photos import GivenPhotos
from incdet.cli.output_options import OutputOptions
from incdet.cli.photo_batch import Batch, Done, one_by_one
from incdet.config.crop_counts import NumCrops
from incdet.config.sections import Config
from incdet.images import read_image
from incdet.output.writers import classification_json
from incdet.runtime.provenance import describe_run
from incdet.runtime.stopwatch import Stopwatch


def classify_photos(
    given: GivenPhotos,
    kinds: tuple[str, ...],
    weights: Sequence[str],
    num_crops: NumCrops,
    top: int,
    config: Config,
    options: OutputOptions,
) -> int:
    """Names what all photos show and returns the exit code: 0, or 1 where a photo failed.

    Args:
        given: Photos.
        kinds: Kinds of files that are written.
        weights: Names or files of the networks.
        num_crops: Crops of a photo that are classified.
        top: Number of classes that are told.
        config: Device and precision.
        options: Places of the results.

    Raises:
        IncdetError: The options, the weights or the output folder cannot be used.
    """
    classifier = Classifier.from_pretrained(*weights, num_crops=num_crops, config=config)
    description = describe_run(config, classifier.origin, crops=num_crops, top=top)
    batch = Batch(given, options, kinds, "classifications", description)

    def work(photo: Path) -> Done:
        watch = Stopwatch()
        with watch.stage("read"):
            image = read_image(given.source(photo), config.images)
        with watch.stage("scores"):
            classification = classifier.classify(image)
        return classification_json(classification, top), watch.seconds

    batch.run(one_by_one(work), "classifying")
    return batch.finish("json" in kinds)
