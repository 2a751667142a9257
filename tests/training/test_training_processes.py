"""Trainings in processes of their own: killed, interrupted, and several that take the steps of one."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_training import (
    assert_identical,
    interrupt_after,
    log_of,
    log_without_speeds,
    state_of,
    uninterrupted,  # noqa: F401 (a fixture)
)
from tiny_training import CONFIGURATION, STEPS, make_trainer

HERE = Path(__file__).parents[1]


def start_script(folder, launcher=(), wait_after=0):
    """The program, which waits after this step until its input is closed, as `communicate` does."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, str(HERE / "tiny_training.py"), str(folder), str(wait_after)]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=environment, text=True, **streams)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_stopped_process_ends_bit_for_bit_like_one_in_one_go(tmp_path, uninterrupted, how):  # noqa: F811
    process = start_script(tmp_path, wait_after=17)
    assert [int(process.stdout.readline()) for _ in range(17)] == list(range(1, 18))
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == -how
    stopped = load_file(tmp_path / "checkpoint.safetensors")
    assert not torch.equal(stopped["network.output.weight"], state_of(uninterrupted)["network.output.weight"])
    first = int(start_script(tmp_path).communicate(timeout=60)[0].split()[0])
    # checkpoints are due every 10 steps; an interrupted run stores its last step as well
    assert first == (11 if how == signal.SIGKILL else 18)
    assert_identical(state_of(tmp_path), state_of(uninterrupted))
    steps = [entry["step"] for entry in log_of(tmp_path) if "squared_error" in entry]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS


def test_two_processes_take_the_steps_of_one(tmp_path):
    """In double precision, with dropout: the same losses and weights up to the order of additions."""
    for number in (1, 2):
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
        start_script(tmp_path / str(number), command).communicate(timeout=120)
    one, several = (state_of(tmp_path / str(number)) for number in (1, 2))
    assert one["network.hidden.weight"].dtype == torch.float64
    for name, value in one.items():
        assert torch.allclose(value, several[name], rtol=1e-10, atol=1e-13), name
    for entry, other in zip(*(log_without_speeds(tmp_path / str(number)) for number in (1, 2)), strict=True):
        assert other == pytest.approx(entry, abs=2e-6)


def test_processes_that_do_not_share_a_folder_do_not_train(tmp_path):
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    first = make_trainer(tmp_path / "0")
    first.resume(CONFIGURATION)
    with pytest.raises(KeyboardInterrupt):
        first.run(interrupt_after(10))
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
