"""The order of a training's photos."""

import numpy as np

from incdet.runtime.distributed import Processes
from incdet.training.samples.epoch_order import EpochBatchSampler, SampleKey


def keys_of(steps, batch_size=4, processes=None, chosen=(0, 2, 3, 5, 6), order=None, seed=1):
    order = order or (lambda generator: generator.permutation(8))
    batches = EpochBatchSampler(order, np.array(chosen), seed, steps, batch_size, processes or Processes())
    assert len(batches) == len(steps)
    return list(batches)


def test_every_epoch_takes_every_chosen_photo_once_in_an_order_of_its_own():
    keys = [key for batch in keys_of(range(10)) for key in batch]
    assert [key.number for key in keys] == list(range(40))
    epochs = [[key.photo for key in keys[start : start + 5]] for start in range(0, 40, 5)]
    assert all(sorted(epoch) == [0, 2, 3, 5, 6] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 5


def test_the_order_is_that_of_the_source_without_the_photos_that_are_not_used():
    (batch,) = keys_of(range(1), batch_size=5, order=lambda _: np.arange(7, -1, -1))
    assert batch == [SampleKey(number, photo) for number, photo in enumerate((6, 5, 3, 2, 0))]


def test_keys_depend_on_seed_and_step_alone():
    assert keys_of(range(9))[6:] == keys_of(range(6, 9))
    assert keys_of(range(9)) != keys_of(range(9), seed=2)


def test_processes_take_turns():
    whole = keys_of(range(3), batch_size=6)
    shares = [keys_of(range(3), batch_size=2, processes=Processes(rank, 3)) for rank in range(3)]
    for step, batch in enumerate(whole):
        assert [batch[rank::3] for rank in range(3)] == [share[step] for share in shares]
