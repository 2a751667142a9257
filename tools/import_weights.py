"""Turns GoogLeNets of others into incdet weights: BVLC's (Caffe) and torchvision's.

python tools/import_weights.py bvlc_googlenet.caffemodel --classes synset_words.txt --output imagenet.safetensors
python tools/import_weights.py googlenet-1378be20.pth --classes synset_words.txt --output torchvision.safetensors
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from incdet.cli.console import notes, run_program
from incdet.data.imagenet import read_synset_words
from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.importers.caffe import CAFFE_MEAN, from_caffe
from incdet.networks.importers.foreign_files import read_foreign_tensors
from incdet.networks.importers.torchvision import TORCHVISION_PREPROCESSING, from_torchvision
from incdet.networks.weights import Preprocessing, WeightsRecord, load_tensors, save_weights

CAFFE_PREPROCESSING = Preprocessing(mean=CAFFE_MEAN, context=0)


def main(
    source: Annotated[Path, typer.Argument(help="A .caffemodel, a .safetensors or a PyTorch state dict.")],
    classes: Annotated[Path, typer.Option(help="synset_words.txt: '<wnid> <names>' in the order of the columns.")],
    output: Annotated[Path, typer.Option(help="Where the incdet weights go.")],
) -> None:
    """Import a GoogLeNet; the result classifies ImageNet's 1000 classes and starts the training of detectors."""
    names = tuple(wnid for wnid, _ in read_synset_words(classes))
    tensors, record = _translate(read_foreign_tensors(source), source, names)
    network = GoogLeNet(len(names), architecture=ARCHITECTURES[record.architecture])
    load_tensors(network, tensors, str(source))
    save_weights(output, tensors, record, torch.float32)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    notes.print(f"{record.architecture}: {len(names)} classes, {parameters:,} parameters -> {output}", markup=False)


def _translate(
    tensors: dict[str, Tensor], source: Path, names: tuple[str, ...]
) -> tuple[dict[str, Tensor], WeightsRecord]:
    """The tensors under our names, and their record; torchvision's are known by their batch normalisation."""
    if any(name.startswith("conv1.bn.") for name in tensors):
        return from_torchvision(tensors, str(source)), WeightsRecord(
            architecture="torchvision",
            classes=names,
            background=False,
            preprocessing=TORCHVISION_PREPROCESSING,
            origin=f"torchvision's googlenet, {source.name}",
            licence="BSD-3-Clause (torchvision); trained on ImageNet",
        )
    return from_caffe(tensors, str(source)), WeightsRecord(
        classes=names,
        background=False,
        preprocessing=CAFFE_PREPROCESSING,
        origin="BVLC Caffe model zoo, bvlc_googlenet, trained on ILSVRC 2012; first filters turned to RGB",
        licence="released for unrestricted use",
    )


if __name__ == "__main__":
    run_program(main)
