"""Other processes read photos and propose regions: same results, same order, bounded, and nobody is left behind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from incdet.config.loading import make_config
from incdet.config.sections import Config, ImagesConfig
from incdet.detector import Detector
from incdet.errors import ImageError
from incdet.images import read_image
from incdet.pipeline import prefetching
from incdet.pipeline.prefetching import PhotoLoader, default_num_workers, prefetch_photos
from incdet.proposals import Proposers
from incdet.proposers.photo_crops import PhotoCropper
from incdet.runtime.worker_processes import MAX_WORKERS, num_cores

SEARCH = {"methods": ["selective_search"], "selective_search": {"width": 160, "strategies": "single"}, "limit": 12}
FLOAT32 = {"engine": "torch", "precision": "float32"}
CONFIG = make_config(Config, {"proposals": SEARCH, "scores": {"engine": "torch"}, "device": "cpu"}, "a test")


@pytest.fixture(scope="module")
def photos(chelsea_file, astronaut, tmp_path_factory):
    """A photo, one that is missing, an array, a file that is no photo, and the first one again."""
    damaged = tmp_path_factory.mktemp("photos") / "damaged.jpg"
    damaged.write_bytes(chelsea_file.read_bytes()[:1000])
    return [chelsea_file, Path("missing.jpg"), astronaut.pixels, damaged, chelsea_file]


@pytest.fixture(scope="module")
def proposers():
    return Proposers(CONFIG.proposals)


@pytest.fixture(scope="module")
def alone(photos, proposers):
    return list(prefetch_photos(photos, PhotoLoader(ImagesConfig(), proposers), 0))


def same(found, expected):
    assert len(found) == len(expected)
    for (source, read), (expected_source, expected_read) in zip(found, expected, strict=True):
        assert source is expected_source
        if isinstance(expected_read, ImageError):
            assert str(read) == str(expected_read)
            continue
        assert np.array_equal(read.image.pixels, expected_read.image.pixels)
        assert read.by_method.keys() == expected_read.by_method.keys() == {"selective_search"}
        proposals, expected_proposals = (one.by_method["selective_search"] for one in (read, expected_read))
        assert np.array_equal(proposals.boxes, expected_proposals.boxes)
        assert read.seconds.keys() == {"read", "proposals"}


def test_failures_are_in_their_place(alone):
    assert [isinstance(read, ImageError) for _, read in alone] == [False, True, False, True, False]


def test_processes_find_the_same_in_the_same_order_and_not_too_far_ahead(photos, proposers, alone):
    taken = []

    def sources():
        for photo in photos:
            taken.append(photo)
            yield photo

    reader = prefetch_photos(sources(), PhotoLoader(ImagesConfig(), proposers), 1)
    found = [next(reader)]
    assert len(taken) == 2
    same([*found, *reader], alone)


def test_processes_crop_photos_for_a_network_that_runs_elsewhere(photos, proposers):
    photo_cropper = PhotoCropper(96, (0.5,))
    for source, read in prefetch_photos(photos[:3], PhotoLoader(ImagesConfig(), proposers, photo_cropper), 1):
        if not isinstance(read, ImageError):
            assert np.array_equal(read.photo_crops, photo_cropper(read_image(source)))
            assert read.by_method.keys() == {"selective_search"}


def test_default_num_workers():
    assert default_num_workers(1, True) == default_num_workers(500, False) == 0
    assert default_num_workers(500, True) == min(num_cores() - 1, MAX_WORKERS)
    assert default_num_workers(2, True) <= 2


@pytest.mark.slow
def test_a_detector_finds_the_same_with_and_without(photos):
    detector = Detector.from_pretrained("googlenet-voc", config=CONFIG)
    alone, ahead = (list(detector.photo_results(photos, num_workers)) for num_workers in (0, 1))
    assert [outcome.source is photo for outcome, photo in zip(ahead, photos, strict=True)] == [True] * 5
    for first, second in zip(alone, ahead, strict=True):
        if isinstance(first.result, ImageError):
            assert str(first.result) == str(second.result)
            continue
        assert first.result.labels == second.result.labels
        assert np.allclose(first.result.scores, second.result.scores, atol=1e-5)
        assert np.array_equal(first.result.boxes, second.result.boxes)
        assert list(second.result.seconds) == ["read", "proposals", "regions", "scores", "detections"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_beside_a_gpu_batches_span_photos_and_multibox_stays_here(photos):
    both = {"proposals": SEARCH | {"methods": ["multibox", "selective_search"]}}
    configs = (
        make_config(Config, both | {"device": device, "scores": FLOAT32}, "a test") for device in ("cpu", "cuda")
    )
    on_cpu, on_gpu = (
        list(Detector.from_pretrained(config=config).photo_results(photos, workers))
        for config, workers in zip(configs, (0, 2), strict=True)
    )
    for first, second in zip(on_cpu, on_gpu, strict=True):
        if isinstance(first.result, ImageError):
            assert str(first.result) == str(second.result)
            continue
        sure = [outcome.result[outcome.result.scores >= 0.5] for outcome in (first, second)]
        assert sure[0].labels == sure[1].labels
        assert np.allclose(sure[0].scores, sure[1].scores, atol=0.02)


def test_worker_processes_propose_in_the_precision_of_this_one(monkeypatch):
    asked = []
    monkeypatch.setattr(prefetching, "Proposers", lambda *given, **more: asked.append(more["scores"]))
    monkeypatch.setattr(prefetching, "map_in_processes", lambda make_work, *_: [make_work()])
    scores = make_config(Config, {"scores": FLOAT32}, "a test").scores
    prefetch_photos([], PhotoLoader(ImagesConfig(), Proposers(CONFIG.proposals, scores=scores)), 1)
    assert asked == [scores]
