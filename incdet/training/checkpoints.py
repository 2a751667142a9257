"""Checkpoints: everything that a training needs to go on exactly where it stopped, in one safetensors file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from incdet.errors import WeightsError, reason
from incdet.networks.tensor_checksums import tensor_checksum
from incdet.runtime.files import atomic_file
from incdet.training.averaging import ParameterAverage
from incdet.training.checkpoint_settings import require_same_settings, require_same_steps

_MAX_DIGITS = 15
"""Largest number of digits of a step."""


def save_checkpoint(
    file: Path,
    step: int,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: ParameterAverage,
    configuration: dict[str, Any],
    about: Mapping[str, str] | None = None,
) -> None:
    """Writes parameters, momentum and average, atomically.

    Args:
        file: the checkpoint.
        step: number of finished steps.
        network: the network.
        optimizer: its optimiser, whose momentum is stored.
        average: its average.
        configuration: settings that decide the result.
        about: further texts about the run, by name.

    Raises:
        OutputError: the folder cannot be written to.
    """
    parameters = dict(network.named_parameters())
    # the state holds the statistics of batch normalisation, too, where there are any
    tensors: dict[str, Tensor] = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state().items()}
    for name, parameter in parameters.items():
        buffer = optimizer.state[parameter].get("momentum_buffer") if parameter in optimizer.state else None
        if buffer is not None:
            tensors[f"momentum.{name}"] = buffer
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {**(about or {}), "step": str(step), "configuration": json.dumps(configuration, sort_keys=True)}
    metadata["checksum"] = tensor_checksum(stored, _beginning(metadata))
    with atomic_file(file) as stream:
        stream.write(serialize(stored, metadata))


def load_checkpoint(
    file: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: ParameterAverage,
    configuration: dict[str, Any],
    steps: int | None = None,
) -> int:
    """Restores what `save_checkpoint` wrote.

    Args:
        file: the checkpoint.
        network: the network, which gets the stored parameters.
        optimizer: its optimiser, which gets the stored momentum.
        average: its average, which gets the stored average.
        configuration: settings that decide the result now.
        steps: number of steps of the whole run now; None does not compare it.

    Returns:
        Number of finished steps.

    Raises:
        WeightsError: the file cannot be read, or belongs to other data.
        ConfigurationError: it was written under other settings, or for another number of steps.
    """
    metadata, tensors = _read(file)
    step = _finished_steps(file, metadata)
    require_same_settings(file, metadata, configuration)
    if steps is not None:
        require_same_steps(file, metadata, steps)
    parameters = dict(network.named_parameters())
    targets = {f"network.{name}": value for name, value in network.state_dict().items()}
    targets |= {f"average.{name}": value for name, value in average.tensors.items()}
    # everything is compared before anything is changed
    for name, target in targets.items():
        _require_fitting(file, name, tensors.get(name), target)
    for name, parameter in parameters.items():
        if f"momentum.{name}" in tensors:
            _require_fitting(file, f"momentum.{name}", tensors[f"momentum.{name}"], parameter)
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(tensors[name])
        for name, parameter in parameters.items():
            if f"momentum.{name}" in tensors:
                buffer = tensors[f"momentum.{name}"].to(parameter.device)
                # the memory layout decides how a sum is rounded: it must be that of the parameter, as before
                optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(buffer)
    return step


def _beginning(metadata: dict[str, str]) -> str:
    """Returns the text of the metadata that belongs to the checksum."""
    return f"{metadata['step']} {metadata['configuration']}"


def _read(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Returns metadata and tensors of a checkpoint whose checksum is right."""
    try:
        with safe_open(file, "pt") as stored:
            metadata = stored.metadata() or {}
            tensors: dict[str, Tensor] = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot read the checkpoint {file}: {reason(error)}; delete it to start afresh") from None
    if not {"step", "configuration"} <= metadata.keys():
        raise WeightsError(f"{file} is not a checkpoint of incdet (it says no step); delete it to start afresh")
    # checkpoints of earlier versions have none
    checksum = metadata.get("checksum")
    if checksum is not None and checksum != tensor_checksum(tensors, _beginning(metadata)):
        raise WeightsError(f"the checkpoint {file} is damaged: its checksum is another one; delete it to start afresh")
    return metadata, tensors


def _finished_steps(file: Path, metadata: dict[str, str]) -> int:
    step = metadata["step"]
    if not step.isdecimal() or len(step) > _MAX_DIGITS:
        raise WeightsError(f"the checkpoint {file} says '{step[:40]}' for its step; delete it to start afresh")
    return int(step)


def _require_fitting(file: Path, name: str, tensor: Tensor | None, target: Tensor) -> None:
    """Raises WeightsError where a stored tensor is missing or has another shape or a type of another kind."""
    found = "is missing" if tensor is None else f"has shape {list(tensor.shape)} and {tensor.dtype}"
    if tensor is None or tensor.shape != target.shape or tensor.is_floating_point() != target.is_floating_point():
        raise WeightsError(
            f"the checkpoint {file} is of another network: '{name}' {found}, but this training needs shape "
            f"{list(target.shape)}; use another output folder, or delete it to start afresh"
        )
