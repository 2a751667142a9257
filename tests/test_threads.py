"""Rows that threads share: every one once, whatever their number; what goes wrong in a thread is heard of."""

import threading

import pytest
import torch

from incdet.threads import split_among_threads


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_every_row_is_worked_on_once(threads, count):
    rows = [0] * count

    def work(part):
        for row in range(count)[part]:
            rows[row] += 1

    split_among_threads(work, count, least=1)
    assert rows == [1] * count


def test_few_rows_stay_in_this_thread(threads):
    seen = []
    split_among_threads(lambda part: seen.append((part, threading.current_thread())), 7, least=4)
    assert seen == [(slice(0, 7), threading.current_thread())]


def test_parts_run_side_by_side():
    if torch.get_num_threads() < 2:
        pytest.skip("torch has one thread here")
    together = threading.Barrier(2, timeout=20)
    split_among_threads(lambda part: together.wait(), 2 * torch.get_num_threads(), least=torch.get_num_threads())


def test_errors_of_other_threads_are_raised():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:

        def work(part):
            if part.start:
                raise MemoryError("no room")

        with pytest.raises(MemoryError, match="no room"):
            split_among_threads(work, 2, least=1)
    finally:
        torch.set_num_threads(before)
