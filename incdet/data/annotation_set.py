"""All annotations of a split at once: parsed in parallel, and kept so that the next time they are only read.

The cache is a file named by a checksum of everything it is made from, the annotations' content included; another
content is another name, so nothing stale is ever used.
"""

import hashlib
import json
import multiprocessing
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from incdet.data.xml_annotations import BoxConvention, parse_annotation, read_content
from incdet.errors import DataError, OutputError
from incdet.runtime.files import load_arrays, save_arrays
from incdet.structures import GroundTruth

_WORTH_PROCESSES = 4000
"""Fewer files are parsed sooner than processes start."""

_FORMAT = 1
"""Of the cache file; part of its checksum."""

Parsed = tuple[list[GroundTruth], Counter[str]]
"""The images' objects, and how often each class occurs that nobody asked for."""


def read_annotations(
    files: Sequence[Path],
    class_ids: Mapping[str, int],
    convention: BoxConvention,
    cache: Path | None = None,
    num_processes: int = 1,
) -> Parsed:
    """The objects of all images, in the order of the files.

    Args:
        files: one annotation per image.
        class_ids: class name -> class id; objects of other classes are left out and counted.
        convention: how boxes are written.
        cache: folder that keeps what was parsed; None keeps nothing, a folder that cannot be written to neither.
        num_processes: for many files; more than one only where the main module can be imported again without harm.

    Raises:
        DataError: files are missing (says how many and the first three), or one is malformed.
    """
    _require_files(files)
    contents = [read_content(file) for file in files]
    stored = cache / f"{_checksum(files, contents, class_ids, convention)}.npz" if cache is not None else None
    if stored is not None and (arrays := load_arrays(stored)) is not None:
        with suppress(KeyError, ValueError, IndexError):  # damaged, or made by something else: parsed again
            return _from_arrays(arrays)
    parsed = _parse(list(zip(files, contents, strict=True)), class_ids, convention, num_processes)
    if stored is not None:
        with suppress(OutputError):
            save_arrays(stored, **_to_arrays(*parsed))
    return parsed


def unknown_objects(unknown: Counter[str], owner: str) -> str:
    """A sentence about objects that were left out."""
    names = ", ".join(sorted(unknown)[:3]) + (", ..." if len(unknown) > 3 else "")
    return f"{sum(unknown.values()):,} objects of {len(unknown)} classes that {owner} lacks ({names}) do not count"


def _require_files(files: Sequence[Path]) -> None:
    folders = [folder for folder in {file.parent for file in files} if folder.is_dir()]
    present = {file for folder in folders for file in folder.iterdir()}
    if missing := [file for file in files if file not in present]:
        first = ", ".join(file.name for file in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise DataError(
            f"{len(missing):,} of {len(files):,} annotations are missing in {missing[0].parent} ({first}); get all of "
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
    work = partial(_parse_part, class_ids=class_ids, convention=convention)
    if num_processes == 1 or len(contents) < _WORTH_PROCESSES:
        return work(contents)
    size = -(-len(contents) // num_processes)
    parts = [contents[start : start + size] for start in range(0, len(contents), size)]
    with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(work, parts))
    return [truth for truths, _ in results for truth in truths], sum((count for _, count in results), Counter())


def _parse_part(contents: list[tuple[Path, bytes]], class_ids: Mapping[str, int], convention: BoxConvention) -> Parsed:
    truths, unknown = [], Counter[str]()
    for file, content in contents:
        truth, others = parse_annotation(content, file, class_ids, convention)
        truths.append(truth)
        unknown.update(others)
    return truths, unknown


def _to_arrays(truths: Sequence[GroundTruth], unknown: Counter[str]) -> dict[str, np.ndarray]:
    return {
        "images": np.array([truth.image for truth in truths]),
        "sizes": np.array([(truth.width, truth.height, len(truth)) for truth in truths], np.int64),
        "boxes": np.concatenate([truth.boxes for truth in truths]),
        "class_ids": np.concatenate([truth.class_ids for truth in truths]),
        "ignored": np.concatenate([truth.ignored for truth in truths]),
        "unknown": np.array(json.dumps(unknown)),
    }


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> Parsed:
    ends = np.cumsum(arrays["sizes"][:, 2])[:-1]
    columns = [np.split(arrays[name], ends) for name in ("boxes", "class_ids", "ignored")]
    heads = zip(arrays["images"].tolist(), arrays["sizes"].tolist(), strict=True)
    rows = zip(heads, *columns, strict=True)
    truths = [GroundTruth(name, width, height, *values) for (name, (width, height, _)), *values in rows]
    return truths, Counter(json.loads(str(arrays["unknown"])))
