"""Compiled functions: trouble with machine code on disk costs time, but no results."""

import os
import subprocess
import sys

import pytest

from incdet.runtime import compilation


@pytest.mark.slow
def test_damaged_machine_code_on_disk_is_compiled_again(tmp_path):
    code = (
        "import numpy as np; from incdet.proposers.colors import convert_colors\n"
        "print(convert_colors(np.eye(3, dtype=np.uint8)[None], 'c').tolist())"
    )
    command = [sys.executable, "-c", code]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def run():
        return subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout

    first = run()
    for suffix in ("nbc", "nbi"):
        (file,) = tmp_path.rglob(f"*_opponent*.{suffix}")
        size = file.stat().st_size
        file.write_bytes(file.read_bytes()[:50])
        assert run() == first
        assert file.stat().st_size == pytest.approx(size, rel=0.05)


def test_kernels_run_where_no_folder_can_be_written(monkeypatch):
    def no_locator(function):
        raise RuntimeError(f"cannot cache function {function}: no locator available")

    monkeypatch.setattr(compilation, "_TolerantCache", no_locator)
    assert compilation.kernel(lambda one, other: one + other)(2, 3) == 5


def test_kernels_find_loaded_what_numba_looks_at():
    """NumPy loads numpy.ma late, and two threads with their first kernels would end in a RecursionError."""
    code = "import sys, incdet.runtime.compilation; print('numpy.ma' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert found.strip() == "True"


def test_processes_that_will_compile_are_told_of_once(monkeypatch):
    class Cache:
        def __init__(self, empty):
            self.is_empty = lambda: empty

    told = []
    monkeypatch.setattr(compilation, "compilation_begins", lambda: told.append(1))
    for caches, expected in (([Cache(True), Cache(False)], 0), ([], 0), ([Cache(True), Cache(True)], 1)):
        monkeypatch.setattr(compilation, "_caches", caches)
        compilation.tell_of_workers()
        assert len(told) == expected
