"""One pod on this node, as the agent holds it."""

import asyncio
from typing import Any

from podium.node.observation import EMPTY, PodView
from podium.node.pod_memory import PodMemory
from podium.node.pod_plan import Held
from podium.node.pod_spec import uid_of
from podium.objects.values import Object


class PodWorker:
    """`task` runs while there is something to do; a settled pod has none, only perhaps a `timer` that will poke it."""

    __slots__ = (
        "cleaned",
        "deleted",
        "dirty",
        "gone",
        "held",
        "interrupted",
        "interruptible",
        "memory",
        "over",
        "pod",
        "task",
        "timer",
        "view",
    )

    def __init__(self, pod: Object) -> None:
        self.pod = pod
        self.memory = PodMemory()
        self.view: PodView = EMPTY
        self.held: tuple[Held, ...] = ()
        self.over = False
        self.gone = False
        self.deleted = False
        """The final delete was accepted."""
        self.cleaned = False
        self.dirty = False
        self.interruptible = False
        self.interrupted = False
        self.task: asyncio.Task[Any] | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def uid(self) -> str:
        return uid_of(self.pod)

    @property
    def deleting(self) -> bool:
        return self.gone or "deletionTimestamp" in self.pod["metadata"]

    def take(self, pod: Object) -> bool:
        """Accepts a version of the pod unless it is older than the one held."""
        if int(pod["metadata"].get("resourceVersion") or 0) < int(self.pod["metadata"].get("resourceVersion") or 0):
            return False
        self.pod = pod
        return True

    def interrupt(self) -> None:
        """Ends a wait that no longer makes sense: an image pull or a long grace of a pod that must go sooner."""
        if self.task is not None and self.interruptible and not self.interrupted:
            self.interrupted = True
            self.task.cancel()

    def container_spec(self, name: str) -> Object | None:
        spec = self.pod["spec"]
        for field in ("containers", "initContainers", "ephemeralContainers"):
            for container in spec.get(field) or ():
                if container["name"] == name:
                    found: Object = container
                    return found
        return None

    def address(self, host_ip: str) -> str:
        """Where its probes and hooks reach it."""
        if self.pod["spec"].get("hostNetwork"):
            return host_ip
        return self.view.sandboxes[0].ip if self.view.sandboxes else ""


def orphan(uid: str, view: PodView) -> PodWorker:
    """A worker for a pod that the runtime has and the API does not: it knows just enough to be stopped."""
    sandbox = view.sandboxes[0] if view.sandboxes else None
    metadata = {"uid": uid, "namespace": sandbox.namespace if sandbox else "", "name": sandbox.name if sandbox else "unknown"}
    names = sorted({c.name for c in view.containers})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": name} for name in names]}}
    worker = PodWorker(pod)
    worker.gone = True
    return worker
