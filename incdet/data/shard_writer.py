"""Writes a data set into tar shards, which `read_object_shards` and WebDataset read."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from incdet.data.dataset import Dataset
from incdet.data.object_shards import CLASSES_FILE
from incdet.data.shard_annotations import shard_annotation
from incdet.data.shard_index import IndexedPhoto, add_member, append_index
from incdet.errors import ImageError, reason
from incdet.runtime.addresses import find_address, join_place, write_file

PHOTOS_IN_SHARD = 1000
"""Number of photos of a shard where nothing else is said: about 100 MB of photos of 0.2 megapixels."""


def write_object_shards(
    dataset: Dataset, folder: Path | str, split: str, photos_in_shard: int = PHOTOS_IN_SHARD
) -> Iterator[str]:
    """Writes a data set into shards `SPLIT-000000.tar`, ... and yields the place of each shard when it is there.

    Photos are copied as they are. Each shard is written whole or not at all, and equal data gives equal bytes.

    Args:
        dataset: The photos and their objects.
        folder: Folder or address of the shards; `classes.txt` is written into it, too.
        split: Name of the split.
        photos_in_shard: Number of photos of every shard but the last one.

    Raises:
        ImageError: A photo's file cannot be read.
        OutputError: A file cannot be written.
    """
    place = find_address(folder) or str(folder)
    write_file(join_place(place, CLASSES_FILE), "".join(f"{name}\n" for name in dataset.class_names).encode())
    for number, start in enumerate(range(0, len(dataset), photos_in_shard)):
        file = join_place(place, f"{split}-{number:06}.tar")
        write_file(file, _shard_of(dataset, range(start, min(start + photos_in_shard, len(dataset)))))
        yield file


def _shard_of(dataset: Dataset, indices: range) -> bytes:
    """Returns the tar file of some photos."""
    content = io.BytesIO()
    photos = []
    # ustar has no headers of its own kind that would stand between a member's name and its content
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for index in indices:
            path, truth = dataset.image_paths[index], dataset.ground_truths[index]
            try:
                photo = path.read_bytes()
            except OSError as error:
                raise ImageError(f"cannot read {path}: {reason(error)}; check the data set") from None
            annotation = shard_annotation(truth, dataset.class_names)
            # the number is the key: names may hold dots, at which WebDataset ends a key
            member = f"{index:09}{path.suffix.lower()}"
            photo_start = add_member(archive, member, photo)
            add_member(archive, f"{index:09}.json", json.dumps(annotation).encode())
            photos.append(IndexedPhoto(member, photo_start, len(photo), annotation))
        append_index(archive, photos)
    return content.getvalue()
