"""The cache of proposals on disk, filled by processes."""

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from incdet.config.sections import ImagesConfig, MultiBoxConfig, ProposalsConfig, ScoresConfig, SelectiveSearchConfig
from incdet.pipeline import proposal_cache
from incdet.pipeline.proposal_cache import ProposalCache
from incdet.structures import Image

SMALL = SelectiveSearchConfig(color_spaces=("lab",), similarities=("color_texture_size_fill",), width=160)
SEARCH = ProposalsConfig(methods=("selective_search",), selective_search=SMALL)


@pytest.fixture
def cache(tmp_path):
    return ProposalCache(tmp_path / "cache", SEARCH)


def files(cache):
    return sorted(cache.folder.rglob("*.npz"))


def test_the_cache_computes_once(cache, astronaut, monkeypatch):
    first = cache(astronaut)
    monkeypatch.setattr(proposal_cache, "Proposers", None)
    cache = ProposalCache(cache.folder, cache.config)
    second = cache(Image(astronaut.pixels.copy(), "another name"))
    assert np.array_equal(first.boxes, second.boxes)
    assert first.sources.tolist() == second.sources.tolist()


def test_a_damaged_file_is_computed_again(cache, astronaut):
    first = cache(astronaut)
    (file,) = files(cache)
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(cache(astronaut).boxes, first.boxes)
    assert file.stat().st_size > 100


def test_other_settings_have_other_files(cache, astronaut):
    cache(astronaut)
    ProposalCache(cache.folder, SEARCH.model_copy(update={"limit": 3}))(astronaut)
    assert len(files(cache)) == 2


class _Deadly(type(Path())):
    """A path that ends the process that reads it, unless that is the one which made it."""

    def __reduce__(self):
        return _end_process, (str(self),)


def _end_process(_):
    os._exit(1)


@pytest.mark.slow
def test_when_a_process_dies_the_work_is_finished_all_the_same(cache, tmp_path, astronaut):
    paths = []
    for index in range(3):
        paths.append(tmp_path / f"{index}.png")
        PIL.Image.fromarray(np.roll(astronaut.pixels, index * 40, axis=0)).save(paths[-1])
    paths[1] = _Deadly(paths[1])
    assert list(cache.fill(paths, ImagesConfig(), num_processes=2)) == paths
    assert len(files(cache)) == 3


@pytest.mark.slow
def test_filling_skips_what_is_unreadable_and_can_be_repeated(cache, tmp_path, astronaut):
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for index, path in enumerate(paths):
        PIL.Image.fromarray(np.roll(astronaut.pixels, index * 40, axis=0)).save(path)
    paths[1].write_bytes(b"broken")
    assert list(cache.fill(paths, ImagesConfig(), num_processes=2)) == paths
    stamps = [file.stat().st_mtime_ns for file in files(cache)]
    assert len(stamps) == 2
    assert list(cache.fill(paths, ImagesConfig(), num_processes=1)) == paths
    assert [file.stat().st_mtime_ns for file in files(cache)] == stamps


def test_settings_of_methods_that_do_not_run_decide_nothing(tmp_path):
    def key(methods, **changes):
        return ProposalCache(tmp_path, ProposalsConfig(methods=methods, **changes)).settings_folder

    search, both = ("selective_search",), ("multibox", "selective_search")
    assert key(search) == key(search, multibox=MultiBoxConfig(limit=7)) == key(search, duplicate_iou=0.5)
    assert key(("multibox",)) == key(("multibox",), selective_search=SMALL)
    assert len({key(both), key(both, duplicate_iou=0.5), key(both, selective_search=SMALL), key(search)}) == 4


def test_the_precision_of_feature_maps_decides_and_worker_processes_keep_the_name(tmp_path):
    def cache(config, precision):
        scores = ScoresConfig(engine="torch", precision=precision)
        return ProposalCache(tmp_path, config, scores=scores)

    both, search = ProposalsConfig(), ProposalsConfig(methods=("selective_search",))
    assert cache(both, "float32").settings_folder != cache(both, "bfloat16").settings_folder
    assert cache(search, "float32").settings_folder == cache(search, "bfloat16").settings_folder
    worker = cache(both, "bfloat16").on_cpu()
    assert (worker.device, worker.settings_folder) == ("cpu", cache(both, "bfloat16").settings_folder)
