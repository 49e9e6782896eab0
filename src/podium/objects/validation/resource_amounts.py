"""Resource amounts: requests and limits, capacities.

Source: k8s.io/kubernetes pkg/apis/core/validation (validateResourceRequirements), pkg/apis/core/helper (which names mean what).
"""

from typing import Any

from podium.objects import names, quantities
from podium.objects.quantities import Quantity
from podium.objects.validation.faults import NEGATIVE, Faults
from podium.objects.values import Object

_CONTAINER = ("cpu", "memory", "ephemeral-storage")
_STANDARD = frozenset({
    *_CONTAINER, "storage", "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
    "persistentvolumeclaims", "requests.cpu", "requests.memory", "requests.storage", "requests.ephemeral-storage", "limits.cpu",
    "limits.memory", "limits.ephemeral-storage", "services.nodeports", "services.loadbalancers",
})  # fmt: skip
_COUNTED = frozenset({
    "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
})  # fmt: skip
_HUGE = "hugepages-"


def check_requirements(faults: Faults, requirements: Object, path: str) -> None:
    """A container's (or, with the same names, a pod's) `resources`."""
    limits, requests = requirements.get("limits") or {}, requirements.get("requests") or {}
    if not limits and not requests:
        return
    for name, text in limits.items():
        at = f"{path}.limits[{name}]"
        check_container_name(faults, name, at)
        check_amount(faults, name, text, at)
    for name, text in requests.items():
        at = f"{path}.requests[{name}]"
        check_container_name(faults, name, at)
        amount = check_amount(faults, name, text, at)
        if name in limits:
            _check_bound(faults, name, amount, _parse(limits[name]), f"{path}.requests")
        elif not _may_overcommit(name):
            faults.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
    every = {*limits, *requests}
    if any(name.startswith(_HUGE) for name in every) and not every & {"cpu", "memory"}:
        faults.forbidden(path, "HugePages require cpu or memory")


def check_amount(faults: Faults, name: str, text: Any, path: str) -> Quantity | None:
    """None for what is no quantity, which the object's structure has told of already."""
    amount = _parse(text)
    if amount is None:
        return None
    if amount.nanos < 0:
        faults.invalid(path, str(amount), NEGATIVE)
    if (name in _COUNTED or is_extended(name)) and amount.nanos % quantities.NANO:
        faults.invalid(path, str(amount), "must be an integer")
    return amount


def check_positive(faults: Faults, text: Any, path: str) -> None:
    amount = _parse(text)
    if amount is not None and amount.nanos <= 0:
        faults.invalid(path, str(amount), "must be greater than zero")


def _check_bound(faults: Faults, name: str, amount: Quantity | None, limit: Quantity | None, path: str) -> None:
    if amount is None or limit is None or amount.nanos == limit.nanos:
        return
    if not _may_overcommit(name):
        faults.invalid(path, str(amount), f"must be equal to {name} limit of {limit}")
    elif amount.nanos > limit.nanos:
        faults.invalid(path, str(amount), f"must be less than or equal to {name} limit of {limit}")


def check_container_name(faults: Faults, name: str, path: str) -> None:
    if name in _CONTAINER:
        return
    wrong = names.label_key(name)
    faults.each(path, name, wrong)
    if "/" not in name:
        if not wrong and name not in _STANDARD and not name.startswith(_HUGE):
            faults.invalid(path, name, "must be a standard resource type or fully qualified")
        if not name.startswith(_HUGE):
            faults.invalid(path, name, "must be a standard resource for containers")
    elif not _is_native(name) and not is_extended(name):
        faults.invalid(path, name, "doesn't follow extended resource name standard")


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    return not _is_native(name) and not name.startswith("requests.") and not names.label_key("requests." + name)


def _may_overcommit(name: str) -> bool:
    return _is_native(name) and not name.startswith(_HUGE)


def _parse(text: Any) -> Quantity | None:
    try:
        return quantities.parse(str(text))
    except ValueError:
        return None
