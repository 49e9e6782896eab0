"""Pods start Pending with their quality-of-service class, and are deleted gracefully.

Source: k8s.io/kubernetes pkg/registry/core/pod/strategy.go; pkg/apis/core/helper/qos.
"""

from typing import Any

from podium.api.core import Core, Object, Strategy
from podium.objects import quantities

DEFAULT_GRACE_S = 30
_QOS_RESOURCES = ("cpu", "memory")


class PodStrategy(Strategy):
    def prepare_create(self, core: Core, new: Object) -> None:
        super().prepare_create(core, new)
        new["status"] = {"phase": "Pending", "qosClass": qos_class(new.get("spec") or {})}

    def prepare_status(self, core: Core, new: Object, old: Object) -> None:
        super().prepare_status(core, new, old)
        if isinstance(status := new.get("status"), dict) and (qos := old.get("status", {}).get("qosClass")):
            status["qosClass"] = qos

    def delete_grace_s(self, core: Core, old: Object, asked_s: int | None) -> int:
        spec, phase = old["spec"], old.get("status", {}).get("phase")
        if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
            return 0
        grace_s = asked_s if asked_s is not None else spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
        return max(grace_s, 0) if asked_s == 0 or grace_s >= 0 else 1


def qos_class(spec: dict[str, Any]) -> str:
    """Guaranteed when every container has cpu and memory limits equal to its requests; BestEffort when none has any."""
    containers = [c for c in (*spec.get("containers", ()), *spec.get("initContainers", ())) if isinstance(c, dict)]
    any_set, guaranteed = False, True
    for container in containers:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        any_set = any_set or any(_positive(amounts.get(r)) for amounts in (limits, requests) for r in _QOS_RESOURCES)
        guaranteed = guaranteed and all(_positive(limits.get(r)) and _same(requests.get(r, limits[r]), limits[r]) for r in _QOS_RESOURCES)
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(amount: Any) -> bool:
    try:
        return amount is not None and quantities.milli(str(amount)) > 0
    except ValueError:
        return False


def _same(left: Any, right: Any) -> bool:
    return quantities.milli(str(left)) == quantities.milli(str(right))
