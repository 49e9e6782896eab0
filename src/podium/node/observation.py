"""What the runtime says, node-wide and per pod.

`RuntimeView` lists the runtime for all pods at once and shares a listing between everyone who asked before it began, so fifty pods that
start together cost a few listings and not fifty. `PodView` is one pod's part, newest first.
"""

import asyncio
from dataclasses import dataclass

from podium.node.runtime.interface import ContainerState, ContainerStatus, Runtime, SandboxStatus


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod's sandboxes and containers, each newest (highest attempt) first."""

    sandboxes: tuple[SandboxStatus, ...] = ()
    containers: tuple[ContainerStatus, ...] = ()

    @property
    def sandbox(self) -> SandboxStatus | None:
        """The newest sandbox if it is ready: the only one that containers may start in."""
        return self.sandboxes[0] if self.sandboxes and self.sandboxes[0].ready else None

    def of(self, name: str) -> list[ContainerStatus]:
        """Every container seen with that name, newest first."""
        return [c for c in self.containers if c.name == name]

    def newest(self, name: str) -> ContainerStatus | None:
        return next((c for c in self.containers if c.name == name), None)

    @property
    def running(self) -> list[ContainerStatus]:
        """Containers that must be stopped before the pod is over; an unknown state may still run."""
        return [c for c in self.containers if c.state in (ContainerState.RUNNING, ContainerState.UNKNOWN)]

    @property
    def over(self) -> bool:
        """Nothing runs and no sandbox holds an address."""
        return not self.running and not any(s.ready for s in self.sandboxes)


EMPTY = PodView()


class RuntimeView:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = asyncio.Lock()
        self._begun = self._done = 0
        self._pods: dict[str, PodView] = {}

    async def refresh(self) -> None:
        """Returns after a listing that began no earlier than this call. Raises RuntimeFailure."""
        wanted = self._begun + 1
        while self._done < wanted:
            async with self._lock:
                if self._done >= wanted:
                    return
                self._begun += 1
                number = self._begun
                # Sandboxes first: a container listed afterwards then always finds its sandbox.
                sandboxes = await self._runtime.list_sandboxes()
                containers = await self._runtime.list_containers()
                self._pods = _by_pod(sandboxes, containers)
                self._done = number

    def pod(self, uid: str) -> PodView:
        return self._pods.get(uid, EMPTY)

    def uids(self) -> list[str]:
        """Pods the runtime knows anything of, sorted."""
        return sorted(self._pods)


def _by_pod(sandboxes: list[SandboxStatus], containers: list[ContainerStatus]) -> dict[str, PodView]:
    grouped: dict[str, tuple[list[SandboxStatus], list[ContainerStatus]]] = {}
    for sandbox in sandboxes:
        grouped.setdefault(sandbox.uid, ([], []))[0].append(sandbox)
    for container in containers:
        grouped.setdefault(container.pod_uid, ([], []))[1].append(container)
    return {
        uid: PodView(
            tuple(sorted(boxes, key=lambda s: (-s.attempt, -s.created_ns))),
            tuple(sorted(runs, key=lambda c: (-c.attempt, -c.created_ns))),
        )
        for uid, (boxes, runs) in grouped.items()
    }
