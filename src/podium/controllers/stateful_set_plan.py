"""What a StatefulSet needs: which ordinal to create, which pod to delete, a status. Pure.

Theory: every ordinal has one identity (name, claims), so pods are made and replaced by name. Unless pods are managed in parallel, a turn
goes through the ordinals in ascending order and stops at the first pod that is not running and ready; then, from the highest down, through
those that are too many; and only when all are well it replaces outdated ones, from the highest down to the partition.

Source: k8s.io/kubernetes pkg/controller/statefulset/stateful_set_control.go, stateful_set_utils.go.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from podium.client.interface import Object
from podium.controllers.ownership import controller_reference
from podium.controllers.pod_conditions import available_at_s, is_finished, is_ready, phase
from podium.controllers.revisions import HASH
from podium.controllers.timestamps import seconds
from podium.objects.values import copy

POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_ORDINAL = re.compile(r"^(.*)-(\d+)$")


@dataclass(slots=True)
class Plan:
    """`create` are (ordinal, name of the revision); `check_after_s` when a pod becomes available."""

    status: Object
    create: list[tuple[int, str]] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    check_after_s: float | None = None


def ordinal_of(stateful_set: Object, pod: Object) -> int:
    """-1 for a pod that is not named as its pods are."""
    found = _ORDINAL.match(pod["metadata"]["name"])
    return int(found[2]) if found and found[1] == stateful_set["metadata"]["name"] else -1


def plan_stateful_set(stateful_set: Object, pods: Sequence[Object], current: str, update: str, now: str) -> Plan:
    """`pods` are those it controls; `current` and `update` name the revisions that it comes from and goes to."""
    return _Turn(stateful_set, pods, current, update, now).plan()


class _Turn:
    """One look at one StatefulSet."""

    def __init__(self, stateful_set: Object, pods: Sequence[Object], current: str, update: str, now: str) -> None:
        self.set, self.spec = stateful_set, stateful_set["spec"]
        self.current, self.update, self.now_s = current, update, seconds(now)
        self.parallel = self.spec.get("podManagementPolicy") == "Parallel"
        self.start = (self.spec.get("ordinals") or {}).get("start", 0)
        self.end = self.start + self.spec.get("replicas", 1)
        by_ordinal = {ordinal_of(stateful_set, pod): pod for pod in pods}
        self.wanted = {n: by_ordinal.get(n) for n in range(self.start, self.end)}
        self.surplus = [by_ordinal[n] for n in sorted(by_ordinal, reverse=True) if n >= 0 and n not in self.wanted]
        self.rolling = (self.spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
        strategy = (self.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        self.partition = strategy.get("partition") or 0
        self.unavailable_max = max(1, _amount(strategy.get("maxUnavailable", 1), self.spec.get("replicas", 1)))
        self.check_after_s: float | None = None
        self.result = Plan(self._status([p for n, p in by_ordinal.items() if n >= 0]))

    def plan(self) -> Plan:
        if "deletionTimestamp" not in self.set["metadata"]:
            self._fill() or self._shrink() or self._replace()
        self.result.check_after_s = self.check_after_s
        return self.result

    # Each returns whether the turn ends with it.

    def _fill(self) -> bool:
        for ordinal, pod in self.wanted.items():
            if pod is None:
                self.result.create.append((ordinal, self._revision_for(ordinal)))
            elif is_finished(pod) and not _terminating(pod):
                why = f"StatefulSet {self.set['metadata']['namespace']}/{self.set['metadata']['name']} is recreating failed Pod"
                self.result.events.append(("Warning", "RecreatingFailedPod", f"{why} {pod['metadata']['name']}"))
                self.result.delete.append(pod)
            elif not self._healthy(pod):
                if not self.parallel:
                    return True
                continue
            else:
                continue
            if not self.parallel:
                return True
        return False

    def _shrink(self) -> bool:
        unhealthy = next((p for p in [*self.wanted.values(), *reversed(self.surplus)] if p is not None and not self._healthy(p)), None)
        for pod in self.surplus:
            if _terminating(pod):
                if not self.parallel:
                    return True
                continue
            if not self.parallel and not self._healthy(pod) and pod is not unhealthy:
                return True  # the first that is not well goes last
            self.result.delete.append(pod)
            if not self.parallel:
                return True
        return bool(self.surplus) and not self.parallel

    def _replace(self) -> bool:
        if not self.rolling or self.result.create:
            return False
        unavailable = sum(1 for p in self.wanted.values() if p is None or not self._available(p))
        for ordinal in sorted(self.wanted, reverse=True):
            pod = self.wanted[ordinal]
            if ordinal < self.start + self.partition:
                return False
            if pod is None or pod in self.result.delete:
                return True
            if _revision(pod) != self.update and not _terminating(pod):
                if self._available(pod):
                    if unavailable >= self.unavailable_max:
                        return True
                    unavailable += 1
                self.result.delete.append(pod)
                if unavailable >= self.unavailable_max:
                    return True
            elif not self._available(pod) and unavailable >= self.unavailable_max:
                return True
        return False

    def _revision_for(self, ordinal: int) -> str:
        """A pod below the partition comes back as it was."""
        return self.current if self.rolling and ordinal < self.start + self.partition else self.update

    def _healthy(self, pod: Object) -> bool:
        return phase(pod) == "Running" and is_ready(pod) and not _terminating(pod) and self._available(pod)

    def _available(self, pod: Object) -> bool:
        if phase(pod) != "Running" or not is_ready(pod) or _terminating(pod):
            return False
        at_s = available_at_s(pod, self.spec.get("minReadySeconds") or 0) or 0.0
        if at_s <= self.now_s:
            return True
        left_s, before_s = at_s - self.now_s, self.check_after_s
        self.check_after_s = left_s if before_s is None else min(before_s, left_s)
        return False

    def _status(self, pods: Sequence[Object]) -> Object:
        status = copy(self.set.get("status") or {})
        ready = [p for p in pods if phase(p) == "Running" and is_ready(p)]
        alive = [p for p in pods if not _terminating(p)]
        counts = {
            "replicas": len(pods),
            "readyReplicas": len(ready),
            "availableReplicas": sum(self._available(p) for p in pods),
            "currentReplicas": sum(_revision(p) == self.current for p in alive),
            "updatedReplicas": sum(_revision(p) == self.update for p in alive),
        }
        status |= {"observedGeneration": self.set["metadata"].get("generation", 0), "updateRevision": self.update}
        status.setdefault("collisionCount", 0)
        all_new = counts["updatedReplicas"] == counts["replicas"] == counts["readyReplicas"]
        if self.current != self.update and self.rolling and all_new and len(alive) == self.spec.get("replicas", 1):
            self.current, counts["currentReplicas"] = self.update, counts["updatedReplicas"]
        status["currentRevision"] = self.current
        for name, count in counts.items():
            if count or name in ("replicas", "availableReplicas"):
                status[name] = count
            else:
                status.pop(name, None)
        return status


def _terminating(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _revision(pod: Object) -> str:
    return (pod["metadata"].get("labels") or {}).get(HASH, "")


def _amount(value: Any, total: int) -> int:
    return ceil(int(value[:-1]) * total / 100) if isinstance(value, str) and value.endswith("%") else int(value)


def pod_of(stateful_set: Object, ordinal: int, template: Object, revision: str) -> Object:
    """The pod of that ordinal in that revision of the template."""
    metadata, template = stateful_set["metadata"], copy(template)
    head, spec = template.get("metadata") or {}, template["spec"]
    name = f"{metadata['name']}-{ordinal}"
    labels = {**(head.get("labels") or {}), POD_NAME: name, POD_INDEX: str(ordinal), HASH: revision}
    spec["hostname"] = name
    if service := stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = service
    claims = {c["metadata"]["name"]: claim_name(stateful_set, c, ordinal) for c in stateful_set["spec"].get("volumeClaimTemplates") or ()}
    if claims:
        others = [v for v in spec.get("volumes") or () if v["name"] not in claims]
        spec["volumes"] = [{"name": v, "persistentVolumeClaim": {"claimName": c}} for v, c in claims.items()] + others
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": labels,
            **{f: head[f] for f in ("annotations", "finalizers") if head.get(f)},
            "ownerReferences": [controller_reference(stateful_set)],
        },
        "spec": spec,
    }


def claim_name(stateful_set: Object, template: Object, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{stateful_set['metadata']['name']}-{ordinal}"


def claims_of(stateful_set: Object, ordinal: int) -> list[Object]:
    """The claims of one ordinal; they outlive its pod."""
    labels = (stateful_set["spec"]["selector"] or {}).get("matchLabels") or {}
    found = []
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        head = template.get("metadata") or {}
        metadata = {
            "name": claim_name(stateful_set, template, ordinal),
            "namespace": stateful_set["metadata"]["namespace"],
            "labels": {**(head.get("labels") or {}), **labels},
            **({"annotations": head["annotations"]} if head.get("annotations") else {}),
        }
        found.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": copy(template["spec"])})
    return found
