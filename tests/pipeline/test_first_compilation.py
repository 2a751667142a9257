"""The process that compiles kernels beside the first detection on a machine."""

import json
import os
import signal
import subprocess
import sys

import pytest

from incdet.ops.region_pooling_kernels import pool
from incdet.pipeline import first_compilation

FIRST_RUN = """
import sys
sys.path[:0] = {path!r}
from incdet.pipeline.first_compilation import compile_in_another_process

if __name__ == "__main__":
    first = compile_in_another_process()
    first.join()
    second = compile_in_another_process()
    from incdet.detector import Detector
    from incdet.ops.crop_kernels import sample_crops_on_cpu
    from incdet.ops.nms import _nms
    from incdet.ops.region_pooling_kernels import pool
    from incdet.proposers.grouping import _group

    Detector.from_pretrained(members=1).detect({photo!r})
    kernels = (_group, pool, sample_crops_on_cpu, _nms)
    stats = [[sum(calls.values()) for calls in kernel.stats[1:]] for kernel in kernels]
    print([first.exitcode, second is None, stats])
"""


@pytest.mark.slow
@pytest.mark.skipif(first_compilation.num_cores() == 1, reason="needs a second core")
def test_a_detection_finds_what_the_other_process_has_compiled(tmp_path, photo):
    program = tmp_path / "program.py"
    program.write_text(FIRST_RUN.format(path=sys.path, photo=str(photo)))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    run = subprocess.run([sys.executable, program], env=environment, capture_output=True, check=True, text=True)
    exit_code, is_only_one, stats = json.loads(run.stdout.replace("True", "true"))
    assert exit_code == 0
    assert is_only_one
    *for_one_type, of_nms = stats
    # hits and misses on disk; NMS is for float32 here and for float64 there
    assert for_one_type == [[1, 0]] * 3
    assert of_nms == [1, 1]


def test_the_process_ends_with_this_one(monkeypatch):
    monkeypatch.setattr(first_compilation, "lacks_machine_code", lambda function: function is pool)
    monkeypatch.setattr(first_compilation, "num_cores", lambda: 2)
    process = first_compilation.compile_in_another_process()
    assert process is not None
    # as multiprocessing ends those that are daemons
    assert process.daemon
    process.terminate()
    process.join()
    assert process.exitcode == -signal.SIGTERM


@pytest.mark.parametrize(("is_missing", "cores"), [(False, 2), (True, 1)])
def test_no_process_is_started_without_need(monkeypatch, is_missing, cores):
    monkeypatch.setattr(first_compilation, "lacks_machine_code", lambda _: is_missing)
    monkeypatch.setattr(first_compilation, "num_cores", lambda: cores)
    assert first_compilation.compile_in_another_process() is None
