"""What the node agent asks of a container runtime: the part of CRI it needs, as plain values.

Three implementations: `cri` (containerd, CRI-O), `process` (a host process group per container), `simulated` (no process).
A sandbox is a pod's network namespace and lifetime; containers run in it. The runtime is the truth about what runs: after a
restart the agent learns everything from `list_sandboxes` and `list_containers`, so both outlive the agent.
Container logs are files in CRI's log format (`RFC3339Nano stream tag line`) at the path the agent gives.

Source: k8s.io/cri-api runtime.v1.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class RuntimeFailure(Exception):
    """The runtime refused or failed; the message is for the pod's events. Retry with backoff."""


class ImageError(RuntimeFailure):
    """The image is not to be had. `reason` is the waiting reason: ErrImagePull, ErrImageNeverPull, InvalidImageName."""

    def __init__(self, message: str, reason: str = "ErrImagePull") -> None:
        super().__init__(message)
        self.reason = reason


class RuntimeUnavailable(RuntimeFailure):
    """The runtime does not answer at all: the node is not ready until it does."""


class ContainerState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PortMapping:
    host_port: int
    container_port: int
    protocol: str = "TCP"
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class Resources:
    """CPU in millicores and memory in bytes; 0 means unset."""

    cpu_request_m: int = 0
    cpu_limit_m: int = 0
    memory_request_bytes: int = 0
    memory_limit_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """`attempt` counts the pod's sandboxes from 0. `dns_*` become /etc/resolv.conf. `handler` is how the pod is to be run, by its RuntimeClass,
    empty for the runtime's usual way; one that the runtime does not have is a RuntimeFailure. `overhead` is what that costs beside containers."""

    namespace: str
    name: str
    uid: str
    attempt: int
    hostname: str
    log_directory: str
    dns_servers: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    host_network: bool = False
    ports: tuple[PortMapping, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    sysctls: dict[str, str] = field(default_factory=dict)
    handler: str = ""
    overhead: Resources = Resources()


@dataclass(frozen=True, slots=True)
class Mount:
    host_path: str
    container_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class SecurityContext:
    """What the three runtimes act on; the agent refuses a pod that asks for more (see node/refusals)."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    seccomp_default: bool = False
    """The runtime's own system call filter; False: none. A runtime that has none leaves it to the agent to say so."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """`attempt` counts restarts from 0. `command` and `args` are as in the pod, with $(VAR) already expanded; `env` in order.
    `log_path` is absolute, and lies under the sandbox's log directory."""

    name: str
    attempt: int
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    working_dir: str
    mounts: tuple[Mount, ...]
    log_path: str
    resources: Resources = Resources()
    security: SecurityContext = SecurityContext()
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    """Standard input ends with the first client that was attached to it."""
    target_id: str = ""
    """The container whose processes it sees, for an ephemeral container that was made to look at one."""
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    id: str
    namespace: str
    name: str
    uid: str
    attempt: int
    ready: bool
    ip: str
    created_ns: int


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """Times are nanoseconds since the epoch, 0 when not there yet. `reason` as in CRI: Completed, Error, OOMKilled, StartError."""

    id: str
    sandbox_id: str
    pod_uid: str
    name: str
    attempt: int
    state: ContainerState
    image: str
    image_ref: str
    created_ns: int
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    log_path: str = ""


@dataclass(frozen=True, slots=True)
class ExecResult:
    exit_code: int
    stdout: bytes
    stderr: bytes


class ExecSession(Protocol):
    """A running command with streams. `read` gives (stream, data), stream 1 stdout or 2 stderr, and (0, b"") once at the end."""

    async def read(self) -> tuple[int, bytes]: ...
    async def write(self, data: bytes) -> None: ...
    async def close_stdin(self) -> None: ...
    async def resize(self, columns: int, rows: int) -> None: ...
    async def wait(self) -> int:
        """The exit code."""
        ...

    async def kill(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """`name` and `version` become the node's containerRuntimeVersion, `name://version`."""

    name: str
    version: str


class Runtime(Protocol):
    async def info(self) -> RuntimeInfo:
        """Raises RuntimeUnavailable."""
        ...

    async def ensure_image(self, image: str, policy: str) -> str:
        """Makes the image present by the pull policy (Always, IfNotPresent, Never); returns its reference (imageID). Raises ImageError."""
        ...

    async def run_sandbox(self, spec: SandboxSpec) -> SandboxStatus: ...
    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kills what is left in it and releases its network. Idempotent."""
        ...

    async def remove_sandbox(self, sandbox_id: str) -> None: ...
    async def create_container(self, sandbox_id: str, spec: ContainerSpec, sandbox: SandboxSpec) -> str: ...
    async def start_container(self, container_id: str) -> None: ...
    async def stop_container(self, container_id: str, grace_s: float) -> None:
        """TERM, then KILL after `grace_s`. Returns when it has exited. Idempotent."""
        ...

    async def update_container(self, container_id: str, resources: Resources) -> None:
        """Brings other amounts into force in a running container. Raises RuntimeFailure when they cannot be."""
        ...

    async def remove_container(self, container_id: str) -> None: ...
    async def list_sandboxes(self) -> list[SandboxStatus]: ...
    async def list_containers(self) -> list[ContainerStatus]: ...
    async def container_status(self, container_id: str) -> ContainerStatus | None: ...
    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout_s: float) -> ExecResult:
        """Raises TimeoutError; the command is killed then."""
        ...

    async def exec(self, container_id: str, command: tuple[str, ...], *, tty: bool, stdin: bool) -> ExecSession: ...

    # Optional: `async def attach(self, container_id: str, *, tty: bool, stdin: bool) -> ExecSession`: the streams of the container's own
    # process, output from now on. Its end is that of the container and its `wait` gives 0; `kill` only lets go of it.

    def changes(self) -> AsyncIterator[str]:
        """UIDs of pods in which something changed (a container started or exited): event-driven where the runtime can, polled otherwise.
        May repeat; the agent looks itself."""
        ...

    async def close(self) -> None:
        """Lets go of the runtime; what runs keeps running."""
        ...
