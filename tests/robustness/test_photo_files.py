"""Photos that are damaged, in formats that incdet does not promise, or complete but for a formality."""

import io
import random
import re
import struct
import zlib
from contextlib import suppress

import numpy as np
import PIL.Image
import pytest

from incdet.errors import ImageError
from incdet.images import find_images, read_image


def encoded(picture: PIL.Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def cat(chelsea_file) -> PIL.Image.Image:
    return PIL.Image.open(chelsea_file).convert("RGB").resize((150, 100))


@pytest.mark.parametrize("form", ["EPS", "PDF", "TGA", "ICO", "PCX", "SPIDER", "IM", "SGI"])
def test_content_of_other_formats_is_refused_whatever_the_name(tmp_path, cat, form, monkeypatch):
    file = tmp_path / "photo.jpg"
    file.write_bytes(encoded(cat.convert("F") if form == "SPIDER" else cat, form))

    def start(*_arguments, **_options):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", start)
    with pytest.raises(ImageError, match="not an image of a known format"):
        read_image(file)
    with pytest.raises(ImageError, match="not an image of a known format"):
        read_image(file.read_bytes())


def test_postscript_that_names_a_command_never_reaches_ghostscript(tmp_path):
    marker = tmp_path / "started"
    file = tmp_path / "photo.jpg"
    file.write_text(f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch {marker}) (w) file\nshowpage\n")
    with pytest.raises(ImageError, match="not an image"):
        read_image(file)
    assert not marker.exists()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"progressive": True, "restart_marker_blocks": 7}],
    ids=str,
)
def test_a_jpeg_may_lack_its_end_marker_and_nothing_else(cat, mode, options):
    content = encoded(cat.convert(mode), "JPEG", **options)
    whole = read_image(content).pixels
    # nothing, half a marker, and the rest of a disk's block
    for tail in (b"", b"\xff", bytes(4096)):
        assert np.array_equal(read_image(content[:-2] + tail).pixels, whole)
    places = [match.start() for match in re.finditer(b"\xff[\xda\xc4\xd0-\xd7]", content)]
    random.seed(0)
    # the last bits of the last block may go unnoticed, anything more may not
    cuts = random.sample(places, min(8, len(places))) + random.sample(range(len(content) - 30), 8)
    for cut in (len(content) - 30, *cuts):
        for tail in (b"", bytes(300)):
            with pytest.raises(ImageError):
                read_image(content[:cut] + tail)


def test_an_assertion_in_a_decoder_is_an_image_error():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 3, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(20)))
    for palette in (b"", b"\1\2", b"\1\2\3" * 300):
        odd = b"\x89PNG\r\n\x1a\n" + header + chunk(b"PLTE", palette) + pixels + chunk(b"IEND", b"")
        with suppress(ImageError):
            assert read_image(odd).pixels.shape == (4, 4, 3)


def test_a_search_of_folders_reads_every_promised_ending_and_counts_the_rest(tmp_path):
    folder = tmp_path / "album"
    hidden = (".ipynb_checkpoints/a-checkpoint.jpg", "__MACOSX/b.jpg", ".thumbs/deep/c.jpg")
    photos = ("a.jfif", "b.MPO", "c.jpe", "deep/d.avif", "deep/e.pnm")
    for name in (*hidden, *photos, "f.heic", "deep/g.CR2", "notes.txt"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "other").mkdir()
    (folder / "linked").symlink_to(tmp_path / "other")
    told = []
    found = find_images([folder], note=told.append)
    assert [file.relative_to(folder).as_posix() for file in found] == sorted(photos)
    assert len(told) == 1
    for count in ("1 dangling link,", "1 linked folder,", "2 files of other image formats"):
        assert count in told[0]
    # a folder of such files alone says so, too
    (tmp_path / "other" / "only.heic").touch()
    with pytest.raises(ImageError, match=r"holds no photos.*1 file of another image format"):
        find_images([tmp_path / "other"])
