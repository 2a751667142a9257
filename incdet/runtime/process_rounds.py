"""A store of their own for the processes that train together now, free of what processes before them have left.

`torchrun` starts all processes anew when one has died or a machine has come or gone, and they find the store of those
before them, with the addresses of dead processes. Neither the number of restarts, which differs between old and new
machines, nor anything else that `torchrun` tells names the round, so the processes agree on a name.
"""

import hashlib
import time
import uuid
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store

_POLL_SECONDS = 0.05


def join_round(store: Store, rank: int, count: int, patience: timedelta) -> Store:
    """Returns the part of a store that belongs to this round, the same for all of its processes.

    Every process says a word of its own, and then, until all say the same, a checksum of the words that it hears from
    all. A process of an earlier round cannot have heard a word of this one, so its checksum is never that of others.

    Args:
        store: The store, in which the keys of earlier rounds may be left.
        rank: Number of this process.
        count: Number of processes.
        patience: Longest time to wait for the others.

    Raises:
        RuntimeError: A process does not come in this time.
    """
    words = [f"incdet/word/{number}" for number in range(count)]
    checksums = [f"incdet/heard/{number}" for number in range(count)]
    store.set(words[rank], uuid.uuid4().hex)
    end = time.monotonic() + patience.total_seconds()
    while time.monotonic() < end:
        # waits for processes that have never said anything
        heard = b" ".join(store.multi_get(words))
        checksum = hashlib.sha256(heard).hexdigest()
        store.set(checksums[rank], checksum)
        if {bytes(other) for other in store.multi_get(checksums)} == {checksum.encode()}:
            return PrefixStore(f"incdet/round/{checksum}", store)
        time.sleep(_POLL_SECONDS)
    raise RuntimeError("the processes that train together did not come together; start them again")
