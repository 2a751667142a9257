"""The start of the pipeline: files, bytes and arrays become `Image`. No other module opens one."""

import io
import threading
import warnings
from pathlib import Path
from typing import IO

import numpy as np
import PIL.ExifTags
import PIL.Image

from incdet.config.sections import ImagesConfig
from incdet.errors import ImageError, PhotoSizeError, reason
from incdet.ops.jpeg_data import END_MARKER, has_whole_picture
from incdet.runtime.photo_search import SUFFIXES as SUFFIXES  # callers of `read_image` need both
from incdet.runtime.photo_search import find_images as find_images
from incdet.runtime.photo_search import require_no_address
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

_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")
"""Pillow's names of the formats that are opened. It knows many more, and some of their decoders start other programs: a
PostScript file would be handed to Ghostscript, whatever its name."""

_JPEG_START = b"\xff\xd8\xff"

_ZEROS = 16
"""Number of zeros at the end of a JPEG that tell of a copy that was cut off and filled up."""

_STRIP_PIXELS = 4_000_000
"""Number of pixels that are converted at a time."""

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
        try:
            return Image(_to_rgb(_upright(source)), "picture")
        except Exception as error:  # its file is only read now
            raise ImageError(f"cannot read the picture: {reason(error)}; load it from a whole file") from None
    if isinstance(source, bytes | bytearray):
        return Image(_decode(io.BytesIO(source), "bytes", config), "bytes")
    if not isinstance(source, str | Path):
        kind = type(source).__name__
        raise ImageError(f"cannot read an image from a {kind}; give a path, encoded bytes, an array or a Pillow image")
    require_no_address(source)
    path = source if isinstance(source, Path) else Path(source)
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
    except Exception as error:  # a damaged file can fail anywhere in Pillow
        raise ImageError(f"cannot read {path}: {reason(error)}; check that it is a whole photo") from None
    # orientations from 5 on exchange the sides
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def exif_orientation(path: Path) -> int:
    """Returns the EXIF orientation of a photo's file, 1 (upright) where it states none or cannot be read."""
    try:
        with path.open("rb") as file, _open_whatever_its_size(file) as picture:
            orientation = picture.getexif().get(PIL.ExifTags.Base.Orientation, 1)
    except Exception:  # whoever reads the photo reports what is wrong with it
        return 1
    return orientation if isinstance(orientation, int) else 1


def _decode(file: IO[bytes], name: str, config: ImagesConfig) -> np.ndarray:
    """Returns the pixels [H, W, 3] uint8 of an encoded image; the name is for messages."""
    try:
        pixels = _decode_whole(file, name, config)
        if not _ends_in_zeros(file) or _decode_without_end(file, name, config) is not None:
            return pixels
        problem = "the end of the picture is filled with zeros"
    except PIL.UnidentifiedImageError:
        raise ImageError(
            f"cannot read {name}: it is not an image of a known format; convert it to JPEG or PNG"
        ) from None
    except PIL.Image.DecompressionBombError:
        raise PhotoSizeError(
            f"refused {name}: its stated size is that of a decompression bomb; shrink it first"
        ) from None
    except ImageError:
        raise
    except Exception as error:  # a damaged file can fail anywhere in Pillow, assertions included
        whole = _decode_without_end(file, name, config)
        if whole is not None:
            return whole
        problem = reason(error)
    raise ImageError(f"cannot read {name}: the file is damaged or truncated ({problem}); get a whole copy")


def _decode_whole(file: IO[bytes], name: str, config: ImagesConfig) -> np.ndarray:
    with warnings.catch_warnings():
        # incdet's own limit replaces Pillow's warning; a readable file with other oddities is no problem
        warnings.simplefilter("ignore")
        # Pillow leaves a file open that it did not open itself
        with _open_whatever_its_size(file) as picture:
            _check_size(picture.width, picture.height, name, config)
            return _to_rgb(_upright(picture))


def _ends_in_zeros(file: IO[bytes]) -> bool:
    """Whether a JPEG without an end marker ends in zeros, which libjpeg would take for picture data."""
    file.seek(0)
    if file.read(len(_JPEG_START)) != _JPEG_START:
        return False
    file.seek(-min(file.seek(0, io.SEEK_END), _ZEROS), io.SEEK_END)
    if file.read().strip(b"\0"):
        return False
    file.seek(0)
    return not file.read().rstrip(b"\0").endswith(END_MARKER)


def _decode_without_end(file: IO[bytes], name: str, config: ImagesConfig) -> np.ndarray | None:
    """Returns the pixels of a JPEG that lacks nothing but its end marker; None for any other file."""
    try:
        file.seek(0)
        content = file.read()
    except (OSError, ValueError):
        return None

    def decode(other: bytes) -> np.ndarray:
        return _decode_whole(io.BytesIO(other), name, config)

    if not content.startswith(_JPEG_START) or content.endswith(END_MARKER) or not has_whole_picture(content, decode):
        return None
    return decode(content + END_MARKER)


def _open_whatever_its_size(file: IO[bytes]) -> PIL.Image.Image:
    """Reads the header only. Pillow's own size limit, a global, is lifted, because incdet's limit is checked next."""
    with _PILLOW_LIMIT:
        limit = PIL.Image.MAX_IMAGE_PIXELS
        PIL.Image.MAX_IMAGE_PIXELS = None
        try:
            # some formats are only known after this, and AVIF is none of every Pillow's
            PIL.Image.init()
            return PIL.Image.open(file, formats=[name for name in _FORMATS if name in PIL.Image.OPEN])
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit


def _check_size(width: int, height: int, name: str, config: ImagesConfig) -> None:
    megapixels = width * height / 1e6
    if megapixels > config.max_megapixels:
        raise PhotoSizeError(
            f"refused {name}: {width}x{height} is {megapixels:.0f} megapixels and the limit is "
            f"{config.max_megapixels:g}; shrink it or raise images.max_megapixels"
        )
    if width == 0 or height == 0:
        raise PhotoSizeError(f"refused {name}: it has no pixels ({width}x{height})")


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Applies the EXIF orientation; an EXIF that cannot be read is ignored."""
    # some of Pillow's decoders turn the picture when it is loaded, and correct its orientation only then
    picture.load()
    try:
        orientation = picture.getexif().get(PIL.ExifTags.Base.Orientation, 1)
    except Exception:  # whatever an odd tag makes Pillow raise
        return picture
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(picture: PIL.Image.Image) -> np.ndarray:
    """Returns the pixels [H, W, 3] uint8 of a picture of any mode.

    Large pictures are converted in strips, because every conversion of a whole one is a further copy in memory.
    """
    is_deep = picture.mode.startswith("I") or picture.mode == "F"
    rows = max(_STRIP_PIXELS // picture.width, 1)
    edges = [(top, min(top + rows, picture.height)) for top in range(0, picture.height, rows)]
    if len(edges) == 1:
        factor = _grey_factor(_largest(picture), picture.mode) if is_deep else 1.0
        return _strip_to_rgb(picture, factor)
    strips = [(0, top, picture.width, bottom) for top, bottom in edges]
    factor = 1.0
    if is_deep:
        factor = _grey_factor(max(_largest(picture.crop(strip)) for strip in strips), picture.mode)
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    for (top, bottom), strip in zip(edges, strips, strict=True):
        pixels[top:bottom] = _strip_to_rgb(picture.crop(strip), factor)
    return pixels


def _strip_to_rgb(picture: PIL.Image.Image, factor: float) -> np.ndarray:
    """Returns the pixels of a picture or a strip of it.

    Args:
        picture: The picture.
        factor: Factor of deep grey values, see `_grey_factor`; other modes do not need it.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture).astype(np.float64))
        return _grey_to_rgb(np.clip(np.rint(values * factor), 0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        # transparent parts show a white ground
        picture = picture.convert("RGBA")
        canvas = PIL.Image.new("RGBA", picture.size, "white")
        picture = PIL.Image.alpha_composite(canvas, picture)
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _largest(picture: PIL.Image.Image) -> float:
    return float(np.nan_to_num(np.asarray(picture).astype(np.float64)).max(initial=0))


def _grey_factor(largest: float, mode: str) -> float:
    """Returns the factor that brings deep grey values to 0..255.

    16-bit values use their full range. Floats up to 1 are shares of white. Other values are 16-bit if any exceeds 255,
    otherwise 8-bit.

    Args:
        largest: Largest value of the whole picture.
        mode: Pillow's name of the kind of values.
    """
    if mode == "F" and largest <= 1:
        return 255.0
    # 65535 / 257 = 255
    return 1 / 257 if mode.startswith("I;16") or largest > 255 else 1.0


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
