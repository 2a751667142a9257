"""OpenCV's wheels: one, several, and one that has lost its files."""

import warnings
from importlib.metadata import PackageNotFoundError
from types import ModuleType

import cv2
import pytest

from incdet.errors import PackageError
from incdet.runtime import opencv_wheels
from incdet.runtime.opencv_wheels import REMEDY, installed_wheels, require_whole_opencv, several_wheels


@pytest.fixture
def install(monkeypatch):
    """Makes these wheels the installed ones."""

    def installed(**versions):
        named = {name.replace("_", "-"): number for name, number in versions.items()}

        def version(name):
            if name not in named:
                raise PackageNotFoundError(name)
            return named[name]

        monkeypatch.setattr(opencv_wheels, "version", version)

    return installed


def test_one_wheel_is_no_problem(install):
    install(opencv_contrib_python="5.1.0.95")
    assert installed_wheels() == {"opencv-contrib-python": "5.1.0.95"}
    assert several_wheels() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_whole_opencv(cv2)


def test_several_wheels_are_named_with_the_command_that_mends_them(install):
    install(opencv_contrib_python="5.1.0.95", opencv_python="5.1.0.95")
    assert several_wheels() is not None
    assert several_wheels().endswith(REMEDY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_whole_opencv(cv2)
    install(opencv_contrib_python="5.1.0.95", opencv_python_headless="5.0.0.93")
    with pytest.warns(
        RuntimeWarning, match=r"opencv-contrib-python 5\.1\.0\.95 and opencv-python-headless 5\.0\.0\.93"
    ):
        require_whole_opencv(cv2)


def test_a_folder_without_its_files_is_an_error(install):
    install(opencv_contrib_python="5.1.0.95")
    with pytest.raises(PackageError, match=r"lost its files.*pip uninstall"):
        require_whole_opencv(ModuleType("cv2"))
