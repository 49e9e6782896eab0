"""Containers through CRI: containerd 1.6 or newer, CRI-O.

The runtime keeps the truth; this class keeps only what cannot change any more (a sandbox's address, the status of an exited
container), so that a look at all pods is two calls. Containers outlive the agent, because they are the runtime's.

Changes come from GetContainerEvents where the runtime has it. Otherwise all containers are listed: often while something is being started
or stopped, once a second when nothing is.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

from podium.node.runtime import cri_usage
from podium.node.runtime.cri_client import CALL_S_MAX, IMAGES, CriClient, DeadlineExceeded, NotFound, Unimplemented, message
from podium.node.runtime.cri_config import (
    CLUSTER_LABEL,
    POD_UID,
    container_config,
    container_status,
    sandbox_config,
    sandbox_status,
    set_resources,
)
from podium.node.runtime.cri_exec import open_ctr, open_session
from podium.node.runtime.interface import (
    ContainerSpec,
    ContainerStatus,
    ExecResult,
    ExecSession,
    ImageError,
    Resources,
    RuntimeFailure,
    RuntimeInfo,
    RuntimeUnavailable,
    SandboxSpec,
    SandboxStatus,
)
from podium.node.runtime.usage import RuntimeUsage
from podium.world.interface import World

PULL_S_MAX = 600.0
SANDBOX_S_MAX = 120.0
POLL_BUSY_S, POLL_IDLE_S, BUSY_S = 0.1, 1.0, 3.0
"""Polling is busy for BUSY_S after the agent last changed something or a change was seen."""


class CriRuntime:
    """`socket` is the path of the runtime's socket, `cluster` names the cluster in a label."""

    def __init__(self, socket: str, cluster: str, world: World) -> None:
        self._client = CriClient(socket)
        self._cluster = cluster
        self._clock = world.clock
        self._uid = world.uid
        self._ready_sandboxes: dict[str, SandboxStatus] = {}
        self._settled: dict[str, tuple[int, ContainerStatus]] = {}
        self._pulls: dict[str, asyncio.Lock] = {}
        self._busy_until = 0.0
        self._nudge = asyncio.Event()

    async def info(self) -> RuntimeInfo:
        version = await self._client.call("Version", timeout_s=5)
        status = await self._client.call("Status", timeout_s=5)
        for condition in status.status.conditions:
            if not condition.status:
                raise RuntimeUnavailable(f"container runtime: {condition.type} is false: {condition.message or condition.reason}")
        return RuntimeInfo(version.runtime_name, version.runtime_version)

    async def close(self) -> None:
        await self._client.close()

    # Images

    async def ensure_image(self, image: str, policy: str) -> str:
        async with self._pulls.setdefault(image, asyncio.Lock()):
            present = await self._image(image)
            if present and policy != "Always":
                return present
            if policy == "Never":
                raise ImageError(f'Container image "{image}" is not present with pull policy of Never', "ErrImageNeverPull")
            await self._image_call("PullImage", image, PULL_S_MAX)
            return await self._image(image)

    async def _image(self, image: str) -> str:
        """Its reference, empty when it is not there."""
        found = (await self._image_call("ImageStatus", image, CALL_S_MAX)).image
        return str(next(iter(found.repo_digests), found.id))

    async def _image_call(self, method: str, image: str, timeout_s: float) -> Any:
        request = message(f"{method}Request")()
        request.image.image = image
        try:
            return await self._client.call(method, request, service=IMAGES, timeout_s=timeout_s)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            if "invalid reference format" in str(error):
                text = f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": invalid reference format'
                raise ImageError(text, "InvalidImageName") from error
            raise ImageError(f'failed to pull image "{image}": {error}; `podium image load FILE` brings one from an archive') from error

    # Sandboxes

    async def run_sandbox(self, spec: SandboxSpec) -> SandboxStatus:
        request = message("RunPodSandboxRequest")(config=sandbox_config(spec, self._cluster), runtime_handler=spec.handler)
        made = await self._client.call("RunPodSandbox", request, timeout_s=SANDBOX_S_MAX)
        return await self._sandbox(made.pod_sandbox_id)

    async def _sandbox(self, sandbox_id: str) -> SandboxStatus:
        request = message("PodSandboxStatusRequest")(pod_sandbox_id=sandbox_id)
        status = sandbox_status((await self._client.call("PodSandboxStatus", request)).status)
        if status.ready:
            self._ready_sandboxes[sandbox_id] = status
        return status

    async def stop_sandbox(self, sandbox_id: str) -> None:
        self._stir()
        self._ready_sandboxes.pop(sandbox_id, None)
        await self._forgiving("StopPodSandbox", message("StopPodSandboxRequest")(pod_sandbox_id=sandbox_id), SANDBOX_S_MAX)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self._ready_sandboxes.pop(sandbox_id, None)
        await self._forgiving("RemovePodSandbox", message("RemovePodSandboxRequest")(pod_sandbox_id=sandbox_id), SANDBOX_S_MAX)

    async def list_sandboxes(self) -> list[SandboxStatus]:
        request = message("ListPodSandboxRequest")()
        request.filter.label_selector[CLUSTER_LABEL] = self._cluster
        found = []
        for item in (await self._client.call("ListPodSandbox", request)).items:
            known = self._ready_sandboxes.get(item.id) if item.state == 0 else None
            try:
                found.append(known or await self._sandbox(item.id))
            except NotFound:
                continue
        return found

    # Containers

    async def create_container(self, sandbox_id: str, spec: ContainerSpec, sandbox: SandboxSpec) -> str:
        self._stir()
        request = message("CreateContainerRequest")(
            pod_sandbox_id=sandbox_id,
            config=container_config(spec, sandbox, self._cluster),
            sandbox_config=sandbox_config(sandbox, self._cluster),
        )
        return str((await self._client.call("CreateContainer", request)).container_id)

    async def start_container(self, container_id: str) -> None:
        self._stir()
        await self._client.call("StartContainer", message("StartContainerRequest")(container_id=container_id))
        self._stir()

    async def stop_container(self, container_id: str, grace_s: float) -> None:
        self._stir()
        request = message("StopContainerRequest")(container_id=container_id, timeout=math.ceil(grace_s))
        await self._forgiving("StopContainer", request, grace_s + SANDBOX_S_MAX)

    async def update_container(self, container_id: str, resources: Resources) -> None:
        request = message("UpdateContainerResourcesRequest")(container_id=container_id)
        set_resources(request.linux, resources)
        await self._client.call("UpdateContainerResources", request)

    async def remove_container(self, container_id: str) -> None:
        self._settled.pop(container_id, None)
        await self._forgiving("RemoveContainer", message("RemoveContainerRequest")(container_id=container_id), SANDBOX_S_MAX)

    async def reopen_log(self, container_id: str) -> None:
        """After its file was renamed."""
        await self._client.call("ReopenContainerLog", message("ReopenContainerLogRequest")(container_id=container_id))

    async def _forgiving(self, method: str, request: Any, timeout_s: float) -> None:
        try:
            await self._client.call(method, request, timeout_s=timeout_s)
        except NotFound:
            return

    async def list_containers(self) -> list[ContainerStatus]:
        found = []
        for item in await self._list():
            try:
                found.append(await self._status(item))
            except NotFound:
                continue
        return found

    async def _list(self) -> Any:
        request = message("ListContainersRequest")()
        request.filter.label_selector[CLUSTER_LABEL] = self._cluster
        return (await self._client.call("ListContainers", request)).containers

    async def _status(self, item: Any) -> ContainerStatus:
        """A status is asked for once per state: within a state it does not change."""
        known = self._settled.get(item.id)
        if known is not None and known[0] == item.state:
            return known[1]
        answer = await self._client.call("ContainerStatus", message("ContainerStatusRequest")(container_id=item.id))
        status = container_status(answer.status, item.pod_sandbox_id)
        self._settled[item.id] = (answer.status.state, status)
        return status

    async def container_status(self, container_id: str) -> ContainerStatus | None:
        request = message("ListContainersRequest")()
        request.filter.id = container_id
        items = (await self._client.call("ListContainers", request)).containers
        try:
            return await self._status(items[0]) if items else None
        except NotFound:
            return None

    async def usage(self) -> RuntimeUsage:
        return await cri_usage.ask(self._client, CLUSTER_LABEL, self._cluster)

    # Exec

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout_s: float) -> ExecResult:
        request = message("ExecSyncRequest")(container_id=container_id, cmd=command, timeout=math.ceil(timeout_s))
        try:
            answer = await self._client.call("ExecSync", request, timeout_s=timeout_s + 10 if timeout_s else PULL_S_MAX)
        except DeadlineExceeded as error:
            raise TimeoutError(f"command {list(command)} timed out after {timeout_s:g} s") from error
        except RuntimeFailure as error:
            if "timeout" in str(error) and "exceeded" in str(error):
                raise TimeoutError(f"command {list(command)} timed out after {timeout_s:g} s") from error
            raise
        return ExecResult(answer.exit_code, answer.stdout, answer.stderr)

    async def exec(self, container_id: str, command: tuple[str, ...], *, tty: bool, stdin: bool) -> ExecSession:
        if stdin and not tty and await self._is_containerd_1():
            session = open_ctr(self._client.socket, container_id, command, f"podium-{self._uid()}")
            if session is not None:
                return session
        request = message("ExecRequest")(container_id=container_id, cmd=command, tty=tty, stdin=stdin, stdout=True, stderr=not tty)
        return await open_session((await self._client.call("Exec", request)).url, tty)

    async def attach(self, container_id: str, *, tty: bool, stdin: bool) -> ExecSession:
        request = message("AttachRequest")(container_id=container_id, stdin=stdin, tty=tty, stdout=True, stderr=not tty)
        return await open_session((await self._client.call("Attach", request)).url, tty)

    async def _is_containerd_1(self) -> bool:
        version = await self._client.call("Version")
        return bool(version.runtime_name == "containerd" and version.runtime_version.lstrip("v").startswith("1."))

    # Changes

    def changes(self) -> AsyncIterator[str]:
        return self._changes()

    async def _changes(self) -> AsyncIterator[str]:
        while True:
            try:
                async for event in self._client.stream("GetContainerEvents", message("GetEventsRequest")()):
                    status = event.pod_sandbox_status
                    if status.labels.get(CLUSTER_LABEL) == self._cluster:
                        self._settled.pop(event.container_id, None)
                        yield status.metadata.uid
            except (Unimplemented, RuntimeUnavailable):
                pass
            async for uid in self._poll():
                yield uid

    async def _poll(self) -> AsyncIterator[str]:
        """Ends when the runtime was gone: what answers next may have events."""
        seen: dict[str, tuple[int, str]] | None = None
        while True:
            try:
                now = {item.id: (item.state, item.labels.get(POD_UID, "")) for item in await self._list()}
            except RuntimeUnavailable:
                await asyncio.sleep(POLL_IDLE_S)
                return
            except RuntimeFailure:
                now = seen or {}
            changed = {uid: None for key, (state, uid) in now.items() if seen is not None and seen.get(key) != (state, uid)}
            changed |= {uid: None for key, (_, uid) in (seen or {}).items() if key not in now}
            seen = now
            if changed:
                self._stir()
            for uid in changed:
                yield uid
            await self._pause()

    async def _pause(self) -> None:
        if self._clock.monotonic() < self._busy_until:
            await asyncio.sleep(POLL_BUSY_S)
            return
        self._nudge.clear()
        try:
            async with asyncio.timeout(POLL_IDLE_S):
                await self._nudge.wait()
        except TimeoutError:
            return

    def _stir(self) -> None:
        self._busy_until = self._clock.monotonic() + BUSY_S
        self._nudge.set()
