"""What a pod needs on the node before its containers: files, and the values for the runtime. The agent's seam to the disk.

`PodFiles` (pod_files.py) is the real one; `NoFiles` (here) serves simulated pods, which have neither files nor environment.
"""

from typing import Protocol

from podium.node.runtime.interface import ContainerSpec, Resources, SandboxSpec
from podium.objects.quantities import milli, whole
from podium.objects.values import Object


class PreparationFailure(Exception):
    """The pod or a container cannot be prepared now. `reason` is the event's, the message upstream's where there is one."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Preparation(Protocol):
    async def prepare(self, pod: Object) -> None:
        """Makes directories and volumes; safe to repeat. Raises PreparationFailure (FailedMount, FailedCreatePodSandBox)."""
        ...

    async def handler(self, pod: Object) -> str:
        """The runtime handler of the pod's RuntimeClass, empty without one. Raises PreparationFailure (FailedCreatePodSandBox)."""
        ...

    def sandbox_spec(self, pod: Object, attempt: int) -> SandboxSpec:
        """Without the handler."""
        ...

    async def container_spec(self, pod: Object, container: Object, attempt: int, address: str) -> ContainerSpec:
        """Raises PreparationFailure (CreateContainerConfigError)."""
        ...

    def termination_message(self, pod: Object, container: Object, attempt: int, log_path: str, failed: bool) -> str: ...

    async def clean(self, pod: Object) -> None:
        """Removes everything `prepare` and the containers' logs left. Safe to repeat."""
        ...


class NoFiles:
    """For simulated pods. `log_path` stays empty: their logs are asked of the runtime."""

    async def prepare(self, pod: Object) -> None:
        return

    async def handler(self, pod: Object) -> str:
        """Any will do."""
        return pod["spec"].get("runtimeClassName") or ""

    def sandbox_spec(self, pod: Object, attempt: int) -> SandboxSpec:
        metadata, spec = pod["metadata"], pod["spec"]
        return SandboxSpec(
            metadata["namespace"], metadata["name"], metadata["uid"], attempt, metadata["name"], "",
            host_network=bool(spec.get("hostNetwork")), annotations=metadata.get("annotations") or {},
        )  # fmt: skip

    async def container_spec(self, pod: Object, container: Object, attempt: int, address: str) -> ContainerSpec:
        return ContainerSpec(container["name"], attempt, container.get("image", ""), (), (), (), "", (), "", resources(container))

    def termination_message(self, pod: Object, container: Object, attempt: int, log_path: str, failed: bool) -> str:
        return ""

    async def clean(self, pod: Object) -> None:
        return


def resources(container: Object) -> Resources:
    given = container.get("resources") or {}
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    return Resources(
        cpu_request_m=milli(str(requests.get("cpu", limits.get("cpu", 0)))),
        cpu_limit_m=milli(str(limits.get("cpu", 0))),
        memory_request_bytes=whole(str(requests.get("memory", limits.get("memory", 0)))),
        memory_limit_bytes=whole(str(limits.get("memory", 0))),
    )
