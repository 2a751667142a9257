"""Which wheels of OpenCV are installed, whether they fit together, and the command that mends it.

All of them write into the same folder `cv2`. The one that was installed last wins, and uninstalling any of them takes
files away from the others, without a word from pip.
"""

import warnings
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from incdet.errors import PackageError

WANTED = "opencv-contrib-python"
"""The wheel that incdet depends on. Its headless form would do, too, but a dependency names one wheel."""

OTHERS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless")
"""The wheels that write into the same folder."""

REMEDY = f"pip uninstall -y {' '.join(OTHERS)} && pip install --force-reinstall --no-deps {WANTED}"
"""The command that leaves the wanted wheel alone and whole."""


def installed_wheels() -> dict[str, str]:
    """Returns the versions of the installed wheels of OpenCV by their names."""
    found = {}
    for name in (WANTED, *OTHERS):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def several_wheels() -> str | None:
    """Returns a sentence with the remedy where several wheels of OpenCV are installed, or None."""
    found = installed_wheels()
    if len(found) < 2:
        return None
    names = " and ".join(f"{name} {number}" for name, number in found.items())
    return (
        f"{names} are installed and write into the same folder, so that parts of OpenCV may be missing; run: {REMEDY}"
    )


def require_whole_opencv(module: ModuleType) -> None:
    """Makes sure that OpenCV can be used, and warns where wheels of different versions are mixed.

    Args:
        module: `cv2` as it was imported.

    Raises:
        PackageError: Its files are gone, as after another wheel of OpenCV was uninstalled.
    """
    if not hasattr(module, "resize"):
        raise PackageError(
            "cannot use OpenCV: its folder cv2 has lost its files, as it does when one of several OpenCV wheels is "
            f"uninstalled; run: {REMEDY}"
        )
    # wheels of one version have the same files apart from windows and contributed modules
    if len(set(installed_wheels().values())) > 1:
        warnings.warn(str(several_wheels()), RuntimeWarning, stacklevel=2)
