"""Resizing a pod in place: what may be asked of the resources of containers that are there already.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidatePodResize, validateContainerResize).
"""

from podium.objects.pod_resources import qos_class
from podium.objects.validation.faults import Faults
from podium.objects.validation.pods import check_spec
from podium.objects.values import Object

RESIZABLE = ("cpu", "memory")


def check_resize(faults: Faults, new: Object, old: Object) -> None:
    """`new` differs from `old` in the resources and resize policies of its containers only, or has other containers."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    for kind in ("containers", "initContainers"):
        if [c.get("name") for c in spec.get(kind) or ()] != [c.get("name") for c in before.get(kind) or ()]:
            faults.forbidden("spec", "containers may not be renamed or reordered on resize")
            return
    check_spec(faults, spec)
    if "kubernetes.io/config.mirror" in (old["metadata"].get("annotations") or {}):
        faults.forbidden("", "static pods cannot be resized")
    current = (old.get("status") or {}).get("qosClass") or qos_class(before)
    if qos_class(spec) != current:
        faults.invalid("spec", current, "Pod QOS Class may not change as a result of resizing")
    for kind in ("containers", "initContainers"):
        for i, (container, earlier) in enumerate(zip(spec.get(kind) or (), before.get(kind) or (), strict=True)):
            path = f"spec.{kind}[{i}].resources"
            if kind == "initContainers" and container.get("restartPolicy") != "Always":
                if container.get("resources") != earlier.get("resources"):
                    faults.forbidden(path, "resources for non-sidecar init containers are immutable")
                continue
            _check_amounts(faults, container.get("resources") or {}, earlier.get("resources") or {}, path)
            if container.get("resizePolicy") != earlier.get("resizePolicy"):
                faults.forbidden("spec", "only cpu and memory resources are mutable")


def _check_amounts(faults: Faults, new: Object, old: Object, path: str) -> None:
    for kind in ("limits", "requests"):
        amounts, before = new.get(kind) or {}, old.get(kind) or {}
        if any(name in before and name not in amounts for name in RESIZABLE):
            faults.forbidden(f"{path}.{kind}", f"resource {kind} cannot be removed")
        if any(amounts.get(name) != before.get(name) for name in {**amounts, **before} if name not in RESIZABLE):
            faults.forbidden("spec", "only cpu and memory resources are mutable")
            return
    if new.get("claims") != old.get("claims"):
        faults.forbidden("spec", "only cpu and memory resources are mutable")
