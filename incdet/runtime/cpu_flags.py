"""What the processor can do, known without torch."""

from functools import cache
from pathlib import Path

_FLAG_LINES = frozenset({"flags", "Features"})
"""Names of the lines with the instruction sets, on x86 and on ARM."""

_MODEL_LINES = frozenset({"vendor_id", "model name", "CPU implementer", "CPU part"})
"""Names of the lines that tell processors with the same instruction sets apart. Others, such as that of the clock,
change from one look to the next."""


@cache
def cpu_flags() -> frozenset[str]:
    """Names of the processor's instruction sets, as Linux has them; empty on other systems."""
    return frozenset(word for value in _values_of(_FLAG_LINES) for word in value.split())


@cache
def cpu_model() -> str:
    """The names of the processors' makers and models, as Linux has them; empty on other systems."""
    return " ".join(sorted(set(_values_of(_MODEL_LINES))))


def _values_of(names: frozenset[str]) -> list[str]:
    """The values of these lines in Linux's description of the processors, as often as there are processors."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    pairs = (line.partition(":") for line in lines)
    return [value.strip() for name, _, value in pairs if name.strip() in names]


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively: it has AVX512-BF16 or AMX."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def prefers_eight_bits() -> bool:
    """Whether OpenVINO computes in eight bits by default: a processor with AVX2 that does not multiply bfloat16.

    Whether others would gain by it has not been measured; they compute in float32.
    """
    return "avx2" in cpu_flags() and not cpu_has_bfloat16()
