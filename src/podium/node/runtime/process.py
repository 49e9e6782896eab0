"""Containers as process groups of the host: the runtime for machines without containerd, and the quickest one everywhere.

The image is ignored; `command` runs a program of the host. Each container has a shim (process_shim) that outlives the agent and
keeps the truth in files; this class starts shims, sends them commands through their FIFOs and watches them through pidfds. It holds
no state that cannot be read again (process_state), so `kill -9` of the agent loses nothing: the next one adopts what runs.

As root a pod has a network namespace from `PodNetwork`, and a container a private copy of the host's files, control groups and
dropped capabilities; an ordinary user gets the private files through a user namespace, where the kernel allows it
(process_isolation, process_launch).

This is not isolation from hostile code: a process container sees the host's processes, and as root has most of root's power.

Invariants: a container's `exit` file is final; a shim that is gone without one was killed, and what it left is killed before the
exit is written.
"""

import asyncio
import marshal
import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from podium.node.runtime import process_cgroup, process_launch
from podium.node.runtime.command_session import CommandSession, python_command
from podium.node.runtime.interface import (
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    ExecResult,
    ExecSession,
    Resources,
    RuntimeFailure,
    RuntimeInfo,
    RuntimeUnavailable,
    SandboxSpec,
    SandboxStatus,
)
from podium.node.runtime.pod_network import PodAddress, PodNetwork
from podium.node.runtime.process_attach import AttachSession
from podium.node.runtime.process_state import ContainerRecord, Exit, ProcessState, SandboxRecord, boot_id, is_same_process
from podium.node.runtime.process_watch import ProcessWatch, on_exit
from podium.node.runtime.usage import ContainerUsage, InterfaceUsage, RuntimeUsage, interfaces_of, of_cgroups, of_processes, sessions
from podium.world.interface import World

HANDLERS = ("", "process")
"""Of RuntimeClasses; containerd has more."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
POLL_S = 0.002
START_S_MAX = 30.0
"""How long a shim may take until its process has started or failed to."""
DEATH_S_MAX = 10.0
"""How long a killed container may take to be gone, before stop reports a failure."""

APPARMOR_SWITCH = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


@dataclass(slots=True)
class _Shim:
    """A living shim. `process` is there when this agent started it, and then reaps it."""

    pid: int
    process: subprocess.Popen[bytes] | None
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    watch: ProcessWatch | None = None


class ProcessRuntime:
    def __init__(self, directory: Path, network: PodNetwork, world: World, version: str = "") -> None:
        self._directory = directory
        self._network = network
        self._clock = world.clock
        self._uid = world.uid
        self._version = version or platform.python_version()
        self._state = ProcessState(directory)
        self._shims: dict[str, _Shim] = {}
        self._listeners: list[tuple[dict[str, None], asyncio.Event]] = []
        self._rights: process_launch.Rights | None = None
        self._opening = asyncio.Lock()

    # The runtime itself

    async def info(self) -> RuntimeInfo:
        await self._open()
        return RuntimeInfo("process", self._version)

    async def ensure_image(self, image: str, policy: str) -> str:
        """There are no images; any name will do."""
        return f"process://{image}"

    async def _open(self) -> process_launch.Rights:
        """Reads the state, adopts the shims that run, and finds out once what this machine allows."""
        async with self._opening:
            if self._rights is None:
                if sys.platform != "linux":
                    raise RuntimeUnavailable("the process runtime needs Linux; use --runtime simulated here")
                self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                rights = await asyncio.to_thread(self._find_rights)
                self._state.load()
                for container_id in list(self._state.containers):
                    await self._adopt(container_id)
                self._rights = rights
        return self._rights

    def _find_rights(self) -> process_launch.Rights:
        stage = self._directory / "probe"
        stage.mkdir(exist_ok=True)
        uid = os.geteuid()
        command = python_command("podium.node.runtime.process_isolation", str(stage), str(uid) if uid else "")
        probe = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=30, check=False
        )
        refusal = "" if probe.returncode == 0 else probe.stderr.decode(errors="replace").strip() or "the probe was killed"
        if refusal and _reads_one(APPARMOR_SWITCH):
            refusal += " (AppArmor restricts user namespaces: run Podium as root, or set kernel.apparmor_restrict_unprivileged_userns=0)"
        parents = process_cgroup.parents(self.cgroup_name) if uid == 0 else []
        process_cgroup.remove(parents)
        return process_launch.Rights(uid, os.getegid(), tuple(os.getgroups()), refusal, tuple(parents))

    @property
    def cgroup_name(self) -> str:
        return process_cgroup.group_name(str(self._directory))

    async def _adopt(self, container_id: str) -> None:
        if self._state.exit(container_id) is not None:
            return
        pid = self._state.shim_pid(container_id)
        for _ in range(250):
            if pid is not None or not self._shim_listens(container_id):
                break
            await asyncio.sleep(POLL_S)  # it has just been started and is about to write its file
            pid = self._state.shim_pid(container_id)
        if pid is None:
            self._bury(container_id)
        else:
            self._watch(container_id, _Shim(pid, None))

    async def close(self) -> None:
        for shim in self._shims.values():
            if shim.watch is not None:
                shim.watch.close()
        self._shims.clear()

    def _now_ns(self) -> int:
        return (self._clock.now() - EPOCH) // timedelta(microseconds=1) * 1000

    # Sandboxes

    async def run_sandbox(self, spec: SandboxSpec) -> SandboxStatus:
        await self._open()
        if spec.handler not in HANDLERS:
            raise RuntimeFailure(f"no runtime for {spec.handler!r} is configured; the process runtime has only 'process'".replace("'", '"'))
        if spec.sysctls:
            raise RuntimeFailure("the process runtime sets no sysctls; use --runtime cri")
        if not spec.host_network and any(port.host_port for port in spec.ports):
            raise RuntimeFailure("the process runtime maps no host ports; use hostNetwork, a Service, or --runtime cri")
        record = SandboxRecord(
            id=self._new_id(),
            namespace=spec.namespace,
            name=spec.name,
            uid=spec.uid,
            attempt=spec.attempt,
            hostname=spec.hostname,
            ip="",
            netns_path="",
            created_ns=self._now_ns(),
            boot_id=boot_id(),
        )
        directory = self._state.sandbox_directory(record.id)
        directory.mkdir(parents=True)
        # Before the network is there: whatever ends this agent now, the next one finds a sandbox that is not ready, and removes it.
        self._state.save_sandbox(record)
        await self._attach(record, spec.host_network)
        (directory / "resolv.conf").write_text(process_launch.resolv_conf(spec))
        (directory / "hosts").write_text(process_launch.hosts_file(spec, record.ip))
        record.complete = True
        self._state.save_sandbox(record)
        return self._sandbox_status(record)

    async def _attach(self, record: SandboxRecord, host_network: bool) -> None:
        try:
            address = PodAddress("") if host_network else await self._network.attach(record.id)
        except Exception as error:
            await self.remove_sandbox(record.id)
            raise RuntimeFailure(f"the pod's network cannot be made: {error}") from error
        record.ip, record.netns_path = address.ip, address.netns_path or ""

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._open()
        record = self._state.sandboxes.get(sandbox_id)
        if record is None:
            return
        inside = [container.id for container in self._state.containers.values() if container.sandbox_id == sandbox_id]
        await asyncio.gather(*(self.stop_container(container_id, 0) for container_id in inside))
        await self._network.detach(sandbox_id)
        if not record.stopped:
            record.stopped = True
            self._state.save_sandbox(record)
            self._tell(record.uid)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        for container in list(self._state.containers.values()):
            if container.sandbox_id == sandbox_id:
                await self.remove_container(container.id)
        self._state.forget_sandbox(sandbox_id)

    async def list_sandboxes(self) -> list[SandboxStatus]:
        await self._open()
        return [self._sandbox_status(record) for record in self._state.sandboxes.values()]

    def _sandbox_status(self, record: SandboxRecord) -> SandboxStatus:
        ready = (
            record.complete
            and not record.stopped
            and record.boot_id == boot_id()
            and (not record.netns_path or os.path.exists(record.netns_path))
        )
        return SandboxStatus(record.id, record.namespace, record.name, record.uid, record.attempt, ready, record.ip, record.created_ns)

    # Containers

    async def create_container(self, sandbox_id: str, spec: ContainerSpec, sandbox: SandboxSpec) -> str:
        """Starts the shim; it waits for `start`. So the interpreter's start overlaps with what the agent does in between."""
        rights = await self._open()
        pod = self._state.sandboxes.get(sandbox_id)
        if pod is None or not pod.complete or pod.stopped:
            raise RuntimeFailure(f"sandbox {sandbox_id} is not running")
        process_launch.refuse(spec, rights)
        container_id = self._new_id()
        try:
            self._prepare(container_id, spec, pod, sandbox, rights)
        except OSError as error:
            self._discard(container_id)
            raise RuntimeFailure(f"container {spec.name!r} cannot be made: {error}") from error
        return container_id

    def _prepare(
        self, container_id: str, spec: ContainerSpec, pod: SandboxRecord, sandbox: SandboxSpec, rights: process_launch.Rights
    ) -> None:
        directory = self._state.container_directory(container_id)
        (directory / "stage").mkdir(parents=True)
        os.makedirs(os.path.dirname(spec.log_path), exist_ok=True)
        os.mkfifo(directory / "control", 0o600)
        cgroups = self._create_cgroups(container_id, spec, rights)
        places = process_launch.Places(str(directory / "stage"), str(self._state.sandbox_directory(pod.id)), cgroups)
        launch = process_launch.launch_record(spec, pod, rights, places, sandbox)
        record = ContainerRecord(
            id=container_id,
            sandbox_id=pod.id,
            pod_uid=pod.uid,
            name=spec.name,
            attempt=spec.attempt,
            image=spec.image,
            created_ns=self._now_ns(),
            log_path=spec.log_path,
            cwd=launch["cwd"],
            cgroups=cgroups,
            identity=launch["identity"],
            join_flags=process_launch.join_flags(pod.netns_path, rights),
            data_bytes=launch["data_bytes"],
            cpus=launch["cpus"],
            tty=spec.tty,
            stdin=spec.stdin,
            stdin_once=spec.stdin_once,
        )
        self._state.save_container(record)
        self._watch(container_id, self._spawn_shim(directory, launch))

    def _discard(self, container_id: str) -> None:
        """What a creation that failed half-way has left."""
        record = self._state.containers.get(container_id)
        if record is not None:
            process_cgroup.remove(record.cgroups)
        self._state.forget_container(container_id)

    def _create_cgroups(self, container_id: str, spec: ContainerSpec, rights: process_launch.Rights) -> list[str]:
        limits = spec.resources
        # The parents are made anew each time: they go when the last container does.
        parents = process_cgroup.parents(self.cgroup_name) if rights.cgroup_parents else []
        return process_cgroup.create(parents, container_id, limits.memory_limit_bytes, limits.cpu_limit_m, limits.cpu_request_m)

    def _spawn_shim(self, directory: Path, launch: dict[str, Any]) -> _Shim:
        control = os.open(directory / "control", os.O_RDWR)
        command = python_command("podium.node.runtime.process_shim", str(directory), str(control))
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True, pass_fds=(control,), cwd="/", env={}
        )
        os.close(control)
        assert process.stdin is not None
        process.stdin.write(marshal.dumps(launch))
        process.stdin.close()
        return _Shim(process.pid, process)

    async def start_container(self, container_id: str) -> None:
        await self._open()
        self._known(container_id)
        if not self._command(container_id, "start"):
            raise RuntimeFailure("the container's shim is gone")
        deadline = self._clock.monotonic() + START_S_MAX
        while self._state.started(container_id) is None:
            failure = self._state.exit(container_id)
            if failure is not None:
                if (shim := self._shims.get(container_id)) is not None:
                    await shim.exited.wait()
                raise RuntimeFailure(failure.message or "the container's shim was killed")
            if self._clock.monotonic() > deadline:
                raise RuntimeFailure(f"the container did not start within {START_S_MAX:g} s")
            await asyncio.sleep(POLL_S)
        self._tell(self._known(container_id).pod_uid)

    async def stop_container(self, container_id: str, grace_s: float) -> None:
        await self._open()
        shim = self._shims.get(container_id)
        if shim is None:
            return
        if grace_s > 0:
            self._command(container_id, "term")
            if await _within(shim.exited, grace_s):
                return
        self._command(container_id, "kill")
        if await _within(shim.exited, DEATH_S_MAX):
            return
        os.kill(shim.pid, 9)  # pid is ours or watched by pidfd: it cannot have been reused
        if not await _within(shim.exited, DEATH_S_MAX):
            raise RuntimeFailure("the container does not die; a process of it may hang in the kernel")

    async def update_container(self, container_id: str, resources: Resources) -> None:
        await self._open()
        record = self._known(container_id)
        if not record.cgroups:
            if resources.cpu_limit_m or resources.memory_limit_bytes:
                raise RuntimeFailure("limits of a running process container are changed by control groups, which this user may not make")
            return
        try:
            process_cgroup.set_limits(record.cgroups, resources.memory_limit_bytes, resources.cpu_limit_m, resources.cpu_request_m)
        except OSError as error:
            raise RuntimeFailure(f"the limits of container {record.name!r} cannot be changed: {error.strerror or error}") from error

    async def remove_container(self, container_id: str) -> None:
        await self.stop_container(container_id, 0)
        record = self._state.containers.get(container_id)
        if record is None:
            return
        process_cgroup.remove(record.cgroups)
        self._state.forget_container(container_id)
        if not self._state.containers and self._rights is not None:
            process_cgroup.remove(list(self._rights.cgroup_parents))

    async def list_containers(self) -> list[ContainerStatus]:
        await self._open()
        return [self._container_status(record) for record in self._state.containers.values()]

    async def container_status(self, container_id: str) -> ContainerStatus | None:
        await self._open()
        record = self._state.containers.get(container_id)
        return None if record is None else self._container_status(record)

    def _container_status(self, record: ContainerRecord) -> ContainerStatus:
        started, ended = self._state.started(record.id), self._state.exit(record.id)
        if ended is not None and record.id in self._shims:
            ended = None  # the shim is about to end; only then is the container's exit told
        state = ContainerState.EXITED if ended else ContainerState.RUNNING if started else ContainerState.CREATED
        return ContainerStatus(
            id=record.id,
            sandbox_id=record.sandbox_id,
            pod_uid=record.pod_uid,
            name=record.name,
            attempt=record.attempt,
            state=state,
            image=record.image,
            image_ref=f"process://{record.image}",
            created_ns=record.created_ns,
            started_ns=started.started_ns if started else 0,
            finished_ns=ended.finished_ns if ended else 0,
            exit_code=ended.exit_code if ended else 0,
            reason=ended.reason if ended else "",
            message=ended.message if ended else "",
            log_path=record.log_path,
        )

    async def usage(self) -> RuntimeUsage:
        """From control groups where there are any, otherwise from the processes of the container's session."""
        await self._open()
        containers: dict[str, ContainerUsage] = {}
        interfaces: dict[str, list[InterfaceUsage]] = {}
        by_session: dict[int, list[int]] | None = None
        for record in self._state.containers.values():
            started = self._state.started(record.id)
            if started is None or record.id not in self._shims:
                continue
            found = of_cgroups(record.cgroups)
            if found is None or found.cpu_s is None:
                by_session = sessions() if by_session is None else by_session
                processes = of_processes(by_session.get(started.pid, []))
                if found is None or processes is None:
                    found = found or processes
                else:
                    found = replace(found, cpu_s=processes.cpu_s, user_s=processes.user_s, system_s=processes.system_s)
            if found is not None:
                containers[record.id] = found
            sandbox = self._state.sandboxes.get(record.sandbox_id)
            if sandbox is not None and sandbox.netns_path and not interfaces.get(sandbox.id):
                interfaces[sandbox.id] = interfaces_of(started.pid)
        return RuntimeUsage(containers, interfaces)

    # Exec

    async def exec(self, container_id: str, command: tuple[str, ...], *, tty: bool, stdin: bool) -> ExecSession:
        await self._open()
        return self._exec(container_id, command, tty, stdin)

    def _exec(self, container_id: str, command: tuple[str, ...], tty: bool, stdin: bool) -> CommandSession:
        container, started = self._known(container_id), self._state.started(container_id)
        if started is None or not is_same_process(started.pid, started.start):
            raise RuntimeFailure("the container is not running")
        record: dict[str, Any] = {"pid": started.pid, "start": started.start, "flags": container.join_flags}
        record |= {"argv": list(command), "tty": tty, "stdin": stdin, "cwd": container.cwd, "identity": container.identity}
        record |= {"parent": os.getpid(), "cgroups": container.cgroups, "data_bytes": container.data_bytes, "cpus": container.cpus}
        helper = python_command("podium.node.runtime.process_join")
        return CommandSession(helper, tty=tty, stdin=stdin, record=marshal.dumps(record))

    async def attach(self, container_id: str, *, tty: bool, stdin: bool) -> ExecSession:
        """The streams of the container's own process, output from now on."""
        await self._open()
        container, started = self._known(container_id), self._state.started(container_id)
        if started is None or not is_same_process(started.pid, started.start):
            raise RuntimeFailure("the container is not running")
        directory, name = self._state.container_directory(container_id), f"attach-{self._new_id()}"
        session = AttachSession(
            directory, name, lambda text: self._command(container_id, text),
            tty=container.tty, stdin=stdin and container.stdin, once=container.stdin_once,
        )  # fmt: skip
        return await session.opened()

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout_s: float) -> ExecResult:
        await self._open()
        session = self._exec(container_id, command, tty=False, stdin=False)
        output: dict[int, list[bytes]] = {1: [], 2: []}
        try:
            async with asyncio.timeout(timeout_s or None):
                while (piece := await session.read())[0]:
                    output[piece[0]].append(piece[1])
                code = await session.wait()
        finally:
            await session.kill()
        return ExecResult(code, b"".join(output[1]), b"".join(output[2]))

    # Changes

    async def changes(self) -> AsyncIterator[str]:
        await self._open()
        pending: dict[str, None] = {}
        listener = (pending, asyncio.Event())
        self._listeners.append(listener)
        try:
            while True:
                await listener[1].wait()
                listener[1].clear()
                while pending:
                    uid = next(iter(pending))
                    del pending[uid]
                    yield uid
        finally:
            self._listeners.remove(listener)

    def _tell(self, pod_uid: str) -> None:
        for pending, event in self._listeners:
            pending[pod_uid] = None
            event.set()

    # Shims

    def _watch(self, container_id: str, shim: _Shim) -> None:
        self._shims[container_id] = shim
        try:
            shim.watch = on_exit(shim.pid, lambda: self._shim_ended(container_id))
        except ProcessLookupError:
            self._shim_ended(container_id)

    def _shim_ended(self, container_id: str) -> None:
        shim = self._shims.pop(container_id)
        if shim.process is not None:
            shim.process.wait()
        if self._state.exit(container_id) is None:
            self._bury(container_id)
        shim.exited.set()
        self._tell(self._state.containers[container_id].pod_uid)

    def _bury(self, container_id: str) -> None:
        """The shim was killed (or never came up): the kernel killed the container's process; end its kin and say so."""
        record, started = self._state.containers[container_id], self._state.started(container_id)
        process_cgroup.kill(record.cgroups)
        if started is not None:
            self._state.kill_session(started)
        self._state.save_exit(container_id, Exit(137, "Error", "the container's shim was killed", self._now_ns()))

    def _shim_listens(self, container_id: str) -> bool:
        try:
            os.close(os.open(self._state.container_directory(container_id) / "control", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    def _command(self, container_id: str, text: str) -> bool:
        """False when no shim listens any more."""
        try:
            fifo = os.open(self._state.container_directory(container_id) / "control", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            os.write(fifo, text.encode() + b"\n")
        finally:
            os.close(fifo)
        return True

    def _known(self, container_id: str) -> ContainerRecord:
        record = self._state.containers.get(container_id)
        if record is None:
            raise RuntimeFailure(f"container {container_id} is not known")
        return record

    def _new_id(self) -> str:
        return self._uid().replace("-", "")


def _reads_one(path: Path) -> bool:
    try:
        return path.read_text().strip() == "1"
    except OSError:
        return False


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
