"""The classifier of 200 classes that learns from known boxes, an ImageNet classifier and photos of one class."""

import numpy as np
import pytest
import torch
from ilsvrc200_head import (
    BACKGROUND,
    NUM_CLASSES,
    HeadConfig,
    HeadTraining,
    LinearHead,
    first_head,
    synset_matrix,
    taught_probabilities,
)
from ilsvrc200_regions import UNKNOWN, AnnotatedPhoto, LearningRegions, learning_regions

from incdet.data.ilsvrc_classes import ilsvrc_classes
from incdet.structures import Proposals

DOG, LION, ZEBRA = (
    next(kind.number - 1 for kind in ilsvrc_classes() if kind.name == name) for name in ("dog", "lion", "zebra")
)
SYNSETS = [synset for kind in ilsvrc_classes() for synset in kind.synsets] + ["n01440764"]
"""All synsets of the 200 classes, and a tench."""


def regions(features, class_ids, shares, weights, photos, photo_classes):
    """Regions side by side, 10 pixels apart."""
    left = np.arange(len(features), dtype=np.float32) * 20
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=1)
    return LearningRegions(
        features=np.array(features, np.float16),
        boxes=boxes,
        photos=np.array(photos),
        class_ids=np.array(class_ids),
        object_shares=np.array(shares, np.float32),
        weights=np.array(weights, np.float32),
        photo_classes=np.array(photo_classes),
        cells=np.zeros((0, 9), np.float16),
        cell_regions=np.zeros(0, np.int64),
        object_boxes=np.zeros((0, 4), np.float32),
    )


def imagenet():
    """A classifier whose logits are the features: one feature a synset."""
    return LinearHead(torch.eye(len(SYNSETS)), torch.zeros(len(SYNSETS)))


def seen(synset_class, strength=8.0):
    """Features in which the classifier sees all synsets of a class."""
    return (synset_matrix(SYNSETS)[:, synset_class] * strength).numpy()


def test_synsets_belong_to_their_classes_and_a_tench_to_none():
    matrix = synset_matrix(SYNSETS)
    assert matrix.shape == (len(SYNSETS), NUM_CLASSES)
    assert matrix[:, DOG].sum() == 118
    assert matrix[-1].sum() == 0


def test_the_head_before_training_names_what_the_classifier_sees():
    head = first_head(imagenet(), SYNSETS)
    logits = head(torch.tensor(np.stack([seen(DOG), seen(LION)])))
    assert logits.shape == (2, NUM_CLASSES + 1)
    assert logits.argmax(dim=1).tolist() == [DOG, LION]
    taught = taught_probabilities(imagenet(), head, SYNSETS, np.stack([seen(LION), 9 * (np.arange(484) == 483)]))
    # what looks like a tench is none of the classes
    assert taught.sum(dim=1)[0] > 0.8
    assert taught.sum(dim=1)[1] < 0.1


def test_training_learns_background_and_keeps_classes_without_boxes():
    empty = 4.0 * (np.arange(len(SYNSETS)) == len(SYNSETS) - 1)  # a tench
    lion, zebra, dog = seen(LION, 2.0), seen(ZEBRA, 2.0), seen(DOG, 2.0)
    # a photo with the box of a dog, one of a zebra somewhere, one of no class; nothing shows a lion
    learnt = regions(
        features=[dog, empty, zebra, empty, empty, lion],
        class_ids=[DOG, 0, 0, 0, 0, 0],
        shares=[1, 0, 0, 0, 0, 0],
        weights=[1, 1, 0, 0, 0, 0],
        photos=[0, 0, 1, 1, 2, 3],
        photo_classes=[UNKNOWN, ZEBRA, UNKNOWN, LION],
    )
    first = first_head(imagenet(), SYNSETS)
    taught = taught_probabilities(imagenet(), first, SYNSETS, learnt.features)
    config = HeadConfig(steps=60, batch_size=16, photos_per_batch=4, learning_rate=0.05)
    training = HeadTraining(learnt, np.array([1, 1, 0, 0, 0, 0], bool), taught, first, config)
    assert [photo.class_id for photo in training.photos] == [ZEBRA, LION]
    assert training.others.tolist() == [4]
    head = training.run()
    probabilities = torch.softmax(head(torch.tensor(np.stack([dog, zebra, lion, empty])).float()), dim=1)
    assert probabilities.argmax(dim=1).tolist() == [DOG, ZEBRA, LION, BACKGROUND]
    assert probabilities[3, BACKGROUND] > 0.8


def test_a_photo_without_objects_is_background_everywhere(chelsea_file):
    boxes = np.array([[0, 0, 50, 50], [100, 100, 300, 200]], np.float32)
    proposals = Proposals(boxes, np.ones(2, np.float32), np.array(["selective_search"] * 2))
    empty = AnnotatedPhoto(chelsea_file, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    of_class = AnnotatedPhoto(chelsea_file, np.zeros((0, 4), np.float32), np.array([DOG]))

    def features(image, boxes):
        return np.zeros((len(boxes), 1024), np.float16), np.zeros((len(boxes), 9216), np.float16)

    every, none = (lambda image: proposals), (lambda image: proposals[:0])
    known, unknown = learning_regions([empty, of_class], features, every, none, (5, 5), seed=0)
    assert (known.weights.tolist(), known.object_shares.tolist()) == ([1, 1], [0, 0])
    assert (known.photo_classes.tolist(), len(known.cell_regions)) == ([UNKNOWN], 0)
    assert known.boxes.tolist() == boxes.tolist()
    assert (unknown.weights.tolist(), unknown.photo_classes.tolist()) == ([0, 0], [DOG])


def test_joined_regions_keep_the_numbers_of_their_photos_apart():
    part = regions([[1.0]] * 2, [0, 0], [0, 0], [1, 1], [0, 1], [UNKNOWN, 5])
    joined = LearningRegions.joined([part, part])
    assert joined.photos.tolist() == [0, 1, 2, 3]
    assert joined.photo_classes.tolist() == [UNKNOWN, 5, UNKNOWN, 5]
    assert len(joined.boxes) == pytest.approx(4)
