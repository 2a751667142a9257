"""The process that compiles kernels beside the first detection on a machine."""

import time

import pytest

from incdet.detector import Detector
from incdet.ops import nms as nms_module
from incdet.ops.crop_kernels import sample_crops_on_cpu
from incdet.ops.region_pooling_kernels import pool
from incdet.pipeline import first_compilation
from incdet.proposers import grouping


def test_kernels_are_compiled_for_the_types_that_a_detection_has(photo):
    kernels = (grouping._group, pool, sample_crops_on_cpu, nms_module._nms)

    def signatures():
        return [set(kernel.signatures) for kernel in kernels]

    Detector.from_pretrained(members=1).detect(photo)
    needed = signatures()
    assert all(needed)
    first_compilation.compile_kernels()
    assert signatures() == needed


def test_the_process_compiles_and_ends(monkeypatch):
    monkeypatch.setattr(first_compilation, "is_first_compilation", lambda: True)
    process = first_compilation.compile_in_another_process()
    # killed when this one ends, and waited for here
    assert process is not None
    assert process.wait(60) == 0


def test_the_process_is_stopped_at_the_end(monkeypatch):
    monkeypatch.setattr(first_compilation, "is_first_compilation", lambda: True)
    process = first_compilation.compile_in_another_process()
    assert process is not None
    started = time.monotonic()
    first_compilation._end(process)
    assert process.returncode is not None
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(("is_first", "cores"), [(False, 2), (True, 1)])
def test_no_process_is_started_without_need(monkeypatch, is_first, cores):
    monkeypatch.setattr(first_compilation, "is_first_compilation", lambda: is_first)
    monkeypatch.setattr(first_compilation, "num_cores", lambda: cores)
    assert first_compilation.compile_in_another_process() is None
