"""Resizing pods in place: what a node grants of a pod's resources, and when a container must restart for it.

Three amounts for each container: what its spec asks for; what the node granted (`PodMemory.granted`, by name), which is what containers are
started with; and what is in force in a running container (`PodMemory.in_force`, by id). A change of the spec is granted when the whole pod still
fits beside the others of the node: never fitting is Infeasible, not fitting now is Deferred and asked again when others leave. Then what
is granted is brought into force, by the runtime or, where the container's resizePolicy says so, by a restart.

A restarted agent reads what was granted from the pod's status. Pure.
Source: kubelet/allocation (canAdmitPod, messages), kuberuntime computePodResizeAction; KEP-1287.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from podium.node.observation import PodView
from podium.node.pod_memory import PodMemory
from podium.node.pod_spec import is_sidecar, status_of
from podium.node.runtime.interface import ContainerState, Resources
from podium.objects.pod_resources import Amounts, add, parse_amounts, pod_amounts
from podium.objects.quantities import Quantity, milli, whole
from podium.objects.values import Object

RESIZABLE = ("cpu", "memory")
INFEASIBLE, DEFERRED = "Infeasible", "Deferred"
PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
RETRY_S = 180.0
"""How often a deferred resize is tried again when nothing on the node changes."""

Granted = Mapping[str, Object]
"""The `resources` of each resizable container, by name."""


@dataclass(frozen=True, slots=True)
class Grant:
    """`granted` from now on. When the spec asks for more than that, `reason` and `message` say why; else both are empty."""

    granted: Granted
    reason: str = ""
    message: str = ""


def amounts(container: Object) -> Resources:
    """The CPU and memory of a container's `resources`; a request that is not given is the limit."""
    given = container.get("resources") or {}
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    return Resources(
        cpu_request_m=milli(str(requests.get("cpu", limits.get("cpu", 0)))),
        cpu_limit_m=milli(str(limits.get("cpu", 0))),
        memory_request_bytes=whole(str(requests.get("memory", limits.get("memory", 0)))),
        memory_limit_bytes=whole(str(limits.get("memory", 0))),
    )


def in_spec(pod: Object) -> dict[str, Object]:
    """What the spec asks for."""
    spec = pod["spec"]
    resizable = [*spec["containers"], *(c for c in spec.get("initContainers") or () if is_sidecar(c))]
    return {c["name"]: c.get("resources") or {} for c in resizable}


def granted_before(pod: Object) -> dict[str, Object]:
    """What was granted by the agent before this one, as the status tells; for containers it does not tell of, what the spec asks for."""
    found = in_spec(pod)
    for name in found:
        entry = status_of(pod, name)
        if entry.get("allocatedResources"):
            limits = (entry.get("resources") or {}).get("limits")
            found[name] = {"requests": entry["allocatedResources"], **({"limits": limits} if limits else {})}
    return found


def with_granted(pod: Object, granted: Granted) -> Object:
    """The pod's spec with these resources."""
    spec = dict(pod["spec"])
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            spec[kind] = [{**c, "resources": granted[c["name"]]} if c["name"] in granted else c for c in spec[kind]]
    return spec


def same(one: Object, other: Object) -> bool:
    """Whether two `resources` give a container the same CPU and memory."""
    return one == other or amounts({"resources": one}) == amounts({"resources": other})


def grant(pod: Object, granted: Granted, others: Iterable[tuple[Object, Granted]], allocatable: Mapping[str, str]) -> Grant:
    """`others` are the other pods of the node, with what was granted to them. Without a number in `allocatable` there is no bound."""
    wanted = in_spec(pod)
    if all(name in granted and same(resources, granted[name]) for name, resources in wanted.items()):
        return Grant(wanted)
    requests, before = pod_amounts(with_granted(pod, wanted))[0], pod_amounts(with_granted(pod, granted))[0]
    room = parse_amounts({name: allocatable[name] for name in RESIZABLE if name in allocatable})
    for name, capacity in room.items():
        if (asked := requests.get(name)) is not None and asked.nanos > capacity.nanos:
            message = f"Node didn't have enough capacity: {name}, requested: {_plain(name, asked)}, capacity: {_plain(name, capacity)}"
            return Grant(granted, INFEASIBLE, message)
    grows = [name for name in room if name in requests and requests[name].nanos > (before[name].nanos if name in before else 0)]
    if grows:
        used: Amounts = {}
        for other, theirs in others:
            used = add(used, pod_amounts(with_granted(other, theirs))[0])
        for name in grows:
            taken = used[name].nanos if name in used else 0
            if taken + requests[name].nanos > room[name].nanos:
                message = (
                    f"Node didn't have enough resource: {name}, requested: {_plain(name, requests[name])}, "
                    f"used: {_plain(name, used[name]) if name in used else 0}, capacity: {_plain(name, room[name])}"
                )
                return Grant(granted, DEFERRED, message)
    return Grant(wanted)


def needs_restart(container: Object, before: Object, after: Object) -> bool:
    """Whether the container's resizePolicy wants a restart for one of the amounts that change."""
    old, new = amounts({"resources": before}), amounts({"resources": after})
    changed = {
        "cpu": (old.cpu_request_m, old.cpu_limit_m) != (new.cpu_request_m, new.cpu_limit_m),
        "memory": (old.memory_request_bytes, old.memory_limit_bytes) != (new.memory_request_bytes, new.memory_limit_bytes),
    }
    policies = container.get("resizePolicy") or ()
    return any(p.get("restartPolicy") == "RestartContainer" and changed.get(p.get("resourceName", ""), False) for p in policies)


def unfinished_resizes(view: PodView, memory: PodMemory) -> list[str]:
    """The ids of running containers in which something else is in force than is granted."""
    running = [c for c in view.containers if c.state is ContainerState.RUNNING and c.id in memory.in_force and c.name in memory.granted]
    return [c.id for c in running if not same(memory.in_force[c.id], memory.granted[c.name])]


def _plain(name: str, amount: Quantity) -> int:
    """As the kubelet prints amounts here: CPU in thousandths, memory in bytes."""
    return milli(str(amount)) if name == "cpu" else whole(str(amount))
