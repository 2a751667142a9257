"""Data sets in tar shards: `key.jpg` beside `key.json` with its objects, in WebDataset's layout.

The shards of a split are `SPLIT-*.tar` in a folder or at an address, beside `classes.txt`. Only annotations are read
when a data set is opened; photos are read from their places in the shards when they are needed, by any process. Shards
that incdet has written end in an index, so that two small reads open each; others are read through once.
"""

import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from incdet.data.class_names import parse_class_list
from incdet.data.dataset import Dataset, Warn, no_warning
from incdet.data.file_names import named_apart
from incdet.data.impossible_boxes import warn_of_impossible_boxes, warn_of_odd_boxes
from incdet.data.layouts import missing_split, split_synonyms
from incdet.data.shard_annotations import parse_shard_annotation
from incdet.data.shard_index import IndexedPhoto, is_index, read_shard_index
from incdet.data.tar_members import add_image, read_member, reading_shard, shard_members
from incdet.errors import DataError, reason
from incdet.images import SUFFIXES
from incdet.runtime.addresses import StoredFile, find_address, join_place, list_files, open_file, read_part
from incdet.runtime.counted_words import counted, first_ones
from incdet.runtime.shard_photos import Shard, ShardPhoto
from incdet.structures import GroundTruth

CLASSES_FILE = "classes.txt"
"""Name of the file beside the shards with the classes, one a line."""

READ_TOGETHER = 8
"""Number of shards that are opened at a time: networks answer many questions at once."""

_MAX_ANNOTATION_BYTES = 64 << 20


class _Found(NamedTuple):
    """What one shard holds."""

    photos: list[ShardPhoto]
    truths: list[GroundTruth]
    unknown: Counter[str]


def read_object_shards(root: Path | str, split: str, warn: Warn = no_warning) -> Dataset:
    """Reads a split of a data set in tar shards.

    Args:
        root: Folder or address of the shards.
        split: Name of the split, with which the names of its shards begin.
        warn: Function that is told about objects of unknown classes and impossible boxes.

    Raises:
        DataError: The shards, the list of classes or an annotation are missing or malformed.
        PackageError: fsspec or its driver for the address is not installed.
    """
    place = find_address(root) or str(root)
    shards = find_shards(place, split)
    class_names = read_shard_classes(place)
    class_ids = {name: index for index, name in enumerate(class_names)}
    photos: list[ShardPhoto] = []
    truths: list[GroundTruth] = []
    unknown = Counter[str]()
    with ThreadPoolExecutor(READ_TOGETHER) as pool:
        for found in pool.map(partial(_read_shard, class_ids=class_ids), shards):
            photos += found.photos
            truths += found.truths
            unknown += found.unknown
    if unknown:
        objects, classes = counted(sum(unknown.values()), "object"), counted(len(unknown), "class", "classes")
        owner = join_place(place, CLASSES_FILE)
        warn(f"left out: {objects} of {classes} that {owner} lacks ({first_ones(sorted(unknown))})")
    warn_of_impossible_boxes(truths, photos, warn)
    warn_of_odd_boxes(truths, photos, warn)
    named = named_apart(truths, [f"{Path(photo.shard.place).stem}/{photo.member}" for photo in photos])
    name = PurePosixPath(place).name if find_address(place) else Path(place).resolve().name
    return Dataset(
        name=f"{name} {split}",
        class_names=class_names,
        image_paths=tuple(photos),
        ground_truths=named,
        image_ids=tuple(truth.image for truth in named),
        category_ids=tuple(range(1, len(class_names) + 1)),
    )


def find_shards(place: str, split: str) -> list[StoredFile]:
    """Returns the shards of a split, in the order of their names.

    Args:
        place: Folder or address of the shards.
        split: Name of the split.

    Raises:
        MissingSplitError: There are no shards of this split.
        DataError: The folder cannot be listed.
    """
    try:
        files = [file for file in list_files(place) if file.name.endswith(".tar") and not file.name.startswith(".")]
    except OSError as error:
        raise DataError(f"cannot list the shards in {place}: {reason(error)}; check the address and its keys") from None
    for known in split_synonyms(split):
        found = [file for file in files if file.name.rpartition("-")[0] == known or file.name == f"{known}.tar"]
        if found:
            return found
    splits = {file.name.removesuffix(".tar").rpartition("-")[0] or file.name.removesuffix(".tar") for file in files}
    raise missing_split(place, split, f"{split}-*.tar", splits)


def read_shard_classes(place: str) -> tuple[str, ...]:
    """Returns the classes of the data set in a folder or at an address.

    Raises:
        DataError: The list is missing, no text or empty, or names a class twice.
    """
    file = join_place(place, CLASSES_FILE)
    try:
        text = read_part(file).decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DataError(
            f"cannot read the class list {file}: {reason(error)}; write the classes of the shards into it, one a line"
        ) from None
    return parse_class_list(text, file)


def _read_shard(file: StoredFile, class_ids: Mapping[str, int]) -> _Found:
    """Returns the photos and the annotations of one shard."""
    shard = Shard(file.place, file.version)
    photos, truths, unknown = [], [], Counter[str]()
    for photo in shard_photos(file):
        where = f"{file.place}: {photo.member}"
        truth, others = parse_shard_annotation(photo.annotation, where, PurePosixPath(photo.member).stem, class_ids)
        photos.append(ShardPhoto(shard, photo.member, photo.start, photo.size))
        truths.append(truth)
        unknown.update(others)
    return _Found(photos, truths, unknown)


def shard_photos(file: StoredFile) -> Iterator[IndexedPhoto]:
    """Yields the photos of a shard with their places and annotations, from its index or from its members.

    Raises:
        DataError: The shard cannot be read, or a photo has no annotation or an annotation no photo.
    """
    with reading_shard(file.place):
        indexed = read_shard_index(file)
    yield from _photos_of_members(file) if indexed is None else indexed


def _photos_of_members(file: StoredFile) -> list[IndexedPhoto]:
    """Returns the photos of a shard without an index, which is read through."""
    images: dict[str, tarfile.TarInfo] = {}
    annotations: dict[str, Any] = {}
    # pictures and annotations with a second dot, by key and what stands between the dots
    dotted: dict[tuple[str, str], str] = {}
    dotted_annotations: set[tuple[str, str]] = set()
    with reading_shard(file.place), open_file(file.place) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for key, suffix, member in shard_members(archive, file.place):
            if is_index(member.name):
                continue
            between, _, ending = suffix.lower().rpartition(".")
            if f".{suffix.lower()}" in SUFFIXES:
                add_image(images, key, member, file.place)
            elif between and f".{ending}" in SUFFIXES:
                dotted[key, between] = member.name
            elif between and ending == "json":
                dotted_annotations.add((key, between))
            elif suffix.lower() == "json":
                annotations[key] = _parse(read_member(archive, member, _MAX_ANNOTATION_BYTES), file.place, member.name)
    if not images and not annotations:
        raise DataError(
            f"{file.place} has no photos; expected pairs of key.jpg and key.json, with no other dot in a name"
        )
    # one without an annotation is a further picture of its pair, such as a mask
    if lost := [name for place, name in dotted.items() if place in dotted_annotations or place[0] not in images]:
        raise DataError(
            f"{file.place}: {lost[0]} has a second dot in its name, and a pair's key ends at the first one; "
            "write the photo under a name with one dot"
        )
    alone = sorted(images.keys() ^ annotations.keys())
    if alone:
        missing = "annotation (.json)" if alone[0] in images else "photo"
        raise DataError(
            f"{file.place}: {alone[0]} has no {missing}; expected pairs of {alone[0]}.jpg and {alone[0]}.json"
        )
    return [
        IndexedPhoto(member.name, member.offset_data, member.size, annotations[key]) for key, member in images.items()
    ]


def _parse(content: bytes, place: str, member: str) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: {member} is not valid JSON: {reason(error)}; write it anew") from None
