"""Mutated photos: a picture that is read has a photo's form, and one that was cut off is whole or refused."""

import io
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from robustness_mutations import Mutated
from robustness_targets import Prepared, Target, expect
from skimage.data import chelsea

from incdet.data.shards import ShardPhotos
from incdet.errors import ImageError
from incdet.images import read_image

Variant = tuple[str, dict[str, Any]]
"""Pillow's name of a kind of pixels, and options of its writer."""

VARIANTS: dict[str, tuple[Variant, ...]] = {
    "JPEG": (
        ("RGB", {"quality": 90}), ("RGB", {"progressive": True}), ("L", {}), ("CMYK", {}),
        ("RGB", {"restart_marker_blocks": 3}), ("RGB", {"subsampling": 0, "optimize": True}),
    ),
    "PNG": (("RGB", {}), ("P", {}), ("L", {}), ("RGBA", {}), ("1", {}), ("I;16", {}), ("LA", {})),
    "GIF": (("P", {}), ("L", {}), ("P", {"interlace": False})),
    "WEBP": (("RGB", {}), ("RGB", {"lossless": True}), ("RGBA", {})),
    "TIFF": (
        ("RGB", {}), ("RGB", {"compression": "tiff_lzw"}), ("L", {"compression": "packbits"}),
        ("RGB", {"compression": "tiff_adobe_deflate"}), ("P", {}), ("F", {}), ("RGB", {"compression": "jpeg"}),
    ),
    "BMP": (("RGB", {}), ("P", {}), ("1", {}), ("L", {})),
}  # fmt: skip
"""Format -> the kinds of it that are tried."""


def encoded(pixels: np.ndarray, form: str, mode: str, options: dict[str, Any]) -> bytes:
    """Returns a picture as a file of a format."""
    picture = PIL.Image.fromarray(pixels)
    if mode == "I;16":
        picture = PIL.Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif mode != "RGB":
        picture = picture.convert(mode)
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def _cat() -> np.ndarray:
    # odd sides, so that blocks of eight pixels reach beyond them
    return np.ascontiguousarray(chelsea()[80:221:3, 100:261:3])  # type: ignore[no-untyped-call]


def _photos(form: str, _: Path) -> Prepared:
    seeds = tuple(encoded(_cat(), form, mode, options) for mode, options in VARIANTS[form])
    wholes = [read_image(seed).pixels for seed in seeds]

    def check(mutated: Mutated) -> None:
        pixels = read_image(mutated.content).pixels
        expect(pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size, "no photo")
        if mutated.kind == "cut":
            expect(np.array_equal(pixels, wholes[mutated.seed]), "a cut picture is read with other pixels")

    return Prepared(seeds, check)


def _shard(sizes: dict[str, bytes], form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in sizes.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _shards(folder: Path) -> Prepared:
    photo = encoded(_cat()[::4, ::4], "JPEG", "RGB", {})
    seeds = []
    # longer names need entries of their own, which the oldest form does not have
    for form, key in (
        (tarfile.USTAR_FORMAT, "b/2"),
        (tarfile.PAX_FORMAT, "long" * 40),
        (tarfile.GNU_FORMAT, "x" * 200),
    ):
        members = {"a/1.jpg": photo, "a/1.cls": b"1", f"{key}.jpg": photo, f"{key}.cls": b"cat"}
        seeds.append(_shard(members, form))

    def check(mutated: Mutated) -> None:
        (folder / "0.tar").write_bytes(mutated.content)
        shards = ShardPhotos(folder, ("cat", "dog"))
        expect(((shards.class_ids >= 0) & (shards.class_ids < 2)).all(), "a class is none of the list")
        problems = []
        for index in range(len(shards.class_ids)):
            try:
                shards.read(index)
            except ImageError as error:
                problems.append(error)
        if problems:
            raise problems[0]

    return Prepared(tuple(seeds), check)


PHOTO_TARGETS = (
    *(Target(form.lower(), "bytes", 1500, partial(_photos, form)) for form in VARIANTS),
    Target("shards", "bytes", 3000, _shards, is_parser=True),
)
