"""Networks that OpenVINO has compiled, kept on disk between processes: loading one takes a fifth of compiling it.

A file is named by everything that decides its content. It ends with a checksum, because OpenVINO does not notice
damage. Folders that others may write to are not used.
"""

import hashlib
import io
import threading
import zlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from incdet.errors import OutputError
from incdet.networks.googlenet import GoogLeNet
from incdet.runtime.cpu_flags import cpu_flags, cpu_model
from incdet.runtime.files import atomic_file, remove_stale_temporaries
from incdet.runtime.private_folders import is_private, user_cache_folder

MAX_BYTES = 600_000_000
"""Largest size of all files together; the six members of the shipped ensemble and the network for shared features take
200 MB. The files that were used longest ago go first."""

_CHECKSUM_BYTES = 4

_SOURCES = (
    "engines/openvino_network.py",
    "engines/openvino_backend.py",
    "box_regression.py",
    "googlenet.py",
    "inception.py",
    "response_norm.py",
)
"""Files of the package of networks that decide how one is built."""

_lock = threading.Lock()


def weights_digest(network: GoogLeNet) -> bytes:
    """Returns a digest of a network's weights and architecture."""
    digest = hashlib.sha256(repr(network.architecture).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().float().contiguous().numpy())
    return digest.digest()


def compiled_key(weights: bytes, part: str, *decisive: object) -> str:
    """Returns the name of a compiled part of a network.

    Args:
        weights: Digest of the network's weights, from `weights_digest`.
        part: The part that is compiled.
        decisive: Everything else that decides the result, each with a text of its own.
    """
    digest = hashlib.sha256(_surroundings() + weights)
    digest.update(repr((part, *decisive)).encode())
    return digest.hexdigest()


def load_compiled(core: Any, key: str, hints: Mapping[str, Any]) -> Any | None:
    """Loads a compiled network; None where there is none that can be used.

    Args:
        core: OpenVINO's core object.
        key: Name that `compiled_key` gave it.
        hints: Properties with which it was compiled.
    """
    try:
        file = _file(key)
        if not is_private(file.parent):
            return None
        with file.open("rb") as stream:
            content = stream.read(max(file.stat().st_size - _CHECKSUM_BYTES, 0))
            if _checksum(content) != stream.read():
                raise ValueError("damaged")
        compiled = core.import_model(io.BytesIO(content), "CPU", dict(hints))
        # the time of the last use; somebody else's folder may be one that can only be read
        with suppress(OSError):
            file.touch()
        return compiled
    except FileNotFoundError:
        return None
    except Exception:  # whatever OpenVINO or the disk raises, the network is compiled again and stored anew
        return None


def store_compiled(compiled: Any, key: str) -> None:
    """Stores a compiled network where that is possible."""
    with _lock, suppress(OSError, OutputError, RuntimeError):
        file = _file(key)
        if not is_private(file.parent):
            return
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_stale_temporaries(file.parent)
        exported = compiled.export_model()
        content = exported if isinstance(exported, bytes) else exported.getvalue()
        _make_room(file.parent, len(content))
        with atomic_file(file) as stream:
            stream.write(content)
            stream.write(_checksum(content))


def _checksum(content: bytes) -> bytes:
    # against accidents only, so that a quick one is enough
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big")


def _file(key: str) -> Path:
    return user_cache_folder() / "openvino" / f"{key}.blob"


def _make_room(folder: Path, num_bytes: int) -> None:
    """Removes the files that were used longest ago, until a new one fits."""
    files = sorted(folder.glob("*.blob"), key=lambda file: file.stat().st_mtime)
    total = sum(file.stat().st_size for file in files) + num_bytes
    for file in files:
        if total <= MAX_BYTES:
            return
        total -= file.stat().st_size
        file.unlink()


@cache
def _surroundings() -> bytes:
    """Returns a digest of the machine and the programs that compile."""
    import openvino

    folder = Path(__file__).parents[1]
    digest = hashlib.sha256(openvino.__version__.encode())
    digest.update(" ".join([cpu_model(), *sorted(cpu_flags())]).encode())
    for name in _SOURCES:
        digest.update((folder / name).read_bytes())
    return digest.digest()
