"""Turns BVLC's Caffe GoogLeNet or torchvision's into incdet weights.

python tools/import_weights.py bvlc_googlenet.safetensors --classes synset_words.txt --output imagenet.safetensors
python tools/import_weights.py googlenet-1378be20.pth --classes synset_words.txt --output torchvision.safetensors
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from incdet.console import notes, run_program
from incdet.data.imagenet import read_synset_words
from incdet.networks.caffe import CAFFE_MEAN, from_caffe
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights import Preprocessing, WeightsRecord, load_tensors, read_tensors, save_weights

PREPROCESSING = Preprocessing(mean=CAFFE_MEAN, context=0)


def main(
    source: Annotated[Path, typer.Argument(help="Caffe's parameters as safetensors, under Caffe's layer names.")],
    classes: Annotated[Path, typer.Option(help="synset_words.txt: '<wnid> <names>' in the order of the columns.")],
    output: Annotated[Path, typer.Option(help="Where the incdet weights go.")],
) -> None:
    """Import BVLC's GoogLeNet; the result classifies ImageNet's 1000 classes and starts the training of detectors."""
    tensors = from_caffe(read_tensors(source), str(source))
    names = tuple(wnid for wnid, _ in read_synset_words(classes))
    load_tensors(GoogLeNet(len(names)), tensors, str(source))
    record = WeightsRecord(
        classes=names,
        background=False,
        preprocessing=PREPROCESSING,
        origin="BVLC Caffe model zoo, bvlc_googlenet, trained on ILSVRC 2012; first filters turned to RGB",
        licence="released for unrestricted use",
    )
    save_weights(output, tensors, record, torch.float32)
    notes.print(f"{len(names)} classes, {sum(tensor.numel() for tensor in tensors.values()):,} parameters -> {output}")


if __name__ == "__main__":
    run_program(main)
