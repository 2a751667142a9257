"""Several processes that take the steps of one."""

import os
import re
import subprocess
import sys

import pytest
import torch
from tiny_training import HERE, log_without_speeds, start_program, state_of, stopped_at


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path):
    """In double precision, with dropout: the same losses and weights up to the order of additions."""
    for number in (1, 2):
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
        start_program(tmp_path / str(number), command).communicate(timeout=120)
    one, several = (state_of(tmp_path / str(number)) for number in (1, 2))
    assert one["network.hidden.weight"].dtype == torch.float64
    for name, value in one.items():
        assert torch.allclose(value, several[name], rtol=1e-10, atol=1e-13), name
    for entry, other in zip(*(log_without_speeds(tmp_path / str(number)) for number in (1, 2)), strict=True):
        assert other == pytest.approx(entry, abs=2e-6)


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
