"""RuntimeClass: a pod's class must exist, and gives the pod its overhead and where it can run.

Source: k8s.io/kubernetes plugin/pkg/admission/runtimeclass.
"""

from podium.api.admission.plugin import forbidden
from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.pod_resources import parse_amounts


async def set_overhead(core: Core, request: Request, new: Object, old: Object | None) -> None:
    spec = new["spec"]
    name = spec.get("runtimeClassName")
    if old is not None or not name:
        return
    found = core.admission.runtime_classes.get(name)
    if found is None:
        raise forbidden(request, f"pod rejected: RuntimeClass {name!r} not found".replace("'", '"'))
    overhead = (found.get("overhead") or {}).get("podFixed")
    if overhead:
        if "overhead" in spec and parse_amounts(spec["overhead"]) != parse_amounts(overhead):
            why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
            raise forbidden(request, why)
        spec["overhead"] = dict(overhead)
    _set_scheduling(request, spec, found.get("scheduling") or {})


def _set_scheduling(request: Request, spec: Object, scheduling: Object) -> None:
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if (spec.get("nodeSelector") or {}).get(key, value) != value:
            raise forbidden(request, "conflict: runtimeClass.scheduling.nodeSelector and pod.spec.nodeSelector: " + key)
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), key: value}
    present = spec.get("tolerations") or []
    added = [t for t in scheduling.get("tolerations") or () if t not in present]
    if added:
        spec["tolerations"] = [*present, *added]


async def check(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    assert new is not None
    spec = new["spec"]
    name = spec.get("runtimeClassName")
    if not spec.get("overhead"):
        return
    if not name:
        raise forbidden(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
    found = core.admission.runtime_classes.get(name)
    if found is not None and not (found.get("overhead") or {}).get("podFixed"):
        raise forbidden(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
