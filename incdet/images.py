"""The start of the pipeline: files, folders, patterns, bytes and arrays become `Image`. No other module opens one."""

import glob
import io
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import PIL.ExifTags
import PIL.Image

from incdet.config.sections import ImagesConfig
from incdet.errors import ImageError, reason
from incdet.runtime.provenance import RUN_FILE
from incdet.structures import Image

ImageSource = str | Path | bytes | np.ndarray | PIL.Image.Image | Image
"""The forms of one image: a file's path, its bytes, an RGB or grey array, a Pillow image, or an `Image`."""

_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""The operation that turns a picture upright, by its EXIF orientation."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
"""File endings that count as images when a folder is read."""

_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, MemoryError, LookupError, TypeError, RuntimeError, struct.error)
"""The errors that Pillow's decoders raise on damaged files."""

_PILLOW_LIMIT = threading.Lock()
"""Held while Pillow's global size limit is lifted."""


def read_image(source: ImageSource, config: ImagesConfig | None = None) -> Image:
    """Reads one image as upright RGB.

    The EXIF orientation is applied. Grey, palette, 16-bit and CMYK images are converted. Transparent parts become
    white. Of an animation only the first frame is read.

    Args:
        source: Path, encoded bytes, Pillow image, `Image`, or array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of uint8
            or uint16, RGB.
        config: The size limit, default 100 megapixels.

    Raises:
        ImageError: The source is missing, not an image, truncated, too large, or an array that is no picture.

    >>> read_image(np.zeros((20, 30), np.uint8)).pixels.shape
    (20, 30, 3)
    """
    config = config or ImagesConfig()
    if isinstance(source, Image):
        return source
    if isinstance(source, np.ndarray):
        return Image(_pixels_of_array(source, config))
    if isinstance(source, PIL.Image.Image):
        _check_size(source.width, source.height, "the picture", config)
        return Image(_to_rgb(_upright(source)), "picture")
    if isinstance(source, bytes | bytearray):
        return Image(_decode(io.BytesIO(source), "bytes", config), "bytes")
    if not isinstance(source, str | Path):
        kind = type(source).__name__
        raise ImageError(f"cannot read an image from a {kind}; give a path, encoded bytes, an array or a Pillow image")
    path = Path(source)
    try:
        if path.is_dir():
            raise ImageError(f"cannot read {path} as an image: it is a folder; use find_images to list its photos")
        with path.open("rb") as file:
            return Image(_decode(file, str(path), config), str(source))
    except FileNotFoundError:
        raise ImageError(f"cannot read {path}: there is no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot read {path}: {reason(error)}; check the file's name and permissions") from None


def read_size(path: Path) -> tuple[int, int]:
    """Returns width and height of a photo's file, upright, in pixels. Only the file's header is read.

    Raises:
        ImageError: The file is missing or not an image.
    """
    try:
        with path.open("rb") as file, _open_whatever_its_size(file) as picture:
            orientation = picture.getexif().get(PIL.ExifTags.Base.Orientation, 1)
            width, height = picture.size
    except _DAMAGED as error:
        raise ImageError(f"cannot read {path}: {reason(error)}; check that it is a whole photo") from None
    # orientations from 5 on exchange the sides
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def find_images(sources: Iterable[str | Path], tell: Callable[[str], None] | None = None) -> list[Path]:
    """Finds the photos that files, folders and glob patterns name, sorted within each, no file twice.

    Folders are searched recursively. Folders inside them that hold incdet's own results are left out, and so are empty
    folders that a pattern matches. A plain path is returned as it is, even when missing, so that reading it reports the
    error.

    Args:
        sources: The files, folders and patterns.
        tell: Function that takes a sentence about every folder inside that cannot be read. Without it the first such
            folder is an error.

    Raises:
        ImageError: A folder has no photos, or a pattern matches nothing.
    """
    found: dict[Path, Path] = {}
    for source in sources:
        if not str(source):
            raise ImageError("cannot read '': the path is empty; give a file, a folder or a pattern")
        for path in _expand(Path(source), tell or _refuse):
            found.setdefault(path.absolute(), path)
    return list(found.values())


def _refuse(sentence: str) -> None:
    raise ImageError(sentence)


def _expand(path: Path, tell: Callable[[str], None]) -> Iterator[Path]:
    """Yields the photos that one file, folder or pattern names. A file whose name looks like a pattern is a file."""
    if _exists(path, Path.is_dir):
        photos = _photos_under(path, tell)
        if not photos:
            raise ImageError(
                f"the folder {path} holds no photos; expected files ending in {' '.join(sorted(SUFFIXES))}"
            )
        yield from photos
    elif not _exists(path, Path.exists) and glob.has_magic(str(path)):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise ImageError(f"the pattern {path} matches no file; check it, and quote it only if the shell should not")
        found: list[Path] = []
        for match in map(Path, matches):
            found += _photos_under(match, tell) if match.is_dir() else [match]
        if not found:
            raise ImageError(f"the pattern {path} matches only folders without photos; check it")
        yield from found
    else:
        yield path


def _photos_under(folder: Path, tell: Callable[[str], None]) -> list[Path]:
    """Returns all photos in a folder and its subfolders, sorted."""
    found: list[Path] = []
    unreadable: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=unreadable.append):
        # os.walk goes on with the folders that stay in the list
        folders[:] = [name for name in folders if not Path(parent, name, RUN_FILE).is_file()]
        found += filter(_is_photo, (Path(parent, name) for name in files))
    sentences = [f"cannot read the folder {error.filename}: {reason(error)}; check its rights" for error in unreadable]
    if sentences and not found:
        raise ImageError(sentences[0])
    for sentence in sentences:
        tell(sentence)
    return sorted(found)


def _exists(path: Path, kind: Callable[[Path], bool]) -> bool:
    """Returns the result of Path.exists or Path.is_dir; false for a name that the system cannot have."""
    try:
        return kind(path)
    except (OSError, ValueError):
        return False


def _is_photo(file: Path) -> bool:
    """Whether a file's ending is that of a photo. Hidden files are none: macOS puts `._photo.jpg` beside photos."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _decode(file: IO[bytes], name: str, config: ImagesConfig) -> np.ndarray:
    """Returns the pixels [H, W, 3] uint8 of an encoded image; the name is for messages."""
    try:
        with warnings.catch_warnings():
            # incdet's own limit replaces Pillow's warning; a readable file with other oddities is no problem
            warnings.simplefilter("ignore")
            with _open_whatever_its_size(file) as picture:
                _check_size(picture.width, picture.height, name, config)
                return _to_rgb(_upright(picture))
    except PIL.UnidentifiedImageError:
        raise ImageError(
            f"cannot read {name}: it is not an image of a known format; convert it to JPEG or PNG"
        ) from None
    except PIL.Image.DecompressionBombError:
        raise ImageError(f"refused {name}: its stated size is that of a decompression bomb; shrink it first") from None
    except ImageError:
        raise
    except _DAMAGED as error:
        raise ImageError(
            f"cannot read {name}: the file is damaged or truncated ({reason(error)}); get a whole copy"
        ) from None


def _open_whatever_its_size(file: IO[bytes]) -> PIL.Image.Image:
    """Reads the header only. Pillow's own size limit, a global, is lifted, because incdet's limit is checked next."""
    with _PILLOW_LIMIT:
        limit = PIL.Image.MAX_IMAGE_PIXELS
        PIL.Image.MAX_IMAGE_PIXELS = None
        try:
            return PIL.Image.open(file)
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit


def _check_size(width: int, height: int, name: str, config: ImagesConfig) -> None:
    megapixels = width * height / 1e6
    if megapixels > config.max_megapixels:
        raise ImageError(
            f"refused {name}: {width}x{height} is {megapixels:.0f} megapixels and the limit is "
            f"{config.max_megapixels:g}; shrink it or raise images.max_megapixels"
        )
    if width == 0 or height == 0:
        raise ImageError(f"refused {name}: it has no pixels ({width}x{height})")


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Applies the EXIF orientation; an EXIF that cannot be read is ignored."""
    # some of Pillow's decoders turn the picture when it is loaded, and correct its orientation only then
    picture.load()
    try:
        orientation = picture.getexif().get(PIL.ExifTags.Base.Orientation, 1)
    except _DAMAGED:
        return picture
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(picture: PIL.Image.Image) -> np.ndarray:
    """Returns the pixels [H, W, 3] uint8 of a picture of any mode."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _grey_to_rgb(_to_8_bit(np.asarray(picture), picture.mode))
    if picture.has_transparency_data:
        # transparent parts show a white ground
        picture = picture.convert("RGBA")
        canvas = PIL.Image.new("RGBA", picture.size, "white")
        picture = PIL.Image.alpha_composite(canvas, picture)
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _to_8_bit(values: np.ndarray, mode: str) -> np.ndarray:
    """Converts deep grey values [H, W] to uint8.

    16-bit values use their full range. Floats up to 1 are shares of white. Other values are 16-bit if any exceeds 255,
    otherwise 8-bit.
    """
    values = np.nan_to_num(values.astype(np.float64))
    largest = values.max(initial=0)
    if mode == "F" and largest <= 1:
        factor = 255.0
    elif mode.startswith("I;16") or largest > 255:
        # 65535 / 257 = 255
        factor = 1 / 257
    else:
        factor = 1.0
    return np.clip(np.rint(values * factor), 0, 255).astype(np.uint8)


def _grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    """Returns [H, W, 3] with three equal channels."""
    return np.repeat(grey[:, :, None], 3, axis=2)


def _pixels_of_array(array: np.ndarray, config: ImagesConfig) -> np.ndarray:
    """Returns pixels [H, W, 3] uint8 of a grey or RGB array, checked."""
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
        return _to_rgb(PIL.Image.fromarray(array))
    return np.ascontiguousarray(array)
