"""The weights inside the package, and how a name or a path leads to a file."""

from pathlib import Path
from typing import Literal

from incdet.config.near_names import nearest_names
from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.run_folders import weights_of_run
from incdet.runtime.urls import missing_file_hint

REJECTION_NETWORK = "googlenet-voc"
"""Name of the shipped weights of the rejection network on crops. The members of the shipped ensemble have this name
and -1, -2, ..."""

SHARED_NETWORK = "googlenet-voc-shared"
"""Name of the shipped weights for shared features, which see every region, alone or in front of the ensemble."""

NAMING_NETWORK = "googlenet-voc-namer"
"""Name of the shipped weights that name once more what the default detector finds."""

_NETWORK_PREFIX = "googlenet-"
"""Beginning of the names of networks that name classes, which short names lack."""


def shipped_weights() -> dict[str, Path]:
    """Lists the weights inside the package: name -> file."""
    # the package's own folder, because "incdet" may also name the folder that holds the repository
    folder = Path(__file__).resolve().parents[1] / "weights"
    # names with a point are sidecar files of other weights; see `networks/sidecar_files.py`
    return {file.stem: file for file in sorted(folder.glob("*.safetensors")) if "." not in file.stem}


def shipped_networks(features: Literal["auto", "cropped", "shared"], num_members: int | None = None) -> tuple[str, ...]:
    """Names the shipped weights of a detector: the rejection network's, then those of the members of the ensemble.

    Args:
        features: "auto" begins with the network for shared features, "cropped" with the rejection network for crops;
            "shared" is the network for shared features alone.
        num_members: number of members; None is all of them.

    Raises:
        ConfigurationError: the number is less than one, or more than the package ships.
    """
    if features == "shared":
        if num_members not in (None, 1):
            raise ConfigurationError(
                f"{num_members} members are wanted, but one network is shipped for shared features alone, as in the "
                "preset fast; leave the number out, or take the preset default for the ensemble behind it"
            )
        return (SHARED_NETWORK,)
    prefix = f"{REJECTION_NETWORK}-"
    names = [name for name in shipped_weights() if name.startswith(prefix) and name.removeprefix(prefix).isdigit()]
    if num_members is not None and not 1 <= num_members <= len(names):
        raise ConfigurationError(f"{num_members} members of the ensemble are wanted; expected 1 to {len(names)}")
    return (SHARED_NETWORK if features == "auto" else REJECTION_NETWORK, *names[:num_members])


def find_weights(name_or_file: str | Path) -> Path:
    """Finds the file of weights.

    Args:
        name_or_file: name of shipped weights, which may lack its "googlenet-", path of a file, or folder of a finished
            training.

    Raises:
        WeightsError: it is neither a shipped name nor an existing file, or the training in the folder is not finished.
    """
    shipped = shipped_weights()
    if str(name_or_file) in shipped:
        return shipped[str(name_or_file)]
    file = weights_of_run(Path(name_or_file))
    if not file.is_file():
        # a file of one's own wins over a short name
        full_name = f"{_NETWORK_PREFIX}{name_or_file}"
        if full_name in shipped:
            return shipped[full_name]
        names = ", ".join(shipped) or "none (the package is incomplete: install it again)"
        # short names are names, too
        near = nearest_names(str(name_or_file), (*shipped, *(name.removeprefix(_NETWORK_PREFIX) for name in shipped)))
        meant = f"; did you mean {near[0]}?" if near else ""
        found = missing_file_hint(name_or_file, f"neither a file nor shipped{meant}; shipped weights: {names}")
        raise WeightsError(f"no weights '{name_or_file}': {found}")
    return file
