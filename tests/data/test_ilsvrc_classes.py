"""The 200 classes of ILSVRC and their synsets."""

import numpy as np
import pytest

from incdet.data.ilsvrc import read_class_map
from incdet.data.ilsvrc_classes import VOC_NAMES, class_of_synset, class_probabilities, ilsvrc_classes

CLASSES = {kind.name: kind for kind in ilsvrc_classes()}


def test_there_are_200_classes_of_distinct_names_and_every_one_has_synsets():
    assert [kind.number for kind in ilsvrc_classes()] == list(range(1, 201))
    assert len(CLASSES) == len({kind.wordnet_id for kind in ilsvrc_classes()}) == 200
    assert all(kind.synsets for kind in ilsvrc_classes())


def test_no_synset_belongs_to_two_classes():
    synsets = [synset for kind in ilsvrc_classes() for synset in (*kind.synsets, *kind.similar)]
    assert len(set(synsets)) == len(synsets) == len(class_of_synset())


def test_kinds_of_a_class_are_found_through_several_levels_of_hypernyms():
    assert len(CLASSES["dog"].synsets) == 118
    assert "n02085620" in CLASSES["dog"].synsets  # Chihuahua: toy dog, dog
    assert len(CLASSES["bird"].synsets) == 59
    # the class itself is one of the 1000
    assert CLASSES["accordion"].synsets == (CLASSES["accordion"].wordnet_id,)
    # wolves are canines and no dogs, and what is a table is no desk only
    assert class_of_synset().get("n02114367") is None
    assert "n03782006" in CLASSES["tv_or_monitor"].similar


def test_every_class_of_voc_but_two_has_a_name_among_them():
    assert len(VOC_NAMES) == 18
    assert set(VOC_NAMES.values()) <= CLASSES.keys()


def test_probabilities_of_a_classes_synsets_add_up():
    lion, chihuahua, pug, tench = "n02129165", "n02085620", "n02110958", "n01440764"
    sums = class_probabilities(np.array([[0.1, 0.3, 0.2, 0.4]], np.float32), [lion, chihuahua, pug, tench])
    assert sums.shape == (1, 200)
    assert sums[0, CLASSES["lion"].number - 1] == pytest.approx(0.1)
    assert sums[0, CLASSES["dog"].number - 1] == pytest.approx(0.5)
    # a tench is none of the 200
    assert sums.sum() == pytest.approx(0.6)


def test_the_order_is_the_development_kits(shared_folder):
    file = shared_folder / "data" / "ilsvrc-det" / "devkit" / "data" / "map_det.txt"
    wordnet_ids, names = read_class_map(file)
    assert [kind.wordnet_id for kind in ilsvrc_classes()] == list(wordnet_ids)
    assert [kind.name for kind in ilsvrc_classes()] == list(names)
