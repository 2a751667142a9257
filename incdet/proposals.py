"""Image -> Proposals: run the proposers, merge, remove duplicates; and a cache of the results on disk."""

import hashlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from incdet.config import ImagesConfig, ProposalsConfig
from incdet.errors import ImageError
from incdet.images import read_image
from incdet.proposers import selective_search
from incdet.storage import load_arrays, save_arrays
from incdet.structures import Image, Proposals

Proposer = Callable[[Image], Proposals]
"""Anything that turns an image into proposals, best first, of one source."""


def make_proposers(config: ProposalsConfig, num_threads: int | None = None) -> list[Proposer]:
    """The proposers that the configuration names, in its order; None is one thread for each core."""
    proposers: list[Proposer] = []
    for method in config.methods:
        if method == "selective_search":
            proposers.append(partial(selective_search.propose, config=config.selective_search, num_threads=num_threads))
    return proposers


def propose(image: Image, config: ProposalsConfig, num_threads: int | None = None) -> Proposals:
    """All proposals of an image: each proposer's in turn, equal boxes once, at most `config.limit`."""
    found = [proposer(image) for proposer in make_proposers(config, num_threads)]
    return merge(found)[: config.limit]


def merge(parts: list[Proposals]) -> Proposals:
    """Joins proposals of several sources; of equal boxes the first stays, with its source and score."""
    if len(parts) == 1:
        return parts[0]
    boxes = np.concatenate([part.boxes for part in parts])
    _, first = np.unique(boxes, axis=0, return_index=True)
    kept = np.sort(first)
    scores = np.concatenate([part.scores for part in parts])
    sources = np.concatenate([part.sources for part in parts])
    return Proposals(boxes[kept], scores[kept], sources[kept])


class ProposalCache:
    """Proposals on disk, one small file per image content and settings; safe with many processes."""

    def __init__(self, folder: Path | str, config: ProposalsConfig):
        self.folder = Path(folder)
        self.config = config
        settings = f"{config.model_dump_json()} {selective_search.engine_version(config.selective_search)}"
        self._settings_key = hashlib.sha256(settings.encode()).hexdigest()[:16]

    def __call__(self, image: Image, num_threads: int | None = None) -> Proposals:
        """The image's proposals, computed now or at an earlier time."""
        file = self.folder / self._settings_key / f"{image_key(image)}.npz"
        arrays = load_arrays(file)
        if arrays is not None:
            return Proposals(arrays["boxes"], arrays["scores"], arrays["sources"])
        proposals = propose(image, self.config, num_threads)
        save_arrays(file, boxes=proposals.boxes, scores=proposals.scores, sources=proposals.sources)
        return proposals

    def fill(self, paths: Iterable[Path], images: ImagesConfig, num_processes: int | None = None) -> Iterator[Path]:
        """Computes what is missing for these photos in parallel and yields each path when it is done.

        A photo that cannot be read is skipped here; whoever reads it next reports it. Can be interrupted and repeated.
        """
        work = partial(_fill_one, self, images)
        # spawned, not forked: a fork of a process in which libraries have started threads waits for them forever
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(num_processes or selective_search.num_cores(), context) as pool:
            try:
                yield from pool.map(work, paths, chunksize=4)
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _fill_one(cache: ProposalCache, images: ImagesConfig, path: Path) -> Path:
    with suppress(ImageError):
        cache(read_image(path, images), num_threads=1)
    return path


def image_key(image: Image) -> str:
    """A name for an image's content: equal pixels give equal keys, wherever the file lies."""
    digest = hashlib.sha256(str(image.pixels.shape).encode())
    digest.update(np.ascontiguousarray(image.pixels).data)
    return digest.hexdigest()[:24]
