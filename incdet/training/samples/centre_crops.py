"""Centre crops of photos, by which a classifier is validated."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from incdet.classifier import crop_image
from incdet.data.dataset import Warn, no_warning
from incdet.errors import ImageError
from incdet.networks.weights_record import Preprocessing
from incdet.training.samples.batch_loading import load_batches
from incdet.training.samples.photo_sources import PhotoSource


class _CentreCrops(TorchDataset[tuple[Tensor, int] | str]):
    """Index -> the preprocessed centre of the photo [3, size, size] and its class; where it cannot be read, a sentence
    that says why.
    """

    def __init__(self, source: PhotoSource, preprocessing: Preprocessing):
        self.source, self.preprocessing = source, preprocessing

    def __getitem__(self, index: int) -> tuple[Tensor, int] | str:
        try:
            image = self.source.read(index)
        except ImageError as error:
            # an exception would reach the process that trains as a traceback of many lines
            return str(error)
        return crop_image(image, self.preprocessing, 1)[0], int(self.source.class_ids[index])


def centre_batches(
    source: PhotoSource,
    chosen: np.ndarray,
    preprocessing: Preprocessing,
    batch_size: int,
    num_workers: int,
    warn: Warn = no_warning,
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Yields centre crops [B, 3, size, size] float32 and class ids [B] int64 of the photos, in order.

    Photos that cannot be read are left out.

    Args:
        source: the photos.
        chosen: [K] int64, indices of the photos.
        preprocessing: size and colours of the crops.
        batch_size: largest number of crops of a batch.
        num_workers: number of processes that read photos; 0 reads them in this process.
        warn: takes a sentence about every photo that cannot be read.
    """
    told: set[str] = set()
    batches = [chosen[start : start + batch_size].tolist() for start in range(0, len(chosen), batch_size)]
    for batch in load_batches(_CentreCrops(source, preprocessing), batches, _collate, num_workers):
        crops, class_ids, problems = batch
        # several objects of a photo have the same problem
        for problem in dict.fromkeys(problems):
            if problem not in told:
                warn(f"{problem}; it is left out of the validation")
        told.update(problems)
        if len(class_ids):
            yield crops, class_ids.numpy()


def _collate(samples: Sequence[tuple[Tensor, int] | str]) -> tuple[Tensor, Tensor, list[str]]:
    """Crops and class ids of the photos that could be read, both empty where there is none; problems of the others."""
    problems = [sample for sample in samples if isinstance(sample, str)]
    readable = [sample for sample in samples if not isinstance(sample, str)]
    crops = torch.stack([crop for crop, _ in readable]) if readable else torch.zeros(0)
    return crops, torch.tensor([class_id for _, class_id in readable], dtype=torch.int64), problems
