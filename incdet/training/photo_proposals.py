"""Proposals of photo files, found in the cache without decoding the photos again."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from incdet.config.sections import ImagesConfig
from incdet.errors import ImageError
from incdet.images import read_image
from incdet.pipeline.proposal_cache import ProposalCache, image_key, search_photos, use_one_thread
from incdet.runtime.counted_words import counted, of_all
from incdet.runtime.files import load_arrays, remove_stale_temporaries, save_arrays
from incdet.runtime.reporter import Reporter
from incdet.runtime.shard_photos import ShardPhoto, file_version
from incdet.training.shard_proposals import ProposedPhoto, ShardProposals

_KEY = re.compile("[0-9a-f]{24}")
"""The form of the names that `image_key` gives."""


_NOTES = "photos"
"""Name of the folder in the cache with the notes about files."""


class PhotoProposals:
    """Finds the proposals of photo files in a cache, or computes them.

    The cache names proposals by the pixels of the photo, so finding them takes the time of decoding it. This class
    notes in the cache's folder the pixels' name and size for every file that it has decoded, under the file's path,
    length and time of modification. A file that is written anew has another time, so its note is no longer found and
    the photo is decoded again. Only a file that is replaced by another one of the same length and of the same time, as
    `cp --preserve` does, is taken for the old one, as `make` and `rsync` take it, too.

    Proposals of photos in shards are looked for beside their shards first.

    Args:
        cache: the proposals on disk.
    """

    def __init__(self, cache: ProposalCache):
        self.cache = cache
        self.beside_shards = ShardProposals(cache.settings_folder.name)

    def __call__(self, path: Path, num_threads: int | None = None) -> ProposedPhoto:
        """Returns the size and the proposals of a photo.

        Args:
            path: the file.
            num_threads: number of threads of selective search; None is one for each core.

        Raises:
            ImageError: the photo cannot be read.
            OutputError: the cache's folder cannot be written to.
        """
        # the note is named before the photo is read: a change in between makes a note that nobody finds
        note = self._note_of(path)
        known = self._known(path, note)
        if known is not None:
            return known
        image = read_image(path, ImagesConfig())
        proposals = self.cache(image, num_threads)
        if note is not None:
            save_arrays(note, key=np.array(image_key(image)), size=np.array([image.width, image.height]))
        return ProposedPhoto(image.width, image.height, proposals)

    def compute_missing(self, paths: Sequence[Path], reporter: Reporter) -> None:
        """Computes what is missing for these photos, says where it is kept, and shows progress.

        Args:
            paths: the photos.
            reporter: listener.
        """
        # notes are looked up once here, so that the bar counts what is left to do
        missing = self._missing(paths)
        if not missing:
            reporter.note(f"proposals of {counted(len(paths), 'photo')}: all found in {self.cache.folder}")
            return
        share = of_all(len(missing), len(paths), "photo")
        reporter.note(f"proposals of {share} are computed now; {self.cache.describe()}")
        reporter.follow("proposals", self.fill(missing), len(missing))

    def _missing(self, paths: Iterable[Path]) -> list[Path]:
        """The photos whose proposals are not known."""
        return [path for path in paths if self._known(path, self._note_of(path)) is None]

    def fill(self, paths: Iterable[Path], num_processes: int | None = None) -> Iterator[Path]:
        """Computes what is missing for these photos in parallel and yields each path when it is done.

        A photo that cannot be read is passed over here; whoever reads it next reports it. The work can be interrupted
        and repeated.

        Args:
            paths: the photos.
            num_processes: number of processes; None is one for each core, and none where so few photos are missing
                that starting them takes longer than it saves.
        """
        # what a killed run left unfinished would stay for good, because nobody asks for it by name
        remove_stale_temporaries(self.cache.folder / _NOTES, self.cache.settings_folder)
        missing = []
        for path in paths:
            if self._known(path, self._note_of(path)) is None:
                missing.append(path)
            else:
                yield path
        on_cpu = PhotoProposals(self.cache.on_cpu())
        yield from search_photos(partial(_finder, on_cpu), missing, num_processes, partial(_find, self, None))

    def _note_of(self, path: Path) -> Path | None:
        """The file of the note about a photo as it is now; None where there is no such photo."""
        identity = file_version(path)
        if identity is None:
            return None
        digest = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:24]
        return self.cache.folder / _NOTES / f"{digest}.npz"

    def _known(self, path: Path, note: Path | None) -> ProposedPhoto | None:
        """The photo, where its proposals lie beside its shard or its note is there."""
        known = self.beside_shards.load(path) if isinstance(path, ShardPhoto) else None
        if known is None and note is not None:
            known = self._load(note)
        return known

    def _load(self, note: Path) -> ProposedPhoto | None:
        """The photo that a note is about; None where the note or the proposals are missing or damaged."""
        noted = load_arrays(note, "key", "size")
        if noted is None:
            return None
        key, size = str(noted["key"]), noted["size"]
        # a note that is well-formed and wrong counts as damaged, too
        if not _KEY.fullmatch(key) or size.shape != (2,) or size.dtype.kind != "i" or not (size > 0).all():
            return None
        proposals = self.cache.load(key)
        if proposals is None:
            return None
        width, height = size.tolist()
        return ProposedPhoto(width, height, proposals)


def _finder(proposals: PhotoProposals) -> Callable[[Path], None]:
    """The work of one of several processes, each of which keeps one core busy."""
    use_one_thread(proposals.cache.config)
    return partial(_find, proposals, 1)


def _find(proposals: PhotoProposals, num_threads: int | None, path: Path) -> None:
    with suppress(ImageError):
        proposals(path, num_threads)
