"""The description of a run: versions, configuration, weights and memory."""

import sys
from importlib.metadata import PackageNotFoundError

import incdet
from incdet.config.sections import SelectiveSearchConfig
from incdet.runtime import provenance
from incdet.runtime.provenance import describe_run, gigabytes_of, peak_memory_gigabytes, versions


def test_packages_that_are_not_installed_are_missing(monkeypatch):
    def version(package):
        if package == "openvino":
            raise PackageNotFoundError(package)
        return "1.2"

    monkeypatch.setattr(provenance, "version", version)
    found = versions()
    assert found["incdet"] == incdet.__version__
    assert (found["torch"], found["openvino"]) == ("1.2", "missing")


def test_a_run_is_described_by_versions_configuration_and_weights():
    described = describe_run(SelectiveSearchConfig(seed=3), {"net.safetensors": "ab12"}, engine="torch")
    assert list(described) == ["versions", "configuration", "weights", "engine"]
    assert described["configuration"]["seed"] == 3
    assert described["configuration"]["color_spaces"] == ["hsv", "lab"]
    assert described["weights"] == {"net.safetensors": "ab12"}


def test_memory_is_told_in_gigabytes_whatever_the_unit_of_the_system(monkeypatch):
    assert 0.01 < peak_memory_gigabytes() < 1000
    monkeypatch.setattr(sys, "platform", "linux")
    assert gigabytes_of(2_000_000) == 2
    monkeypatch.setattr(sys, "platform", "darwin")
    assert gigabytes_of(2_000_000_000) == 2
