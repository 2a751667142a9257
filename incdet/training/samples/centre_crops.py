"""Centre crops of photos, by which a classifier is validated."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from incdet.classifier import crop_image
from incdet.errors import ImageError
from incdet.networks.weights_record import Preprocessing
from incdet.training.samples.batch_loading import load_batches
from incdet.training.samples.photo_sources import PhotoSource


class _CentreCrops(TorchDataset[tuple[Tensor, int] | None]):
    """Index -> the preprocessed centre of the photo [3, size, size] and its class; None where it cannot be read."""

    def __init__(self, source: PhotoSource, preprocessing: Preprocessing):
        self.source, self.preprocessing = source, preprocessing

    def __getitem__(self, index: int) -> tuple[Tensor, int] | None:
        try:
            image = self.source.read(index)
        except ImageError:
            # a sample without a photo keeps its place until the batch is collated
            return None
        return crop_image(image, self.preprocessing, 1)[0], int(self.source.class_ids[index])


def centre_batches(
    source: PhotoSource, chosen: np.ndarray, preprocessing: Preprocessing, batch_size: int, num_workers: int
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Yields centre crops [B, 3, size, size] float32 and class ids [B] int64 of the photos, in order.

    Photos that cannot be read are left out.

    Args:
        source: the photos.
        chosen: [K] int64, indices of the photos.
        preprocessing: size and colours of the crops.
        batch_size: largest number of crops of a batch.
        num_workers: number of processes that read photos; 0 reads them in this process.
    """
    batches = [chosen[start : start + batch_size].tolist() for start in range(0, len(chosen), batch_size)]
    for batch in load_batches(_CentreCrops(source, preprocessing), batches, _collate, num_workers):
        if batch is not None:
            crops, class_ids = batch
            yield crops, class_ids.numpy()


def _collate(samples: Sequence[tuple[Tensor, int] | None]) -> tuple[Tensor, Tensor] | None:
    """(crops, class ids) of the photos that could be read; None where there is none."""
    readable = [sample for sample in samples if sample is not None]
    if not readable:
        return None
    crops = torch.stack([crop for crop, _ in readable])
    return crops, torch.tensor([class_id for _, class_id in readable])
