"""Reading photos with their annotations, as all trainings on detection data sets do."""

import numpy as np

from incdet.data.dataset import Dataset
from incdet.data.impossible_boxes import learnable
from incdet.data.photo_frame import fit_to_photo
from incdet.images import read_image
from incdet.structures import GroundTruth, Image


def read_annotated(dataset: Dataset, index: int) -> tuple[Image, GroundTruth]:
    """Reads a photo and what is learnt of its annotation, in pixels of the file.

    Args:
        dataset: the photos and their objects.
        index: index of the photo.

    Raises:
        ImageError: the photo cannot be read, or its annotation contradicts it.
    """
    path = dataset.image_paths[index]
    image = read_image(path)
    # annotations may be of the photo at another size than that of its file
    return image, learnable(fit_to_photo(dataset.ground_truths[index], image.width, image.height, path))


def shuffled_photos(dataset: Dataset, generator: np.random.Generator) -> np.ndarray:
    """Returns the index of every photo once, [N] int64, in random order."""
    return generator.permutation(np.arange(len(dataset)))
