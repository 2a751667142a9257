"""All annotations of a split at once: parsed in parallel, and cached, so that the next time they are only read.

The cache is a file whose name is a checksum of everything that decides its content, the annotations' bytes included. A
changed annotation gives another name, so nothing stale is ever used.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from incdet.data.xml_annotations import BoxConvention, parse_annotation, read_content
from incdet.errors import DataError, OutputError
from incdet.runtime.counted_words import counted, first_ones, of_all
from incdet.runtime.files import load_arrays, save_arrays
from incdet.runtime.worker_processes import map_in_processes
from incdet.structures import GroundTruth

_MIN_FILES_FOR_PROCESSES = 4000
"""Number of files from which worker processes are worth their start. Fewer are parsed sooner in this process."""

_FORMAT = 2
"""Version of the cache file's form; part of its checksum."""

Parsed = tuple[list[GroundTruth], Counter[str]]
"""The images' objects, and the number of objects of each class that the data set does not have."""


def read_annotations(
    files: Sequence[Path],
    class_ids: Mapping[str, int],
    convention: BoxConvention,
    cache: Path | None = None,
    num_processes: int = 1,
) -> Parsed:
    """Returns the objects of all images, in the order of the files, and the number of objects that were left out.

    Args:
        files: One annotation file per image.
        class_ids: Class id by class name. Objects of other classes are left out and counted.
        convention: The form of the boxes.
        cache: Folder of the cache, default none. A folder that cannot be written to is not used either.
        num_processes: Number of worker processes for many files, default 1. More than one needs a main module that can
            be imported again without harm.

    Raises:
        DataError: Files are missing (the message counts them and names three), or one is malformed.
    """
    _require_files(files)
    contents = [read_content(file) for file in files]
    pairs = list(zip(files, contents, strict=True))
    if cache is None:
        return _parse(pairs, class_ids, convention, num_processes)
    cache_file = cache / f"{_checksum(files, contents, class_ids, convention)}.npz"
    arrays = load_arrays(cache_file)
    if arrays is not None:
        # a file that is damaged or made by something else is parsed again
        with suppress(KeyError, ValueError, IndexError, TypeError, AttributeError, RecursionError):
            return _from_arrays(arrays, len(files), len(class_ids))
    truths, unknown = _parse(pairs, class_ids, convention, num_processes)
    with suppress(OutputError):
        save_arrays(cache_file, **_to_arrays(truths, unknown))
    return truths, unknown


def unknown_objects(unknown: Counter[str], owner: str) -> str:
    """Returns a sentence about objects that were left out.

    Args:
        unknown: Number of objects by class name.
        owner: The owner of the class list, for the sentence.
    """
    objects, classes = counted(sum(unknown.values()), "object"), counted(len(unknown), "class", "classes")
    return f"left out: {objects} of {classes} that {owner} lacks ({first_ones(sorted(unknown))})"


def _require_files(files: Sequence[Path]) -> None:
    # listing a folder once is much faster than asking for every file, above all on a network disk
    folders = [folder for folder in {file.parent for file in files} if folder.is_dir()]
    present = {file for folder in folders for file in folder.iterdir()}
    if missing := [file for file in files if file not in present]:
        first = first_ones(file.name for file in missing)
        raise DataError(
            f"{of_all(len(missing), len(files), 'annotation')} {'is' if len(missing) == 1 else 'are'} missing in "
            f"{missing[0].parent} ({first}); get all of "
            "them or evaluate a split that has them, because mAP on a part is another number"
        )


def _checksum(
    files: Sequence[Path], contents: Sequence[bytes], class_ids: Mapping[str, int], convention: BoxConvention
) -> str:
    lengths = [len(content) for content in contents]
    head = [_FORMAT, [file.stem for file in files], lengths, dict(class_ids), [convention.low, convention.high]]
    digest = hashlib.sha256(json.dumps(head).encode())
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def _parse(
    contents: list[tuple[Path, bytes]], class_ids: Mapping[str, int], convention: BoxConvention, num_processes: int
) -> Parsed:
    """Parses all annotations, in worker processes where there are many."""
    parse = partial(_parse_part, class_ids=class_ids, convention=convention)
    if num_processes == 1 or len(contents) < _MIN_FILES_FOR_PROCESSES:
        return parse(contents)
    # one part per process, the last one may be smaller
    part_size = -(-len(contents) // num_processes)
    parts = [contents[start : start + part_size] for start in range(0, len(contents), part_size)]
    truths: list[GroundTruth] = []
    unknown = Counter[str]()
    for _, (part_truths, part_unknown) in map_in_processes(partial(_parser, parse), parts, num_processes, parse):
        truths += part_truths
        unknown += part_unknown
    return truths, unknown


def _parser(parse: Callable[[list[tuple[Path, bytes]]], Parsed]) -> Callable[[list[tuple[Path, bytes]]], Parsed]:
    """Returns the work of a process, which needs nothing loaded."""
    return parse


def _parse_part(contents: list[tuple[Path, bytes]], class_ids: Mapping[str, int], convention: BoxConvention) -> Parsed:
    """Parses some of the annotations."""
    truths, unknown = [], Counter[str]()
    for file, content in contents:
        truth, others = parse_annotation(content, file, class_ids, convention)
        truths.append(truth)
        unknown.update(others)
    return truths, unknown


def _to_arrays(truths: Sequence[GroundTruth], unknown: Counter[str]) -> dict[str, np.ndarray]:
    """Returns the objects of all images as joined columns; `sizes` [I, 4]: width, height, objects, impossible ones."""
    return {
        "images": np.array([truth.image for truth in truths]),
        "sizes": np.array(
            [(truth.width, truth.height, len(truth), truth.num_impossible) for truth in truths], np.int64
        ),
        "boxes": np.concatenate([truth.boxes for truth in truths]),
        "class_ids": np.concatenate([truth.class_ids for truth in truths]),
        "ignored": np.concatenate([truth.ignored for truth in truths]),
        "unknown": np.array(json.dumps(unknown)),
    }


def _from_arrays(arrays: Mapping[str, np.ndarray], num_files: int, num_classes: int) -> Parsed:
    """Inverts `_to_arrays`.

    Raises:
        ValueError: The arrays are not those of as many files.
    """
    names, sizes = arrays["images"].tolist(), arrays["sizes"].tolist()
    counts = arrays["sizes"][:, 2]
    if len(sizes) != num_files or (counts < 0).any() or counts.sum() != len(arrays["boxes"]):
        raise ValueError("the arrays are not those of these files")
    if ((arrays["class_ids"] < 0) | (arrays["class_ids"] >= num_classes)).any():
        raise ValueError("a class is none of these")
    ends = np.cumsum(counts)[:-1]
    boxes = np.split(arrays["boxes"], ends)
    class_ids = np.split(arrays["class_ids"], ends)
    ignored = np.split(arrays["ignored"], ends)
    truths = []
    for index, (width, height, _, num_impossible) in enumerate(sizes):
        truths.append(
            GroundTruth(names[index], width, height, boxes[index], class_ids[index], ignored[index], num_impossible)
        )
    return truths, Counter(json.loads(str(arrays["unknown"])))
