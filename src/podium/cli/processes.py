"""The processes of one cluster on this machine: their run files, whether they live, how they are started and ended.

A process is known by D/run/NAME.json: pid, start time and command. The pid alone could by now be someone else's; the kernel's start time
(field 22 of /proc/PID/stat) tells. Whoever starts a process writes its run file; whoever watches it opens a pidfd, which works for any
process and not only for children, so that a new supervisor adopts the living.

Invariants: a signal is only ever sent through a pidfd whose process was checked after the pidfd was opened; a role holds the lock
D/run/NAME.lock as long as it lives, so no role of a cluster runs twice, whoever started it.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from podium.cli.cluster import Cluster, write_atomically

SUPERVISOR = "supervisor"
CONTROL_PLANE = "control-plane"
NODE = "node"
SIMULATED = "simulated-nodes"
CONTAINERD = "containerd"
TELEMETRY = "telemetry"

TERM_GRACE_S = 10.0
LOCK_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Process:
    """`start_ticks` is in clock ticks since boot; `started_at` in seconds since the epoch."""

    name: str
    pid: int
    start_ticks: int
    command: tuple[str, ...]
    started_at: float
    restarts: int = 0

    @property
    def alive(self) -> bool:
        return start_ticks(self.pid) == self.start_ticks


def start_ticks(pid: int) -> int | None:
    """None when there is no such process, or only its zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    columns = text[text.rindex(")") + 2 :].split()
    return None if columns[0] in ("Z", "X") else int(columns[19])


def run_file(cluster: Cluster, name: str) -> Path:
    return cluster.run_dir / f"{name}.json"


def read(cluster: Cluster, name: str) -> Process | None:
    """What the run file says, whether or not the process still lives."""
    try:
        value = json.loads(run_file(cluster, name).read_bytes())
        return Process(**{**value, "command": tuple(value["command"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def record(cluster: Cluster, process: Process) -> None:
    value = {field: getattr(process, field) for field in Process.__dataclass_fields__}
    write_atomically(run_file(cluster, process.name), json.dumps(value) + "\n")


def all_recorded(cluster: Cluster) -> list[Process]:
    """By name."""
    names = sorted(path.stem for path in cluster.run_dir.glob("*.json"))
    return [process for name in names if (process := read(cluster, name)) is not None]


def living(cluster: Cluster) -> list[Process]:
    return [process for process in all_recorded(cluster) if process.alive]


def role_command(cluster: Cluster, role: str) -> list[str]:
    """`podium run ROLE --data-dir D`: every process shows its data directory on its command line."""
    extra = ["--name", cluster.node_name] if role == NODE else []
    return [sys.executable, "-m", "podium", "run", role, "--data-dir", str(cluster.data_dir), *extra]


def wanted(cluster: Cluster) -> list[str]:
    """The roles this cluster runs, in the order they are started; the supervisor is not among them."""
    roles = [CONTROL_PLANE]
    if cluster.runtime == "cri":
        roles.insert(0, CONTAINERD)
    if cluster.runtime != "simulated":
        roles.append(NODE)
    if cluster.simulated_nodes:
        roles.append(SIMULATED)
    if cluster.metrics:
        roles.append(TELEMETRY)
    return roles


def spawn(
    cluster: Cluster, name: str, command: Sequence[str], *, restarts: int = 0, environment: Mapping[str, str] | None = None
) -> Process:
    """Starts it in a session of its own, its output appended to D/log/NAME.log, and writes its run file."""
    cluster.log_dir.mkdir(exist_ok=True)
    with open(cluster.log_dir / f"{name}.log", "ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=dict(environment) if environment else None,
        )
    child.returncode = 0  # the pidfd is how it is watched: Popen must neither wait for it nor warn
    process = Process(name, child.pid, start_ticks(child.pid) or 0, tuple(command), time.time(), restarts)
    record(cluster, process)
    return process


@contextlib.contextmanager
def pidfd_of(process: Process) -> Iterator[int | None]:
    """A pidfd of exactly this process, or None when it is gone."""
    descriptor = open_pidfd(process)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def open_pidfd(process: Process) -> int | None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if process.alive:
        return descriptor
    os.close(descriptor)
    return None


def reap(process: Process) -> None:
    """Collects it if it was our child: a zombie would keep its pid."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def end(process: Process, grace_s: float = TERM_GRACE_S) -> bool:
    """TERM, then KILL after `grace_s`; returns when it is gone. True when it went by itself."""
    with pidfd_of(process) as descriptor:
        if descriptor is None:
            reap(process)
            return True
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        graceful = bool(select.select([descriptor], [], [], grace_s)[0])
        if not graceful:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], grace_s)
    reap(process)
    return graceful


def forget(cluster: Cluster, name: str) -> None:
    run_file(cluster, name).unlink(missing_ok=True)


def take_lock(cluster: Cluster, name: str, patience_s: float = LOCK_PATIENCE_S) -> int | None:
    """The lock of that role, held until this process ends; None when another living process has it."""
    descriptor = os.open(cluster.run_dir / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.02)
    pid = os.getpid()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": pid, "start_ticks": start_ticks(pid)}).encode(), 0)
    return descriptor


def find(cluster: Cluster, name: str) -> Process | None:
    """The living process of that role: by its run file, or as the holder of its lock. Two starters may have met (`up` and a supervisor):
    then the run file names the one that found the lock taken and left, and is put right here."""
    recorded = read(cluster, name)
    if recorded is not None and recorded.alive:
        return recorded
    try:
        value = json.loads((cluster.run_dir / f"{name}.lock").read_bytes())
        command = tuple(role_command(cluster, name))
        holder = Process(name, value["pid"], value["start_ticks"], command, time.time(), recorded.restarts if recorded else 0)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if not holder.alive:
        return None
    record(cluster, holder)
    return holder


def strays(cluster: Cluster) -> list[Process]:
    """Processes whose command line shows this data directory but that no run file knows: left by a kill -9 at the wrong moment."""
    known = {process.pid for process in all_recorded(cluster)} | {os.getpid()}
    found = []
    for entry in sorted((e for e in os.listdir("/proc") if e.isdigit()), key=int):
        pid = int(entry)
        with contextlib.suppress(OSError, ValueError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            ticks = start_ticks(pid)
            if pid not in known and ticks is not None and _is_role_of(cluster, words):
                found.append(Process(words[words.index("run") + 1], pid, ticks, tuple(words), 0.0))
    return found


def _is_role_of(cluster: Cluster, words: list[str]) -> bool:
    marker = ["-m", "podium", "run"]
    at = next((i for i in range(len(words)) if words[i : i + 3] == marker), None)
    return at is not None and words[at + 4 : at + 6] == ["--data-dir", str(cluster.data_dir)]
