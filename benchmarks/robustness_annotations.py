"""Mutated annotations, lists and configurations: what is read is valid, and no object is lost without being counted."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import PIL.Image
from robustness_mutations import Mutated
from robustness_targets import Prepared, Target, expect

from incdet.config.commented_yaml import commented_yaml
from incdet.config.loading import load_config
from incdet.config.sections import Config
from incdet.data.class_names import read_class_list
from incdet.data.coco import read_coco
from incdet.data.imagenet import ListedClasses
from incdet.data.xml_annotations import ILSVRC_BOXES, VOC_BOXES, BoxConvention, parse_annotation, read_image_list
from incdet.data.yolo import read_yolo
from incdet.errors import DataError
from incdet.evaluation.coco_documents import coco_annotations

CLASSES = {"cat": 0, "dog": 1, "n02084071": 2}

OBJECT = """<object><name>{}</name><pose>Left</pose><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>
<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""

XML = """<?xml version="1.0" encoding="UTF-8"?>
<annotation><folder>VOC2012</folder><filename>x.jpg</filename><size><width>500</width><height>375</height>
<depth>3</depth></size>{}</annotation>
"""


def _xml(convention: BoxConvention) -> Callable[[Path], Prepared]:
    def prepare(_: Path) -> Prepared:
        objects = OBJECT.format("cat", 0, 53, 87, 471, 420.5), OBJECT.format("n02084071", 1, 1, 1, 500, 375)
        seeds = (XML.format("".join(objects)).encode(), XML.format("").encode(), XML.format(objects[0]).encode())

        def check(mutated: Mutated) -> None:
            truth, unknown = parse_annotation(mutated.content, Path("x.xml"), CLASSES, convention)
            number = len(list(ElementTree.fromstring(mutated.content).iter("object")))
            expect(len(truth) + truth.num_impossible + len(unknown) == number, "an object is lost without a word")

        return Prepared(seeds, check)

    return prepare


def _coco(folder: Path) -> Prepared:
    images = [{"id": key, "file_name": f"{key}.jpg", "width": 640, "height": 480} for key in (3, 5, 9)]
    boxes = [[1.5, 2, 30, 40], [0, 0, 640, 480], [100.25, 80, 7, 9]]
    annotations = [
        {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": 12.5, "iscrowd": number % 2}
        for number, (image, category, box) in enumerate(zip((3, 3, 9), (1, 18, 18), boxes, strict=True), 1)
    ]
    categories = [{"id": 1, "name": "cat", "supercategory": "none"}, {"id": 18, "name": "dog", "supercategory": "cat"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    file = folder / "instances.json"

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        told: list[str] = []
        dataset = read_coco(file, folder, "mine", told.append)
        counted = sum(len(truth) + truth.num_impossible for truth in dataset.ground_truths)
        # the sentence begins with the number of annotations on images that are not listed
        orphans = sum(int(sentence.split()[0]) for sentence in told if " annotations in " in sentence)
        stated = json.loads(mutated.content.decode("utf-8-sig"))["annotations"] if told or counted else []
        expect(not stated or counted + orphans == len(stated), "an object is lost without a word")
        number = len(coco_annotations(dataset)["annotations"])
        expect(number == sum(map(len, dataset.ground_truths)), "the rules of COCO have other objects")

    return Prepared((json.dumps(document).encode(), json.dumps(document, indent=1).encode()), check)


def _yolo(folder: Path) -> Path:
    for name in ("images/train", "labels/train"):
        (folder / name).mkdir(parents=True)
    PIL.Image.new("RGB", (64, 48)).save(folder / "images/train/a.png")
    (folder / "data.yaml").write_text("train: images/train\nnc: 2\nnames: [cat, dog]\n")
    (folder / "labels/train/a.txt").write_text("1 0.5 0.5 0.5 0.2\n0 0.1 0.2 0.3 0.2 0.3 0.9\n")
    return folder


def _yolo_labels(folder: Path) -> Prepared:
    file = _yolo(folder) / "labels/train/a.txt"
    seeds = file.read_bytes(), b"0 0.25 0.5 0.125 1\n0.0 0.9 0.9 0.3 0.3\n1 1 1 0 0\n"

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        truth = read_yolo(folder, "train").ground_truths[0]
        encoding = "utf-16" if mutated.content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        number = sum(bool(line.strip()) for line in mutated.content.decode(encoding).splitlines())
        expect(len(truth) + truth.num_impossible == number, "an object is lost without a word")

    return Prepared(seeds, check)


def _yolo_description(folder: Path) -> Prepared:
    file = _yolo(folder) / "data.yaml"
    seeds = file.read_bytes(), b"path: .\ntrain: [images/train]\nval: ../valid\nnames:\n  0: cat\n  1: dog\n"

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        dataset = read_yolo(folder, "train")
        ids = np.concatenate([truth.class_ids for truth in dataset.ground_truths])
        expect((ids < len(dataset.class_names)).all(), "a class is none of the list")

    return Prepared(seeds, check)


def _configuration(folder: Path) -> Prepared:
    file = folder / "mine.yaml"
    short = b"scores:\n  precision: float32\nproposals: {methods: [selective_search], limit: 500}\nimages: &a {}\n"

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        config = load_config(Config, file)
        # whatever is accepted can be written and read again
        expect(
            load_config(Config, None, []).model_validate(config.model_dump()) == config, "it changes when read again"
        )

    return Prepared((commented_yaml(Config()).encode(), short), check)


def _read_names(file: Path) -> None:
    names = [name for name, _ in read_image_list(file)]
    expect(len(set(names)) == len(names), "an image is named twice")
    expect(all(".." not in Path(name).parts and not Path(name).is_absolute() for name in names), "a name leads out")


def _lists(folder: Path) -> Prepared:
    file = folder / "list.txt"
    seeds = (
        b"2008_000001  1\n2008_000002 -1\nmy photo 3\n",
        b"a/x.jpg cat\nb/x.jpg 1\n",
        b"ImageId,PredictionString\nx,cat 1 2",
    )

    def check(mutated: Mutated) -> None:
        file.write_bytes(mutated.content)
        problems = []
        for read in (_read_names, read_class_list, lambda file: ListedClasses(file, CLASSES)):
            try:
                read(file)
            except DataError as error:
                problems.append(error)
        # every list is one of the three
        if len(problems) == 3:
            raise problems[0]

    return Prepared(seeds, check)


ANNOTATION_TARGETS = (
    Target("voc-xml", "text", 9000, _xml(VOC_BOXES), is_parser=True),
    Target("ilsvrc-xml", "text", 5000, _xml(ILSVRC_BOXES)),
    Target("coco-json", "json", 14000, _coco, is_parser=True),
    Target("yolo-labels", "text", 7000, _yolo_labels, is_parser=True),
    Target("yolo-data-yaml", "text", 4000, _yolo_description),
    Target("configuration-yaml", "text", 5000, _configuration),
    Target("lists", "text", 6000, _lists, is_parser=True),
)
