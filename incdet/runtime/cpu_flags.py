"""What the processor can do, known without torch."""

from functools import cache
from pathlib import Path


@cache
def cpu_flags() -> frozenset[str]:
    """Words of Linux's description of the processor, its instruction sets among them; empty on other systems."""
    try:
        return frozenset(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return frozenset()


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively: it has AVX512-BF16 or AMX."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def prefers_eight_bits() -> bool:
    """Whether OpenVINO computes in eight bits by default: a processor with AVX2 that does not multiply bfloat16.

    Whether others would gain by it has not been measured; they compute in float32.
    """
    return "avx2" in cpu_flags() and not cpu_has_bfloat16()
