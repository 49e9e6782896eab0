"""The simulated runtime: pods that pass through their stages on the loop's clock, without a process, a file or a packet.

One instance is one node's runtime. Images take a pull delay once per node, sandboxes and containers a start delay, each with jitter from
the node's own random stream, so a rehearsal repeats. Annotations of the pod change what its containers do:

* `podium.dev/simulated-run-duration: 30s` they exit by themselves after this long (default: they run until stopped);
* `podium.dev/simulated-exit-code: "1"` with this code (default 0);
* `podium.dev/simulated-start-delay: 2s` instead of the configured start delay;
* `podium.dev/simulated-stop-delay: 5s` they take this long to stop, at most the grace period (then the code is 137);
* `podium.dev/simulated-cpu: 250m` each uses this much CPU while it runs (default: what it requests, or IDLE_CPU_M);
* `podium.dev/simulated-memory: 64Mi` and this much memory (default: what it requests, or IDLE_MEMORY_BYTES).

Durations are Go's (`1m30s`). Nothing survives the process: `adopt` rebuilds what a pod's status says was running.
"""

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any

from podium.node.runtime.interface import (
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    ExecResult,
    ExecSession,
    Resources,
    RuntimeFailure,
    RuntimeInfo,
    SandboxSpec,
    SandboxStatus,
)
from podium.node.runtime.usage import ContainerUsage, RuntimeUsage
from podium.objects.quantities import milli, whole
from podium.world.interface import World

RUN_DURATION = "podium.dev/simulated-run-duration"
EXIT_CODE = "podium.dev/simulated-exit-code"
START_DELAY = "podium.dev/simulated-start-delay"
STOP_DELAY = "podium.dev/simulated-stop-delay"
CPU = "podium.dev/simulated-cpu"
MEMORY = "podium.dev/simulated-memory"
NAME = "simulated"
IDLE_CPU_M = 1
IDLE_MEMORY_BYTES = 16 * 1024 * 1024
"""What a container uses of which nobody said anything."""
CHANGES_MAX = 10_000
"""Changes nobody has read yet; beyond it the oldest are dropped, which is safe because the agent relists."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def seconds(text: str) -> float:
    """A Go duration in seconds. Raises ValueError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a duration: {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds; each is drawn from [value, value * (1 + jitter)]."""

    pull_s: float = 0.8
    sandbox_s: float = 0.2
    start_s: float = 0.1
    stop_s: float = 0.1
    jitter: float = 0.5


@dataclass(frozen=True, slots=True)
class _Script:
    run_s: float | None
    exit_code: int
    start_s: float | None
    stop_s: float | None
    cpu_m: int | None = None
    memory_bytes: int | None = None


@dataclass(slots=True)
class _Sandbox:
    id: str
    namespace: str
    name: str
    uid: str
    attempt: int
    ready: bool
    ip: str
    created_ns: int
    script: _Script


@dataclass(slots=True)
class _Container:
    id: str
    sandbox: _Sandbox
    name: str
    attempt: int
    image: str
    log_path: str
    created_ns: int
    state: ContainerState = ContainerState.CREATED
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int = 0
    reason: str = ""
    timer: asyncio.TimerHandle | None = None
    cpu_m: int = IDLE_CPU_M
    memory_bytes: int = IDLE_MEMORY_BYTES

    def use(self, cpu_request_m: int, memory_request_bytes: int) -> None:
        script = self.sandbox.script
        self.cpu_m = script.cpu_m if script.cpu_m is not None else cpu_request_m or IDLE_CPU_M
        self.memory_bytes = script.memory_bytes if script.memory_bytes is not None else memory_request_bytes or IDLE_MEMORY_BYTES


class Addresses:
    """The addresses of a range: lowest free first, the network and the gateway (first) never. Nodes may share one."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.IPv4Network(cidr)
        self._first = int(network.network_address) + 2
        self._last = int(network.broadcast_address) - 1
        self._next = self._first
        self._freed: list[int] = []
        self._used: set[int] = set()

    def take(self) -> str:
        while self._freed:
            number = heappop(self._freed)
            if number not in self._used:
                break
        else:
            while self._next in self._used:
                self._next += 1
            if self._next > self._last:
                raise RuntimeFailure("the range of pod addresses is used up")
            number = self._next
            self._next += 1
        self._used.add(number)
        return str(ipaddress.IPv4Address(number))

    def claim(self, address: str) -> None:
        self._used.add(int(ipaddress.IPv4Address(address)))

    def free(self, address: str) -> None:
        number = int(ipaddress.IPv4Address(address))
        if number in self._used:
            self._used.remove(number)
            heappush(self._freed, number)


class SimulatedRuntime:
    """`addresses` is a range, or its CIDR. `on_change(uid)` takes the place of `changes()` when given: a fleet has one sink for all its nodes."""

    def __init__(
        self,
        world: World,
        node: str,
        addresses: Addresses | str,
        *,
        delays: Delays | None = None,
        on_change: Callable[[str], None] | None = None,
    ) -> None:
        self._clock = world.clock
        self._random = world.random(f"simulated/{node}")
        self._addresses = addresses if isinstance(addresses, Addresses) else Addresses(addresses)
        self._delays = delays or Delays()
        self._on_change = on_change or self._enqueue
        self._queue: asyncio.Queue[str] | None = None if on_change else asyncio.Queue(CHANGES_MAX)
        self._images: set[str] = set()
        self._sandboxes: dict[str, _Sandbox] = {}
        self._containers: dict[str, _Container] = {}

    async def info(self) -> RuntimeInfo:
        return RuntimeInfo(NAME, "1")

    async def ensure_image(self, image: str, policy: str) -> str:
        if image not in self._images or policy == "Always":
            await self._delay(self._delays.pull_s)
            self._images.add(image)
        return f"simulated@sha256:{_digest(image)}"

    async def run_sandbox(self, spec: SandboxSpec) -> SandboxStatus:
        script = _script(spec.annotations)
        await self._delay(self._delays.sandbox_s)
        sandbox_id = _digest(f"{spec.uid}/{spec.attempt}")
        if sandbox_id in self._sandboxes:
            raise RuntimeFailure(f"sandbox {spec.namespace}/{spec.name} attempt {spec.attempt} is there already")
        address = "" if spec.host_network else self._addresses.take()
        sandbox = _Sandbox(sandbox_id, spec.namespace, spec.name, spec.uid, spec.attempt, True, address, self._now_ns(), script)
        self._sandboxes[sandbox_id] = sandbox
        return _sandbox_status(sandbox)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None or not sandbox.ready:
            return
        sandbox.ready = False
        for container in list(self._containers.values()):
            if container.sandbox is sandbox:
                self._exit(container, 137, "Error")
        if sandbox.ip:
            self._addresses.free(sandbox.ip)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        self._sandboxes.pop(sandbox_id, None)
        for container_id in [c.id for c in self._containers.values() if c.sandbox.id == sandbox_id]:
            del self._containers[container_id]

    async def create_container(self, sandbox_id: str, spec: ContainerSpec, sandbox: SandboxSpec) -> str:
        owner = self._sandboxes.get(sandbox_id)
        if owner is None or not owner.ready:
            raise RuntimeFailure(f"sandbox {sandbox_id[:12]} is not running")
        container_id = _digest(f"{owner.uid}/{owner.attempt}/{spec.name}/{spec.attempt}")
        if container_id in self._containers:
            raise RuntimeFailure(f"container {spec.name} attempt {spec.attempt} is there already")
        container = _Container(container_id, owner, spec.name, spec.attempt, spec.image, spec.log_path, self._now_ns())
        container.use(spec.resources.cpu_request_m, spec.resources.memory_request_bytes)
        self._containers[container_id] = container
        return container_id

    async def start_container(self, container_id: str) -> None:
        container = self._require(container_id)
        script = container.sandbox.script
        if script.start_s is None:
            await self._delay(self._delays.start_s)
        else:
            await asyncio.sleep(script.start_s)
        if container.state is not ContainerState.CREATED:
            raise RuntimeFailure(f"container {container.name} is {container.state}")
        container.state, container.started_ns = ContainerState.RUNNING, self._now_ns()
        self._arm(container, script.run_s)
        self._on_change(container.sandbox.uid)

    async def stop_container(self, container_id: str, grace_s: float) -> None:
        container = self._containers.get(container_id)
        if container is None or container.state is ContainerState.EXITED:
            return
        wanted_s = container.sandbox.script.stop_s
        if wanted_s is None:
            wanted_s = self._drawn(self._delays.stop_s)
        await asyncio.sleep(min(wanted_s, max(grace_s, 0.0)))
        if wanted_s > grace_s:
            self._exit(container, 137, "Error")
        else:
            self._exit(container, 0, "Completed")

    async def update_container(self, container_id: str, resources: Resources) -> None:
        """Nothing is used, so nothing is bounded: a running container takes any amounts."""
        container = self._require(container_id)
        if container.state is not ContainerState.RUNNING:
            raise RuntimeFailure(f"container {container.name} is {container.state}")

    async def remove_container(self, container_id: str) -> None:
        container = self._containers.pop(container_id, None)
        if container is not None and container.timer is not None:
            container.timer.cancel()

    async def list_sandboxes(self) -> list[SandboxStatus]:
        return [_sandbox_status(s) for s in self._sandboxes.values()]

    async def list_containers(self) -> list[ContainerStatus]:
        return [_container_status(c) for c in self._containers.values()]

    async def container_status(self, container_id: str) -> ContainerStatus | None:
        container = self._containers.get(container_id)
        return _container_status(container) if container else None

    async def usage(self) -> RuntimeUsage:
        """A running container has used its CPU evenly since it was started, and uses its memory."""
        now_ns, found = self._now_ns(), {}
        for container in self._containers.values():
            if container.state is ContainerState.RUNNING:
                used_s = (now_ns - container.started_ns) / 1e9 * container.cpu_m / 1000
                memory = container.memory_bytes
                found[container.id] = ContainerUsage(
                    cpu_s=used_s, user_s=used_s, system_s=0.0, memory_bytes=memory, working_set_bytes=memory, rss_bytes=memory, processes=1
                )
        return RuntimeUsage(found)

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout_s: float) -> ExecResult:
        """Every command succeeds and prints nothing: hooks and exec probes of simulated pods pass."""
        if self._require(container_id).state is not ContainerState.RUNNING:
            raise RuntimeFailure("the container is not running")
        return ExecResult(0, b"", b"")

    async def exec(self, container_id: str, command: tuple[str, ...], *, tty: bool, stdin: bool) -> ExecSession:
        raise RuntimeFailure("this container is simulated: there is no process to run a command beside")

    def log_text(self, container_id: str) -> bytes:
        """What the container's log holds, in CRI's format: the agent asks this instead of reading a file."""
        container = self._require(container_id)
        if not container.started_ns:
            return b""
        moment = datetime.fromtimestamp(container.started_ns // 1_000_000_000, self._clock.now().tzinfo)
        text = f"{moment:%Y-%m-%dT%H:%M:%S}.000000000Z stdout F this container is simulated: {container.name} of image {container.image}\n"
        return text.encode()

    async def changes(self) -> AsyncIterator[str]:
        assert self._queue is not None, "on_change takes the changes"
        while True:
            yield await self._queue.get()

    async def close(self) -> None:
        for container in self._containers.values():
            if container.timer is not None:
                container.timer.cancel()

    def adopt(self, pod: dict[str, Any]) -> None:
        """Makes what the pod's status tells of be there again, as if this process had never gone. Does nothing for a known pod."""
        metadata, status = pod["metadata"], pod.get("status", {})
        known = [(entry, told) for entry in _statuses(status) if (told := _told(entry)) is not None]
        if not known or any(s.uid == metadata["uid"] for s in self._sandboxes.values()):
            return
        script = _script(metadata.get("annotations") or {})
        address = "" if pod["spec"].get("hostNetwork") else status.get("podIP", "")
        namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
        sandbox = _Sandbox(_digest(f"{uid}/0"), namespace, name, uid, 0, True, address, 0, script)
        if address:
            self._addresses.claim(address)
        self._sandboxes[sandbox.id] = sandbox
        for entry, told in known:
            self._adopt(sandbox, entry, told, _requests(pod["spec"], entry["name"]))

    def _adopt(self, sandbox: _Sandbox, entry: dict[str, Any], told: dict[str, Any], requests: tuple[int, int]) -> None:
        image, attempt = entry.get("image", ""), entry.get("restartCount", 0)
        self._images.add(image)
        started_ns = _nanoseconds(told.get("startedAt", ""))
        container_id = entry["containerID"].removeprefix("simulated://")
        container = _Container(container_id, sandbox, entry["name"], attempt, image, "", started_ns, started_ns=started_ns)
        container.use(*requests)
        self._containers[container_id] = container
        if "exitCode" in told:
            container.state, container.finished_ns = ContainerState.EXITED, _nanoseconds(told.get("finishedAt", ""))
            container.exit_code, container.reason = told["exitCode"], told.get("reason", "")
            return
        container.state = ContainerState.RUNNING
        if sandbox.script.run_s is not None:
            self._arm(container, max(0.0, sandbox.script.run_s - (self._now_ns() - started_ns) / 1e9))

    def _arm(self, container: _Container, run_s: float | None) -> None:
        if run_s is not None:
            code = container.sandbox.script.exit_code
            reason = "Error" if code else "Completed"
            container.timer = asyncio.get_running_loop().call_later(run_s, self._exit, container, code, reason)

    def _exit(self, container: _Container, code: int, reason: str) -> None:
        if container.state is ContainerState.EXITED:
            return
        if container.timer is not None:
            container.timer.cancel()
            container.timer = None
        container.state, container.finished_ns = ContainerState.EXITED, self._now_ns()
        container.exit_code, container.reason = code, reason
        self._on_change(container.sandbox.uid)

    def _require(self, container_id: str) -> _Container:
        container = self._containers.get(container_id)
        if container is None:
            raise RuntimeFailure(f"container {container_id[:12]} is not there")
        return container

    def _enqueue(self, uid: str) -> None:
        assert self._queue is not None
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(uid)

    async def _delay(self, value_s: float) -> None:
        await asyncio.sleep(self._drawn(value_s))

    def _drawn(self, value_s: float) -> float:
        return value_s * (1 + self._delays.jitter * self._random.random())

    def _now_ns(self) -> int:
        return int(self._clock.now().timestamp() * 1_000_000) * 1000


def _script(annotations: dict[str, str]) -> _Script:
    """Raises RuntimeFailure for an annotation that cannot be read: a rehearsal with a typing error must not pass silently."""
    try:
        run, start, stop = (annotations.get(key) for key in (RUN_DURATION, START_DELAY, STOP_DELAY))
        return _Script(
            run_s=seconds(run) if run else None,
            exit_code=int(annotations.get(EXIT_CODE, "0")),
            start_s=seconds(start) if start else None,
            stop_s=seconds(stop) if stop else None,
            cpu_m=milli(annotations[CPU]) if CPU in annotations else None,
            memory_bytes=whole(annotations[MEMORY]) if MEMORY in annotations else None,
        )
    except ValueError as error:
        raise RuntimeFailure(f"an annotation podium.dev/simulated-* is not understood: {error}") from error


def _requests(spec: dict[str, Any], name: str) -> tuple[int, int]:
    """CPU in millicores and memory in bytes that a container of the pod asks for; 0 where it does not."""
    for container in [*spec.get("initContainers", ()), *spec.get("containers", ())]:
        if container["name"] == name:
            requests = (container.get("resources") or {}).get("requests") or {}
            return milli(str(requests.get("cpu", "0"))), whole(str(requests.get("memory", "0")))
    return 0, 0


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=32).hexdigest()


def _nanoseconds(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp()) * 1_000_000_000 if timestamp else 0


def _statuses(status: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return [entry for kind in kinds for entry in status.get(kind) or ()]


def _told(entry: dict[str, Any]) -> dict[str, Any] | None:
    """What a status entry says of its newest container: its `running` or `terminated` part; None for one that is not ours."""
    if not entry.get("containerID", "").startswith("simulated://"):
        return None
    state, last = entry.get("state") or {}, entry.get("lastState") or {}
    return state.get("running") or state.get("terminated") or last.get("terminated")


def _sandbox_status(s: _Sandbox) -> SandboxStatus:
    return SandboxStatus(s.id, s.namespace, s.name, s.uid, s.attempt, s.ready, s.ip, s.created_ns)


def _container_status(c: _Container) -> ContainerStatus:
    return ContainerStatus(
        c.id, c.sandbox.id, c.sandbox.uid, c.name, c.attempt, c.state, c.image, f"simulated@sha256:{_digest(c.image)}",
        c.created_ns, c.started_ns, c.finished_ns, c.exit_code, c.reason, "", c.log_path,
    )  # fmt: skip
