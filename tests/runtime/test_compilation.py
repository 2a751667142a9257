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


@pytest.mark.slow
def test_machine_code_for_other_types_is_compiled_again(tmp_path):
    """As two processes may leave it that store the same function at the same time."""
    code = (
        "import numpy as np; from incdet.ops.nms import nms\n"
        "boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 3], [3, 3, 5, 5]])\n"
        "print([nms(boxes.astype(kind), 0.5).tolist() for kind in (np.float32, np.float64)])"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def run():
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout

    assert run() == "[[0, 2], [0, 2]]\n"
    one, other = sorted(tmp_path.rglob("*_nms*.nbc"))
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    assert run() == "[[0, 2], [0, 2]]\n"
    # compiled and stored anew
    assert one.stat().st_size == pytest.approx(len(contents[0]), rel=0.05)


def test_kernels_are_plain_functions_where_numba_is_switched_off():
    code = (
        "from incdet.ops.nms import _nms; from incdet.runtime.compilation import lacks_machine_code\n"
        "print(type(_nms).__name__, lacks_machine_code(_nms))"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout
    assert found == "function False\n"


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
