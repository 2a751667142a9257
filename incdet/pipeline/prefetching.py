"""Photos and their proposals, prepared by other processes while this one classifies the photos before."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from incdet.config.sections import ImagesConfig, ProposalsConfig, ScoresConfig
from incdet.errors import ImageError
from incdet.images import ImageSource, read_image
from incdet.pipeline.proposal_cache import use_one_thread
from incdet.proposals import Method, Proposers
from incdet.proposers.photo_crops import PhotoCropper
from incdet.runtime.worker_processes import MAX_WORKERS, map_in_processes, num_cores
from incdet.structures import Image, Proposals


@dataclass(frozen=True, eq=False)
class LoadedPhoto:
    """A photo and what has been proposed in it so far.

    Attributes:
        image: the photo.
        by_method: the proposals of each method that has run.
        seconds: time that reading ("read") and proposing ("proposals") took.
        photo_crops: the photo crops that MultiBox sees, where it has not run and they are cut already; None elsewhere.
    """

    image: Image
    by_method: Mapping[Method, Proposals]
    seconds: Mapping[str, float]
    photo_crops: np.ndarray | None = None


@dataclass(frozen=True)
class PhotoLoader:
    """Reads photos and runs proposers on them.

    Attributes:
        images: limits of the photos that can be read.
        proposers: the methods that run at once.
        photo_cropper: prepares photos for MultiBox, where it is none of these methods; None elsewhere.
        num_threads: number of threads of selective search; None is one for each core.
    """

    images: ImagesConfig
    proposers: Proposers
    photo_cropper: PhotoCropper | None = None
    num_threads: int | None = None

    def __call__(self, source: ImageSource) -> LoadedPhoto | ImageError:
        """The photo with its proposals, or what is wrong with it."""
        try:
            return self.load(source)
        except ImageError as error:
            return error

    def load(self, source: ImageSource) -> LoadedPhoto:
        """The photo with its proposals.

        Raises:
            ImageError: the photo cannot be read.
        """
        started = time.perf_counter()
        image = read_image(source, self.images)
        read = time.perf_counter()
        methods = self.proposers.config.methods
        # those of a photo that has been proposed in before
        shared_before = self.proposers.shared_seconds(image)
        by_method = {method: self.proposers.propose_by(method, image, self.num_threads) for method in methods}
        photo_crops = None if self.photo_cropper is None else self.photo_cropper(image)
        # feature maps that regions need, too, count with those
        proposing = time.perf_counter() - read - (self.proposers.shared_seconds(image) - shared_before)
        seconds = {"read": read - started, "proposals": proposing}
        return LoadedPhoto(image, by_method, seconds, photo_crops)


def prefetch_photos(
    sources: Iterable[ImageSource], loader: PhotoLoader, num_workers: int
) -> Iterator[tuple[ImageSource, LoadedPhoto | ImageError]]:
    """Every source in order, with the photo and its proposals or what is wrong with it.

    Args:
        sources: the photos; read as the results are consumed.
        loader: loads those that this process does itself.
        num_workers: number of processes that load photos ahead, on the CPU and with one thread each; 0 loads a photo
            here when it is asked for.
    """
    # networks are not sent: every process loads its own
    proposers = loader.proposers
    make_work = partial(_make_loader, loader.images, proposers.config, proposers.scores, loader.photo_cropper)
    return map_in_processes(make_work, sources, num_workers, loader)


def default_num_workers(num_photos: int, on_gpu: bool) -> int:
    """Number of processes that should prefetch: beside a GPU one for each core but one, so that it need not wait.

    Networks on a CPU keep all its cores busy, so there are none then, and none for a single photo.
    """
    return min(num_photos, num_cores() - 1, MAX_WORKERS) if on_gpu and num_photos > 1 else 0


def _make_loader(
    images: ImagesConfig, proposals: ProposalsConfig, scores: ScoresConfig | None, photo_cropper: PhotoCropper | None
) -> PhotoLoader:
    """The loader of a worker process."""
    use_one_thread(proposals)
    return PhotoLoader(images, Proposers(proposals, "cpu", scores=scores), photo_cropper, num_threads=1)
