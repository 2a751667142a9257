"""Processes that are started again agree on a store without the keys of those before them."""

import threading
import time
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from incdet.runtime.process_rounds import join_round

PATIENCE = timedelta(seconds=30)


def joined(server, count, delays):
    """The stores of the processes of a round, which come at different times."""
    found = [None] * count

    def join(rank):
        time.sleep(delays[rank])
        client = TCPStore("127.0.0.1", server.port, is_master=False, timeout=PATIENCE)
        found[rank] = join_round(client, rank, count, PATIENCE)

    threads = [threading.Thread(target=join, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_every_round_has_a_store_of_its_own_although_keys_of_the_last_one_are_left():
    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    first = joined(server, 3, (0, 0.1, 0))
    first[0].set("address", "of a process that dies")
    assert first[2].get("address") == b"of a process that dies"
    # a process that comes early hears the word of a dead one, and must wait for the one that takes its place
    for count, delays in ((3, (0, 0.4, 0)), (2, (0.3, 0))):
        again = joined(server, count, delays)
        assert not any(store.check(["address"]) for store in again)
        again[1].set("address", "new")
        assert again[0].get("address") == b"new"
        assert first[1].get("address") == b"of a process that dies"
        for store in again:
            store.delete_key("address")
    # the second process of the next round never comes
    with pytest.raises(RuntimeError, match="start them again"):
        join_round(server, 0, 2, timedelta(seconds=0.2))
