"""Where networks compute: memory of programs that train."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not Path("/proc/self/statm").exists(),
    reason="needs glibc's allocator on Linux",
)
@pytest.mark.parametrize(("how", "stays"), [("keep", True), ("give back", False)])
def test_freed_memory_stays_with_the_process(how, stays):
    run = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True)
    assert (int(run.stdout) > 200 * 2**20) is stays  # of 256 MiB, allocated and freed three times
