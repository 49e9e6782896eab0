"""What a DaemonSet needs: nodes to place a pod on, pods to delete, a status. Pure.

A node gets a pod when the template's selector and affinity match it and its taints are tolerated; it keeps one as long as no taint evicts.
The pod is bound to its node by an affinity on the node's name and placed by the scheduler. An update deletes outdated pods, those that are
not available first, as long as no more than maxUnavailable pods are missing.

Source: k8s.io/kubernetes pkg/controller/daemon/daemon_controller.go, update.go; pkg/controller/daemon/util.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from podium.client.interface import Object
from podium.controllers.node_eligibility import allows, intolerable
from podium.controllers.ownership import controller_reference
from podium.controllers.pod_conditions import available_at_s, is_finished, is_ready, phase
from podium.controllers.revisions import HASH
from podium.objects.values import copy

BURST_PODS_MAX = 250
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_TOLERATED_ON_HOST = (("node.kubernetes.io/network-unavailable", "NoSchedule"),)


@dataclass(slots=True)
class Plan:
    """`create` are names of nodes; `check_after_s` when a pod becomes available."""

    status: Object
    create: list[str] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    check_after_s: float | None = None


def target_of(pod: Object) -> str:
    """The node it runs on or is meant for."""
    if node := pod["spec"].get("nodeName"):
        return str(node)
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED) or {}
    for term in affinity.get("nodeSelectorTerms") or ():
        for requirement in term.get("matchFields") or ():
            if requirement["key"] == "metadata.name" and requirement.get("values"):
                return str(requirement["values"][0])
    return ""


def tolerations_of(spec: Object) -> list[Object]:
    """The template's, and those that every daemon has."""
    own = list(spec.get("tolerations") or ())
    for key, effect in _TOLERATED + (_TOLERATED_ON_HOST if spec.get("hostNetwork") else ()):
        own.append({"key": key, "operator": "Exists", "effect": effect})
    return own


def plan_daemon_set(
    daemon_set: Object, nodes: Sequence[Object], pods: Sequence[Object], update: str, now_s: float, *, may_plan: bool = True
) -> Plan:
    """`pods` are those it controls, `update` the hash of its template's revision. `may_plan` is false while changes are not seen yet."""
    spec = daemon_set["spec"]["template"]["spec"]
    tolerations = tolerations_of(spec)
    by_node: dict[str, list[Object]] = {}
    for pod in pods:
        by_node.setdefault(target_of(pod), []).append(pod)
    plan, wanted, misplaced = Plan({}), [], 0
    for node in nodes:
        name, fits, effects = node["metadata"]["name"], allows(spec, node), intolerable(tolerations, node)
        should, may_stay = fits and not {"NoSchedule", "NoExecute"} & set(effects), fits and "NoExecute" not in effects
        here = by_node.pop(name, [])
        misplaced += bool(here) and not should
        if should:
            wanted.append(name)
        _plan_node(plan, name, here, should, may_stay)
        by_node[name] = here
    known = {node["metadata"]["name"] for node in nodes}
    plan.delete += [p for name, here in sorted(by_node.items()) if name not in known for p in here if not _going(p)]
    plan.status = _status(plan, daemon_set, wanted, by_node, misplaced, update, now_s)
    if not may_plan:
        plan.create, plan.delete, plan.events = [], [], []
    elif "deletionTimestamp" in daemon_set["metadata"]:
        plan.create, plan.delete = [], []
    else:
        _plan_update(plan, daemon_set, wanted, by_node, update, now_s)
    plan.create, plan.delete = plan.create[:BURST_PODS_MAX], plan.delete[:BURST_PODS_MAX]
    return plan


def _plan_node(plan: Plan, name: str, here: Sequence[Object], should: bool, may_stay: bool) -> None:
    alive = []
    for pod in here:
        if _going(pod):
            continue
        if should and is_finished(pod):
            what, metadata = "failed" if phase(pod) == "Failed" else "succeeded", pod["metadata"]
            message = f"Found {what} daemon pod {metadata['namespace']}/{metadata['name']} on node {name}, will try to kill it"
            plan.events.append(("Warning" if what == "failed" else "Normal", f"{what.capitalize()}DaemonPod", message))
            plan.delete.append(pod)
        else:
            alive.append(pod)
    if should and not here:
        plan.create.append(name)
    elif should:  # one is enough: the one that is furthest, then the oldest
        ranked = sorted(alive, key=lambda p: (not p["spec"].get("nodeName"), not is_ready(p), p["metadata"]["creationTimestamp"]))
        plan.delete += ranked[1:]
    elif not may_stay:
        plan.delete += alive


def _plan_update(
    plan: Plan, daemon_set: Object, wanted: Sequence[str], by_node: dict[str, list[Object]], update: str, now_s: float
) -> None:
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return
    most = max(1, _amount((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), len(wanted)))
    least_s = daemon_set["spec"].get("minReadySeconds") or 0
    missing, candidates = 0, []
    for name in wanted:
        alive = [p for p in by_node.get(name, ()) if not _going(p) and p not in plan.delete]
        if not alive:
            missing += 1
            continue
        pod = alive[0]
        available = _is_available(pod, least_s, now_s)
        outdated = (pod["metadata"].get("labels") or {}).get(HASH) != update
        if not available:
            missing += 1
            if outdated:
                plan.delete.append(pod)  # it costs nothing
        elif outdated:
            candidates.append(pod)
    plan.delete += candidates[: max(0, most - missing)]


def _status(
    plan: Plan, daemon_set: Object, wanted: Sequence[str], by_node: dict[str, list[Object]], misplaced: int, update: str, now_s: float
) -> Object:
    least_s = daemon_set["spec"].get("minReadySeconds") or 0
    placed = ready = available = updated = 0
    for name in wanted:
        alive = [p for p in by_node.get(name, ()) if not _going(p)]
        if not alive:
            continue
        placed += 1
        pod = min(alive, key=lambda p: p["metadata"]["creationTimestamp"])
        ready += is_ready(pod)
        updated += (pod["metadata"].get("labels") or {}).get(HASH) == update
        if _is_available(pod, least_s, now_s):
            available += 1
        elif (at_s := available_at_s(pod, least_s)) is not None:
            plan.check_after_s = at_s - now_s if plan.check_after_s is None else min(plan.check_after_s, at_s - now_s)
    status = copy(daemon_set.get("status") or {})
    status |= {
        "desiredNumberScheduled": len(wanted), "currentNumberScheduled": placed, "numberMisscheduled": misplaced, "numberReady": ready,
        "observedGeneration": daemon_set["metadata"].get("generation", 0),
    }  # fmt: skip
    for name, count in (
        ("updatedNumberScheduled", updated),
        ("numberAvailable", available),
        ("numberUnavailable", len(wanted) - available),
    ):
        if count:
            status[name] = count
        else:
            status.pop(name, None)
    return status


def _is_available(pod: Object, least_s: int, now_s: float) -> bool:
    at_s = available_at_s(pod, least_s)
    return at_s is not None and at_s <= now_s


def _going(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _amount(value: Any, total: int) -> int:
    return ceil(int(value[:-1]) * total / 100) if isinstance(value, str) and value.endswith("%") else int(value)


def pod_of(daemon_set: Object, node: str, digest: str) -> Object:
    """For the server to name and the scheduler to place on that node."""
    metadata, template = daemon_set["metadata"], copy(daemon_set["spec"]["template"])
    head, spec = template.get("metadata") or {}, template["spec"]
    spec["tolerations"] = tolerations_of(spec)
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    affinity = spec.setdefault("affinity", {})
    required = (affinity.setdefault("nodeAffinity", {}).get(_REQUIRED) or {}).get("nodeSelectorTerms") or [{}]
    terms = [{**term, "matchFields": [field]} for term in required]
    affinity["nodeAffinity"][_REQUIRED] = {"nodeSelectorTerms": terms}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": {**(head.get("labels") or {}), HASH: digest},
            **{f: head[f] for f in ("annotations", "finalizers") if head.get(f)},
            "ownerReferences": [controller_reference(daemon_set)],
        },
        "spec": spec,
    }
