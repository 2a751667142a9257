"""Image -> Proposals: run the proposers, merge, remove duplicates; and a cache of the results on disk."""

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from incdet.config.sections import ImagesConfig, ProposalsConfig
from incdet.errors import ImageError
from incdet.images import read_image
from incdet.ops.boxes import box_iou
from incdet.proposers import selective_search
from incdet.proposers.photo_crops import PhotoCropper
from incdet.runtime.files import load_arrays, save_arrays
from incdet.runtime.worker_processes import MAX_WORKERS, follow_parent, interrupts_blocked, num_cores
from incdet.structures import Image, Proposals

if TYPE_CHECKING:
    from incdet.proposers.multibox_proposer import MultiBoxProposer

_WORTH_PROCESSES = 8
"""Photos from which on starting processes, some seconds each, takes less time than it saves."""


class Proposers:
    """Whatever the configuration says proposes, its networks loaded once.

    Attributes:
        files: of the weights.

    Raises:
        WeightsError: a network's weights are missing, damaged or of another kind.
        ConfigurationError: the device is not there.
    """

    def __init__(self, config: ProposalsConfig, device: Literal["auto", "cpu", "cuda"] = "auto"):
        self.config = config
        self._multibox = _load_multibox(config, device) if "multibox" in config.methods else None
        self.files: tuple[Path, ...] = () if self._multibox is None else (self._multibox.file,)

    @property
    def photo_cropper(self) -> PhotoCropper | None:
        """What other processes can do for MultiBox ahead; None where it does not propose."""
        return None if self._multibox is None else self._multibox.photo_cropper

    def __call__(self, image: Image, num_threads: int | None = None) -> Proposals:
        """All proposals of an image, each proposer's in turn, at most `config.limit`.

        Args:
            image: the photo.
            num_threads: of selective search; None is one for each core.
        """
        return self.join(self.find(image, num_threads))

    def find(
        self,
        image: Image,
        num_threads: int | None = None,
        known: Collection[str] = (),
        photo_crops: np.ndarray | None = None,
    ) -> dict[str, Proposals]:
        """Name of each proposer -> its proposals, except of those that are known already."""
        found: dict[str, Proposals] = {}
        for method in self.config.methods:
            if method in known:
                continue
            if method == "multibox":
                assert self._multibox is not None
                found[method] = self._multibox(image, photo_crops)
            else:
                found[method] = selective_search.propose(image, self.config.selective_search, num_threads)
        return found

    def join(self, found: Mapping[str, Proposals]) -> Proposals:
        """What each proposer found, in the configured order, without near-duplicates."""
        parts = [found[method] for method in self.config.methods]
        return merge(parts, self.config.duplicate_iou)[: self.config.limit]


def _load_multibox(config: ProposalsConfig, device: Literal["auto", "cpu", "cuda"]) -> "MultiBoxProposer":
    # torch takes seconds to load: only where a network proposes
    from incdet.proposers.multibox_proposer import MultiBoxProposer
    from incdet.runtime.device import choose_device

    return MultiBoxProposer(config.multibox, choose_device(device))


def no_proposals() -> Proposals:
    """None at all."""
    return Proposals(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, "U1"))


def propose(image: Image, config: ProposalsConfig, num_threads: int | None = None) -> Proposals:
    """All proposals of one image; for many, `Proposers` loads its networks once."""
    return Proposers(config)(image, num_threads)


def merge(parts: list[Proposals], duplicate_iou: float = 1.0) -> Proposals:
    """Joins proposals of several sources, one after the other; each box keeps its source and score.

    Args:
        parts: each best first.
        duplicate_iou: a box that is equal to one of an earlier part, or overlaps it by more, is left out.
    """
    kept = parts[0]
    for part in parts[1:]:
        overlaps = box_iou(part.boxes, kept.boxes).max(axis=1, initial=0)
        # up to rounding, the overlap of equal boxes is 1
        new = part[(overlaps <= duplicate_iou) & (overlaps < 1 - 1e-9)]
        columns = zip((kept.boxes, kept.scores, kept.sources), (new.boxes, new.scores, new.sources), strict=True)
        kept = Proposals(*(np.concatenate(pair) for pair in columns))
    return kept


class ProposalCache:
    """Proposals on disk, one small file per image content and settings; safe with many processes."""

    def __init__(
        self, folder: Path | str, config: ProposalsConfig, device: Literal["auto", "cpu", "cuda"] = "auto"
    ) -> None:
        self.folder = Path(folder)
        self.config, self.device = config, device
        self._proposers: Proposers | None = None
        settings = f"{_decisive(config)} {selective_search.engine_version(config.selective_search)}"
        self._settings_key = hashlib.sha256(settings.encode()).hexdigest()[:16]

    def __getstate__(self) -> dict[str, Any]:
        """Networks are not sent to other processes, which load them when they first need them."""
        return self.__dict__ | {"_proposers": None}

    def __call__(self, image: Image, num_threads: int | None = None) -> Proposals:
        """The image's proposals, computed now or at an earlier time."""
        file = self.folder / self._settings_key / f"{image_key(image)}.npz"
        arrays = load_arrays(file, "boxes", "scores", "sources")
        if arrays is not None:
            return Proposals(arrays["boxes"], arrays["scores"], arrays["sources"])
        if self._proposers is None:
            self._proposers = Proposers(self.config, self.device)
        proposals = self._proposers(image, num_threads)
        save_arrays(file, boxes=proposals.boxes, scores=proposals.scores, sources=proposals.sources)
        return proposals

    def fill(self, paths: Iterable[Path], images: ImagesConfig, num_processes: int | None = None) -> Iterator[Path]:
        """Computes what is missing for these photos in parallel and yields each path when it is done.

        A photo that cannot be read is skipped here; whoever reads it next reports it. Can be interrupted and repeated.
        When one of the processes dies, this one does the rest by itself, as it does a few photos.

        Args:
            paths: of the photos.
            images: how they are read.
            num_processes: default: as many as there are cores, where there are photos enough to be worth starting them.
        """
        missing = deque(paths)
        number = num_processes or (min(num_cores(), MAX_WORKERS) if len(missing) >= _WORTH_PROCESSES else 1)
        if number > 1:
            # many processes, each with a network of its own, would fill a GPU
            work = partial(_fill_one, ProposalCache(self.folder, self.config, "cpu"), images, num_threads=1)
            yield from _done_by_processes(work, missing, number, self.config)
        yield from map(partial(_fill_one, self, images), missing)


def _done_by_processes(
    work: Callable[[Path], Path], missing: deque[Path], number: int, config: ProposalsConfig
) -> Iterator[Path]:
    """Yields what is done and takes it from `missing`, in order; ends early when one of the processes dies."""
    # spawned, not forked: a fork of a process in which libraries have started threads waits for them forever
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(number, context, initializer=begin_worker, initargs=(config,)) as pool:
        try:
            with interrupts_blocked():
                done = pool.map(work, tuple(missing))
            for path in done:
                missing.popleft()
                yield path
        except BrokenProcessPool:  # killed, perhaps for the memory that so many need
            pass
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def begin_worker(config: ProposalsConfig) -> None:
    """Makes this process one of several that work side by side for another: one thread in torch, too."""
    follow_parent()
    if "multibox" in config.methods:
        import torch

        torch.set_num_threads(1)


def _decisive(config: ProposalsConfig) -> str:
    """The settings that decide the proposals, as text."""
    if "multibox" not in config.methods:
        return config.model_dump_json(exclude={"multibox", "duplicate_iou"})
    from incdet.networks.weights import find_weights, sha256
    from incdet.proposers.multibox_proposer import VERSION

    return f"{config.model_dump_json()} {VERSION} {sha256(find_weights(config.multibox.weights))}"


def _fill_one(cache: ProposalCache, images: ImagesConfig, path: Path, num_threads: int | None = None) -> Path:
    with suppress(ImageError):
        cache(read_image(path, images), num_threads)
    return path


def image_key(image: Image) -> str:
    """A name for an image's content: equal pixels give equal keys, wherever the file lies."""
    digest = hashlib.sha256(str(image.pixels.shape).encode())
    digest.update(np.ascontiguousarray(image.pixels).data)
    return digest.hexdigest()[:24]
