"""Checkpoints: everything that a training needs to go on exactly where it stopped, in one safetensors file."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from incdet.errors import WeightsError
from incdet.runtime.files import atomic_file
from incdet.training.averaging import ParameterAverage
from incdet.training.checkpoint_settings import require_same_settings


def save_checkpoint(
    file: Path,
    step: int,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: ParameterAverage,
    configuration: dict[str, Any],
) -> None:
    """Writes parameters, momentum and average, atomically.

    Args:
        file: the checkpoint.
        step: number of finished steps.
        network: the network.
        optimizer: its optimiser, whose momentum is stored.
        average: its average.
        configuration: settings that decide the result.

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
    metadata = {"step": str(step), "configuration": json.dumps(configuration, sort_keys=True)}
    with atomic_file(file) as stream:
        stream.write(serialize(stored, metadata))


def load_checkpoint(
    file: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: ParameterAverage,
    configuration: dict[str, Any],
) -> int:
    """Restores what `save_checkpoint` wrote.

    Args:
        file: the checkpoint.
        network: the network, which gets the stored parameters.
        optimizer: its optimiser, which gets the stored momentum.
        average: its average, which gets the stored average.
        configuration: settings that decide the result now.

    Returns:
        Number of finished steps.

    Raises:
        WeightsError: the file cannot be read, or it was written under another configuration; the message names the
            first key that differs.
    """
    try:
        with safe_open(file, "pt") as stored:
            metadata = stored.metadata() or {}
            tensors: dict[str, Tensor] = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot read the checkpoint {file}: {error}; delete it to start afresh") from None
    require_same_settings(file, metadata, configuration)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            value.copy_(tensors[f"network.{name}"])
            average.tensors[name].copy_(tensors[f"average.{name}"])
        for name, parameter in network.named_parameters():
            if f"momentum.{name}" in tensors:
                buffer = tensors[f"momentum.{name}"].to(parameter.device)
                # the memory layout decides how a sum is rounded: it must be that of the parameter, as before
                optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(buffer)
    return int(metadata["step"])
