"""A JPEG without an end marker: damage in its segments is a damaged photo, never a mistake of the program."""

import io

import numpy as np
import PIL.Image
import pytest

from incdet.ops.jpeg_data import END_MARKER, has_whole_picture


def decode(content):
    return np.asarray(PIL.Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.fixture
def content():
    """A JPEG of 24 x 16 pixels with restart markers and without its end."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (24, 16), "red").save(file, "JPEG", restart_marker_rows=1)
    return file.getvalue().removesuffix(END_MARKER)


def test_a_whole_picture_lacks_its_end_marker_alone(content):
    assert has_whole_picture(content, decode)
    assert not has_whole_picture(content[:-4], decode)


@pytest.mark.parametrize("factors", [0x00, 0x01, 0x10])
def test_sampling_factors_of_0_are_damage(content, factors):
    frame = content.index(b"\xff\xc0")
    damaged = bytearray(content)
    for component in range(3):
        damaged[frame + 11 + 3 * component] = factors
    assert b"\xff\xdd" in content
    assert not has_whole_picture(bytes(damaged), decode)
