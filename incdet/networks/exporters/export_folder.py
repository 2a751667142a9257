"""A folder of exported networks with their manifest, each compared with torch before anything is kept."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

import incdet
from incdet.config.sections import ScoresConfig
from incdet.errors import ConfigurationError, PackageError
from incdet.networks.exporters import torchscript_modules
from incdet.networks.exporters.exported_networks import ExportedNetwork, export_classifier, export_multibox
from incdet.networks.exporters.exported_shared_multibox import export_shared_multibox
from incdet.networks.multibox_description import SharedMultiBoxDescription
from incdet.networks.pretrained import load_pretrained
from incdet.networks.record_files import load_record
from incdet.networks.weights import load_multibox, load_shared_multibox
from incdet.networks.weights_record import WeightsRecord
from incdet.runtime.file_hashes import sha256
from incdet.runtime.files import atomic_file
from incdet.runtime.json_files import write_json

Format = Literal["onnx", "openvino", "torchscript"]

_ENDINGS: dict[Format, str] = {"onnx": "onnx", "openvino": "xml", "torchscript": "pt"}

_LIBRARIES: dict[Format, str] = {"onnx": "onnxruntime", "openvino": "openvino", "torchscript": "torch"}
"""Library that computes the files of a form."""

MANIFEST = "manifest.json"

COLORS = 3
"""Channels of an input that is a photo or a crop; others are feature maps."""

TOLERANCE = 1e-3
"""Largest difference, relative to the largest value of an output, between an exported network and torch."""


class ExportResult(NamedTuple):
    """One exported network.

    Attributes:
        file: Its file.
        difference: Largest difference from torch, relative to the largest value of the output.
    """

    file: Path
    difference: float


def export_files(weights: Sequence[Path], folder: Path, form: Format, box_deltas: bool) -> list[ExportResult]:
    """Exports networks into a folder, with a manifest that says how to use them.

    Args:
        weights: Files of weights.
        folder: The folder; files of the same names are replaced.
        form: The form of the files.
        box_deltas: Whether box regressors are exported, too.

    Raises:
        WeightsError: Weights are missing or damaged.
        ConfigurationError: A network is a variant that is not exported, or two files of weights have the same name.
        PackageError: An exported network computes something else than torch.
    """
    _require_different_names(weights)
    results, entries = [], []
    # weights that cannot be exported are told before anything is written
    for file, (record, networks) in [(file, _load(file, box_deltas)) for file in weights]:
        for network in networks:
            # networks of several weights stay apart, and a single one has a short name
            name = network.name if len(weights) == 1 else f"{file.stem}.{network.name}"
            written = _write(network, folder / f"{name}.{_ENDINGS[form]}", form)
            difference = _largest_difference(network, written, form)
            if not difference <= TOLERANCE:
                for part in (written, written.with_suffix(".bin")):
                    part.unlink(missing_ok=True)
                raise PackageError(
                    f"the exported network {written} differs from torch by {difference:.1e} of its largest output; "
                    f"install another version of {_LIBRARIES[form]}"
                )
            entries.append(_manifest_entry(network, record, written, file, difference))
            results.append(ExportResult(written, difference))
    write_json(folder / MANIFEST, {"incdet": incdet.__version__, "format": form, "networks": entries})
    return results


def _require_different_names(weights: Sequence[Path]) -> None:
    """Makes sure that no network takes the place of another one, whose file would have the same name.

    Raises:
        ConfigurationError: Two files of weights have the same name.
    """
    stems = [file.stem for file in weights]
    for file in weights:
        if stems.count(file.stem) > 1:
            raise ConfigurationError(
                f"cannot export two weights named '{file.stem}' into one folder, {file} and another: their files would "
                "have the same names; give each weights once, or rename one file"
            )


def _load(file: Path, box_deltas: bool) -> tuple[WeightsRecord, list[ExportedNetwork]]:
    record = load_record(file)
    if record.multibox is not None:
        if isinstance(record.multibox, SharedMultiBoxDescription):
            shared, record = load_shared_multibox(file)
            return record, [export_shared_multibox(shared)]
        network, record = load_multibox(file)
        return record, [export_multibox(network, record)]
    loaded = load_pretrained(file, ScoresConfig(box_deltas=box_deltas))
    return loaded.record, export_classifier(loaded.network, loaded.record)


def _write(network: ExportedNetwork, file: Path, form: Format) -> Path:
    """Writes a network and returns its file; OpenVINO's form has a second one (.bin) beside it."""
    if form == "torchscript":
        content = torchscript_modules.record(network.recorded, torch.from_numpy(_example(network)))
    else:
        content = network.make_model().SerializeToString()
    if form != "openvino":
        with atomic_file(file) as stream:
            stream.write(content)
        return file
    import io

    import openvino

    model = openvino.convert_model(io.BytesIO(content))
    openvino.save_model(model, file, compress_to_fp16=False)
    return file


def _example(network: ExportedNetwork) -> np.ndarray:
    """Returns an input to record, of another size than the sample wherever a size may vary."""
    lengths = zip(network.input_shape, network.sample.shape, strict=True)
    shape = [length if isinstance(length, int) else 2 * given for length, given in lengths]
    return np.zeros(shape, np.float32)


def _largest_difference(network: ExportedNetwork, file: Path, form: Format) -> float:
    """Returns the largest difference between a file and torch, relative to the largest value of each output."""
    outputs = _compute(network.sample, file, form)
    differences = []
    for found, expected in zip(outputs, network.expected(network.sample), strict=True):
        largest = float(np.abs(expected).max(initial=1e-12))
        differences.append(float(np.abs(found - expected).max()) / largest)
    return max(differences)


def _compute(sample: np.ndarray, file: Path, form: Format) -> list[np.ndarray]:
    """Computes the outputs of a file by the library that it is made for."""
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: sample})
    if form == "torchscript":
        with warnings.catch_warnings(), torch.inference_mode():
            # torch recommends torch.export instead
            warnings.simplefilter("ignore")
            outputs = torch.jit.load(str(file))(torch.from_numpy(sample))  # type: ignore[no-untyped-call]
        return [output.numpy() for output in outputs]
    import openvino

    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(value) for value in compiled(sample).values()]


def _manifest_entry(
    network: ExportedNetwork, record: WeightsRecord, file: Path, weights: Path, difference: float
) -> Mapping[str, Any]:
    """Returns what a program needs to know of one file."""
    preprocessing = record.preprocessing
    entry: dict[str, Any] = {
        "file": file.name,
        "sha256": sha256(file),
        "weights": weights.name,
        "input": {"shape": list(network.input_shape), "layout": "NCHW", "dtype": "float32"},
        "outputs": network.outputs,
        "difference_from_torch": difference,
        "licence": record.licence,
        "origin": record.origin,
    }
    if network.input_shape[1] == COLORS:
        entry["input"]["colors"] = "RGB"
    if isinstance(record.multibox, SharedMultiBoxDescription):
        # its input is the output of another file, at all of these sizes of a photo
        entry["feature_maps"] = {"weights": record.multibox.network, "photo_sides": list(preprocessing.photo_sides)}
    elif network.name != "region_head":
        entry["preprocessing"] = {"mean": list(preprocessing.mean), "scale": preprocessing.scale}
    if network.name == "regions":
        entry["preprocessing"]["context"] = preprocessing.context
    if network.name == "photo_features":
        entry["preprocessing"]["photo_sides"] = list(preprocessing.photo_sides)
        entry["preprocessing"]["region_side"] = preprocessing.region_side
    if record.multibox is None and network.name != "photo_features":
        entry["classes"] = list(record.classes)
        entry["background_is_last"] = record.background
    return entry
