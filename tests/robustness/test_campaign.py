"""A small share of the campaign of mutated files and killed jobs, and what the campaign itself must notice."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import robustness_workers
from robustness_kills import KilledJob, run_chain, run_whole
from robustness_targets import Prepared, Target, WrongAnswerError, all_targets
from robustness_workers import input_of, prepared, run_inputs

from incdet.errors import DataError
from incdet.runtime.files import append_text, write_text

SEED = 32
"""Another seed than that of the whole campaign."""

NAMES = [
    *("jpeg", "png", "gif", "webp", "tiff", "bmp", "shards", "safetensors", "int8-ranges", "caffemodel", "pth"),
    *("checkpoint", "voc-xml", "ilsvrc-xml", "coco-json", "yolo-labels", "yolo-data-yaml", "configuration-yaml"),
    *("lists", "submission", "coco-results", "predictions-jsonl", "result-folder", "training-log", "proposal-cache"),
    "stored-evaluation",
]


def test_the_whole_campaign_has_a_hundred_thousand_inputs_of_every_kind():
    assert list(all_targets()) == NAMES
    assert sum(target.num_inputs for target in all_targets().values()) >= 100_000


def faults(name, numbers):
    target = all_targets()[name]
    with prepared(target) as ready:
        chunk = run_inputs(target, ready, SEED, numbers)
    assert sum(chunk.counts.values()) == len(numbers)
    return [f"robustness.py show {name} {number} --seed {SEED}: {rest}" for number, *rest in chunk.faults]


@pytest.mark.parametrize("name", NAMES)
def test_mutated_files_are_read_right_or_refused(name):
    assert faults(name, range(40)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_more_mutated_files_are_read_right_or_refused(name):
    assert faults(name, range(40, 200)) == []


def misbehave(mutated):
    """Does what no reader may do, by the first letter of the file."""
    letter = mutated.content[:1]
    if letter == b"h":
        while True:
            pass
    if letter == b"m":
        bytes(4_000_000_000)
    if letter == b"c":
        os.kill(os.getpid(), signal.SIGKILL)
    if letter == b"t":
        raise ValueError("inner words")
    if letter == b"w":
        raise WrongAnswerError("wrong")
    if letter == b"r":
        raise DataError("refused")
    if letter == b"l":
        raise DataError("two\nlines")


def test_every_kind_of_fault_is_found_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(robustness_workers, "MAX_SECONDS", 0.4)
    letters = "hmctwrl."
    target = Target("mine", "bytes", 0, lambda folder: Prepared((b"",), misbehave))
    inputs = {number: letter.encode() for number, letter in enumerate(letters)}

    def given(target, ready, seed, number):
        return robustness_workers.Mutated(inputs[number], "none", 0)

    monkeypatch.setattr(robustness_workers, "input_of", given)
    with prepared(target) as ready:
        chunk = run_inputs(target, ready, 0, range(len(letters)))
    found = {letters[number]: outcome for number, outcome, _ in chunk.faults}
    assert found == {"h": "hang", "m": "memory", "c": "crash", "t": "traceback", "w": "wrong", "l": "message"}
    assert (chunk.counts["right"], chunk.counts["refused"]) == (1, 1)


def test_an_input_depends_on_its_number_and_the_seed_alone():
    target = all_targets()["voc-xml"]
    with prepared(target) as ready:
        first, again, other = (input_of(target, ready, seed, 7) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def count_up(append):
    """A job of ten lines; one that only appends writes lines twice when it is killed and begins again."""

    def run():
        for number in range(10):
            time.sleep(0.01)
            if append:
                append_text(Path("out"), f"{number}\n", create=True)
        if not append:
            write_text(Path("out"), "".join(f"{number}\n" for number in range(10)))

    return run


@pytest.mark.parametrize("append", [False, True])
def test_jobs_that_lose_or_repeat_after_a_kill_are_found(tmp_path, append):
    job = KilledJob("mine", 3, count_up(append), ("out",))
    data, whole = tmp_path / "data", tmp_path / "whole"
    data.mkdir()
    whole.mkdir()
    seconds, code = run_whole(job, whole)
    assert code == 0
    chain = run_chain(job, (data, whole, tmp_path / "cut"), seconds, 3, np.random.default_rng(0))
    assert chain.num_kills + chain.num_ended == 3
    assert chain.is_right == (not append)
