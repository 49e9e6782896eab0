"""What a ReplicaSet needs: pods to create, pods to delete, a status. Pure.

Which pods go first when there are too many: those that cost least to lose. Unscheduled before scheduled, pending before running, not
ready before ready, cheaper (annotation controller.kubernetes.io/pod-deletion-cost) before dearer, on nodes with many pods of the same
owner before others, ready for a short time before long, restarted often before seldom, young before old. Ages are compared by their order
of magnitude, and within one by uid: otherwise the youngest would always go, and with them the spread over failure domains.

Source: k8s.io/kubernetes pkg/controller/controller_utils.go (ActivePodsWithRanks), pkg/controller/replicaset.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

from podium.client.interface import Object
from podium.controllers.ownership import controller_reference
from podium.controllers.pod_conditions import FINISHED, is_ready, phase, ready_condition
from podium.controllers.timestamps import seconds
from podium.objects.values import copy

BURST_PODS_MAX = 500
"""Pods created or deleted for one ReplicaSet in one turn."""

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}
_NO_STATUS: Object = {}
_LOG2_NS_PER_S = log2(1e9)


@dataclass(frozen=True, slots=True)
class Plan:
    """`create` pods of the template, or `delete` these; never both."""

    create: int
    delete: list[Object]


@dataclass(frozen=True, slots=True)
class Tally:
    """The pods of one ReplicaSet: `active` in the order they were given; counts are of active pods, but `terminating`. `check_after_s` is
    when the next ready pod becomes available, in seconds from now; None if none is awaited."""

    active: list[Object]
    labelled: int
    ready: int
    available: int
    terminating: int
    check_after_s: float | None


def tally(replica_set: Object, pods: Sequence[Object], now_s: float) -> Tally:
    spec = replica_set["spec"]
    min_ready_s = spec.get("minReadySeconds") or 0
    template_labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    wanted = template_labels.items()
    active: list[Object] = []
    labelled = ready = available = terminating = 0
    next_s: float | None = None
    for pod in pods:  # all pods at every turn: what pod_conditions says of one, without its calls
        metadata, status = pod["metadata"], pod.get("status") or _NO_STATUS
        if status.get("phase") in FINISHED:
            continue
        if "deletionTimestamp" in metadata:
            terminating += 1
            continue
        active.append(pod)
        labelled += wanted <= (metadata.get("labels") or {}).items()
        for condition in status.get("conditions") or ():
            if condition["type"] == "Ready":
                break
        else:
            continue
        if condition["status"] != "True":
            continue
        ready += 1
        if not min_ready_s:
            available += 1
            continue
        at_s = seconds(condition.get("lastTransitionTime")) + min_ready_s
        if at_s <= now_s:
            available += 1
        else:
            next_s = at_s if next_s is None else min(next_s, at_s)
    return Tally(active, labelled, ready, available, terminating, None if next_s is None else next_s - now_s)


def plan_replicas(replica_set: Object, active: Sequence[Object], related: Sequence[Object], now_s: float) -> Plan:
    """`related` are the active pods that share a node's risk with these: those of the same owner's ReplicaSets, these included."""
    replicas = replica_set["spec"].get("replicas", 1)
    excess = len(active) - replicas
    if excess < 0:
        return Plan(min(-excess, BURST_PODS_MAX), [])
    if excess == 0:
        return Plan(0, [])
    if replicas == 0:  # all of them go: no need to rank
        return Plan(0, list(active[:BURST_PODS_MAX]))
    return Plan(0, choose_victims(active, related, min(excess, BURST_PODS_MAX), now_s))


def choose_victims(active: Sequence[Object], related: Sequence[Object], count: int, now_s: float) -> list[Object]:
    if count >= len(active):
        return list(active)
    crowd = Counter(pod["spec"].get("nodeName", "") for pod in related)
    return sorted(active, key=lambda pod: _worth(pod, crowd, now_s))[:count]


def _worth(pod: Object, crowd: Mapping[str, int], now_s: float) -> tuple[Any, ...]:
    metadata, node = pod["metadata"], pod["spec"].get("nodeName", "")
    ready = is_ready(pod)
    ready_at_s = seconds((ready_condition(pod) or {}).get("lastTransitionTime")) if ready else 0.0
    return (
        bool(node),
        _PHASE_ORDER.get(phase(pod), 0),
        ready,
        deletion_cost(pod),
        -crowd[node] if node else 0,
        _magnitude(now_s - ready_at_s) if ready else 0,
        -_restarts(pod),
        _magnitude(now_s - seconds(metadata.get("creationTimestamp"))),
        metadata["uid"],
    )


def deletion_cost(pod: Object) -> int:
    """An annotation that is not an integer of 32 bits counts as none."""
    text = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    try:
        cost = int(text)
    except ValueError:
        return 0
    return cost if -(2**31) <= cost < 2**31 and text == str(cost) else 0


def _restarts(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((status.get("restartCount", 0) for status in statuses), default=0)


def _magnitude(age_s: float) -> int:
    """The order of magnitude of an age, as upstream's: the logarithm to base 2 of nanoseconds."""
    return int(log2(age_s) + _LOG2_NS_PER_S) if age_s > 0 else 0


def pod_of(replica_set: Object) -> Object:
    """A pod of its template, for the server to name."""
    metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
    head = template.get("metadata") or {}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": metadata["name"] + "-",
            "namespace": metadata["namespace"],
            **{field: head[field] for field in ("labels", "annotations", "finalizers") if head.get(field)},
            "ownerReferences": [controller_reference(replica_set)],
        },
        "spec": template["spec"],
    }
    return copy(pod)


def plan_status(replica_set: Object, counts: Tally, failure: tuple[str, str] | None, now: str) -> Object:
    """`failure` is the (reason, message) of what kept us from creating or deleting; `now` the time as text."""
    old = replica_set.get("status") or {}
    status = {
        "replicas": len(counts.active),
        "fullyLabeledReplicas": counts.labelled,
        "readyReplicas": counts.ready,
        "availableReplicas": counts.available,
        "terminatingReplicas": counts.terminating,
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }
    if replica_set["kind"] != "ReplicaSet":
        del status["terminatingReplicas"]  # a ReplicationController has no such field
    shown = {field: count for field, count in status.items() if count or field in ("replicas", "terminatingReplicas")}
    conditions = _conditions(old.get("conditions") or [], failure, now)
    return {**shown, "conditions": conditions} if conditions else shown


def _conditions(old: list[Object], failure: tuple[str, str] | None, now: str) -> list[Object]:
    others = [c for c in old if c["type"] != "ReplicaFailure"]
    if failure is None:
        return others
    current = next((c for c in old if c["type"] == "ReplicaFailure"), None)
    if current is not None and current["reason"] == failure[0]:
        return old
    return [*others, {"type": "ReplicaFailure", "status": "True", "reason": failure[0], "message": failure[1], "lastTransitionTime": now}]
