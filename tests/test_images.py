import errno
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.features
import PIL.Image
import pytest

from incdet.config.sections import ImagesConfig
from incdet.errors import ImageError
from incdet.images import find_images, read_image

# how a camera stores an upright picture under each EXIF orientation (the inverse of what a viewer has to do)
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright.transpose(1, 0, 2), 2),
    8: lambda upright: np.rot90(upright, -1),
}
RED, WHITE = [255, 0, 0], [255, 255, 255]


@pytest.fixture
def upright() -> np.ndarray:
    """Smooth, so that JPEG keeps it, and without any symmetry. [24, 40, 3]."""
    rows, columns = np.mgrid[0:24, 0:40]
    return np.stack([rows * 10, columns * 6, 200 - rows * 3 - columns], axis=2).astype(np.uint8)


def encode(picture: PIL.Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def assert_refused(source: str | Path | np.ndarray, name: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(source)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("form", "tolerance"), [("PNG", 0), ("TIFF", 0), ("WEBP", 0), ("JPEG", 8)])
def test_every_exif_orientation_gives_the_upright_picture(upright, form, tolerance, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {"quality": 98, "subsampling": 0} if form == "JPEG" else {}
    stored = PIL.Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    pixels = read_image(encode(stored, form, exif=exif, **options)).pixels
    assert np.abs(pixels.astype(int) - upright).max() <= tolerance


def test_file_bytes_array_and_image_give_the_same_pixels(tmp_path, upright):
    file = tmp_path / "photo.png"
    PIL.Image.fromarray(upright).save(file)
    image = read_image(file)
    assert (image.name, image.width, image.height) == (str(file), 40, 24)
    assert read_image(image) is image
    for source in (str(file), file.read_bytes(), upright):
        assert np.array_equal(read_image(source).pixels, upright)


def test_jpeg_is_read_as_rgb(astronaut, astronaut_file):
    assert np.abs(read_image(astronaut_file).pixels.astype(int) - astronaut.pixels).mean() < 3


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "PPM"])
def test_grey_files_get_three_equal_channels(form):
    grey = PIL.Image.new("L", (8, 6), 100)
    assert read_image(encode(grey, form)).pixels.tolist() == [[[100] * 3] * 8] * 6


@pytest.mark.parametrize(("transparency", "first"), [(None, [0, 0, 255]), (0, WHITE)])
@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_palette_with_and_without_transparency(form, transparency, first):
    picture = PIL.Image.new("P", (2, 1))
    picture.putpalette([0, 0, 255, 255, 0, 0])
    picture.putdata([0, 1])
    options = {} if transparency is None else {"transparency": transparency}
    assert read_image(encode(picture, form, **options)).pixels.tolist() == [[first, RED]]


@pytest.mark.parametrize(("values", "grey"), [([0, 257, 32896, 65535], [0, 1, 128, 255]), ([0, 100, 200], [0, 0, 1])])
def test_16_bit_grey_png_and_array_agree_even_when_dark(values, grey):
    deep, expected = np.array([values], np.uint16), [[[value] * 3 for value in grey]]
    for source in (deep, np.stack([deep] * 3, axis=2), encode(PIL.Image.fromarray(deep), "PNG")):
        assert read_image(source).pixels.tolist() == expected


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1)])
def test_grey_array(shape):
    assert read_image(np.full(shape, 7, np.uint8)).pixels.tolist() == [[[7] * 3] * 5] * 3


def test_transparent_parts_become_white():
    pixels = np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    for source in (pixels, encode(PIL.Image.fromarray(pixels), "PNG")):
        assert read_image(source).pixels.tolist() == [[RED, WHITE, [204, 204, 204]]]


def test_cmyk_jpeg():
    red_ink = encode(PIL.Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(read_image(red_ink).pixels.astype(int) - RED).max() <= 8


def test_first_frame_of_an_animation():
    red, blue = (PIL.Image.new("RGB", (4, 4), color) for color in ("red", "blue"))
    data = encode(red, "GIF", save_all=True, append_images=[blue])
    assert read_image(data).pixels.tolist() == [[RED] * 4] * 4


@pytest.mark.parametrize(("values", "expected"), [([0, 0.5, 1, np.nan], [0, 128, 255, 0]), ([9.6, 255], [10, 255])])
def test_float_tiff(values, expected):
    picture = PIL.Image.fromarray(np.array([values], np.float32))
    assert read_image(encode(picture, "TIFF")).pixels[0, :, 0].tolist() == expected


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_truncated_file_is_refused(tmp_path, astronaut, form, share):
    data, file = encode(PIL.Image.fromarray(astronaut.pixels[:64, :64]), form), tmp_path / "half.img"
    file.write_bytes(data[: int(len(data) * share)])
    assert_refused(file, "half.img", "cannot read")


@pytest.mark.parametrize("content", [b"", b"These are my notes.\n", b"\x89PNG\r\n\x1a\n"])
def test_file_that_is_no_image_is_refused(tmp_path, content):
    file = tmp_path / "notes.jpg"
    file.write_bytes(content)
    assert_refused(file, "notes.jpg", "not an image")


def test_missing_file_and_folder_are_refused(tmp_path):
    assert_refused(tmp_path / "gone.jpg", "gone.jpg", "no such file")
    assert_refused(tmp_path, tmp_path.name, "it is a folder")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b.jpg"], ids=["too long", "null byte"])
def test_impossible_file_name_is_refused(name):
    assert_refused(name, name, "cannot read")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 5, 3), np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros(5, np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.bool_),
    ],
)  # fmt: skip
def test_array_that_is_no_picture_is_refused(array):
    assert_refused(array, str(list(array.shape)), str(array.dtype))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (12000, 12000), (60000, 60000)])
def test_file_of_impossible_size_is_refused_undecoded(tmp_path, size):
    file = tmp_path / "bomb.png"
    file.write_bytes(png_header(*size))
    assert_refused(file, "bomb.png", "refused" if min(size) else "cannot read|refused")


def test_size_limit_is_configurable(upright):
    data = encode(PIL.Image.fromarray(upright), "PNG")
    exact, strict = ImagesConfig(max_megapixels=960 / 1e6), ImagesConfig(max_megapixels=959 / 1e6)
    assert read_image(data, exact).width == 40
    for source in (data, upright):
        with pytest.raises(ImageError, match=r"40x24.*images\.max_megapixels"):
            read_image(source, strict)


def test_raised_size_limit_is_not_undercut_by_pillow():
    # 180 megapixels, just above Pillow's own hard limit: not its size but its missing pixels are the problem
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_image(png_header(13400, 13400), ImagesConfig(max_megapixels=200))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "AVIF"])
def test_random_damage_raises_nothing_but_image_error(upright, form):
    if form == "AVIF" and not PIL.features.check("avif"):
        pytest.skip("this Pillow is built without AVIF")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    options = {} if form in ("GIF", "BMP") else {"exif": exif}
    data = np.frombuffer(encode(PIL.Image.fromarray(upright), form, **options), np.uint8)
    random, messages = np.random.default_rng(0), []
    for _ in range(200):
        damaged = data.copy()
        places = random.integers(0, len(data), random.integers(1, 9))
        damaged[places] = random.integers(0, 256, len(places))
        try:
            read_image(damaged.tobytes(), ImagesConfig(max_megapixels=1))
        except ImageError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", "me[1].gif", "holiday/c.jpeg", "holiday/sea/d.webp"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["."], ["a.PNG", "b.jpg", "holiday/c.jpeg", "holiday/sea/d.webp", "me[1].gif"]),
        (["holiday", "b.jpg"], ["holiday/c.jpeg", "holiday/sea/d.webp", "b.jpg"]),
        (["[ab].*"], ["a.PNG", "b.jpg"]),
        (["**/*.jp*g"], ["b.jpg", "holiday/c.jpeg"]),
        (["holi*"], ["holiday/c.jpeg", "holiday/sea/d.webp"]),
        (["b.jpg", "*.jpg", "holiday", "."], ["b.jpg", "holiday/c.jpeg", "holiday/sea/d.webp", "a.PNG", "me[1].gif"]),
        (["me[1].gif"], ["me[1].gif"]),
        (["gone.jpg", "b.jpg"], ["gone.jpg", "b.jpg"]),
    ],
    ids=["folder", "order", "brackets", "recursive", "matched folder", "no file twice", "literal brackets", "missing"],
)
def test_find_images(album, sources, expected):
    found = find_images([album / source for source in sources])
    assert [file.relative_to(album).as_posix() for file in found] == expected


@pytest.mark.parametrize(("source", "reason"), [("sky", "holds no photos"), ("*.bmp", "matches no file")])
def test_find_images_refuses_to_find_nothing(tmp_path, source, reason):
    (tmp_path / "sky").mkdir()
    with pytest.raises(ImageError, match=reason) as caught:
        find_images([tmp_path / source])
    assert source in str(caught.value)


def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_searched(album, monkeypatch):
    real = os.scandir

    def scandir(folder):
        # rights do not stop an administrator, who may run this test
        if Path(folder).name == "sea":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    told = []
    found = find_images([album / "holiday"], told.append)
    assert [file.name for file in found] == ["c.jpeg"]
    assert [str(album / "holiday" / "sea") in sentence for sentence in told] == [True]
    with pytest.raises(ImageError, match="cannot read the folder"):
        find_images([album / "holiday"])


def test_hidden_files_are_no_photos_and_one_file_has_one_name(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "._a.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert find_images([".", tmp_path / "a.jpg"]) == [Path("a.jpg")]


@pytest.mark.parametrize("kind", range(14))
def test_an_exif_with_a_tag_of_an_odd_type_still_turns_the_photo(kind):
    stream = io.BytesIO()
    PIL.Image.new("RGB", (40, 24), "red").save(stream, "JPEG")
    entries = struct.pack("<HHI4s", 0x0100, kind, 1, b"\5\0\0\0") + struct.pack("<HHI4s", 0x0112, 3, 1, b"\6\0\0\0")
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    image = read_image(stream.getvalue()[:2] + segment + stream.getvalue()[2:])
    assert (image.width, image.height) == (24, 40)


def test_pillow_images_and_other_bytes_are_read_and_strangers_refused():
    picture = PIL.Image.new("L", (5, 4), 7)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    for source in (picture, stream.getvalue(), bytearray(stream.getvalue())):
        assert read_image(source).pixels.tolist() == [[[7, 7, 7]] * 5] * 4
    for stranger in (None, [1, 2], 3, stream):
        with pytest.raises(ImageError, match="cannot read an image from a"):
            read_image(stranger)
