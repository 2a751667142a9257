"""One small Ray node for all tests of this folder, and photos of a few pixels."""

import os
from pathlib import Path

import pytest
from trivial_work import save_photo

from incdet.cluster import ray_cluster


@pytest.fixture(scope="session")
def ray_address():
    """The address of a node with two CPUs, without a dashboard; it ends with the tests."""
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    pytest.importorskip("ray", reason="needs ray")
    from ray.cluster_utils import Cluster

    arguments = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False}
    tests = Path(__file__).parents[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # workers import what the tests import
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")]))
        cluster = Cluster(initialize_head=True, head_node_args=arguments)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def connected(ray_address):
    """Connected to the node during a test."""
    ray_cluster.connect(ray_address)
    yield ray_address
    ray_cluster.disconnect()


@pytest.fixture
def small_photos(tmp_path):
    """Twenty photos of 8 x 6 pixels, each of another grey, in two folders."""
    folder = tmp_path / "photos"
    (folder / "inside").mkdir(parents=True)
    for number in range(20):
        place = folder / "inside" if number % 2 else folder
        save_photo(place / f"{number:02d}.png", number)
    return folder
