"""Networks that OpenVINO has compiled are kept on disk: used again, and never trusted blindly."""

import os

import pytest
import torch

from incdet.networks.engines import openvino_backend, openvino_cache
from incdet.networks.engines.openvino_backend import OpenVinoBackend
from incdet.networks.googlenet import GoogLeNet
from incdet.runtime.start_up import tell_first_compilation

pytest.importorskip("openvino")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INCDET_CACHE", str(tmp_path))
    return tmp_path / "openvino"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return GoogLeNet(4).eval()


@pytest.fixture(scope="module")
def feature_maps():
    return torch.rand(5, 832, 7, 7, generator=torch.Generator().manual_seed(0))


def no_builder(*_):
    raise AssertionError("the network is compiled again")


def test_a_compiled_network_is_loaded_by_the_next_process(folder, network, feature_maps, monkeypatch):
    told = []
    tell_first_compilation(lambda: told.append("compiling"))
    first = OpenVinoBackend(network).region_head(feature_maps)
    assert told == ["compiling"]
    assert len(list(folder.glob("*.blob"))) == 1
    monkeypatch.setattr(openvino_backend, "NetworkBuilder", no_builder)
    backend = OpenVinoBackend(network)
    backend.prepare_shared_features()
    assert torch.equal(backend.region_head(feature_maps), first)
    # other weights, and other arithmetic, are other networks
    with pytest.raises(AssertionError, match="compiled again"):
        OpenVinoBackend(network, "bfloat16").region_head(feature_maps)
    other = GoogLeNet(4).eval()
    with pytest.raises(AssertionError, match="compiled again"):
        OpenVinoBackend(other).region_head(feature_maps)


def test_a_damaged_file_is_compiled_again(folder, network, feature_maps):
    first = OpenVinoBackend(network).region_head(feature_maps)
    (file,) = folder.glob("*.blob")
    whole = file.read_bytes()
    for damaged in (b"", whole[:1000], whole[:5000] + b"\0" * 8 + whole[5008:]):
        file.write_bytes(damaged)
        assert torch.equal(OpenVinoBackend(network).region_head(feature_maps), first)
        # OpenVINO writes a little about the time and the place, too
        assert file.stat().st_size == pytest.approx(len(whole), rel=0.01)


def test_a_folder_that_can_only_be_read_is_used(folder, network, feature_maps, monkeypatch):
    first = OpenVinoBackend(network).region_head(feature_maps)

    def refuse(file):
        raise PermissionError(file)

    monkeypatch.setattr(openvino_cache.Path, "touch", refuse)
    monkeypatch.setattr(openvino_backend, "NetworkBuilder", no_builder)
    assert torch.equal(OpenVinoBackend(network).region_head(feature_maps), first)


@pytest.mark.usefixtures("folder")
def test_a_fork_is_told_that_it_cannot_use_openvino(network, feature_maps):
    engine = OpenVinoBackend(network)
    engine.region_head(feature_maps)
    for work in (lambda: OpenVinoBackend(network), engine.prepare_shared_features, lambda: engine.trunk(feature_maps)):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                work()
            except RuntimeError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        assert b"an engine of OpenVINO made in process" in os.read(reading, 999)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has other rights")
def test_a_folder_that_others_may_write_to_is_not_used(folder, network, feature_maps):
    folder.mkdir()
    folder.chmod(0o777)
    OpenVinoBackend(network).region_head(feature_maps)
    assert not list(folder.iterdir())


def test_files_that_were_used_longest_ago_make_room(tmp_path, monkeypatch):
    for age, name in enumerate(["new", "old", "oldest"]):
        (tmp_path / f"{name}.blob").write_bytes(b"0" * 100)
        os.utime(tmp_path / f"{name}.blob", (1000 - age, 1000 - age))
    monkeypatch.setattr(openvino_cache, "MAX_BYTES", 250)
    openvino_cache._make_room(tmp_path, 100)
    assert [file.stem for file in tmp_path.iterdir()] == ["new"]
