"""SHA-256 of files, by which results name the weights that made them."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def sha256(file: Path) -> str:
    """Computes the SHA-256 of a file as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def named_hashes(files: Iterable[Path]) -> dict[str, str]:
    """Computes file name -> SHA-256.

    Files that share a name, as those of the members of a training do, are named by their path as given.
    """
    files = list(files)
    # a file that is given twice does not share its name with another one
    num_files = Counter(file.name for file in dict.fromkeys(files))
    return {str(file) if num_files[file.name] > 1 else file.name: sha256(file) for file in files}
