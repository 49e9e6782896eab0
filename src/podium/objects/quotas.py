"""Quotas: what one object counts for, which quotas mean it, and sums that follow every change. Pure; the API server's admission and the
quota controller both count with it, so they cannot disagree.

Amounts are billionths (see quantities). An object's usage has every name it can be counted under; a quota keeps those it limits.

Source: k8s.io/kubernetes pkg/quota/v1/evaluator/core (pods, services, persistent volume claims), k8s.io/apiserver pkg/quota/v1/generic.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podium.objects.pod_resources import pod_amounts, qos_class
from podium.objects.quantities import NANO, Quantity, parse
from podium.objects.values import Object

Usage = dict[str, int]

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_REQUESTS = "requests."
_LIMITS = "limits."
_HUGE = "hugepages-"
_CLASS = ".storageclass.storage.k8s.io/"
_ONE = {"pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims"}
_MUST_SPECIFY = ("cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory")
_SERVICE_NAMES = ("services", "services.nodeports", "services.loadbalancers")


@dataclass(frozen=True, slots=True)
class Scope:
    name: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota, compiled. `hard` are the limits; `scopes` must all match."""

    name: str
    hard: Mapping[str, Quantity]
    scopes: tuple[Scope, ...]

    def limited(self, group: str, plural: str) -> tuple[str, ...]:
        """Which of its limits objects of this resource count for."""
        return tuple(name for name in self.hard if counts_for(name, group, plural))

    def matches(self, group: str, plural: str, value: Object) -> bool:
        return all(_in_scope(scope, group, plural, value) for scope in self.scopes)

    def usage(self, group: str, plural: str, value: Object) -> Usage:
        """What `value` takes of this quota: empty when it is not meant."""
        limited = self.limited(group, plural)
        if not limited or not self.matches(group, plural, value):
            return {}
        whole = usage_of(group, plural, value)
        return {name: whole[name] for name in limited if whole.get(name)}


def compile_quota(value: Object) -> Quota:
    """Raises ValueError for amounts that are none."""
    spec = value.get("spec") or {}
    scopes = [Scope(name, "Exists", ()) for name in spec.get("scopes") or ()]
    for item in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        scopes.append(Scope(item.get("scopeName", ""), item.get("operator", ""), tuple(item.get("values") or ())))
    hard = {name: parse(str(text)) for name, text in sorted((spec.get("hard") or {}).items())}
    return Quota(value["metadata"]["name"], hard, tuple(scopes))


def counts_for(name: str, group: str, plural: str) -> bool:
    """Whether the limit called `name` is about objects of this resource."""
    if name.startswith("count/"):
        return name[6:] == (f"{plural}.{group}" if group else plural)
    if group:
        return False
    if plural == "pods":
        if name == "pods" or name in _COMPUTE or name.startswith((_HUGE, _LIMITS)):
            return True
        return name.startswith(_REQUESTS) and name != "requests.storage"
    if plural == "services":
        return name in _SERVICE_NAMES
    if plural == "persistentvolumeclaims":
        return name in (plural, "requests.storage") or _CLASS in name
    return name == plural and name in _ONE


def resources_of(names: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(group, plural) of what these limits count, sorted."""
    found = set()
    for name in names:
        if name.startswith("count/"):
            plural, _, group = name[6:].partition(".")
            found.add((group, plural))
        elif name in _ONE:
            found.add(("", name))
        elif name in _SERVICE_NAMES:
            found.add(("", "services"))
        elif name == "requests.storage" or _CLASS in name:
            found.add(("", "persistentvolumeclaims"))
        else:
            found.add(("", "pods"))
    return sorted(found)


def usage_of(group: str, plural: str, value: Object) -> Usage:
    counted = {f"count/{plural}.{group}" if group else f"count/{plural}": NANO}
    if group:
        return counted
    if plural == "pods":
        return counted | _pod_usage(value)
    if plural in _ONE:
        counted[plural] = NANO
    if plural == "services":
        return counted | _service_usage(value.get("spec") or {})
    if plural == "persistentvolumeclaims":
        return counted | _claim_usage(value)
    return counted


def _pod_usage(pod: Object) -> Usage:
    """A pod that has ended takes nothing but its place in count/pods."""
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {}
    usage: Usage = {"pods": NANO}
    requests, limits = pod_amounts(pod.get("spec") or {})
    for name, amount in requests.items():
        if name in _COMPUTE or name.startswith(_HUGE):
            usage[name] = usage[_REQUESTS + name] = amount.nanos
        elif "/" in name:
            usage[_REQUESTS + name] = amount.nanos
    for name, amount in limits.items():
        if name in _COMPUTE:
            usage[_LIMITS + name] = amount.nanos
    return usage


def _service_usage(spec: Object) -> Usage:
    ports, type_ = spec.get("ports") or (), spec.get("type")
    usage: Usage = {}
    if type_ == "NodePort" or (type_ == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)):
        usage["services.nodeports"] = len(ports) * NANO
    elif type_ == "LoadBalancer":
        usage["services.nodeports"] = sum(1 for port in ports if port.get("nodePort")) * NANO
    if type_ == "LoadBalancer":
        usage["services.loadbalancers"] = NANO
    return usage


def _claim_usage(claim: Object) -> Usage:
    spec = claim.get("spec") or {}
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    storage = parse(str(asked)).nanos if asked is not None else 0
    usage = {"requests.storage": storage} if storage else {}
    class_name = (claim["metadata"].get("annotations") or {}).get("volume.beta.kubernetes.io/storage-class") or spec.get("storageClassName")
    if class_name:
        usage[f"{class_name}{_CLASS}persistentvolumeclaims"] = NANO
        usage[f"{class_name}{_CLASS}requests.storage"] = storage
    return usage


def unspecified(quota: Quota, group: str, plural: str, value: Object) -> str:
    """Why a pod cannot be counted: the compute resources its containers must name and do not. Empty: nothing."""
    if group or plural != "pods":
        return ""
    missing: dict[str, list[str]] = {}
    spec = value.get("spec") or {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
        named = set(resources.get("requests") or ()) | {_REQUESTS + name for name in resources.get("requests") or ()}
        named |= {_LIMITS + name for name in resources.get("limits") or ()}
        for name in _MUST_SPECIFY:
            if name in quota.hard and name not in named:
                missing.setdefault(name, []).append(container.get("name", ""))
    return "; ".join(f"{name} for: {','.join(sorted(set(containers)))}" for name, containers in sorted(missing.items()))


def _in_scope(scope: Scope, group: str, plural: str, value: Object) -> bool:
    spec = value.get("spec") or {}
    if not group and plural == "persistentvolumeclaims":
        return scope.name == "VolumeAttributesClass" and _chosen(scope, spec.get("volumeAttributesClassName") or "")
    if group or plural != "pods":
        return False
    match scope.name:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return qos_class(spec) == "BestEffort"
        case "NotBestEffort":
            return qos_class(spec) != "BestEffort"
        case "PriorityClass":
            return _chosen(scope, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _across_namespaces(spec.get("affinity") or {})
    return False


def _chosen(scope: Scope, name: str) -> bool:
    match scope.operator:
        case "In":
            return name in scope.values
        case "NotIn":
            return name not in scope.values
        case "DoesNotExist":
            return not name
    return bool(name)


def _across_namespaces(affinity: Object) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        preferred = [t.get("podAffinityTerm") or {} for t in terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]
        for term in (*(terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()), *preferred):
            if term.get("namespaces") or term.get("namespaceSelector") is not None:
                return True
    return False


class Tally:
    """The sum over the objects of one quota, by key (any string that names an object once), kept by `put`."""

    __slots__ = ("_by_key", "used")

    def __init__(self) -> None:
        self._by_key: dict[str, Usage] = {}
        self.used: Usage = {}

    def put(self, key: str, usage: Usage) -> bool:
        """The object at `key` now takes `usage`; an empty one forgets it. Whether anything changed."""
        before = self._by_key.get(key, {})
        if before == usage:
            return False
        for name, amount in before.items():
            self.used[name] -= amount
        for name, amount in usage.items():
            self.used[name] = self.used.get(name, 0) + amount
        if usage:
            self._by_key[key] = usage
        else:
            self._by_key.pop(key, None)
        return True


def show_used(quota: Quota, used: Usage) -> dict[str, str]:
    """status.used: every limited name, in the limit's way of writing where the amount has none of its own."""
    return {name: show_amount(name, used.get(name, 0), limit) for name, limit in quota.hard.items()}


def show_amount(name: str, nanos: int, limit: Quantity) -> str:
    binary = "memory" in name or "storage" in name or _HUGE in name
    return str(Quantity(nanos, "BinarySI" if binary else limit.format if limit.format != "BinarySI" else "DecimalSI"))
