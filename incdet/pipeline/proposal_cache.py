"""Proposals on disk, so that a photo is searched once."""

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from incdet.config.sections import ImagesConfig, ProposalsConfig, ScoresConfig
from incdet.errors import ImageError
from incdet.images import read_image
from incdet.proposals import Method, Proposers
from incdet.proposers import selective_search
from incdet.runtime.compilation import tell_of_workers
from incdet.runtime.files import load_arrays, remove_stale_temporaries, save_arrays
from incdet.runtime.worker_processes import MAX_WORKERS, WORTH_STARTING, map_in_processes, num_cores
from incdet.structures import Image, Proposals


class ProposalCache:
    """Proposals on disk, one small file per image content and settings; safe with many processes.

    Args:
        folder: the cache; made when it is needed.
        config: the methods and their settings.
        device: "auto", "cpu" or "cuda", which computes networks.
        scores: engine and precision of the network that computes feature maps for MultiBox; None is the default.

    Attributes:
        settings_folder: folder inside the cache with the proposals of these settings.

    Raises:
        WeightsError: the weights of MultiBox, or of the network whose feature maps it reads, are missing.
        ConfigurationError: the device is not there, or does not compute as `scores` asks.
        PackageError: the engine of `scores` is not installed.
    """

    def __init__(
        self,
        folder: Path | str,
        config: ProposalsConfig,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        scores: ScoresConfig | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.config, self.device, self.scores = config, device, scores or ScoresConfig()
        self._proposers: Proposers | None = None
        settings = f"{self._decisive_settings()} {selective_search.engine_version(config.selective_search)}"
        self.settings_folder = self.folder / hashlib.sha256(settings.encode()).hexdigest()[:16]

    def __getstate__(self) -> dict[str, Any]:
        """Networks are not sent to other processes, which load them when they first need them."""
        return self.__dict__ | {"_proposers": None}

    def __call__(self, image: Image, num_threads: int | None = None) -> Proposals:
        """The image's proposals, computed now or at an earlier time.

        Args:
            image: the photo.
            num_threads: number of threads of selective search; None is one for each core.

        Raises:
            OutputError: the folder cannot be written to.
        """
        key = image_key(image)
        known = self.load(key)
        if known is not None:
            return known
        if self._proposers is None:
            self._proposers = Proposers(self.config, self.device, scores=self.scores)
        proposals = self._proposers(image, num_threads)
        save_arrays(self._file(key), boxes=proposals.boxes, scores=proposals.scores, sources=proposals.sources)
        return proposals

    def load(self, key: str) -> Proposals | None:
        """Stored proposals of an image; None where there are none, or where they are damaged.

        Args:
            key: the name that `image_key` gives the image.
        """
        arrays = load_arrays(self._file(key), "boxes", "scores", "sources")
        if arrays is None:
            return None
        # a file that is well-formed and wrong counts as damaged, too
        try:
            return Proposals(arrays["boxes"], arrays["scores"], arrays["sources"])
        except (ValueError, TypeError, AttributeError):
            return None

    def _file(self, key: str) -> Path:
        # the name tells pixels and settings, so a changed photo or setting never finds an old file
        return self.settings_folder / f"{key}.npz"

    def fill(self, paths: Iterable[Path], images: ImagesConfig, num_processes: int | None = None) -> Iterator[Path]:
        """Computes what is missing for these photos in parallel and yields each path when it is done.

        A photo that cannot be read is passed over here; whoever reads it next reports it. The work can be interrupted
        and repeated.

        Args:
            paths: the photos.
            images: limits of the photos that can be read.
            num_processes: number of processes; None is one for each core, and none where there are so few photos that
                starting them takes longer than it saves.
        """
        remove_stale_temporaries(self.settings_folder)
        make_work = partial(_filler, self.on_cpu(), images)
        return search_photos(make_work, list(paths), num_processes, partial(_fill_one, self, images, None))

    def describe(self) -> str:
        """Returns a sentence that says where proposals are kept."""
        return f"proposals are kept in {self.folder}, where later runs find them"

    def on_cpu(self) -> "ProposalCache":
        """The same cache for worker processes: many of them, each with a network of its own, would fill a GPU.

        What they compute is kept as if the cache's own device had computed it.
        """
        same = copy.copy(self)
        same.device, same._proposers = "cpu", None
        return same

    def _decisive_settings(self) -> str:
        """The settings that decide the proposals, as text."""
        config = self.config
        # methods that do not run decide nothing, and neither does joining where there is one method only
        idle = {method for method in get_args(Method) if method not in config.methods}
        unused = idle | ({"duplicate_iou"} if len(config.methods) == 1 else set())
        settings = config.model_dump_json(exclude=unused)
        if "multibox" not in config.methods:
            return settings
        # torch takes seconds to load: only where a network proposes
        from incdet.networks.record_files import load_multibox_record
        from incdet.networks.shipped_weights import find_weights
        from incdet.proposers import multibox_proposer, shared_multibox_proposer
        from incdet.runtime.device import choose_device
        from incdet.runtime.file_hashes import sha256

        file = find_weights(config.multibox.weights)
        _, description = load_multibox_record(file)
        if description.form != "shared":
            return f"{settings} {multibox_proposer.VERSION} {sha256(file)}"
        features = shared_multibox_proposer.feature_map_key(description, choose_device(self.device), self.scores)
        return f"{settings} {shared_multibox_proposer.VERSION} {sha256(file)} {features}"


def search_photos(
    make_work: Callable[[], Callable[[Path], None]],
    photos: Sequence[Path],
    num_processes: int | None,
    work_here: Callable[[Path], None],
) -> Iterator[Path]:
    """Searches photos by worker processes, where that is worth it, and yields each path when it is done.

    Args:
        make_work: gives the search of a worker process; see `map_in_processes`.
        photos: the photos.
        num_processes: number of processes; None is one for each core, and none where there are so few photos that
            starting them takes longer than it saves.
        work_here: the search for photos that this process does.
    """
    if num_processes is None:
        num_processes = min(num_cores(), MAX_WORKERS) if len(photos) >= WORTH_STARTING else 1
    # one process beside this one, which waits, would only take the time of its start
    num_workers = num_processes if num_processes > 1 else 0
    if num_workers:
        # people who wait for them see nothing of what they compile
        tell_of_workers()
    for path, _ in map_in_processes(make_work, photos, num_workers, work_here):
        yield path


def image_key(image: Image) -> str:
    """A name for an image's content: equal pixels give equal names, wherever the file lies."""
    digest = hashlib.sha256(str(image.pixels.shape).encode())
    digest.update(np.ascontiguousarray(image.pixels).data)
    return digest.hexdigest()[:24]


def _filler(cache: ProposalCache, images: ImagesConfig) -> Callable[[Path], None]:
    """The work of one of several processes, each of which keeps one core busy."""
    use_one_thread(cache.config)
    return partial(_fill_one, cache, images, 1)


def _fill_one(cache: ProposalCache, images: ImagesConfig, num_threads: int | None, path: Path) -> None:
    with suppress(ImageError):
        cache(read_image(path, images), num_threads)


def use_one_thread(config: ProposalsConfig) -> None:
    """Makes torch, where these proposals need it, compute with one thread in this process."""
    if "multibox" in config.methods:
        import torch

        torch.set_num_threads(1)
