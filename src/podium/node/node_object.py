"""The Node object: what a node says of itself. Pure.

Source: kubelet kubelet_node_status.go, nodestatus/setters.go (conditions and their wording).
"""

from dataclasses import dataclass, field

from podium.objects.values import Object

VERSION = "v1.37.0"
_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)
READY = ("True", "KubeletReady", "kubelet is posting ready status")


@dataclass(frozen=True, slots=True)
class NodeDescription:
    """`info` has nodeInfo's own fields; `not_ready` says why the node is not ready, empty when it is."""

    name: str
    address: str
    port: int
    capacity: dict[str, str]
    allocatable: dict[str, str]
    info: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()
    pod_cidr: str = ""
    not_ready: str = ""


def node_object(description: NodeDescription) -> Object:
    """As it is created, without a status."""
    spec: Object = {}
    if description.pod_cidr:
        spec["podCIDR"], spec["podCIDRs"] = description.pod_cidr, [description.pod_cidr]
    if description.taints:
        spec["taints"] = [dict(t) for t in description.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": description.name, "labels": node_labels(description)},
        "spec": spec,
    }


def node_labels(description: NodeDescription) -> dict[str, str]:
    system, machine = description.info["operatingSystem"], description.info["architecture"]
    return {
        "beta.kubernetes.io/arch": machine,
        "beta.kubernetes.io/os": system,
        "kubernetes.io/arch": machine,
        "kubernetes.io/hostname": description.name,
        "kubernetes.io/os": system,
        **description.labels,
    }


def node_status(description: NodeDescription, old: Object, timestamp: str) -> Object:
    """The fields of the status that the agent owns; conditions of others are left out of it."""
    status: Object = {
        "capacity": description.capacity,
        "allocatable": description.allocatable,
        "addresses": [{"type": "InternalIP", "address": description.address}, {"type": "Hostname", "address": description.name}],
        "nodeInfo": description.info,
        "conditions": _conditions(description, old, timestamp),
    }
    if description.port:
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": description.port}}
    return status


def node_info(**given: str) -> dict[str, str]:
    """nodeInfo with every required field."""
    names = ("architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "kubeletVersion", "machineID")
    return {**dict.fromkeys((*names, "operatingSystem", "osImage", "systemUUID"), ""), "kubeletVersion": VERSION, **given}


def _conditions(description: NodeDescription, old: Object, timestamp: str) -> list[Object]:
    before = {c["type"]: c for c in old.get("conditions") or ()}
    ready = ("False", "KubeletNotReady", description.not_ready) if description.not_ready else READY
    rows = [(name, "False", reason, message) for name, reason, message in _PRESSURES]
    rows.append(("Ready", *ready))
    conditions = []
    for name, value, reason, message in rows:
        previous = before.get(name)
        since = previous["lastTransitionTime"] if previous and previous["status"] == value else timestamp
        conditions.append(
            {
                "type": name,
                "status": value,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": timestamp,
                "lastTransitionTime": since,
            }
        )
    return conditions
