"""What Linux says about the processor, as machines say it."""

import pytest

from incdet.runtime import cpu_flags

X86 = """processor	: 0
vendor_id	: AuthenticAMD
model name	: AMD EPYC 9B45
cpu MHz		: {clock}
flags		: fpu avx2 avx512_bf16
bugs		: sysret_ss_attrs

processor	: 1
vendor_id	: AuthenticAMD
model name	: AMD EPYC 9B45
cpu MHz		: 2445.406
flags		: fpu avx2 avx512_bf16
"""

ARM = """processor	: 0
Features	: fp asimd bf16
CPU implementer	: 0x41
CPU part	: 0xd4f
"""


@pytest.fixture
def described_as(monkeypatch):
    """Makes Linux describe the processor by a text, or not at all."""

    def read(text):
        def read_text(path):
            if text is None:
                raise FileNotFoundError(path)
            return text

        monkeypatch.setattr(cpu_flags.Path, "read_text", read_text)
        cpu_flags.cpu_flags.cache_clear()
        cpu_flags.cpu_model.cache_clear()
        return cpu_flags.cpu_flags(), cpu_flags.cpu_model()

    yield read
    monkeypatch.undo()
    cpu_flags.cpu_flags.cache_clear()
    cpu_flags.cpu_model.cache_clear()


def test_only_instruction_sets_are_flags(described_as):
    assert described_as(X86)[0] == {"fpu", "avx2", "avx512_bf16"}
    assert described_as(ARM) == ({"fp", "asimd", "bf16"}, "0x41 0xd4f")
    assert described_as(None) == (frozenset(), "")


def test_the_clock_of_the_moment_decides_nothing(described_as):
    before, after = (described_as(X86.format(clock=clock)) for clock in ("1500.0", "3391.5"))
    assert before == after
    assert after[1] == "AMD EPYC 9B45 AuthenticAMD"
