"""Addresses of object stores and other file systems, which the user's own fsspec drivers read and write."""

import re
from typing import Any

from incdet.errors import DataError, PackageError, reason

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+(://|::)", re.IGNORECASE)
"""The beginning of an address. A single letter would be a drive of Windows."""


def is_address(place: str) -> bool:
    """Whether a place is an address of fsspec rather than a path.

    >>> is_address("s3://bucket/photos"), is_address("zip://*.jpg::photos.zip"), is_address("photos/a.jpg")
    (True, True, False)
    """
    return _ADDRESS.match(place) is not None


def open_address(address: str) -> tuple[Any, str]:
    """Finds the file system of an address.

    Args:
        address: Address such as `s3://bucket/photos`, possibly chained with `::`.

    Returns:
        fsspec's file system, and the path in it.

    Raises:
        PackageError: fsspec or the driver of this kind of address is not installed.
        DataError: No driver knows this kind of address, or the driver cannot be made ready.
    """
    try:
        import fsspec.core
    except ImportError:
        raise PackageError(
            "addresses need fsspec, which is not installed; run: pip install 'incdet[cluster]'"
        ) from None
    try:
        file_system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise PackageError(f"cannot open {address}: {reason(error)}") from None
    except Exception as error:  # a driver fails with errors of its own
        raise DataError(f"cannot open {address}: {reason(error)}; check the address and your access to it") from None
    return file_system, str(path)


def full_address(given: str, file_system: Any, path: str) -> str:
    """Returns the address of a file that was found in the file system of another address.

    Args:
        given: The address whose file system was searched.
        file_system: fsspec's file system.
        path: Path of the file in it.
    """
    # the file of "zip://*.jpg::s3://bucket/photos.zip" needs everything behind the first part, too
    first, chain, rest = given.partition("::")
    if not chain:
        return str(file_system.unstrip_protocol(path))
    return f"{first.partition('://')[0]}://{path}::{rest}"
