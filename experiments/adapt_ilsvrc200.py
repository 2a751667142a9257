r"""Makes a detector of ILSVRC's 200 classes of few photos: the shipped `googlenet-ilsvrc200`.

    python experiments/adapt_ilsvrc200.py --imagenet imagenet.safetensors --voc VOC2012 --ilsvrc ILSVRC \
        --split val1 --class-photos ilsvrc200 --synset-photos imagenet --output googlenet-ilsvrc200.safetensors

Localisation carries over from VOC's 20 classes to others, and recognition comes from a classifier of ImageNet's 1000
classes, which have most of the 200 below them (Hoffman et al. 2014, "LSDA"). Here both are one network:

1. All convolutions are means of two networks, weighted: the one for shared features that VOC has taught, and the
   ImageNet network that it started from. A quarter of the former keeps the classifier's accuracy and most of the
   latter's sense of what an object is; the whole of it has forgotten ImageNet.
2. The last layer is trained on pooled features of regions that are computed once; see `ilsvrc200_head.py`.
3. The box regressor is VOC's, and what it leaves is fitted to the same features by ridge regression.

With `--held-out FILE`, every third photo of the split and the last one of each class folder are not learnt from, and
the former are listed in the file: `incdet evaluate --split FILE` judges the result by them. So settings are chosen.

The shipped weights come from a first version of this program, which drew VOC's regions a little differently, and learnt
from the whole split and from the first two photos of each class folder.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from ilsvrc200_head import HeadConfig, HeadTraining, LinearHead, first_head, taught_probabilities
from ilsvrc200_regions import (
    AnnotatedPhoto,
    LearningRegions,
    RegionFeatures,
    annotated_photos,
    class_folders,
    learning_regions,
    synset_photos,
    voc_photos,
)

from incdet.cli.console import run_program
from incdet.config.sections import MultiBoxConfig, ProposalsConfig
from incdet.data.class_names import read_class_list
from incdet.data.collection import Collection
from incdet.data.ilsvrc_classes import VOC_NAMES, ilsvrc_classes
from incdet.data.readers import read_dataset
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.shipped_weights import find_weights
from incdet.networks.weights import load_network, save_weights
from incdet.networks.weights_record import WeightsRecord
from incdet.ops.boxes import compute_box_deltas
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.proposals import Proposers
from incdet.training.ridge_regression import RidgeRegression

SHARE_OF_VOC = 0.25
"""Weight of the network that VOC has taught in the mean of the convolutions."""

HELD_OUT_INTERVAL = 3
"""Distance between two photos of the split that are held out; and the number of a class folder's photos."""

PHOTOS_PER_CLASS = 11
"""Number of photos of VOC in which each of its classes is to be found."""

VOC_REGIONS, ILSVRC_REGIONS = (12, 12), (250, 40)
"""Number of proposals of a photo that do not overlap each other much, and of others that overlap an object."""

PENALTY = 8.0
"""Penalty of the ridge regression of box deltas, in the units of `RidgeRegression.fit`."""


def main(
    imagenet: Annotated[
        Path, typer.Option(help="ImageNet network of the same architecture (`incdet weights import`).")
    ],
    synsets: Annotated[Path, typer.Option(help="WordNet ids of its 1000 classes, in their order.")],
    voc: Annotated[Path, typer.Option(help="Folder of VOC.")],
    ilsvrc: Annotated[Path, typer.Option(help="Folder of ILSVRC's detection task.")],
    split: Annotated[str, typer.Option(help="Split of ILSVRC that is learnt.")],
    class_photos: Annotated[Path, typer.Option(help="Folders of photos, named by the classes' WordNet ids.")],
    synset_folder: Annotated[Path, typer.Option("--synset-photos", help="Photos named by synsets' WordNet ids.")],
    output: Annotated[Path, typer.Option(help="File of the new weights.")],
    held_out: Annotated[Path | None, typer.Option(help="File for the list of held-out photos.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder of proposals.")] = Path(".cache"),
    seed: Annotated[int, typer.Option(min=0)] = 7,
) -> None:
    """Trains and writes the weights."""
    torch.set_num_threads(1)
    names = read_class_list(synsets)
    network, record, head = mixed_network(imagenet, SHARE_OF_VOC)
    features = RegionFeatures(network.to(torch.bfloat16), record.preprocessing)
    on_crops = MultiBoxConfig(weights="multibox-voc")
    proposals = ProposalCache(cache / "proposals", ProposalsConfig(multibox=on_crops), "cpu")
    whole_photo = MultiBoxConfig(weights="multibox-voc", crop_sides=())
    weak = Proposers(ProposalsConfig(methods=("multibox",), multibox=whole_photo), "cpu")
    of_ilsvrc = annotated_photos(read_dataset(Collection.ilsvrc, ilsvrc, split))
    numbers = list(range(HELD_OUT_INTERVAL - (held_out is not None)))
    if held_out is not None:
        held_out.write_text("".join(f"{photo.path.stem}\n" for photo in of_ilsvrc[::HELD_OUT_INTERVAL]))
        of_ilsvrc = [photo for number, photo in enumerate(of_ilsvrc) if number % HELD_OUT_INTERVAL]
    sources: list[list[AnnotatedPhoto]] = [
        voc_photos(read_dataset(Collection.voc, voc, "train"), PHOTOS_PER_CLASS, seed),
        of_ilsvrc,
        class_folders(class_photos, numbers) + synset_photos(synset_folder, keep_others=3),
    ]
    parts = []
    for photos, num_regions in zip(sources, (VOC_REGIONS, ILSVRC_REGIONS, ILSVRC_REGIONS), strict=True):
        found = learning_regions(photos, features, proposals, weak, num_regions, seed)
        parts.append(LearningRegions.joined(list(found)))
        print(f"{len(parts[-1].boxes):,} regions of {len(photos):,} photos", flush=True)
    is_ilsvrc = np.concatenate([np.full(len(part.boxes), number == 1) for number, part in enumerate(parts)])
    regions = LearningRegions.joined(parts)
    first = first_head(head, names)
    taught = taught_probabilities(head, first, names, regions.features)
    trained = HeadTraining(regions, is_ilsvrc, taught, first, HeadConfig()).run()
    write(output, network.float(), trained, regions, record)


def mixed_network(imagenet: Path, share_of_voc: float) -> tuple[GoogLeNet, WeightsRecord, LinearHead]:
    """Returns the network of mean convolutions, the shared one's record, and ImageNet's classifier."""
    network, record = load_network(find_weights("googlenet-voc-shared"))
    other = load_network(imagenet)[0]
    tensors = network.state_dict()
    for name, tensor in other.state_dict().items():
        if not name.startswith("classifier."):
            tensors[name] = share_of_voc * tensors[name] + (1 - share_of_voc) * tensor
    network.load_state_dict(tensors)
    head = LinearHead(other.classifier.weight.detach(), other.classifier.bias.detach())
    return network.eval(), record, head


def write(file: Path, network: GoogLeNet, head: LinearHead, regions: LearningRegions, record: WeightsRecord) -> None:
    """Fits the box regressor and writes the network with its new last layers."""
    assert network.box_regressor is not None
    boxes = regions.boxes[regions.cell_regions]
    # an object's own box teaches nothing
    rows = np.flatnonzero(np.abs(boxes - regions.object_boxes).max(axis=1) > 1)
    targets = torch.from_numpy(compute_box_deltas(boxes[rows], regions.object_boxes[rows]))
    cells = torch.from_numpy(regions.cells[rows])
    with torch.inference_mode():
        targets = targets - network.box_regressor.linear(cells.float())
    correction = RidgeRegression(cells, targets).fit(PENALTY)
    tensors = network.state_dict()
    tensors |= {"classifier.weight": head.weight, "classifier.bias": head.bias}
    for name, tensor in correction.linear.state_dict().items():
        tensors[f"box_regressor.linear.{name}"] = tensors[f"box_regressor.linear.{name}"] + tensor
    changes = {
        "classes": tuple(kind.name for kind in ilsvrc_classes()),
        "recipe": {"program": "experiments/adapt_ilsvrc200.py"},
        "origin": "experiments/adapt_ilsvrc200.py: BVLC's GoogLeNet (ImageNet) and googlenet-voc-shared, adapted",
        "measured": {},
        "finder": "googlenet-voc-shared",
        "other_names": {voc: ilsvrc for voc, ilsvrc in VOC_NAMES.items() if voc != ilsvrc},
    }
    save_weights(file, tensors, record.model_copy(update=changes), torch.float16)


if __name__ == "__main__":
    run_program(main)
