"""HorizontalPodAutoscaler, in both of its versions: version 1 knows one metric, and is told of it by the path it has in version 2.

Source: k8s.io/kubernetes pkg/apis/autoscaling/validation/validation.go.
"""

from typing import Any

from podium.objects import names
from podium.objects.quantities import parse
from podium.objects.validation.faults import Faults
from podium.objects.validation.resource_amounts import check_container_name
from podium.objects.values import Object

STABILIZATION_S_MAX = 3600
PERIOD_S_MAX = 1800
_SOURCES = {"Object": "object", "External": "external", "Pods": "pods", "Resource": "resource", "ContainerResource": "containerResource"}
"""Type -> its field, in the order in which they are looked at."""

_TYPES = tuple(sorted(_SOURCES))
_POPULATE = "must populate information for the given metric source"
_RAW_OR_SHARE = "must set either a target raw value or a target utilization"
_BOTH = "may not set both a target raw value and a target utilization"


def check_autoscaler(faults: Faults, value: Object) -> None:
    _check(faults, value.get("spec") or {}, 1)


def check_autoscaler_update(faults: Faults, new: Object, old: Object) -> None:
    """One that was allowed to scale to zero stays so."""
    _check(faults, new.get("spec") or {}, 0 if (old.get("spec") or {}).get("minReplicas") == 0 else 1)


def check_autoscaler_status(faults: Faults, new: Object, old: Object) -> None:
    status = new.get("status") or {}
    for field in ("currentReplicas", "desiredReplicas"):
        faults.not_negative(f"status.{field}", status.get(field))


def _check(faults: Faults, spec: Object, lowest: int) -> None:
    low, high = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if low is not None and low < lowest:
        faults.invalid("spec.minReplicas", low, f"must be greater than or equal to {lowest}")
    if high < 1:
        faults.invalid("spec.maxReplicas", high, "must be greater than 0")
    if low is not None and high < low:
        faults.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    _check_reference(faults, spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    if (percent := spec.get("targetCPUUtilizationPercentage")) is not None and percent < 1:
        faults.invalid("spec.metrics[0].resource.target.averageUtilization", percent, "must be greater than 0")
    metrics = spec.get("metrics") or []
    for i, metric in enumerate(metrics):
        _check_metric(faults, metric, f"spec.metrics[{i}]")
    if low == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        faults.forbidden("spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas")
    for field, rules in (spec.get("behavior") or {}).items():
        if rules is not None:
            _check_rules(faults, rules, f"spec.behavior.{field}")


def _check_reference(faults: Faults, reference: Object, path: str) -> None:
    for field in ("kind", "name"):
        text = reference.get(field) or ""
        if not text:
            faults.required(f"{path}.{field}")
        faults.each(f"{path}.{field}", text, names.path_segment(text))
    version = reference.get("apiVersion") or ""
    if version.count("/") > 1:
        faults.invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")


def _check_rules(faults: Faults, rules: Object, path: str) -> None:
    window, policies = rules.get("stabilizationWindowSeconds"), rules.get("policies") or []
    if window is not None and window < 0:
        faults.invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    if window is not None and window > STABILIZATION_S_MAX:
        faults.invalid(f"{path}.stabilizationWindowSeconds", window, f"must be less than or equal to {STABILIZATION_S_MAX}")
    faults.one_of(f"{path}.selectPolicy", rules.get("selectPolicy"), ("Disabled", "Max", "Min"))
    if not policies:
        faults.required(f"{path}.policies", "must specify at least one Policy")
    for i, policy in enumerate(policies):
        at, seconds = f"{path}.policies[{i}]", policy.get("periodSeconds", 0)
        faults.one_of(f"{at}.type", policy.get("type") or "", ("Percent", "Pods"))
        if policy.get("value", 0) <= 0:
            faults.invalid(f"{at}.value", policy.get("value", 0), "must be greater than zero")
        if seconds <= 0:
            faults.invalid(f"{at}.periodSeconds", seconds, "must be greater than zero")
        if seconds > PERIOD_S_MAX:
            faults.invalid(f"{at}.periodSeconds", seconds, f"must be less than or equal to {PERIOD_S_MAX}")
    if (tolerance := _sign(rules.get("tolerance"))) is not None and tolerance < 0:
        faults.invalid(f"{path}.tolerance", rules["tolerance"], "must be greater than or equal to 0")


def _check_metric(faults: Faults, metric: Object, path: str) -> None:
    type_ = metric.get("type") or ""
    if not type_:
        faults.required(f"{path}.type", "must specify a metric source type")
    faults.one_of(f"{path}.type", type_, _TYPES)
    present = [field for field in _SOURCES.values() if metric.get(field) is not None]
    if present:
        _CHECKS[present[0]](faults, metric[present[0]], f"{path}.{present[0]}")
    expected = _SOURCES.get(type_, "")
    if expected and expected not in present:
        faults.required(f"{path}.{expected}", _POPULATE)
    if len(present) != 1:
        for field in sorted(set(present) - {expected}):
            faults.forbidden(f"{path}.{field}", "must populate the given metric source only")


def _check_object(faults: Faults, source: Object, path: str) -> None:
    _check_reference(faults, source.get("describedObject") or {}, f"{path}.describedObject")
    target = _check_identified(faults, source, path)
    if target.get("value") is None and target.get("averageValue") is None:
        faults.required(f"{path}.target.averageValue", "must set either a target value or averageValue")


def _check_external(faults: Faults, source: Object, path: str) -> None:
    target = _check_identified(faults, source, path)
    if target.get("value") is None and target.get("averageValue") is None:
        faults.required(f"{path}.target.averageValue", "must set either a target value for metric or a per-pod target")
    if target.get("value") is not None and target.get("averageValue") is not None:
        faults.forbidden(f"{path}.target.value", "may not set both a target value for metric and a per-pod target")


def _check_pods(faults: Faults, source: Object, path: str) -> None:
    if _check_identified(faults, source, path).get("averageValue") is None:
        faults.required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _check_resource(faults: Faults, source: Object, path: str) -> None:
    if not source.get("name"):
        faults.required(f"{path}.name", "must specify a resource name")
    _check_share(faults, source, path)


def _check_container_resource(faults: Faults, source: Object, path: str) -> None:
    if not (name := source.get("name")):
        faults.required(f"{path}.name", "must specify a resource name")
    else:
        check_container_name(faults, name, f"{path}.name")
    if not (container := source.get("container")):
        faults.required(f"{path}.container", "must specify a container")
    else:
        faults.each(f"{path}.container", container, names.dns_label(container))
    _check_share(faults, source, path)


_CHECKS = {
    "object": _check_object,
    "external": _check_external,
    "pods": _check_pods,
    "resource": _check_resource,
    "containerResource": _check_container_resource,
}


def _check_share(faults: Faults, source: Object, path: str) -> None:
    target = source.get("target") or {}
    _check_target(faults, target, f"{path}.target")
    share, raw = target.get("averageUtilization"), target.get("averageValue")
    if share is None and raw is None:
        faults.required(f"{path}.target.averageUtilization", _RAW_OR_SHARE)
    if share is not None and raw is not None:
        faults.forbidden(f"{path}.target.averageValue", _BOTH)


def _check_identified(faults: Faults, source: Object, path: str) -> Object:
    """Of a metric with a name; returns its target."""
    name, target = (source.get("metric") or {}).get("name") or "", source.get("target") or {}
    if not name:
        faults.required(f"{path}.metric.name", "must specify a metric name")
    faults.each(f"{path}.metric.name", name, names.path_segment(name))
    _check_target(faults, target, f"{path}.target")
    return target


def _check_target(faults: Faults, target: Object, path: str) -> None:
    type_ = target.get("type") or ""
    if not type_:
        faults.required(f"{path}.type", "must specify a metric target type")
    if type_ not in ("Utilization", "Value", "AverageValue"):
        faults.invalid(f"{path}.type", type_, "must be either Utilization, Value, or AverageValue")
    for field in ("value", "averageValue"):
        sign = _sign(target.get(field))
        if sign is not None and sign <= 0:
            faults.invalid(f"{path}.{field}", target[field], "must be positive")
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        faults.invalid(f"{path}.averageUtilization", share, "must be greater than 0")


def _sign(text: Any) -> int | None:
    """Below, at or above 0; None for what is absent or no quantity, which structure has told of."""
    try:
        nanos = parse(str(text)).nanos if text is not None else None
    except ValueError:
        return None
    return None if nanos is None else (nanos > 0) - (nanos < 0)
