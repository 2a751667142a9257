"""Many photos: every error in its photo's place, with batches of one photo and with batches of several."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from incdet.config.loading import make_config
from incdet.config.sections import Config
from incdet.detections import Detections
from incdet.detector import Detector
from incdet.pipeline import stream

SEARCH = {"methods": ["selective_search"], "selective_search": {"width": 160, "strategies": "single"}, "limit": 6}


@pytest.fixture(scope="module")
def detector():
    config = make_config(Config, {"proposals": SEARCH, "scores": {"engine": "torch"}, "device": "cpu"}, "a test")
    return Detector.from_pretrained("googlenet-voc", config=config)


@pytest.fixture(scope="module")
def photos(chelsea_file, astronaut):
    missing = Path("missing.jpg")
    return [missing, chelsea_file, missing, missing, astronaut.pixels, missing]


def stream_across_photos(detector, sources):
    """What a GPU does, on this device."""
    loader = stream.PhotoLoader(detector.config.images, detector.proposers)
    return stream._stream_across_photos(detector, detector.scorer, stream.prefetch_photos(sources, loader, 0))


@pytest.mark.parametrize("across_photos", [False, True])
def test_errors_are_in_their_place(detector, photos, across_photos):
    results = list(stream_across_photos(detector, photos) if across_photos else detector.photo_results(photos))
    assert [result.source is photo for result, photo in zip(results, photos, strict=True)] == [True] * 6
    assert [isinstance(result.result, Detections) for result in results] == [False, True, False, False, True, False]
    assert [result.image is None for result in results] == [True, False, True, True, False, True]
    assert list(results[1].result.seconds) == ["read", "proposals", "regions", "scores", "detections"]


def test_both_streams_find_the_same(detector, photos):
    one_by_one, together = detector.photo_results(photos), stream_across_photos(detector, photos)
    for single, shared in zip(one_by_one, together, strict=True):
        if isinstance(single.result, Detections):
            assert single.result.labels == shared.result.labels
            assert np.allclose(single.result.scores, shared.result.scores, atol=0.02)
        else:
            assert str(single.result) == str(shared.result)


def test_without_processes_a_photo_is_done_before_the_next_is_read(detector, photos):
    taken = []

    def sources():
        for photo in photos:
            taken.append(photo)
            yield photo

    numbers = [len(taken) for _ in islice(detector.photo_results(sources()), 3)]
    assert numbers == [1, 2, 3]
