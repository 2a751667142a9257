"""Fixtures of the tests of training."""

import pytest
from class_folders import CLASSES, jpeg, pixels_of
from tiny_training import trained


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The folder of the tiny training in one go; it is only read."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    trained(folder)
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Three classes, four photos each: quarters of scikit-image's photos."""
    root = tmp_path_factory.mktemp("folders")
    for name in CLASSES:
        (root / name).mkdir()
        pixels = pixels_of(name)
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        for number in range(4):
            top, left = number // 2 * height, number % 2 * width
            (root / name / f"{number}.jpg").write_bytes(jpeg(pixels[top : top + height, left : left + width]))
    return root
