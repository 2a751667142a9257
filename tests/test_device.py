"""Where networks compute: memory of programs that train."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from incdet.device import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for turn in range(12):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64, 1024, 1024)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_not_asked_for_again():
    def faults(how):
        return int(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True).stdout)

    # ten times 256 MiB in pages of 4 KiB, or of 2 MiB where the kernel chooses so
    given_back, kept = faults("give back"), faults("keep")
    assert kept < given_back / 2
