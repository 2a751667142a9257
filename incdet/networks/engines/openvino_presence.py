"""Whether OpenVINO can compute networks as the settings ask, known without torch and without OpenVINO itself."""

from incdet.config.sections import ScoresConfig
from incdet.errors import ConfigurationError, PackageError
from incdet.runtime.optional_packages import is_installed


def missing_openvino_error() -> PackageError:
    """Returns the error about OpenVINO where it was asked for and is not installed."""
    return PackageError("scores.engine=openvino needs OpenVINO, which is not installed: pip install 'incdet[openvino]'")


def wrong_device_error() -> ConfigurationError:
    """Returns the error about OpenVINO where it was asked for on another device than the CPU."""
    return ConfigurationError("scores.engine=openvino computes on the CPU; add device=cpu or leave it out")


def check_openvino(config: ScoresConfig, device: str) -> None:
    """Refuses OpenVINO where it is not installed, or where another device is asked for.

    Args:
        config: The engine.
        device: "auto", "cpu" or "cuda".

    Raises:
        ConfigurationError: The device is "cuda".
        PackageError: OpenVINO is not installed.
    """
    if config.engine != "openvino":
        return
    if not is_installed("openvino"):
        raise missing_openvino_error()
    if device == "cuda":
        raise wrong_device_error()
