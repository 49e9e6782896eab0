"""The status of a Deployment: counts, and the conditions Available, Progressing and ReplicaFailure. Pure.

A rollout progresses when updated pods are added, old ones go, or more become ready or available. Without any of these for
progressDeadlineSeconds it is stuck; that is reported, and nothing else is done about it. Time in which the Deployment is paused does not
count.

Source: k8s.io/kubernetes pkg/controller/deployment (progress.go, sync.go), pkg/controller/deployment/util.
"""

from collections.abc import Sequence
from typing import Any

from podium.client.interface import Object
from podium.controllers.deployment_history import NO_LIMIT
from podium.controllers.deployment_sizes import fenceposts, replicas_of
from podium.controllers.timestamps import seconds

PROGRESSING = "Progressing"
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
UPDATED = "ReplicaSetUpdated"
CREATED = "NewReplicaSetCreated"
FOUND = "FoundNewReplicaSet"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"
CREATE_FAILED = "ReplicaSetCreateError"


class Conditions:
    """The conditions of a status in the making; `now` is the time as text."""

    def __init__(self, old: Sequence[Object], now: str) -> None:
        self.values = list(old)
        self._now = now

    def get(self, type: str) -> Object | None:
        return next((c for c in self.values if c["type"] == type), None)

    def remove(self, type: str) -> None:
        self.values = [c for c in self.values if c["type"] != type]

    def set(self, type: str, status: str, reason: str, message: str, *, renew: bool = False) -> None:
        """A condition of the same status and reason stays as it was, unless `renew`."""
        current = self.get(type)
        if current is not None and current["status"] == status and current.get("reason") == reason and not renew:
            return
        since = current["lastTransitionTime"] if current is not None and current["status"] == status else self._now
        self.remove(type)
        self.values.append(
            {"type": type, "status": status, "lastUpdateTime": self._now, "lastTransitionTime": since, "reason": reason, "message": message}
        )


def has_deadline(deployment: Object) -> bool:
    return deployment["spec"].get("progressDeadlineSeconds", 600) not in (None, NO_LIMIT)


def count(deployment: Object, replica_sets: Sequence[Object], new: Object | None, conditions: Conditions) -> Object:
    """The counts, and the condition Available that follows from them."""
    statuses = [r.get("status") or {} for r in replica_sets]
    available = _sum(statuses, "availableReplicas")
    old = deployment.get("status") or {}
    counts = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": _sum(statuses, "replicas"),
        "updatedReplicas": ((new or {}).get("status") or {}).get("replicas", 0),
        "readyReplicas": _sum(statuses, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(replicas_of, replica_sets)) - available),
    }
    status: Object = {field: value for field, value in counts.items() if value}
    if all("terminatingReplicas" in s for s in statuses):
        status["terminatingReplicas"] = _sum(statuses, "terminatingReplicas")
    if "collisionCount" in old:
        status["collisionCount"] = old["collisionCount"]
    if available >= replicas_of(deployment) - fenceposts(deployment)[1]:
        conditions.set("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        conditions.set("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return status


def set_paused(deployment: Object, conditions: Conditions) -> None:
    if not has_deadline(deployment):
        return
    current = conditions.get(PROGRESSING)
    reason = current.get("reason") if current is not None else None
    if reason == TIMED_OUT:
        return
    if deployment["spec"].get("paused") and reason != PAUSED:
        conditions.set(PROGRESSING, "Unknown", PAUSED, "Deployment is paused")
    elif not deployment["spec"].get("paused") and reason == PAUSED:
        conditions.set(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed")


def set_progress(deployment: Object, status: Object, new: Object | None, conditions: Conditions, now_s: float) -> None:
    """The condition Progressing for `status`, the counts of now."""
    if not has_deadline(deployment):
        conditions.remove(PROGRESSING)
        return
    current = conditions.get(PROGRESSING)
    settled = _of(status, "replicas") == _of(status, "updatedReplicas")
    if settled and current is not None and current.get("reason") == COMPLETE:
        return
    what = f'ReplicaSet "{new["metadata"]["name"]}"' if new is not None else f'Deployment "{deployment["metadata"]["name"]}"'
    if is_complete(deployment, status):
        conditions.set(PROGRESSING, "True", COMPLETE, f"{what} has successfully progressed.")
    elif _progressed(deployment.get("status") or {}, status):
        conditions.set(PROGRESSING, "True", UPDATED, f"{what} is progressing.", renew=True)
    elif _timed_out(deployment, current, now_s):
        conditions.set(PROGRESSING, "False", TIMED_OUT, f"{what} has timed out progressing.")


def set_failure(new: Object | None, replica_sets: Sequence[Object], conditions: Conditions) -> None:
    """What keeps a ReplicaSet from having its pods, the new one's first, shown on the Deployment."""
    for replica_set in ([new] if new is not None else []) + list(replica_sets):
        for condition in (replica_set.get("status") or {}).get("conditions") or ():
            if condition["type"] == "ReplicaFailure":
                conditions.set("ReplicaFailure", condition["status"], condition["reason"], condition["message"])
                return
    conditions.remove("ReplicaFailure")


def is_complete(deployment: Object, status: Object) -> bool:
    wanted = replicas_of(deployment)
    return (
        _of(status, "updatedReplicas") == wanted
        and _of(status, "replicas") == wanted
        and _of(status, "availableReplicas") == wanted
        and _of(status, "observedGeneration") >= deployment["metadata"].get("generation", 0)
    )


def check_after_s(deployment: Object, status: Object, now_s: float) -> float | None:
    """When to look again whether the deadline has passed; None when there is nothing to wait for."""
    current = next((c for c in status.get("conditions") or () if c["type"] == PROGRESSING), None)
    if not has_deadline(deployment) or current is None or deployment["spec"].get("paused"):
        return None
    if is_complete(deployment, status) or current.get("reason") in (TIMED_OUT, COMPLETE):
        return None
    due_s = seconds(current["lastUpdateTime"]) + deployment["spec"].get("progressDeadlineSeconds", 600)
    return max(0.0, due_s - now_s) + 1.0


def _progressed(old: Object, new: Object) -> bool:
    return (
        _of(new, "updatedReplicas") > _of(old, "updatedReplicas")
        or _of(new, "replicas") - _of(new, "updatedReplicas") < _of(old, "replicas") - _of(old, "updatedReplicas")
        or _of(new, "readyReplicas") > _of(old, "readyReplicas")
        or _of(new, "availableReplicas") > _of(old, "availableReplicas")
    )


def _timed_out(deployment: Object, current: Object | None, now_s: float) -> bool:
    if current is None or current.get("reason") == COMPLETE:
        return False
    if current.get("reason") == TIMED_OUT:
        return True
    return seconds(current["lastUpdateTime"]) + deployment["spec"].get("progressDeadlineSeconds", 600) < now_s


def _of(status: Object, field: str) -> Any:
    return status.get(field, 0)


def _sum(statuses: Sequence[Object], field: str) -> int:
    return sum(s.get(field, 0) for s in statuses)
