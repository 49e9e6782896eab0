"""Reading a pod's spec and metadata: the questions that planning, status and probes share."""

from datetime import datetime
from typing import Any

from podium.objects.values import Object

TERMINAL_PHASES = ("Succeeded", "Failed")
GRACE_DEFAULT_S = 30
GRACE_MIN_S = 1


def uid_of(pod: Object) -> str:
    uid: str = pod["metadata"]["uid"]
    return uid


def is_sidecar(container: Object) -> bool:
    """An init container with restartPolicy Always: it is started in its turn and then runs beside the rest."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: Object) -> str:
    policy: str = pod["spec"].get("restartPolicy", "Always")
    return policy


def phase_of(pod: Object) -> str:
    phase: str = pod.get("status", {}).get("phase", "Pending")
    return phase


def is_terminal(pod: Object) -> bool:
    return phase_of(pod) in TERMINAL_PHASES


def all_containers(pod: Object) -> list[Object]:
    """Initial, regular and ephemeral ones."""
    spec = pod["spec"]
    return [*(spec.get("initContainers") or ()), *spec["containers"], *(spec.get("ephemeralContainers") or ())]


def status_of(pod: Object, name: str) -> Object:
    """The container's entry of the pod's status in the API; {} when it has none."""
    status = pod.get("status", {})
    for field in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(field) or ():
            if entry["name"] == name:
                found: Object = entry
                return found
    return {}


def has_run_before(entry: Object) -> bool:
    """Whether a status entry tells of a container that was started at least once."""
    state, last = entry.get("state") or {}, entry.get("lastState") or {}
    return "running" in state or "terminated" in state or "terminated" in last


def grace_s(pod: Object) -> int:
    """How long its containers may take to stop: what the delete asked for, else the spec's."""
    metadata = pod["metadata"]
    asked = metadata.get("deletionGracePeriodSeconds") if "deletionTimestamp" in metadata else None
    value: Any = asked if asked is not None else pod["spec"].get("terminationGracePeriodSeconds", GRACE_DEFAULT_S)
    return max(int(value), GRACE_MIN_S)


def epoch_s(timestamp: str) -> float:
    """Seconds since the epoch of a metav1.Time."""
    return datetime.fromisoformat(timestamp).timestamp()


def display(pod: Object) -> str:
    """`name_namespace(uid)`: how messages name a pod. Source: kubelet/util/format."""
    metadata = pod["metadata"]
    return f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
