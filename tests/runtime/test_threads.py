"""Work that threads share: everything once, in order, not too far ahead; errors of a thread are raised."""

import threading
import time

import pytest
import torch

from incdet.runtime.thread_queue import map_in_threads
from incdet.runtime.threads import split_among_threads


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_every_row_is_worked_on_once(threads, count):
    rows = [0] * count

    def work(rows_of_thread):
        for row in range(count)[rows_of_thread]:
            rows[row] += 1

    split_among_threads(work, count, min_rows=1)
    assert rows == [1] * count


def test_few_rows_stay_in_this_thread(threads):
    seen = []
    split_among_threads(lambda some: seen.append((some, threading.current_thread())), 7, min_rows=4)
    assert seen == [(slice(0, 7), threading.current_thread())]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_slices_run_side_by_side(two_threads):
    together = threading.Barrier(2, timeout=20)
    split_among_threads(lambda some: together.wait(), 4, min_rows=2)


def test_threads_are_not_left_behind_for_every_number_of_slices():
    before = torch.get_num_threads()
    torch.set_num_threads(12)
    try:
        for count in range(2, 13):
            split_among_threads(lambda some: time.sleep(0.001), count, min_rows=1)
    finally:
        torch.set_num_threads(before)
    assert sum(thread.name.startswith("incdet_") for thread in threading.enumerate()) <= 11


def test_errors_of_other_threads_are_raised(two_threads):
    def work(some):
        if some.start:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        split_among_threads(work, 2, min_rows=1)


@pytest.mark.parametrize("num_threads", [0, 1, 3])
def test_results_come_in_order_and_not_too_far_behind(num_threads):
    asked, results = [], []

    def entries():
        for number in range(12):
            asked.append(number)
            yield number

    def work(number):
        time.sleep(0.01 * (number % 3))
        return 10 * number

    for result in map_in_threads(work, entries(), num_threads):
        results.append(result)
        assert len(asked) - len(results) <= num_threads
    assert results == list(range(0, 120, 10))


def test_entries_are_made_while_others_are_worked_on():
    began = threading.Event()

    def entries():
        yield 1
        assert began.wait(20), "nothing is worked on before all entries are there"
        yield 2

    def work(number):
        began.set()
        return number

    assert list(map_in_threads(work, entries(), 1)) == [1, 2]


@pytest.mark.parametrize("num_threads", [0, 2])
def test_errors_of_the_work_are_raised(num_threads):
    def work(number):
        if number == 1:
            raise OSError("disk full")
        return number

    results = map_in_threads(work, range(5), num_threads)
    assert next(results) == 0
    with pytest.raises(OSError, match="disk full"):
        list(results)
