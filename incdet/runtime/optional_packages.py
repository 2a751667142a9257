"""Packages that come with an extra of incdet: whether they are there, and the sentence where they are not."""

from importlib.util import find_spec

from incdet.errors import PackageError


def is_installed(package: str) -> bool:
    """Whether a package can be imported; it is not imported to find out.

    >>> is_installed("json"), is_installed("no_such_package")
    (True, False)
    """
    return find_spec(package) is not None


def require_package(package: str, purpose: str, extra: str) -> None:
    """Makes sure that a package is there, before work starts that would fail without it.

    Args:
        package: Name under which it is imported.
        purpose: Part of incdet that needs it, as the beginning of a sentence: "the plots".
        extra: Extra of incdet that brings it.

    Raises:
        PackageError: The package is not installed.
    """
    if not is_installed(package):
        raise PackageError(f"{purpose} need {package}, which is not installed; run: pip install 'incdet[{extra}]'")
