"""Three real Ray nodes on one machine, each in a network namespace of its own where that is possible."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

NETWORK = "10.77.0"
"""Beginning of the nodes' addresses in their namespaces."""

BRIDGE = "incdetbr"

_START_SECONDS = 60


class ClusterNodes:
    """Ray nodes as processes of this machine; the first is the head, where commands run.

    Args:
        count: Number of nodes.
        folder: Folder of their logs.
        cpus: CPUs that each node shares out.

    Attributes:
        address: Address of the cluster.
        is_separate: Whether every node has a network namespace.
    """

    def __init__(self, count: int, folder: Path, cpus: int = 1) -> None:
        self._count, self._folder, self._cpus = count, folder, cpus
        self.is_separate = os.geteuid() == 0 and shutil.which("ip") is not None
        self._port = 6400 if self.is_separate else _free_port()
        self.address = f"{self._host(0)}:{self._port}"
        # a cluster asks those who join it for a token; this one has a token of its own, which ends with it
        self._environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_worker_niceness": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "ClusterNodes":
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            if self.is_separate:
                self._make_namespaces()
            self.start_missing()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._processes):
            self._stop(number)
        if self.is_separate:
            self._remove_namespaces()

    def _host(self, number: int) -> str:
        return f"{NETWORK}.{number + 1}" if self.is_separate else "127.0.0.1"

    def _inside(self, number: int) -> list[str]:
        """Returns the words in front of a command that let it run at a node."""
        return ["ip", "netns", "exec", f"incdet{number}"] if self.is_separate else []

    def run_at_head(self, command: list[str]) -> "subprocess.Popen[bytes]":
        """Starts a command at the head's node; its messages go to a file."""
        with (self._folder / "commands.log").open("ab") as log:
            # exec replaces `ip`, so that the process that is killed is the command itself
            return subprocess.Popen([*self._inside(0), *command], stdout=log, stderr=log, env=self._environment)

    def start_missing(self) -> None:
        """Starts the nodes that are not there, and waits until all are."""
        for number in range(self._count):
            process = self._processes.get(number)
            if process is None or process.poll() is not None or not self._raylet(number):
                self._stop(number)
                self._start(number)

    def raylets(self) -> list[int]:
        """Returns the process of each node's raylet, in the order of the nodes."""
        found = [self._raylet(number) for number in range(self._count)]
        return [raylet for raylet in found if raylet]

    def _start(self, number: int) -> None:
        ray = str(Path(sys.executable).with_name("ray"))
        command = [*self._inside(number), ray, "start", "--block", "--disable-usage-stats", f"--num-cpus={self._cpus}"]
        command += [f"--node-ip-address={self._host(number)}", "--object-store-memory=100000000"]
        head = ["--head", f"--port={self._port}", "--include-dashboard=false"]
        command += head if number == 0 else [f"--address={self.address}"]
        with (self._folder / f"node{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        end = time.monotonic() + _START_SECONDS
        while not self._raylet(number):
            if time.monotonic() > end or self._processes[number].poll() is not None:
                raise RuntimeError(f"node {number} did not start; see {self._folder}/node{number}.log")
            time.sleep(0.2)
        # a raylet needs a moment until it is known to the head
        time.sleep(3)

    def _stop(self, number: int) -> None:
        """Ends everything that a node has started."""
        process = self._processes.pop(number, None)
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _raylet(self, number: int) -> int:
        """Returns the process of a node's raylet; 0 where there is none."""
        process = self._processes.get(number)
        if process is None:
            return 0
        below = descendants(process.pid)
        return next((each for each in below if "raylet/raylet" in "".join(_words(each)[:1])), 0)

    def _make_namespaces(self) -> None:
        self._remove_namespaces()
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("link", "set", BRIDGE, "up")
        for number in range(self._count):
            name = f"incdet{number}"
            _ip("netns", "add", name)
            _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
            _ip("link", "set", f"{name}a", "master", BRIDGE, "up")
            _ip("link", "set", f"{name}b", "netns", name)
            _ip("-n", name, "addr", "add", f"{self._host(number)}/24", "dev", f"{name}b")
            _ip("-n", name, "link", "set", f"{name}b", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def _remove_namespaces(self) -> None:
        for number in range(self._count):
            _ip("netns", "delete", f"incdet{number}", check=False)
        _ip("link", "delete", BRIDGE, check=False)


def workers_below(raylet: int) -> list[int]:
    """Returns the workers of a raylet that work on photos."""
    return [process for process in descendants(raylet) if _words(process)[:1] and "PartWorker" in _words(process)[0]]


def descendants(process: int) -> list[int]:
    """Returns the processes that a process has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError, ValueError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found, left = [], [process]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def _words(process: int) -> list[str]:
    """Returns the command line of a process; none where it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
