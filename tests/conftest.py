"""Fixtures that several test files use."""

import os
import tempfile

if "PYTEST_XDIST_WORKER" in os.environ:
    # the tests that run side by side, and what they start, share the cores
    os.environ["OMP_NUM_THREADS"] = "1"
# compiled networks are kept from run to run, but not among those of the user
os.environ["INCDET_CACHE"] = f"{tempfile.gettempdir()}/incdet-tests-{os.getenv('USER', 'user')}"

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest
import skimage.data

from incdet.cli import app as cli
from incdet.cli import console
from incdet.images import read_image
from incdet.networks.shipped_weights import find_weights
from incdet.runtime.start_up import collect_garbage_rarely
from incdet.structures import Image

if TYPE_CHECKING:
    from torch import Tensor

# hundreds of thousands of objects of libraries need not be looked at again and again
collect_garbage_rarely()

# the search for doctests would load this file again beside that of tests/cluster, which comes first in the alphabet
collect_ignore = ["conftest.py"]


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


@pytest.fixture(scope="session")
def regions(chelsea_file: Path) -> "Tensor":
    """Crops of a cat, of its box moved about, and of background: [12, 3, 224, 224]."""
    # torch takes seconds to load: only for tests that look at regions
    import torch

    from incdet.networks.weights import load_record
    from incdet.regions import RegionCropper

    generator = np.random.default_rng(0)
    cat = np.array([0, 0, 400, 300]) + generator.uniform(-40, 40, (8, 4)) * (np.arange(8) > 0)[:, None]
    background = np.sort(generator.uniform(0, 1, (4, 2, 2)) * [451, 300], axis=1).reshape(-1, 4)
    boxes = np.concatenate([cat, background]).astype(np.float32).clip(0, [451, 300, 451, 300])
    preprocessing = load_record(find_weights("googlenet-voc")).preprocessing
    return RegionCropper(read_image(chelsea_file), preprocessing, torch.device("cpu")).crop(boxes)


@pytest.fixture(scope="session")
def small_voc(tmp_path_factory: pytest.TempPathFactory, chelsea_file: Path) -> Path:
    """A data set of two photos in VOC's layout: a cat, and the same cat moved to the right, annotated at half the size
    of its file.
    """
    root = tmp_path_factory.mktemp("voc")
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    pixels = np.asarray(PIL.Image.open(chelsea_file).convert("RGB"))
    for name, shift, shrink in (("first", 0, 1), ("second", 61, 2)):
        moved = np.pad(pixels, ((0, 0), (shift, 0), (0, 0)), constant_values=120)
        PIL.Image.fromarray(moved).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
        width, height, left, right = (length / shrink for length in (moved.shape[1], 300, shift, shift + 400))
        corners = f"<xmin>{left + 1}</xmin><ymin>1</ymin><xmax>{right}</xmax><ymax>{height}</ymax>"
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><size><width>{width}</width><height>{height}</height></size>"
            f"<object><name>cat</name><difficult>0</difficult><bndbox>{corners}</bndbox></object></annotation>"
        )
    (root / "ImageSets" / "Main" / "val.txt").write_text("first\nsecond\n")
    return root


@pytest.fixture
def incdet(capsys, monkeypatch, tmp_path):
    """Runs the program in an empty folder: arguments -> (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["incdet", *map(str, arguments)])
        monkeypatch.setattr(console.notes, "width", 200)
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        streams = capsys.readouterr()
        return stopped.value.code, streams.out, streams.err

    return run


@pytest.fixture
def photo(tmp_path, chelsea_file):
    return shutil.copy(chelsea_file, tmp_path / "cat.png")


@pytest.fixture
def own_weights(tmp_path: Path) -> Path:
    """A copy of shipped weights, as if a user had trained them."""
    file = tmp_path / "mine.safetensors"
    file.write_bytes(find_weights("googlenet-voc-1").read_bytes())
    return file
