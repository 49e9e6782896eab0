"""The supervisor: keeps the processes of a cluster running. And the guardian: keeps the supervisor running.

The supervisor (`podium run supervisor`) waits on one pidfd per process and starts again what ends, at once the first time and with
doubling pauses while it keeps ending. It knows nothing that is not in D/run, so any new supervisor carries on where the last one was
killed: it adopts what lives and starts what does not. Two are never there at once: D/run/supervisor.lock.

The guardian is a thread in each role's process that watches the supervisor by pidfd and starts a new one when it is gone. So a cluster
ends only by `podium down` (the file D/run/stopping says so before anything is ended), or when all of its processes are killed at once.

A role that refuses to run (its port taken, the store damaged) writes the reason to D/run/NAME.refused and exits with code 78; it is
tried again with the longest pause.
"""

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from pathlib import Path

from podium.cli import processes
from podium.cli.cluster import Cluster
from podium.cli.processes import Process

BACKOFF_FIRST_S = 0.1
BACKOFF_LONGEST_S = 5.0
STABLE_AFTER_S = 10.0
GUARDIAN_FIRST_LOOK_S = 3.0
REFUSED_EXIT_CODE = 78
"""EX_CONFIG of sysexits.h."""


def stopping_file(cluster: Cluster) -> Path:
    return cluster.run_dir / "stopping"


def refusal_file(cluster: Cluster, role: str) -> Path:
    return cluster.run_dir / f"{role}.refused"


def backoff_s(quick_ends: int) -> float:
    """The pause before the next start, after that many ends in a row that came within STABLE_AFTER_S of their start."""
    if quick_ends <= 1:
        return 0.0
    return min(BACKOFF_LONGEST_S, BACKOFF_FIRST_S * float(2 ** (min(quick_ends, 20) - 2)))


class Supervisor:
    """One loop, no threads: poll the pidfds, start what is due."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._poll = select.poll()
        self._watched: dict[int, Process] = {}
        self._quick_ends: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._stop = False

    def run(self) -> None:
        wake = self._wake_on_signals()
        for role in processes.wanted(self._cluster):
            self._adopt_or_start(role)
        while not self._stop and not stopping_file(self._cluster).exists():
            for descriptor, _ in self._poll.poll(self._patience_ms()):
                if descriptor == wake:
                    os.read(wake, 512)
                else:
                    self._ended(descriptor)
            for role in sorted(role for role, at in self._due.items() if at <= time.monotonic()):
                del self._due[role]
                self._adopt_or_start(role)

    def _wake_on_signals(self) -> int:
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        self._poll.register(reader, select.POLLIN)
        return reader

    def _on_stop(self, *_: object) -> None:
        self._stop = True

    def _patience_ms(self) -> float | None:
        if not self._due:
            return None
        return max(0.0, min(self._due.values()) - time.monotonic()) * 1000

    def _adopt_or_start(self, role: str) -> None:
        process = processes.find(self._cluster, role)
        descriptor = processes.open_pidfd(process) if process else None
        if process is None or descriptor is None:
            before = processes.read(self._cluster, role)
            process = start(self._cluster, role, restarts=before.restarts + 1 if before else 0)
            descriptor = processes.open_pidfd(process)
        if descriptor is None:
            self._schedule(process)
            return
        self._watched[descriptor] = process
        self._poll.register(descriptor, select.POLLIN)

    def _ended(self, descriptor: int) -> None:
        process = self._watched.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        processes.reap(process)
        if not stopping_file(self._cluster).exists():
            print(f"{process.name} (pid {process.pid}) ended", flush=True)
            self._schedule(process)

    def _schedule(self, process: Process) -> None:
        quick = time.time() - process.started_at < STABLE_AFTER_S
        ends = self._quick_ends.get(process.name, 0) + 1 if quick else 1
        if refusal_file(self._cluster, process.name).exists():
            ends = 20
        self._quick_ends[process.name] = ends
        self._due[process.name] = time.monotonic() + backoff_s(ends)


def start(cluster: Cluster, role: str, restarts: int = 0) -> Process:
    """Starts one role's process (or containerd's)."""
    refusal_file(cluster, role).unlink(missing_ok=True)
    if role == processes.CONTAINERD:
        from podium.cli import containerd

        return containerd.start(cluster, restarts)
    return processes.spawn(cluster, role, processes.role_command(cluster, role), restarts=restarts)


def run_supervisor(cluster: Cluster) -> int:
    """The `supervisor` role. Exits quietly when there is one already."""
    lock = processes.take_lock(cluster, processes.SUPERVISOR, patience_s=0.2)
    if lock is None or stopping_file(cluster).exists():
        return 0
    pid = os.getpid()
    me = Process(
        processes.SUPERVISOR, pid, processes.start_ticks(pid) or 0, tuple(processes.role_command(cluster, "supervisor")), time.time()
    )
    processes.record(cluster, me)
    Supervisor(cluster).run()
    return 0


def guard(cluster: Cluster) -> None:
    """Starts the guardian thread of this process."""
    threading.Thread(target=_guard, args=(cluster,), name="guardian", daemon=True).start()


def supervised(cluster: Cluster) -> bool:
    supervisor = processes.read(cluster, processes.SUPERVISOR)
    return supervisor is not None and supervisor.alive


def _guard(cluster: Cluster) -> None:
    time.sleep(GUARDIAN_FIRST_LOOK_S)  # `up` starts the supervisor last
    while not stopping_file(cluster).exists() and cluster.run_dir.exists():
        supervisor = processes.read(cluster, processes.SUPERVISOR)
        descriptor = processes.open_pidfd(supervisor) if supervisor else None
        if descriptor is None:
            time.sleep(0.05 + os.getpid() % 7 * 0.02)  # so that the guardians of one cluster do not all start one
            latest = processes.read(cluster, processes.SUPERVISOR)
            if (latest is None or not latest.alive) and not stopping_file(cluster).exists():
                with contextlib.suppress(OSError):
                    _await_outcome(cluster, ensure_supervisor(cluster))
            continue
        select.select([descriptor], [], [])
        os.close(descriptor)
        if supervisor:
            processes.reap(supervisor)


def ensure_supervisor(cluster: Cluster) -> int:
    """Starts a supervisor and returns its pid; it writes its own run file once it holds the lock, so that a loser leaves no trace."""
    with open(cluster.log_dir / "supervisor.log", "ab") as log:
        child = subprocess.Popen(
            processes.role_command(cluster, processes.SUPERVISOR),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    child.returncode = 0  # watched by pidfd, not by Popen
    return child.pid


def _await_outcome(cluster: Cluster, pid: int, patience_s: float = 5.0) -> None:
    """Until that supervisor has taken over, or has left because another one did."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        latest = processes.read(cluster, processes.SUPERVISOR)
        if latest is not None and latest.pid == pid:
            return
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        time.sleep(0.02)
