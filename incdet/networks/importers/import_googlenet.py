"""GoogLeNets of other projects as incdet weights: BVLC's (Caffe) and torchvision's."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from incdet.networks.architectures import ARCHITECTURES
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.importers.caffe import CAFFE_MEAN, from_caffe
from incdet.networks.importers.foreign_files import read_foreign_tensors
from incdet.networks.importers.torchvision import TORCHVISION_PREPROCESSING, from_torchvision
from incdet.networks.weights import load_tensors
from incdet.networks.weights_record import Preprocessing, WeightsRecord

CAFFE_PREPROCESSING = Preprocessing(mean=CAFFE_MEAN, context=0)


def import_googlenet(source: Path, class_names: Sequence[str]) -> tuple[GoogLeNet, WeightsRecord]:
    """Reads a GoogLeNet of another project.

    Args:
        source: A .caffemodel, a .safetensors file with Caffe's names, or a state dict of torchvision's googlenet.
        class_names: The classes in the order of the network's columns; for ImageNet, WordNet ids.

    Returns:
        The network, and the record to be stored with its weights.

    Raises:
        WeightsError: The file cannot be read, or holds another network.
        PackageError: It is a .caffemodel, and protobuf is not installed.
    """
    tensors, record = _translate(read_foreign_tensors(source), source, tuple(class_names))
    network = GoogLeNet(len(class_names), architecture=ARCHITECTURES[record.architecture])
    load_tensors(network, tensors, str(source))
    return network, record


def _translate(
    tensors: dict[str, Tensor], source: Path, class_names: tuple[str, ...]
) -> tuple[dict[str, Tensor], WeightsRecord]:
    """The tensors under our names, and their record; torchvision's are known by their batch normalisation."""
    if any(name.startswith("conv1.bn.") for name in tensors):
        return from_torchvision(tensors, str(source)), WeightsRecord(
            architecture="torchvision",
            classes=class_names,
            background=False,
            preprocessing=TORCHVISION_PREPROCESSING,
            origin=f"torchvision's googlenet, {source.name}",
            licence="BSD-3-Clause (torchvision); trained on ImageNet",
        )
    return from_caffe(tensors, str(source)), WeightsRecord(
        classes=class_names,
        background=False,
        preprocessing=CAFFE_PREPROCESSING,
        origin="BVLC Caffe model zoo, bvlc_googlenet, trained on ILSVRC 2012; first filters turned to RGB",
        licence="released for unrestricted use",
    )
