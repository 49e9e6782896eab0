"""A pod's resources: amounts by name, what its containers ask for together, its class of service.

Restartable init containers (sidecars) run beside the containers, so they count with them; other init containers run alone, one after the
other, each beside the sidecars that were started before it.

Source: k8s.io/component-helpers resource/helpers.go (PodRequests, PodLimits), k8s.io/kubernetes pkg/apis/core/helper/qos.
"""

from collections.abc import Mapping
from typing import Any

from podium.objects.quantities import Quantity, parse
from podium.objects.values import Object

Amounts = Mapping[str, Quantity]
_QOS_RESOURCES = ("cpu", "memory")


def parse_amounts(amounts: Mapping[str, Any] | None) -> Amounts:
    """Raises ValueError."""
    return {name: parse(str(text)) for name, text in amounts.items()} if amounts else {}


def add(left: Amounts, right: Amounts) -> dict[str, Quantity]:
    """Sums by name; the format of the first that has the name."""
    total = dict(left)
    for name, amount in right.items():
        have = total.get(name)
        total[name] = amount if have is None else Quantity(have.nanos + amount.nanos, have.format)
    return total


def largest(left: Amounts, right: Amounts) -> dict[str, Quantity]:
    total = dict(left)
    for name, amount in right.items():
        have = total.get(name)
        if have is None or amount.nanos > have.nanos:
            total[name] = amount
    return total


def pod_amounts(spec: Object) -> tuple[Amounts, Amounts]:
    """(requests, limits) of the whole pod, overhead included."""
    overhead = parse_amounts(spec.get("overhead"))
    requests, limits = (_together(spec, kind) for kind in ("requests", "limits"))
    for whole, of_pod in ((requests, "requests"), (limits, "limits")):
        whole |= parse_amounts((spec.get("resources") or {}).get(of_pod))
    if overhead:
        requests = add(requests, overhead)
        limits = add(limits, {name: amount for name, amount in overhead.items() if name in limits})
    return requests, limits


def _together(spec: Object, kind: str) -> dict[str, Quantity]:
    total: dict[str, Quantity] = {}
    for container in spec.get("containers") or ():
        total = add(total, _of(container, kind))
    sidecars: dict[str, Quantity] = {}
    start: dict[str, Quantity] = {}
    for container in spec.get("initContainers") or ():
        amounts = _of(container, kind)
        if container.get("restartPolicy") == "Always":
            total, sidecars = add(total, amounts), add(sidecars, amounts)
            start = largest(start, sidecars)
        else:
            start = largest(start, add(amounts, sidecars))
    return largest(total, start)


def _of(container: Object, kind: str) -> Amounts:
    return parse_amounts((container.get("resources") or {}).get(kind))


def qos_class(spec: Object) -> str:
    """Guaranteed when every container has cpu and memory limits equal to its requests; BestEffort when none has any."""
    containers = [c for c in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())) if isinstance(c, dict)]
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
        return amount is not None and parse(str(amount)).nanos > 0
    except ValueError:
        return False


def _same(left: Any, right: Any) -> bool:
    try:
        return parse(str(left)).nanos == parse(str(right)).nanos
    except ValueError:
        return False
