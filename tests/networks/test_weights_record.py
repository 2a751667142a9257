"""Records of weights: what cannot be meant is refused."""

import json

import pytest
import torch
from safetensors.torch import save_file
from weights_files import record, refused

from incdet.networks.weights import RECORD_KEY, load_record
from incdet.networks.weights_record import same_classes


@pytest.mark.parametrize(
    "change",
    [
        {"classes": []}, {"classes": ["cat", "cat"]}, {"preprocessing": {"size": 0}}, {"preprocessing": {"size": 32}},
        {"preprocessing": {"context": 112}}, {"preprocessing": {"scale": 0}}, {"preprocessing": {"scale": 1e30}},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_cannot_be_meant_is_refused(tmp_path, change):
    document = record().model_dump(mode="json") | change
    save_file({"classifier.bias": torch.zeros(3)}, tmp_path / "w.safetensors", {RECORD_KEY: json.dumps(document)})
    refused(lambda: load_record(tmp_path / "w.safetensors"), "w.safetensors", "record")


def test_an_ensemble_shares_classes_in_the_same_order():
    assert same_classes([record(), record()]) == ("cat", "dog")
    refused(lambda: same_classes([record(), record(classes=("cat", "cow"))]), "cow", "dog")
    refused(lambda: same_classes([record(), record(classes=("dog", "cat"))]), "order")
