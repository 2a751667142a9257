"""Weights and the record that belongs to them: one safetensors file, read without unpickling anything."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from incdet.errors import ConfigurationError, WeightsError
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import INPUT_SIZE, GoogLeNet
from incdet.networks.multibox import MultiBox, MultiBoxDescription
from incdet.networks.quantization import dequantize
from incdet.runtime.files import atomic_file

REJECTION_NETWORK = "googlenet-voc"
"""Name of the shipped weights that see every region; the members of the ensemble are called this and -1, -2, ..."""

RECORD_KEY = "incdet"
REGRESSION_KEY = "incdet-boxes"

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Preprocessing(BaseModel):
    """How pixels become the network's input: (RGB - mean) * scale, size x size, boxes with context around them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mean: tuple[float, float, float] = (123.0, 117.0, 104.0)
    scale: float = Field(1.0, gt=0, le=1000)
    size: int = Field(INPUT_SIZE, ge=96, le=1024)
    context: int = Field(16, ge=0)

    def apply(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Pixels [B, S, S, 3] uint8, RGB -> the network's input [B, 3, S, S] float32, channels last in memory.

        Args:
            pixels: of the images.
            noise: [B, 3] float32 in grey levels, added to every pixel of an image.
        """
        mean = torch.tensor(self.mean, device=pixels.device)
        offsets = -mean if noise is None else (noise - mean)[:, None, None, :]
        return ((pixels.float() + offsets) * self.scale).permute(0, 3, 1, 2)

    @model_validator(mode="after")
    def _context_leaves_room(self) -> Self:
        if self.context * 4 > self.size:
            raise ValueError(f"a context of {self.context} pixels leaves too little of {self.size} for the region")
        return self


class WeightsRecord(BaseModel):
    """What is known about a set of weights; stored in the safetensors metadata under "incdet".

    Attributes:
        architecture: which network the tensors are for, a name in `ARCHITECTURES`.
        classes: class names in the order of the network's columns, without background.
        background: whether one more column, the last, stands for background.
        preprocessing: what the input must look like.
        recipe: configuration of the training that made the weights.
        origin: where the weights come from, in words.
        measured: what was measured with them, for example {"voc2012-subset val mAP": 0.45}.
        licence: terms of use.
        multibox: what is on top of the convolutions, where the network proposes boxes instead of naming classes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str = "table"
    classes: tuple[str, ...] = Field(min_length=1)
    background: bool
    preprocessing: Preprocessing = Preprocessing()
    recipe: dict[str, Any] = {}
    origin: str
    measured: dict[str, float] = {}
    licence: str
    multibox: MultiBoxDescription | None = None

    @field_validator("architecture", mode="before")
    @classmethod
    def _first_name(cls, value: Any) -> Any:
        """What the only architecture was called when it had no variants."""
        return "table" if value == "googlenet" else value

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have the same name")
        return self

    @property
    def num_columns(self) -> int:
        """Outputs of the network: the classes, and background where there is one."""
        return len(self.classes) + self.background


def shipped_weights() -> dict[str, Path]:
    """Name -> file of the weights inside the package."""
    # not by the package's name, which in some folders is also that of the repository
    folder = Path(__file__).resolve().parents[1] / "weights"
    # names with a point are files that belong to other weights, see `networks/sidecar_files.py`
    return {file.stem: file for file in sorted(folder.glob("*.safetensors")) if "." not in file.stem}


def shipped_ensemble(members: int | None = None) -> tuple[str, ...]:
    """Names of the first stage's weights and of so many of the shipped ensemble's members; None is all of them.

    Raises:
        ConfigurationError: fewer than one, or more than the package ships.
    """
    names = [name for name in shipped_weights() if name.startswith(f"{REJECTION_NETWORK}-")]
    if members is not None and not 1 <= members <= len(names):
        raise ConfigurationError(f"{members} members of the ensemble are wanted; expected 1 to {len(names)}")
    return (REJECTION_NETWORK, *names[:members])


def find_weights(name_or_file: str | Path) -> Path:
    """The file of shipped weights by name, or a path as given.

    Raises:
        WeightsError: neither a shipped name nor an existing file.
    """
    shipped = shipped_weights()
    if str(name_or_file) in shipped:
        return shipped[str(name_or_file)]
    file = Path(name_or_file)
    if not file.is_file():
        names = ", ".join(shipped) or "none (the package is incomplete: install it again)"
        raise WeightsError(f"no weights '{name_or_file}': neither a file nor shipped; shipped weights: {names}")
    return file


def load_network(file: Path) -> tuple[GoogLeNet, WeightsRecord]:
    """The network in float32, ready for inference, and its record.

    Raises:
        WeightsError: unreadable, without a record, or tensors that do not fit the network the record names.
    """
    record = load_record(file)
    if record.multibox is not None:
        raise WeightsError(f"the weights {file} propose boxes (MultiBox), they name no classes; give others")
    network = GoogLeNet(record.num_columns, architecture=ARCHITECTURES[record.architecture])
    load_tensors(network, dequantize(read_tensors(file), str(file)), str(file))
    return network.eval(), record


def load_multibox(file: Path) -> tuple[MultiBox, WeightsRecord]:
    """The network that proposes boxes, in float32, ready for inference, and its record.

    Raises:
        WeightsError: unreadable, without a record, of another kind, or tensors that do not fit the network.
    """
    record = load_record(file)
    if record.multibox is None:
        raise WeightsError(f"the weights {file} name classes, they propose no boxes; train with incdet train multibox")
    network = MultiBox.from_description(record.multibox, ARCHITECTURES[record.architecture])
    load_tensors(network, dequantize(read_tensors(file), str(file)), str(file))
    return network.eval(), record


def load_record(file: Path) -> WeightsRecord:
    """The record alone.

    Raises:
        WeightsError: unreadable or without a valid record.
    """
    try:
        with safe_open(file, "pt") as stored:
            metadata = stored.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot read weights {file}: {error}; expected a safetensors file") from None
    if REGRESSION_KEY in metadata:
        network = file.name.replace(".boxes", "")
        raise WeightsError(f"{file} is the box regression of a network, which is used by itself; give {network}")
    if RECORD_KEY not in metadata:
        raise WeightsError(
            f"the weights {file} have no incdet record (classes, preprocessing); Caffe's can be imported with "
            "incdet weights import"
        )
    try:
        record = WeightsRecord.model_validate_json(metadata[RECORD_KEY])
    except ValidationError as error:
        problem = error.errors()[0]
        raise WeightsError(f"the record of {file} is damaged at {problem['loc']}: {problem['msg']}") from None
    if record.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise WeightsError(f"the weights {file} are for '{record.architecture}'; this version knows {known}")
    return record


def read_tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, as they are stored.

    Raises:
        WeightsError: not a readable safetensors file.
    """
    try:
        with safe_open(file, "pt") as stored:
            return {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot read weights {file}: {error}; expected a safetensors file") from None


def load_tensors(network: torch.nn.Module, tensors: dict[str, Tensor], origin: str) -> None:
    """Copies tensors into a network that has exactly these names and shapes.

    Raises:
        WeightsError: names the first missing, unexpected or misshapen tensor, or one that is not finite.
    """
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors:
            raise WeightsError(f"the weights {origin} lack '{name}', which the network needs")
        if name not in wanted:
            raise WeightsError(f"the weights {origin} hold '{name}', which the network does not have")
        expected, got = list(wanted[name].shape), list(tensors[name].shape)
        if expected != got:
            raise WeightsError(f"the weights {origin}: '{name}' has shape {got}, but the network expects {expected}")
        if tensors[name].dtype not in _DTYPES:
            raise WeightsError(
                f"the weights {origin}: '{name}' holds {tensors[name].dtype}; expected float16, float32, or int8 with "
                "scales"
            )
        if not tensors[name].isfinite().all():
            raise WeightsError(f"the weights {origin}: '{name}' holds NaN or infinity; the file is damaged")
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})


def save_weights(
    file: Path, tensors: dict[str, Tensor], record: WeightsRecord, dtype: torch.dtype | None = None
) -> None:
    """Writes tensors in `dtype`, or each in its own, with their record, atomically; equal input gives equal bytes.

    Raises:
        OutputError: the folder cannot be written to.
    """
    stored = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in sorted(tensors.items())}
    metadata = {RECORD_KEY: json.dumps(record.model_dump(mode="json"), sort_keys=True)}
    with atomic_file(file) as stream:
        stream.write(serialize(stored, metadata))


def sha256(file: Path) -> str:
    """The file's SHA-256 as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def named_hashes(files: Iterable[Path]) -> dict[str, str]:
    """File name -> SHA-256; files that share a name, as those of a training's members do, go by their whole path."""
    files = list(files)
    names = Counter(file.name for file in dict.fromkeys(files))
    return {str(file) if names[file.name] > 1 else file.name: sha256(file) for file in files}


def same_classes(records: Iterable[WeightsRecord]) -> tuple[str, ...]:
    """The classes that all members of an ensemble share.

    Raises:
        WeightsError: two members were trained for different classes.
    """
    first, *others = (record.classes for record in records)
    for other in others:
        if other != first:
            difference = sorted(set(first) ^ set(other))[:3] or ["their order"]
            raise WeightsError(
                f"the ensemble's members differ in classes ({len(first)} and {len(other)}; for example "
                f"{', '.join(difference)}); give weights trained for the same classes"
            )
    return first
