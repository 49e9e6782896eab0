"""The process runtime's state on disk: what an agent that comes later needs to know.

DIRECTORY/
    sandboxes/ID/      sandbox.json, resolv.conf, hosts
    containers/ID/     container.json, control (FIFO), stage/ (empty), and the shim's files: shim, started, exit
    addresses/         the loopback network's

Records hold no environment: that goes to the shim through a pipe, so Secrets given as variables are never written. Files are
replaced by rename.
A file that a crash cut off cannot exist; a directory without its record is a creation that never finished, and is removed.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from podium.node.runtime.process_shim import process_start, write_whole


@dataclass(slots=True)
class SandboxRecord:
    id: str
    namespace: str
    name: str
    uid: str
    attempt: int
    hostname: str
    ip: str
    netns_path: str
    created_ns: int
    boot_id: str
    complete: bool = False
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    id: str
    sandbox_id: str
    pod_uid: str
    name: str
    attempt: int
    image: str
    created_ns: int
    log_path: str
    cwd: str
    cgroups: list[str]
    identity: dict[str, Any]
    join_flags: int
    data_bytes: int = 0
    cpus: int = 0
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    pid: int
    start: int
    started_ns: int


@dataclass(frozen=True, slots=True)
class Exit:
    exit_code: int
    reason: str
    message: str
    finished_ns: int


@dataclass(slots=True)
class ProcessState:
    directory: Path
    sandboxes: dict[str, SandboxRecord] = field(default_factory=dict)
    containers: dict[str, ContainerRecord] = field(default_factory=dict)

    def load(self) -> None:
        for name, value in self._read("sandboxes", "sandbox.json"):
            self.sandboxes[name] = SandboxRecord(**value)
        for name, value in self._read("containers", "container.json"):
            self.containers[name] = ContainerRecord(**value)

    def _read(self, folder: str, file: str) -> list[tuple[str, dict[str, Any]]]:
        parent = self.directory / folder
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = []
        for name in sorted(os.listdir(parent)):
            try:
                found.append((name, json.loads((parent / name / file).read_bytes())))
            except FileNotFoundError:
                shutil.rmtree(parent / name, ignore_errors=True)
        return found

    def sandbox_directory(self, sandbox_id: str) -> Path:
        return self.directory / "sandboxes" / sandbox_id

    def container_directory(self, container_id: str) -> Path:
        return self.directory / "containers" / container_id

    def save_sandbox(self, record: SandboxRecord) -> None:
        self.sandboxes[record.id] = record
        write_whole(str(self.sandbox_directory(record.id) / "sandbox.json"), json.dumps(asdict(record)))

    def save_container(self, record: ContainerRecord) -> None:
        self.containers[record.id] = record
        write_whole(str(self.container_directory(record.id) / "container.json"), json.dumps(asdict(record)))

    def forget_sandbox(self, sandbox_id: str) -> None:
        self.sandboxes.pop(sandbox_id, None)
        shutil.rmtree(self.sandbox_directory(sandbox_id), ignore_errors=True)

    def forget_container(self, container_id: str) -> None:
        self.containers.pop(container_id, None)
        shutil.rmtree(self.container_directory(container_id), ignore_errors=True)

    def shim_pid(self, container_id: str) -> int | None:
        """The living shim's; None when it is gone, or has not written its file."""
        try:
            pid, start = (int(word) for word in (self.container_directory(container_id) / "shim").read_text().split())
        except FileNotFoundError:
            return None
        return pid if is_same_process(pid, start) else None

    def started(self, container_id: str) -> Started | None:
        try:
            return Started(*(int(word) for word in (self.container_directory(container_id) / "started").read_text().split()))
        except FileNotFoundError:
            return None

    def exit(self, container_id: str) -> Exit | None:
        try:
            return Exit(**json.loads((self.container_directory(container_id) / "exit").read_bytes()))
        except FileNotFoundError:
            return None

    def save_exit(self, container_id: str, exit: Exit) -> None:
        write_whole(str(self.container_directory(container_id) / "exit"), json.dumps(asdict(exit)))

    def kill_session(self, started: Started) -> None:
        """Kills what is left of the session that a container's process led. A session's number is not reused while it has members, so when
        the number belongs to another process now, nothing is left."""
        if is_same_process(started.pid, started.start) or not os.path.exists(f"/proc/{started.pid}"):
            for pid in _session_members(started.pid):
                os.kill(pid, 9)


def is_same_process(pid: int, start: int) -> bool:
    try:
        return process_start(pid) == start
    except (FileNotFoundError, ProcessLookupError):
        return False


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _session_members(session: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == session:
                found.append(int(name))
    return sorted(found)
