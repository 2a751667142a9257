"""Which device computes, in which precision and batch size; memory of programs that train."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from incdet.errors import ConfigurationError
from incdet.runtime import cpu_flags
from incdet.runtime.device import choose_batch_size, choose_device, choose_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")

PROGRAM = """
import resource, sys
from pathlib import Path
import torch
from incdet.runtime.device import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
torch.ones(1)
before = resident()
for _ in range(3):
    torch.ones(64, 1024, 1024)
print(resident() - before)
"""


@pytest.mark.parametrize("works", [True, False])
def test_the_gpu_is_chosen_where_one_works(monkeypatch, works):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: works)
    assert choose_device("cpu") == CPU
    assert choose_device("auto") == (GPU if works else CPU)
    if works:
        assert choose_device("cuda") == GPU
    else:
        with pytest.raises(ConfigurationError, match="no usable GPU here; use --device cpu"):
            choose_device("cuda")


@pytest.mark.parametrize(("flag", "expected"), [("amx_bf16", torch.bfloat16), ("avx2", torch.float32)])
def test_bfloat16_is_chosen_where_the_processor_multiplies_it(monkeypatch, flag, expected):
    monkeypatch.setattr(cpu_flags, "cpu_flags", lambda: frozenset({flag}))
    assert choose_precision("auto", CPU) == expected
    assert choose_precision("bfloat16", CPU) == torch.bfloat16
    assert choose_precision("float32", CPU) == torch.float32


def test_int8_is_no_precision_of_torch():
    with pytest.raises(ConfigurationError, match=r"OpenVINO on a CPU .*; choose another scores\.precision"):
        choose_precision("int8", CPU)


def test_a_given_batch_size_wins():
    assert [choose_batch_size(number, where) for number, where in ((7, GPU), (None, GPU), (None, CPU))] == [7, 512, 64]
    shared = [choose_batch_size(number, where, shared_features=True) for number, where in ((7, CPU), (None, CPU))]
    assert shared == [7, 256]


@pytest.mark.slow
@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not Path("/proc/self/statm").exists(),
    reason="needs glibc's allocator on Linux",
)
@pytest.mark.parametrize(("how", "stays"), [("keep", True), ("give back", False)])
def test_freed_memory_stays_with_the_process(how, stays):
    run = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True)
    assert (int(run.stdout) > 200 * 2**20) is stays  # of 256 MiB, allocated and freed three times
