"""What the state of a pod means to those who count pods.

active: it is, or may still come to be, at work (not finished, not being deleted). ready: its Ready condition is true. available: ready
for at least minReadySeconds.

Source: k8s.io/kubernetes pkg/api/v1/pod, pkg/controller/controller_utils.go.
"""

from podium.client.interface import Object
from podium.controllers.timestamps import seconds

FINISHED = ("Succeeded", "Failed")


def phase(pod: Object) -> str:
    return (pod.get("status") or {}).get("phase") or "Pending"


def is_finished(pod: Object) -> bool:
    return phase(pod) in FINISHED


def is_active(pod: Object) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and not is_finished(pod)


def ready_condition(pod: Object) -> Object | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Ready":
            return condition
    return None


def is_ready(pod: Object) -> bool:
    condition = ready_condition(pod)
    return condition is not None and condition["status"] == "True"


def available_at_s(pod: Object, min_ready_s: int) -> float | None:
    """When it is or becomes available, if it stays ready; None when it is not ready."""
    condition = ready_condition(pod)
    if condition is None or condition["status"] != "True":
        return None
    return seconds(condition.get("lastTransitionTime")) + min_ready_s if min_ready_s else 0.0
