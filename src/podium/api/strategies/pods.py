"""Pods start Pending with their quality-of-service class, and are deleted gracefully.

Source: k8s.io/kubernetes pkg/registry/core/pod/strategy.go.
"""

from podium.api.core import Core, Object, Strategy
from podium.objects.pod_resources import qos_class

DEFAULT_GRACE_S = 30


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
