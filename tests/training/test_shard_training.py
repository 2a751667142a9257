"""Trainings from tar shards, in a folder or at an address, learn exactly what trainings from a folder learn."""

from functools import cache

import pytest
import torch

from incdet.config.loading import make_config
from incdet.data.readers import read_dataset
from incdet.data.shard_writer import write_object_shards
from incdet.networks.googlenet import GoogLeNet
from incdet.networks.weights_record import WeightsRecord
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.training.data_checks import check_photos
from incdet.training.multibox_task import MultiBoxTask
from incdet.training.multibox_training_config import MultiBoxTrainingConfig
from incdet.training.region_task import RegionsTask
from incdet.training.region_training_config import RegionsTrainingConfig
from incdet.training.shared_region_task import SharedRegionsTask
from incdet.training.training_data import DataConfig, read_training_photos

SEARCH = {"methods": ["selective_search"], "limit": 40, "selective_search": {"color_spaces": ["lab"]}}
OPTIMIZATION = {"steps": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def sources(small_voc, tmp_path_factory):
    """The same two photos in VOC's layout, in shards in a folder, and at two addresses."""
    folder = tmp_path_factory.mktemp("shards")
    dataset = read_dataset("voc", small_voc, "val")
    for place in (folder, "memory://training/cats"):
        list(write_object_shards(dataset, place, "val", photos_in_shard=1))
    return {
        "voc": str(small_voc),
        "shards": str(folder),
        "file": f"file://{folder}",
        "memory": "memory://training/cats",
    }


def dataset_at(place):
    photos = read_training_photos(DataConfig(dataset="auto", root=place, split="val"), 0)
    assert photos.validation is None
    check_photos(photos.dataset)
    return photos.dataset


@cache
def weights(num_columns, classes):
    torch.manual_seed(0)
    return GoogLeNet(num_columns), WeightsRecord(classes=classes, background=True, origin="a test", licence="none")


def batches_of(task):
    return list(task.task().batches(range(2)))


def region_batches(place, folder, kind, **more):
    dataset = dataset_at(place)
    data = {"root": place, "split": "val", "validation_images": 1}
    values = {"data": data, "initial_weights": "a test", "proposals": SEARCH, "optimization": OPTIMIZATION, **more}
    config = make_config(RegionsTrainingConfig, values | {"device": "cpu", "workers": 0}, "test")
    proposals = ProposalCache(folder, config.proposals)
    return batches_of(kind(dataset, proposals, weights(21, dataset.class_names), config))


def multibox_batches(place, workers):
    dataset = dataset_at(place)
    data = {"root": place, "split": "val", "validation_images": 1}
    values = {"data": data, "initial_weights": "a test", "optimization": OPTIMIZATION, "workers": workers}
    config = make_config(MultiBoxTrainingConfig, values | {"device": "cpu"}, "test")
    return batches_of(MultiBoxTask(dataset, weights(20, dataset.class_names), config))


def test_regions_and_boxes_are_learnt_from_shards_as_from_a_folder(sources, tmp_path):
    expected = region_batches(sources["voc"], tmp_path, RegionsTask)
    for name in ("shards", "memory"):
        for batch, other in zip(region_batches(sources[name], tmp_path, RegionsTask), expected, strict=True):
            assert torch.equal(batch.crops, other.crops)
            assert torch.equal(batch.targets, other.targets)
            assert all("val-000001.tar/000000001.jpg at [" in sample for sample in batch.names)
    expected = multibox_batches(sources["voc"], 0)
    # a worker process opens the shards by itself; objects in memory are those of one process
    for name, workers in (("memory", 0), ("file", 1)):
        for batch, other in zip(multibox_batches(sources[name], workers), expected, strict=True):
            assert torch.equal(batch.crops, other.crops)
            assert all(torch.equal(*pair) for pair in zip(batch.boxes_unit, other.boxes_unit, strict=True))


def test_the_photos_of_shared_features_come_from_shards(sources, tmp_path):
    more = {"features": "shared", "optimization": {"steps": 2, "batch_size": 1}}
    expected = region_batches(sources["voc"], tmp_path, SharedRegionsTask, **more)
    for batch, other in zip(
        region_batches(sources["memory"], tmp_path, SharedRegionsTask, **more), expected, strict=True
    ):
        assert all(torch.equal(*pair) for pair in zip(batch.photos, other.photos, strict=True))
        assert torch.equal(batch.regions, other.regions)
