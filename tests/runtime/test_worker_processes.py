"""Processes work ahead: same results, same order, bounded; deaths cost nothing, and nobody is left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from incdet.runtime.worker_processes import MAX_FAILED_STARTS, map_in_processes

HERE = str(Path(__file__).parent)


def square(number):
    if number == 13:
        raise ValueError("thirteen is not squared")
    return number * number


def make_square():
    """The work of a process: a function that knows where it runs."""
    return partial(_square_at, os.getpid())


def _square_at(pid, number):
    return square(number), pid


def square_here(number):
    return square(number), os.getpid()


def squares(entries, num_processes):
    return map_in_processes(make_square, entries, num_processes, square_here)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes that are started here can import this file."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")]))


@pytest.mark.parametrize("num_processes", [0, 2])
def test_results_are_in_order_and_come_from_where_they_should(num_processes):
    found = list(squares(range(12), num_processes))
    assert [(number, result) for number, (result, _) in found] == [(number, number**2) for number in range(12)]
    assert (os.getpid() in {pid for _, (_, pid) in found}) == (num_processes == 0)


def test_entries_are_read_a_few_ahead():
    taken = []

    def entries():
        for number in range(100):
            taken.append(number)
            yield number

    results = squares(entries(), 1)
    assert next(results)[0] == 0
    assert len(taken) == 2
    results.close()


def test_an_exception_is_raised_here():
    results = squares([1, 13, 2], 1)
    assert next(results)[1][0] == 1
    with pytest.raises(ValueError, match="thirteen"):
        next(results)


def test_what_cannot_be_sent_is_done_here():
    class Local(int):
        """Not known to other processes."""

    (entry, (result, pid)), (_, (_, other)) = squares([Local(3), 4], 1)
    assert (entry, result, pid) == (3, 9, os.getpid())
    assert other != os.getpid()


def kill_children():
    children = {child.pid for child in multiprocessing.active_children()}
    for child in children:
        # one that was killed before may be listed until somebody waits for it
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return children


def test_a_process_that_dies_costs_nothing_and_another_takes_its_place():
    results = squares(range(10), 1)
    found = [next(results)]
    killed = kill_children()
    # two entries were under way, and perhaps done, and one is done here
    found += islice(results, 4)
    others = {child.pid for child in multiprocessing.active_children()} - killed
    assert killed
    assert others
    assert [(number, result) for number, (result, _) in [*found, *results]] == [(n, n * n) for n in range(10)]


def test_processes_that_die_again_and_again_are_not_started_for_ever():
    found, killed = [], set()
    for number, (result, _) in squares(range(20, 40), 1):
        found.append((number, result))
        killed |= kill_children()
    assert found == [(number, number**2) for number in range(20, 40)]
    assert len(killed) == MAX_FAILED_STARTS


def test_processes_end_with_the_one_that_started_them():
    code = f"""
import itertools, multiprocessing, os, signal, sys
sys.path.insert(0, {HERE!r})
from test_worker_processes import squares
if __name__ == "__main__":
    next(squares(itertools.repeat(2), 1))
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    result = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=120)
    children = [int(text) for text in result.stdout.split()]
    assert children
    deadline = time.monotonic() + 30
    while any(map(_runs, children)):
        assert time.monotonic() < deadline, "a worker outlives the process that started it"
        time.sleep(0.1)


def use_workers():
    """The program of a process that has worker processes of its own."""
    assert len(list(squares(range(12), 1))) == 12


def test_a_process_of_multiprocessing_that_has_workers_ends():
    process = multiprocessing.get_context("spawn").Process(target=use_workers)
    process.start()
    process.join(120)
    stands_still = process.is_alive()
    process.kill()
    assert not stands_still, "the process waits for a worker that nobody has told to end"
    assert process.exitcode == 0


def _runs(pid: int) -> bool:
    """Whether a process is there and no mere entry that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
