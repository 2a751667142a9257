"""benchmarks/cluster_benchmark.py: what its numbers are divided by, without a cluster."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import cluster_benchmark
import pytest

from incdet.cluster.cluster_run import Progress


@pytest.fixture
def told(monkeypatch):
    """The numbers that are printed."""
    numbers = {}
    notes = SimpleNamespace(print=lambda text, markup: numbers.update(json.loads(text)))
    monkeypatch.setattr(cluster_benchmark, "notes", notes)
    return numbers


def test_overhead_is_that_of_the_photos_that_were_done(told, tmp_path, monkeypatch):
    """A folder of an earlier measurement may hold more photos than are asked for."""

    @contextmanager
    def cluster_run(request):
        progress = Progress(num_photos=10, seconds=2.0)
        yield SimpleNamespace(progress=progress, run=lambda tell: tell(progress))

    monkeypatch.setattr(cluster_benchmark, "ClusterRun", cluster_run)
    for name in ("connect", "disconnect"):
        monkeypatch.setattr(cluster_benchmark, name, lambda *_: None)
    monkeypatch.setenv("PYTHONPATH", "")
    cluster_benchmark.overhead(tmp_path, photos=10, side=8, workers=1)
    cluster_benchmark.overhead(tmp_path, photos=4, side=8, workers=1)
    assert (told["photos"], told["ms_a_photo_and_worker"]) == (10, 200)


def test_a_cluster_has_as_many_cores_as_one_machine(told, chelsea_file, monkeypatch):
    asked = []
    monkeypatch.setattr(cluster_benchmark, "num_cores", lambda: 6)
    monkeypatch.setattr(cluster_benchmark, "rate_of_one_machine", lambda files, options: 2.0)
    monkeypatch.setattr(
        cluster_benchmark, "rate_of_cluster", lambda files, options, workers: asked.append(workers) or 1.0
    )
    options = {"limit": 2, "runs": 1, "settings": None, "preset": "fast"}
    cluster_benchmark.throughput(chelsea_file, workers=None, **options)
    assert (asked, told["cores"]) == ([6], {"one machine": 6, "cluster": 6})
    cluster_benchmark.throughput(chelsea_file, workers=3, **options)
    assert (asked, told["cores"]) == ([6, 3], {"one machine": 6, "cluster": 3})
