"""Signals during a training."""

import os
import signal
import threading

import pytest

from incdet.training.interruption import Interruption


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_alone_a_signal_between_steps_interrupts_at_once(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Interruption(alone=True):
        send(number)
    assert signal.getsignal(number) is before


def test_a_signal_in_a_step_waits_and_a_second_one_does_not():
    said = []
    with Interruption(True, said.append) as interruption:
        with interruption.step():
            send()
            assert interruption.requested
            # people know at once that they were heard
            assert said == [
                "stopping after this step, then storing the checkpoint; a second Ctrl-C ends at once without it"
            ]
        with pytest.raises(KeyboardInterrupt), interruption.step():
            send()
        assert interruption.cut_step
    assert len(said) == 1


def test_of_several_processes_none_leaves_before_all_agree():
    with Interruption(alone=False) as interruption:
        assert not interruption.requested
        send()
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            send()
        assert not interruption.cut_step


def test_other_threads_leave_signals_alone():
    before, found = signal.getsignal(signal.SIGINT), []

    def run():
        with Interruption(alone=True) as interruption, interruption.step():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]
