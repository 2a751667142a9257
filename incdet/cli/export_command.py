"""`incdet export`: networks as files that other programs compute."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from incdet.cli.completions import complete_weights
from incdet.cli.options import NETWORKS, RESULTS, SETTINGS

EXAMPLES = (
    "incdet export --output exported",
    "incdet export --weights googlenet-voc --weights multibox-voc --format openvino --output exported",
)

DEFAULT_WEIGHTS = ("googlenet-voc-shared", "multibox-voc-shared")
"""Weights that are exported where none are given: the first networks of the default detector, its preset fast."""


class ExportFormat(StrEnum):
    """Form of exported networks."""

    onnx = "onnx"
    openvino = "openvino"
    torchscript = "torchscript"


_PACKAGES = {
    ExportFormat.onnx: (("onnx", "export"), ("onnxruntime", "export")),
    ExportFormat.openvino: (("onnx", "export"), ("openvino", "openvino")),
    ExportFormat.torchscript: (),
}
"""Form -> packages that write and compute its files, each with the extra that brings it."""

Form = Annotated[ExportFormat, typer.Option("--format", help="Form of the files.", rich_help_panel=RESULTS)]
Folder = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder of the files.", rich_help_panel=RESULTS),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="NAME_OR_FILE",
        autocompletion=complete_weights,
        help="Weights of a classifier or of MultiBox; repeatable (default: googlenet-voc-shared, multibox-voc-shared).",
        rich_help_panel=NETWORKS,
    ),
]
BoxDeltas = Annotated[
    bool,
    typer.Option("--box-deltas/--no-box-deltas", help="Whether box regressors are exported.", rich_help_panel=SETTINGS),
]


def export(
    output: Folder = Path("exported"),
    form: Form = ExportFormat.onnx,
    weights: Weights = None,
    box_deltas: BoxDeltas = True,
) -> None:
    """Write networks for ONNX Runtime, OpenVINO or TorchScript, compared with torch, with a manifest."""
    from incdet.networks.record_files import load_record
    from incdet.networks.shipped_weights import find_weights
    from incdet.runtime.files import require_writable_folder
    from incdet.runtime.optional_packages import require_package

    for package, extra in _PACKAGES[form]:
        require_package(package, "exported networks", extra)
    files = [find_weights(name) for name in weights or DEFAULT_WEIGHTS]
    for file in files:
        load_record(file)
    require_writable_folder(output)
    # torch is loaded once the arguments are known to be right
    from incdet.cli.console import notes
    from incdet.networks.exporters.export_folder import MANIFEST, export_files

    for result in export_files(files, output, form.value, box_deltas):
        text = f"wrote {result.file}: differs from torch by {result.difference:.1e} of its largest output"
        notes.print(text, markup=False)
    notes.print(f"wrote {output / MANIFEST}: inputs, outputs, preprocessing and classes", markup=False)
