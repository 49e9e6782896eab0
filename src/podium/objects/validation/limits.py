"""What limits a namespace and ranks its pods: LimitRange, ResourceQuota, PriorityClass, RuntimeClass.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidateLimitRange, ValidateResourceQuota), pkg/apis/scheduling/validation,
pkg/apis/node/validation.
"""

from typing import Any

from podium.objects import names
from podium.objects.quantities import Quantity
from podium.objects.validation.faults import IMMUTABLE, Faults
from podium.objects.validation.labels import check_labels
from podium.objects.validation.placement import check_tolerations
from podium.objects.validation.resource_amounts import check_amount
from podium.objects.values import Object

_LIMIT_TYPES = ("Container", "Pod", "PersistentVolumeClaim")
_SCOPES = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_VALUELESS_SCOPES = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_CONFLICTS = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_COMPUTE = frozenset(
    prefix + name for prefix in ("", "requests.", "limits.") for name in ("cpu", "memory", "ephemeral-storage")
)  # fmt: skip
_QUOTA_NAMES = _COMPUTE | {
    "requests.storage", "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
}  # fmt: skip
_SYSTEM_PREFIX = "system-"
_SYSTEM_VALUES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
PRIORITY_MAX = 1_000_000_000


def check_limit_range(faults: Faults, value: Object) -> None:
    seen: set[Any] = set()
    for i, item in enumerate((value.get("spec") or {}).get("limits") or ()):
        path = f"spec.limits[{i}]"
        type_ = item.get("type") or ""
        faults.each(f"{path}.type", type_, names.label_key(type_))
        if "/" not in type_ and type_ not in _LIMIT_TYPES:
            faults.invalid(f"{path}.type", type_, "must be a standard limit type or fully qualified")
        faults.unique(f"{path}.type", type_, seen)
        _check_limit(faults, item, type_, path)


def _check_limit(faults: Faults, item: Object, type_: str, path: str) -> None:
    fields = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
    amounts: dict[str, dict[str, Quantity]] = {field: {} for field in fields}
    for field in fields:
        given = item.get(field) or {}
        if type_ == "Pod" and given and field in ("default", "defaultRequest"):
            faults.forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'")
            continue
        for name, text in given.items():
            amount = check_amount(faults, name, text, f"{path}.{field}[{name}]")
            if amount is not None:
                amounts[field][name] = amount
    if type_ == "PersistentVolumeClaim" and "storage" not in amounts["min"] and "storage" not in amounts["max"]:
        faults.required(f"{path}.limits", "either minimum or maximum storage value is required, but neither was provided")
    for name in sorted({name for field in fields for name in amounts[field]}):
        _check_order(faults, {field: amounts[field].get(name) for field in fields}, name, path)


_ORDER = (
    ("min", "max", "min", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "defaultRequest", "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {} is greater than max value {}"),
    ("defaultRequest", "default", "defaultRequest", "default request value {} is greater than default limit value {}"),
    ("min", "default", "default", "min value {} is greater than default value {}"),
    ("default", "max", "default", "default value {} is greater than max value {}"),
)
"""(smaller, greater, the field that is blamed, why)."""


def _check_order(faults: Faults, amounts: dict[str, Quantity | None], name: str, path: str) -> None:
    for smaller, greater, blamed, why in _ORDER:
        low, high = amounts[smaller], amounts[greater]
        if low is not None and high is not None and low.nanos > high.nanos:
            faults.invalid(f"{path}.{blamed}[{name}]", str(amounts[blamed]), why.format(low, high))
    ratio, low, high = amounts["maxLimitRequestRatio"], amounts["min"], amounts["max"]
    at = f"{path}.maxLimitRequestRatio[{name}]"
    if ratio is not None and ratio.nanos < 10**9:
        faults.invalid(at, str(ratio), f"ratio {ratio} is less than 1")
    if ratio is not None and low is not None and high is not None and low.nanos and ratio.nanos > high.nanos * 10**9 // low.nanos:
        faults.invalid(at, str(ratio), f"ratio {ratio} is greater than max/min = {high.nanos / low.nanos:f}")


def check_quota(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    for name, text in (spec.get("hard") or {}).items():
        path = f"spec.hard[{name}]"
        _check_quota_name(faults, name, path)
        check_amount(faults, name, text, path)
    _check_scopes(faults, spec)
    for i, item in enumerate((spec.get("scopeSelector") or {}).get("matchExpressions") or ()):
        _check_scope_expression(faults, item, f"spec.scopeSelector.matchExpressions[{i}]")


def check_quota_update(faults: Faults, new: Object, old: Object) -> None:
    check_quota(faults, new)
    scopes = (new.get("spec") or {}).get("scopes") or []
    if sorted(scopes) != sorted((old.get("spec") or {}).get("scopes") or []):
        faults.invalid("spec.scopes", scopes, IMMUTABLE)


def _is_standard(name: str) -> bool:
    return name in _QUOTA_NAMES or name.startswith(("hugepages-", "requests.hugepages-"))


def _check_quota_name(faults: Faults, name: str, path: str) -> None:
    faults.each(path, name, names.label_key(name))
    if "/" not in name and not _is_standard(name):
        faults.invalid(path, name, "must be a standard resource for quota")


def _check_scopes(faults: Faults, spec: Object) -> None:
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES:
            faults.invalid("spec.scopes", scopes, "unsupported scope")
        counted = ("pods",) if scope == "BestEffort" else (*sorted(_COMPUTE), "pods")
        for name in spec.get("hard") or {}:
            if _is_standard(name) and name not in counted and scope != "VolumeAttributesClass" and "hugepages" not in name:
                faults.invalid("spec.scopes", scopes, "unsupported scope applied to resource")
    for pair in _CONFLICTS:
        if all(scope in scopes for scope in pair):
            faults.invalid("spec.scopes", scopes, "conflicting scopes")


def _check_scope_expression(faults: Faults, item: Object, path: str) -> None:
    scope, operator, wanted = item.get("scopeName") or "", item.get("operator") or "", item.get("values") or []
    if scope not in _SCOPES:
        faults.invalid(f"{path}.scopeName", scope, "unsupported scope")
    if scope in _VALUELESS_SCOPES and operator != "Exists":
        named = ", ".join(f"ResourceQuotaScope{s}" for s in ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort"))
        why = f"must be 'Exist' when scope is any of {named} or ResourceQuotaScopeCrossNamespacePodAffinity"
        faults.invalid(f"{path}.operator", operator, why)
    if operator in ("In", "NotIn"):
        if not wanted:
            faults.required(f"{path}.values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
    elif operator in ("Exists", "DoesNotExist"):
        if wanted:
            faults.invalid(f"{path}.values", wanted, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
    else:
        faults.invalid(f"{path}.operator", operator, "not a valid selector operator")


def check_priority_class(faults: Faults, value: Object) -> None:
    name, number = value["metadata"].get("name") or "", value.get("value") or 0
    if name.startswith(_SYSTEM_PREFIX):
        if why := _not_built_in(value, name, number):
            text = f"priority class names with '{_SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
            faults.forbidden("metadata.name", text)
    elif number > PRIORITY_MAX:
        faults.forbidden("value", f"maximum allowed value of a user defined priority is {PRIORITY_MAX}")
    faults.one_of("preemptionPolicy", value.get("preemptionPolicy"), ("Never", "PreemptLowerPriority"))


def _not_built_in(value: Object, name: str, number: int) -> str:
    known = _SYSTEM_VALUES.get(name)
    if known is None:
        return f"{name} is not a known system priority class"
    if number != known:
        return f"value of {name} must be {known}"
    return f"globalDefault of {name} must be false" if value.get("globalDefault") else ""


def check_priority_class_update(faults: Faults, new: Object, old: Object) -> None:
    if (new.get("value") or 0) != (old.get("value") or 0):
        faults.forbidden("value", "may not be changed in an update.")
    faults.unchanged("preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))
    faults.one_of("preemptionPolicy", new.get("preemptionPolicy"), ("Never", "PreemptLowerPriority"))


def check_runtime_class(faults: Faults, value: Object) -> None:
    handler = value.get("handler") or ""
    faults.each("handler", handler, names.dns_label(handler))
    for name, text in ((value.get("overhead") or {}).get("podFixed") or {}).items():
        check_amount(faults, name, text, f"overhead.podFixed[{name}]")
    scheduling = value.get("scheduling") or {}
    check_labels(faults, scheduling.get("nodeSelector"), "scheduling.nodeSelector")
    tolerations, seen = scheduling.get("tolerations") or [], list[Object]()
    check_tolerations(faults, tolerations, "scheduling.tolerations")
    for i, toleration in enumerate(tolerations):
        if toleration in seen:
            faults.duplicate(f"scheduling.tolerations[{i}]", toleration)
        seen.append(toleration)


def check_runtime_class_update(faults: Faults, new: Object, old: Object) -> None:
    check_runtime_class(faults, new)
    faults.unchanged("handler", new.get("handler"), old.get("handler"))
