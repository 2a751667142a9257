"""Runs checks of mutated files in a forked process, which may crash, hang or eat memory without ending the campaign."""

import json
import os
import re
import resource
import select
import signal
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from robustness_mutations import Mutated, mutate
from robustness_targets import Prepared, Target, WrongAnswerError

from incdet.errors import IncdetError

MAX_SECONDS = 10.0
"""Processor time that one input may take."""

MAX_WAITING = 120.0
"""Time after which an input that takes none of the processor hangs, too."""

MAX_MEMORY = 1_500_000_000
"""Bytes of memory that one input may take beyond those of the start."""

OUTCOMES = ("right", "refused")
"""What is allowed; everything else is a fault: "wrong", "traceback", "message", "memory", "hang", "crash"."""


@dataclass
class Chunk:
    """What became of successive inputs of a target.

    Attributes:
        counts: Outcome -> number of inputs.
        faults: Number of the input, outcome and details of each fault.
    """

    counts: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, number: int, outcome: str, details: str) -> None:
        """Notes the outcome of an input."""
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        if outcome not in OUTCOMES:
            self.faults.append((number, outcome, details))


@contextmanager
def prepared(target: Target) -> Iterator[Prepared]:
    """Makes the good files of a target in a temporary folder, and makes sure that all of them are read."""
    # in memory where the system has such a folder
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        ready = target.prepare(Path(folder))
        yield ready


def input_of(target: Target, ready: Prepared, seed: int, number: int) -> Mutated:
    """Returns an input, which depends on nothing but the target's name, the seed and the number."""
    generator = np.random.default_rng([seed, zlib.crc32(target.name.encode()), number])
    return mutate(ready.seeds, target.form, generator)


def outcome_of(ready: Prepared, mutated: Mutated) -> tuple[str, str]:
    """Returns the outcome of an input and its details."""
    try:
        ready.check(mutated)
    except IncdetError as error:
        return ("message", str(error)[:300]) if re.search(r"[\n\r]", str(error)) else ("refused", "")
    except WrongAnswerError as error:
        return "wrong", str(error)
    except MemoryError:
        return "memory", _place()
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {str(error)[:200]} at {_place()}"
    return "right", ""


def _place() -> str:
    """The innermost place of incdet in the traceback of the present exception."""
    own = [part for part in traceback.format_exc().splitlines() if "/incdet/" in part]
    found = re.search(r'incdet/(\S+)", line (\d+)', own[-1]) if own else None
    return f"{found[1]}:{found[2]}" if found else "the check itself"


def run_inputs(target: Target, ready: Prepared, seed: int, numbers: range) -> Chunk:
    """Tries inputs in forked processes; after one that ends a process, another one goes on with the next input."""
    chunk, start = Chunk(), numbers.start
    while start < numbers.stop:
        for number, outcome, details in _outcomes(target, ready, seed, range(start, numbers.stop)):
            chunk.add(number, outcome, details)
            start = number + 1
    return chunk


def _outcomes(target: Target, ready: Prepared, seed: int, numbers: range) -> Iterator[tuple[int, str, str]]:
    """Yields number, outcome and details of inputs, up to the first that ends the process."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _work(target, ready, seed, numbers, writing)
    os.close(writing)
    following = numbers.start
    with os.fdopen(reading, "rb") as stream:
        reader = _Messages(stream.fileno(), process)
        while following < numbers.stop:
            message = reader.next()
            if message is None:
                break
            yield message[0], message[1], message[2]
            following = message[0] + 1
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if following < numbers.stop:
        how = "hang" if reader.has_waited else "crash"
        yield following, how, f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {status >> 8}"


def _work(target: Target, ready: Prepared, seed: int, numbers: range, writing: int) -> None:
    """The work of the forked process: one line of JSON for each input."""
    code = 1
    try:
        warnings.simplefilter("ignore")
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MAX_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        with os.fdopen(writing, "wb", buffering=0) as stream:
            for number in numbers:
                outcome, details = outcome_of(ready, input_of(target, ready, seed, number))
                stream.write(json.dumps([number, outcome, details]).encode() + b"\n")
        code = 0
    finally:
        # neither the tests nor the campaign above may go on in this process
        os._exit(code)


class _Messages:
    """The messages of a forked process.

    Attributes:
        has_waited: Whether the process took too long for an input.
    """

    def __init__(self, descriptor: int, process: int) -> None:
        self.has_waited = False
        self._descriptor, self._process, self._rest = descriptor, process, b""

    def next(self) -> list[Any] | None:
        """Returns the next message, None where the process has ended or takes too long."""
        began, used = time.monotonic(), _processor_seconds(self._process)
        while b"\n" not in self._rest:
            if not select.select([self._descriptor], [], [], MAX_SECONDS / 4)[0]:
                is_busy = _processor_seconds(self._process) - used > MAX_SECONDS
                if is_busy or time.monotonic() - began > MAX_WAITING:
                    self.has_waited = True
                    return None
                continue
            content = os.read(self._descriptor, 1 << 16)
            if not content:
                return None
            self._rest += content
        line, _, self._rest = self._rest.partition(b"\n")
        message: list[Any] = json.loads(line)
        return message


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
