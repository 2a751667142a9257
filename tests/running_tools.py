"""Runs the programs in tools/ as users do, each in a process of its own, which finds the libraries already loaded."""

import faulthandler
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]

TIMEOUT = 180
"""Seconds after which a program counts as standing still: it says where on its standard error, and ends."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        *("incdet.cli.app", "incdet.detector", "incdet.evaluation.dataset_evaluation"),
        *("incdet.training.region_task", "incdet.training.training_runs"),
        *("skimage.segmentation", "torchvision.transforms.v2"),
    ]
)


def run_tool(name, *arguments, folder):
    """What `python NAME ARGUMENTS` ends with in the folder.

    A name without a folder is that of a program in tools/, and "incdet" the command itself.
    """
    return _run_all(name, arguments, folder, [{}])[0]


def run_together(name, *arguments, folder):
    """What the program ends with in each of two processes that train together, as `torchrun` would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return _run_all(name, arguments, folder, [shared | {"RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")])


def _run_all(name, arguments, folder, own_variables):
    """What the processes of a program end with, one for each set of environment variables."""
    program = name if name == "incdet" else str(ROOT / (name if "/" in name else f"tools/{name}"))
    command = [program, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    with tempfile.TemporaryDirectory() as streams:
        files = [[Path(streams) / f"{kind}-{each}" for kind in "oe"] for each in range(len(own_variables))]
        processes = [
            _context.Process(target=_run, args=(command, str(folder), environment | own, texts))
            for own, texts in zip(own_variables, files, strict=True)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return [
            subprocess.CompletedProcess(command, process.exitcode, *(file.read_text() for file in texts))
            for process, texts in zip(processes, files, strict=True)
        ]


def _run(command, folder, environment, files):
    """Becomes the program: its streams, folder, environment and arguments."""
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    # the parent waits for the end without a limit; this also covers the time in which Python ends
    faulthandler.dump_traceback_later(TIMEOUT, exit=True, file=2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    from incdet.cli.console import notes

    notes.width = 200
    sys.argv = command
    if command[0] == "incdet":
        from incdet.cli.app import main

        return main()
    sys.path.insert(0, str(Path(command[0]).parent))
    return runpy.run_path(command[0], run_name="__main__")


PAUSED = """
import time
from incdet.training.loop import Trainer
store = Trainer.checkpoint
def store_and_wait(trainer):
    store(trainer)
    print("stored", flush=True)
    time.sleep(600)
Trainer.checkpoint = store_and_wait
from incdet.cli.app import main
main()
"""


def kill_after_first_checkpoint(*arguments, folder):
    """Starts a training by its command, which waits after its first checkpoint, and kills it there."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PAUSED, *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams) as process:
        timeout = threading.Timer(200, process.kill)
        timeout.start()
        stored = process.stdout.readline()
        timeout.cancel()
        process.kill()
    assert stored == "stored\n"
    deadline = time.monotonic() + 30
    while _group_runs(process.pid):
        assert time.monotonic() < deadline, "a process that loads photos outlives its training"
        time.sleep(0.1)


def _group_runs(group: int) -> bool:
    """Whether a process of the group is there and no mere entry that nobody has collected."""
    states = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            states += [fields[0]] if int(fields[2]) == group else []
    return any(state != "Z" for state in states)
