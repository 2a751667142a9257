"""Several processes that take the steps of one."""

import os
import re
import subprocess
import sys

import pytest
import torch
from running_tools import run_together
from tiny_training import (
    HERE,
    STEPS,
    assert_identical,
    log_without_speeds,
    start_program,
    state_of,
    stopped_at,
    trained,
)

LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """The folder of the tiny training by two processes in one go; it is only read."""
    folder = tmp_path_factory.mktemp("two")
    both = run_together("tests/tiny_training.py", folder, 0, folder=folder)
    assert [each.returncode for each in both] == [0, 0], both
    return folder


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(two_processes, tmp_path):
    """In double precision, with dropout: the same losses and weights up to the order of additions."""
    torch.set_default_dtype(torch.float64)
    try:
        trained(tmp_path)
    finally:
        torch.set_default_dtype(torch.float32)
    one, several = state_of(tmp_path), state_of(two_processes)
    assert one["network.hidden.weight"].dtype == torch.float64
    for name, value in one.items():
        assert torch.allclose(value, several[name], rtol=1e-10, atol=1e-13), name
    for entry, other in zip(log_without_speeds(tmp_path), log_without_speeds(two_processes), strict=True):
        assert other == pytest.approx(entry, abs=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("killed_rank", [0, 1], ids=["the one that writes", "another"])
def test_torchrun_goes_on_after_a_killed_process_to_the_same_weights(two_processes, tmp_path, killed_rank):
    """`kill -9` of one of two after 27 steps: both start anew from the checkpoint after 20, and no result differs."""
    process = start_program(tmp_path, [*LAUNCHER, "2", "--max-restarts", "1"], killed_rank=killed_rank)
    try:
        steps = [int(word) for word in process.communicate(timeout=240)[0].split()]
    finally:
        process.terminate()
    assert process.returncode == 0
    # each step is told by both processes, and those after the checkpoint a second time
    counts = {step: steps.count(step) for step in range(1, STEPS + 1)}
    assert all(counts[step] == 2 for step in [*range(1, 21), *range(29, STEPS + 1)]), counts
    assert all(counts[step] >= 3 for step in range(21, 28)), counts
    assert_identical(state_of(tmp_path), state_of(two_processes))
    assert log_without_speeds(tmp_path) == log_without_speeds(two_processes)


@pytest.mark.slow
def test_processes_that_do_not_share_a_folder_do_not_train(tmp_path):
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    stopped_at(tmp_path / "0", 10)
    code = f"""
import os
import time
from pathlib import Path
from tiny_training import CONFIGURATION, make_trainer
from incdet.errors import WeightsError
from incdet.runtime.distributed import joined_processes
with joined_processes("cpu") as processes:
    try:
        make_trainer(Path({str(tmp_path)!r}, str(processes.rank)), processes=processes).resume(CONFIGURATION)
    except WeightsError as error:
        print(error)
    time.sleep(2 * processes.rank)
    os.write(1, f"came {{time.monotonic()}} ".encode())
os.write(1, f"left {{time.monotonic()}} ".encode())
"""
    (tmp_path / "program.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *command, str(tmp_path / "program.py")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("would go on from different steps (0, 10)") == 2
    times = {word: [float(at) for at in re.findall(rf"{word} (\S+)", ended.stdout)] for word in ("came", "left")}
    assert len(times["came"]) == len(times["left"]) == 2
    # none closes its connections while another may still have to fetch an answer from them
    assert max(times["came"]) < min(times["left"])
