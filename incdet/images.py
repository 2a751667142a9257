"""Files, folders, globs, bytes and arrays -> `Image`. The only file that opens images."""

import glob
import io
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import PIL.Image
import PIL.ImageOps

from incdet.config import ImagesConfig
from incdet.errors import ImageError
from incdet.structures import Image

ImageSource = str | Path | bytes | np.ndarray | Image
"""What one image may be given as: a file's path, its bytes, an RGB or grey array, or an `Image`."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
"""File endings that count as images when a folder is read."""


def read_image(source: ImageSource, config: ImagesConfig | None = None) -> Image:
    """One upright RGB image.

    EXIF orientation is applied; grey, palette, 16-bit and CMYK are converted; transparent parts become white; of an
    animation the first frame is taken.

    Args:
        source: path, encoded bytes, or array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of uint8 or uint16.
        config: the size limit; 100 megapixels by default.

    Raises:
        ImageError: missing, not an image, truncated, too large, or an array that is no picture.
    """
    config = config or ImagesConfig()
    if isinstance(source, Image):
        return source
    if isinstance(source, np.ndarray):
        return Image(_pixels_of_array(source, config))
    if isinstance(source, bytes):
        return Image(_decode(io.BytesIO(source), "bytes", config), "bytes")
    path = Path(source)
    if path.is_dir():
        raise ImageError(f"cannot read {path} as an image: it is a folder; use find_images to list its photos")
    try:
        with path.open("rb") as file:
            return Image(_decode(file, str(path), config), str(source))
    except FileNotFoundError:
        raise ImageError(f"cannot read {path}: there is no such file; check the path") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ImageError(f"cannot read {path}: {reason}; check the file and its permissions") from None


def find_images(sources: Iterable[str | Path]) -> list[Path]:
    """Photos named by files, folders (searched recursively) and glob patterns, sorted within each, no file twice.

    A plain path is returned as it is, even when missing, so that reading it reports the error.

    Raises:
        ImageError: a folder without photos, or a pattern that matches nothing.
    """
    found: dict[Path, None] = {}
    for source in sources:
        found.update(dict.fromkeys(_expand(Path(source))))
    return list(found)


def _expand(path: Path) -> Iterator[Path]:
    if path.is_dir():
        photos = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not photos:
            raise ImageError(
                f"the folder {path} holds no photos; expected files ending in {' '.join(sorted(SUFFIXES))}"
            )
        yield from photos
    elif not path.exists() and glob.has_magic(str(path)):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise ImageError(f"the pattern {path} matches no file; check it, and quote it only if the shell should not")
        for match in matches:
            yield from _expand(Path(match))
    else:
        yield path


def _decode(file: IO[bytes], name: str, config: ImagesConfig) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            # our own limit replaces Pillow's warning; other oddities of a readable file are not the user's problem
            warnings.simplefilter("ignore")
            with PIL.Image.open(file) as picture:
                _check_size(picture.width, picture.height, name, config)
                return _to_rgb(PIL.ImageOps.exif_transpose(picture))
    except PIL.UnidentifiedImageError:
        raise ImageError(
            f"cannot read {name}: it is not an image of a known format; convert it to JPEG or PNG"
        ) from None
    except PIL.Image.DecompressionBombError:
        raise ImageError(f"refused {name}: its stated size is that of a decompression bomb; shrink it first") from None
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, TypeError, KeyError) as error:
        # Pillow's decoders raise all of these on damaged files
        problem = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"cannot read {name}: the file is damaged or truncated ({problem}); get a whole copy"
        ) from None


def _check_size(width: int, height: int, name: str, config: ImagesConfig) -> None:
    megapixels = width * height / 1e6
    if megapixels > config.max_megapixels:
        raise ImageError(
            f"refused {name}: {width}x{height} is {megapixels:.0f} megapixels and the limit is "
            f"{config.max_megapixels:g}; shrink it or raise images.max_megapixels"
        )
    if width == 0 or height == 0:
        raise ImageError(f"refused {name}: it has no pixels ({width}x{height})")


def _to_rgb(picture: PIL.Image.Image) -> np.ndarray:
    if picture.mode.startswith("I") or picture.mode == "F":
        return _grey_to_rgb(_to_8_bit(np.asarray(picture)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        canvas = PIL.Image.new("RGBA", picture.size, "white")
        picture = PIL.Image.alpha_composite(canvas, picture)
    return np.array(picture.convert("RGB"))


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Deep grey to uint8: integers above 255 are taken as 16-bit, floats in [0, 1] as shares of white."""
    values = np.nan_to_num(values.astype(np.float64))
    largest = values.max(initial=0)
    floating_unit = largest <= 1 and bool((values % 1).any())
    factor = 255.0 if floating_unit else 255 / 65535 if largest > 255 else 1.0
    return np.clip(np.rint(values * factor), 0, 255).astype(np.uint8)


def _grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, None], 3, axis=2)


def _pixels_of_array(array: np.ndarray, config: ImagesConfig) -> np.ndarray:
    expected = "expected uint8 or uint16 RGB of shape [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]"
    picture_like = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if array.dtype not in (np.uint8, np.uint16) or not picture_like or array.size == 0:
        raise ImageError(f"cannot use the array as an image: it is {array.dtype} {list(array.shape)}; {expected}")
    _check_size(array.shape[1], array.shape[0], "the array", config)
    if array.dtype == np.uint16:
        array = (array / 257).round().astype(np.uint8)
    if array.ndim == 2 or array.shape[2] == 1:
        return _grey_to_rgb(array.reshape(array.shape[:2]))
    if array.shape[2] == 4:
        return _to_rgb(PIL.Image.fromarray(array, "RGBA"))
    return np.ascontiguousarray(array)
