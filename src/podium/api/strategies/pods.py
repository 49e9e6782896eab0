"""Pods start Pending with their quality-of-service class, and are deleted gracefully.

Source: k8s.io/kubernetes pkg/registry/core/pod/strategy.go.
"""

from podium.api.core import Core, Object, Strategy
from podium.objects.pod_resources import qos_class

DEFAULT_GRACE_S = 30
_RESIZED = ("resources", "resizePolicy")


class PodStrategy(Strategy):
    def prepare_create(self, core: Core, new: Object) -> None:
        super().prepare_create(core, new)
        new["status"] = {"phase": "Pending", "qosClass": qos_class(new.get("spec") or {})}

    def prepare_status(self, core: Core, new: Object, old: Object) -> None:
        super().prepare_status(core, new, old)
        if isinstance(status := new.get("status"), dict) and (qos := old.get("status", {}).get("qosClass")):
            status["qosClass"] = qos

    def prepare_part(self, core: Core, new: Object, old: Object, part: str) -> None:
        """Ephemeral containers, or the resources of containers: nothing else of the pod comes through these doors. What may not be done
        with them is validation's to say."""
        spec, given = dict(old["spec"]), new.get("spec") or {}
        if part == "resize":
            for kind in ("containers", "initContainers"):
                if kind in spec or given.get(kind):
                    spec[kind] = _resized(spec.get(kind) or [], given.get(kind) or [])
        else:
            spec.pop("ephemeralContainers", None)
            if given.get("ephemeralContainers"):
                spec["ephemeralContainers"] = given["ephemeralContainers"]
        new["spec"], new["status"] = spec, old.get("status", {})
        metadata = dict(old["metadata"])
        if "managedFields" in new["metadata"]:
            metadata["managedFields"] = new["metadata"]["managedFields"]
        metadata["generation"] = old["metadata"].get("generation", 0) + (spec != old["spec"])
        new["metadata"] = metadata

    def delete_grace_s(self, core: Core, old: Object, asked_s: int | None) -> int:
        spec, phase = old["spec"], old.get("status", {}).get("phase")
        if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
            return 0
        grace_s = asked_s if asked_s is not None else spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
        return max(grace_s, 0) if asked_s == 0 or grace_s >= 0 else 1


def _resized(before: list[Object], given: list[Object]) -> list[Object]:
    """The containers with the resources that were given; all that was given when they are other containers."""
    if [c["name"] for c in before] != [c.get("name") for c in given]:
        return given
    return [
        {**{k: v for k, v in old.items() if k not in _RESIZED}, **{k: new[k] for k in _RESIZED if k in new}}
        for old, new in zip(before, given, strict=True)
    ]
