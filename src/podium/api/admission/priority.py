"""Priority: every pod has a number, looked up from its PriorityClass; at most one class is the default of pods that name none.

Source: k8s.io/kubernetes plugin/pkg/admission/priority (admission.go), pkg/apis/scheduling/helpers.go (the two built-in classes).
"""

from typing import Any

from podium.api.admission.plugin import forbidden
from podium.api.core import Core, Object
from podium.api.request import Request

SYSTEM_CLASSES = (
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    ("system-node-critical", 2_000_001_000, "Used for system critical pods that must not be moved from their current node."),
)
_SYSTEM = {name: value for name, value, _ in SYSTEM_CLASSES}
_PREEMPTS = "PreemptLowerPriority"


async def set_priority(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """An update keeps what the creation found."""
    spec = new["spec"]
    if old is not None:
        if "priority" in old["spec"]:
            spec.setdefault("priority", old["spec"]["priority"])
        if "preemptionPolicy" in old["spec"]:
            spec.setdefault("preemptionPolicy", old["spec"]["preemptionPolicy"])
        return
    name = spec.get("priorityClassName", "")
    value, policy = 0, _PREEMPTS
    if name in _SYSTEM:
        value = _SYSTEM[name]
    elif name:
        found = core.admission.priority_classes.get(name)
        if found is None:
            raise forbidden(request, f"no PriorityClass with name {name} was found")
        value, policy = found.get("value", 0), found.get("preemptionPolicy", policy)
    else:
        default = _default_class(core)
        if default is not None:
            spec["priorityClassName"] = default["metadata"]["name"]
            value, policy = default.get("value", 0), default.get("preemptionPolicy", policy)
    _compute(request, spec, "priority", value, "the integer value of priority")
    _compute(request, spec, "preemptionPolicy", policy, "the string value of PreemptionPolicy")


def _compute(request: Request, spec: Object, field: str, value: Any, what: str) -> None:
    given = spec.get(field, value)
    if given != value:
        how = f"priority admission controller computed {value} from the given PriorityClass name"
        raise forbidden(request, f"{what} ({given}) must not be provided in pod spec; {how}")
    spec[field] = value


def _default_class(core: Core) -> Object | None:
    """Of several default classes the least: so upstream."""
    defaults = [c for c in core.admission.priority_classes.all() if c.get("globalDefault")]
    return min(defaults, key=lambda c: c.get("value", 0), default=None)


async def check_class(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    assert new is not None
    if not new.get("globalDefault") or (old is not None and old.get("globalDefault")):
        return
    default = _default_class(core)
    if default is not None and default["metadata"]["name"] != new["metadata"]["name"]:
        name = default["metadata"]["name"]
        raise forbidden(request, f"PriorityClass {name} is already marked as default. Only one default can exist")
