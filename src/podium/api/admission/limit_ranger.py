"""LimitRanger: a namespace's LimitRanges fill in the resources of containers, and bound those of containers, pods and claims.

LimitRanges are compiled when they change (quantities parsed); a namespace without one costs a dictionary lookup.
Source: k8s.io/kubernetes plugin/pkg/admission/limitranger (admission.go: messages, order of the checks).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from podium.api.admission.plugin import forbidden, together
from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.pod_resources import Amounts, parse_amounts, pod_amounts, qos_class
from podium.objects.quantities import NANO, Quantity

ANNOTATION = "kubernetes.io/limit-ranger"


@dataclass(frozen=True, slots=True)
class Limit:
    """One item of a LimitRange. `default` and `default_request` stay as they were written: they are copied into containers."""

    type: str
    min: Amounts
    max: Amounts
    ratio: Amounts
    default: Mapping[str, str]
    default_request: Mapping[str, str]


def compile_limits(value: Object) -> list[Limit]:
    items = (value.get("spec") or {}).get("limits") or ()
    return [
        Limit(
            item.get("type", ""), parse_amounts(item.get("min")), parse_amounts(item.get("max")), parse_amounts(item.get("maxLimitRequestRatio")),
            item.get("default") or {}, item.get("defaultRequest") or {},
        ) for item in items
    ]  # fmt: skip


async def set_defaults(core: Core, request: Request, new: Object, old: Object | None) -> None:
    """A container without a request or a limit gets that of the LimitRanges; an annotation says so."""
    ranges = core.admission.limit_ranges.within(request.namespace or "")
    if not ranges or old is not None or request.resource.plural != "pods":
        return
    notes: list[str] = []
    spec = new["spec"]
    for limits in ranges.values():
        for limit in limits:
            if limit.type == "Container" and (limit.default or limit.default_request):
                for field, what in (("containers", "container"), ("initContainers", "init container")):
                    for container in spec.get(field) or ():
                        notes += _complete(container, limit, what)
    if notes:
        new["metadata"].setdefault("annotations", {})[ANNOTATION] = "LimitRanger plugin set: " + "; ".join(notes)
        new["status"]["qosClass"] = qos_class(spec)


def _complete(container: Object, limit: Limit, what: str) -> list[str]:
    notes = []
    for field, defaults, word in (("requests", limit.default_request, "request"), ("limits", limit.default, "limit")):
        present = (container.get("resources") or {}).get(field) or {}
        added = {name: amount for name, amount in defaults.items() if name not in present}
        if added:
            container["resources"] = {**(container.get("resources") or {}), field: {**present, **added}}
            notes.append(f"{', '.join(sorted(added))} {word} for {what} {container.get('name', '')}")
    return notes


async def check(core: Core, request: Request, new: Object | None, old: Object | None) -> None:
    ranges = core.admission.limit_ranges.within(request.namespace or "")
    if not ranges or new is None:
        return
    judge = _judge_pod if request.resource.plural == "pods" else _judge_claim
    for limits in ranges.values():
        faults = [fault for limit in limits for fault in judge(limit, new)]
        if faults:
            raise forbidden(request, together(faults))


def _judge_pod(limit: Limit, pod: Object) -> list[str]:
    spec = pod["spec"]
    if limit.type == "Pod":
        return _judge(limit, *pod_amounts(spec))
    if limit.type != "Container":
        return []
    faults = []
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
        faults += _judge(limit, parse_amounts(resources.get("requests")), parse_amounts(resources.get("limits")))
    return faults


def _judge(limit: Limit, requests: Amounts, limits: Amounts) -> list[str]:
    faults = [_below(limit.type, name, bound, requests.get(name), limits.get(name)) for name, bound in limit.min.items()]
    faults += [_above(limit.type, name, bound, requests.get(name), limits.get(name)) for name, bound in limit.max.items()]
    faults += [_ratio(limit.type, name, bound, requests.get(name), limits.get(name)) for name, bound in limit.ratio.items()]
    return [fault for fault in faults if fault]


def _below(type_: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> str:
    head = f"minimum {name} usage per {type_} is {bound}"
    if request is None:
        return f"{head}.  No request is specified"
    if request.nanos < bound.nanos:
        return f"{head}, but request is {request}"
    return f"{head}, but limit is {limit}" if limit is not None and limit.nanos < bound.nanos else ""


def _above(type_: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> str:
    head = f"maximum {name} usage per {type_} is {bound}"
    if limit is None:
        return f"{head}.  No limit is specified"
    if limit.nanos > bound.nanos:
        return f"{head}, but limit is {limit}"
    return f"{head}, but request is {request}" if request is not None and request.nanos > bound.nanos else ""


def _ratio(type_: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> str:
    head = f"{name} max limit to request ratio per {type_} is {bound}"
    if request is None or not request.nanos:
        return f"{head}, but no request is specified or request is 0"
    if limit is None or not limit.nanos:
        return f"{head}, but no limit is specified or limit is 0"
    given = limit.nanos / request.nanos
    return f"{head}, but provided ratio is {given:f}" if given > bound.nanos / NANO else ""


def _judge_claim(limit: Limit, claim: Object) -> list[str]:
    if limit.type != "PersistentVolumeClaim":
        return []
    requests = parse_amounts(((claim.get("spec") or {}).get("resources") or {}).get("requests"))
    faults = [_below(limit.type, name, bound, requests.get(name), None) for name, bound in limit.min.items()]
    for name, bound in limit.max.items():
        request, head = requests.get(name), f"maximum {name} usage per {limit.type} is {bound}"
        if request is None:
            faults.append(f"{head}.  No request is specified")
        elif request.nanos > bound.nanos:
            faults.append(f"{head}, but request is {request}")
    return [fault for fault in faults if fault]
