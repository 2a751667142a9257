"""Proposals of photos in shards, in one file beside each shard, so that many machines compute a data set's proposals.

The proposals of the shard `ROOT/train-000000.tar` by certain settings lie in
`ROOT/proposals/SETTINGS/train-000000.zip`, where SETTINGS is the name of the folder that the proposal cache has for
these settings. The zip file holds `KEY.npz` for each photo: the arrays of a file of the proposal cache, the photo's
size, and its place in the shard, by which a shard that was written anew is noticed. Such a file is written whole or not
at all, so that work that is interrupted goes on with the next shard.
"""

import io
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from incdet.config.sections import ImagesConfig
from incdet.errors import ImageError, IncdetError
from incdet.images import read_image
from incdet.runtime.addresses import find_address, join_place, list_files, open_file, read_part, write_file
from incdet.runtime.files import load_arrays
from incdet.runtime.shard_photos import Shard, ShardPhoto
from incdet.structures import Image, Proposals

FOLDER = "proposals"
"""Name of the folder beside the shards."""

OPEN_DIRECTORIES = 64
"""Number of zip files whose directories a process remembers."""

_LOCAL_HEADER_BYTES = 30
"""Length of what stands in a zip file before the name of a member."""


class ProposedPhoto(NamedTuple):
    """A photo's size in pixels and its proposals."""

    width: int
    height: int
    proposals: Proposals


class ShardProposals:
    """Reads and writes the proposals beside shards.

    Args:
        settings: Name of the settings; see `ProposalCache.settings_folder`.
    """

    def __init__(self, settings: str):
        self.settings = settings
        # place of a zip file -> name of a member -> first byte and number of bytes
        self._directories: OrderedDict[str, dict[str, tuple[int, int]]] = OrderedDict()

    def load(self, photo: ShardPhoto) -> ProposedPhoto | None:
        """Returns the size and the proposals of a photo; None where they are missing, damaged or of another photo."""
        place = self.place(photo.shard)
        try:
            part = self._directory(place).get(f"{photo.key}.npz")
            if part is None:
                return None
            content = read_part(place, *part)
        except (OSError, IncdetError):
            return None
        return _proposed_photo(content, photo)

    def place(self, shard: Shard) -> str:
        """Returns the place of the file with the proposals of a shard."""
        return join_place(self._folder(shard), Path(shard.place).stem + ".zip")

    def _folder(self, shard: Shard) -> str:
        folder = shard.place.rpartition("/")[0] if find_address(shard.place) else str(Path(shard.place).parent)
        return join_place(join_place(folder, FOLDER), self.settings)

    def finished(self, shards: Iterable[Shard]) -> set[Shard]:
        """Returns the shards that have a file with proposals."""
        shards = list(shards)
        names: dict[str, set[str]] = {}
        for folder in {self._folder(shard) for shard in shards}:
            names[folder] = {file.name for file in list_files(folder)}
        return {shard for shard in shards if Path(self.place(shard)).name in names[self._folder(shard)]}

    def fill(self, photos: Sequence[ShardPhoto], propose: Callable[[Image], Proposals]) -> str:
        """Computes and writes the proposals of all photos of one shard. Photos that cannot be read are passed over.

        Args:
            photos: The photos, which lie in one shard.
            propose: Function that computes the proposals of a photo.

        Returns:
            The place of the file.

        Raises:
            OutputError: The file cannot be written.
        """
        content = io.BytesIO()
        # its members are compressed already
        with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
            for photo in photos:
                try:
                    image = read_image(photo, ImagesConfig())
                except ImageError:
                    # whoever reads it next reports it
                    continue
                # a fixed time, so that equal proposals give equal files
                archive.writestr(zipfile.ZipInfo(f"{photo.key}.npz"), _arrays(photo, image, propose(image)))
        place = self.place(photos[0].shard)
        write_file(place, content.getvalue())
        self._directories.pop(place, None)
        return place

    def _directory(self, place: str) -> dict[str, tuple[int, int]]:
        """Returns the places of the members of a zip file; none where it is missing or damaged."""
        if place in self._directories:
            self._directories.move_to_end(place)
            return self._directories[place]
        found = {}
        try:
            with open_file(place) as stream, zipfile.ZipFile(stream) as archive:
                for member in archive.infolist():
                    start = member.header_offset + _LOCAL_HEADER_BYTES + len(member.filename.encode())
                    found[member.filename] = (start, member.file_size)
        # the last error is what zipfile says of a directory whose bytes are damaged into features that it lacks
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
            found = {}
        self._directories[place] = found
        if len(self._directories) > OPEN_DIRECTORIES:
            self._directories.popitem(last=False)
        return found


def photos_by_shard(paths: Iterable[Path]) -> dict[Shard, list[ShardPhoto]]:
    """Returns the photos of each shard, in their order; photos that lie in no shard are left out."""
    found: dict[Shard, list[ShardPhoto]] = {}
    for path in paths:
        if isinstance(path, ShardPhoto):
            found.setdefault(path.shard, []).append(path)
    return found


def _arrays(photo: ShardPhoto, image: Image, proposals: Proposals) -> bytes:
    """Returns the file of a photo's proposals."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        boxes=proposals.boxes,
        scores=proposals.scores,
        sources=proposals.sources,
        size=np.array([image.width, image.height], np.int64),
        place=np.array([photo.start, photo.size], np.int64),
    )
    return content.getvalue()


def _proposed_photo(content: bytes, photo: ShardPhoto) -> ProposedPhoto | None:
    """Returns what a file says about a photo; None where it is damaged or about another photo."""
    arrays = load_arrays(io.BytesIO(content), "boxes", "scores", "sources", "size", "place")
    if arrays is None:
        return None
    # a file that is well-formed and wrong counts as damaged, too
    try:
        if arrays["place"].tolist() != [photo.start, photo.size]:
            return None
        width, height = (int(side) for side in arrays["size"])
        proposals = Proposals(arrays["boxes"], arrays["scores"], arrays["sources"])
    except (ValueError, TypeError, AttributeError):
        return None
    return ProposedPhoto(width, height, proposals) if min(width, height) > 0 else None
