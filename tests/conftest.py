"""Fixtures that several test files use."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import skimage.data

from incdet.structures import Image


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the development data in ../shared, which is absent here")
    return folder


@pytest.fixture(scope="session")
def astronaut() -> Image:
    return Image(np.ascontiguousarray(skimage.data.astronaut()), "astronaut")


@pytest.fixture(scope="session")
def astronaut_file(tmp_path_factory: pytest.TempPathFactory, astronaut: Image) -> Path:
    file = tmp_path_factory.mktemp("photos") / "astronaut.jpg"
    PIL.Image.fromarray(astronaut.pixels).save(file, quality=95)
    return file


@pytest.fixture(scope="session")
def chelsea_file() -> Path:
    """A cat, 451 x 300, as scikit-image ships it."""
    return Path(skimage.data.__file__).parent / "chelsea.png"
