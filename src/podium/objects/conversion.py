"""Two URLs, one set of objects: kinds that are served in more than one form are stored in one, and converted at the edge.

Today: events.k8s.io/v1 Events (stored as core Events) and autoscaling/v1 HorizontalPodAutoscalers (stored as v2). `to_storage` and `from_storage` are
pure, make new values and are each other's inverse; for every other resource they give back what they got.

Source: k8s.io/kubernetes pkg/apis/events/v1/conversion.go, pkg/apis/autoscaling/v1/conversion.go.
"""

from typing import Any

import orjson

from podium.objects.resources import Resource

Object = dict[str, Any]

_EVENT_FIELDS = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_CORE_EVENT_FIELDS = {core: new for new, core in _EVENT_FIELDS.items()}
_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"


def to_storage(resource: Resource, value: Object) -> Object:
    match resource.storage_api_version, resource.kind:
        case "", _:
            return value
        case "v1", "Event":
            return {_EVENT_FIELDS.get(k, k): v for k, v in value.items()} | {"apiVersion": "v1"}
        case "autoscaling/v2", "HorizontalPodAutoscaler":
            return _autoscaler_to_v2(value)
    raise AssertionError(f"no conversion for {resource.api_version} {resource.kind}")


def from_storage(resource: Resource, value: Object) -> Object:
    if resource.custom is not None and value.get("apiVersion") != resource.api_version:
        return {**value, "apiVersion": resource.api_version}
    match resource.storage_api_version, resource.kind:
        case "", _:
            return value
        case "v1", "Event":
            return {_CORE_EVENT_FIELDS.get(k, k): v for k, v in value.items()} | {"apiVersion": resource.api_version}
        case "autoscaling/v2", "HorizontalPodAutoscaler":
            return _autoscaler_to_v1(value)
    raise AssertionError(f"no conversion for {resource.api_version} {resource.kind}")


def _autoscaler_to_v2(value: Object) -> Object:
    spec, metadata = dict(value.get("spec") or {}), dict(value["metadata"])
    annotations = dict(metadata.get("annotations") or {})
    metrics = _take(annotations, _METRICS) or []
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    if percent is not None:
        metrics = [_cpu_metric(percent), *metrics]
    if metrics:
        spec["metrics"] = metrics
    if behavior := _take(annotations, _BEHAVIOR):
        spec["behavior"] = behavior
    status = dict(value.get("status") or {})
    current = _take(annotations, _CURRENT_METRICS) or []
    used = status.pop("currentCPUUtilizationPercentage", None)
    if used is not None:
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": used}}}, *current]
    if current:
        status["currentMetrics"] = current
    if conditions := _take(annotations, _CONDITIONS):
        status["conditions"] = conditions
    return _rebuilt(value, "autoscaling/v2", metadata, annotations, spec, status)


def _autoscaler_to_v1(value: Object) -> Object:
    spec, status, metadata = dict(value.get("spec") or {}), dict(value.get("status") or {}), dict(value["metadata"])
    annotations = dict(metadata.get("annotations") or {})
    percent, others = _split_cpu(spec.pop("metrics", []), "target")
    used, current = _split_cpu(status.pop("currentMetrics", []), "current")
    if percent is not None:
        spec["targetCPUUtilizationPercentage"] = percent
    if used is not None:
        status["currentCPUUtilizationPercentage"] = used
    kept = (
        (_METRICS, others),
        (_BEHAVIOR, spec.pop("behavior", None)),
        (_CURRENT_METRICS, current),
        (_CONDITIONS, status.pop("conditions", None)),
    )
    for key, content in kept:
        if content:
            annotations[key] = orjson.dumps(content).decode()
    return _rebuilt(value, "autoscaling/v1", metadata, annotations, spec, status)


def _rebuilt(value: Object, api_version: str, metadata: Object, annotations: Object, spec: Object, status: Object) -> Object:
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    new = {**value, "apiVersion": api_version, "metadata": metadata, "spec": spec}
    if status or "status" in value:
        new["status"] = status
    return new


def _cpu_metric(percent: int) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}


def _split_cpu(metrics: list[Object], field: str) -> tuple[int | None, list[Object]]:
    """The first CPU utilization, and the metrics that v1 has no field for."""
    found: int | None = None
    others = []
    for metric in metrics:
        source = metric.get("resource") or {}
        percent = source.get(field, {}).get("averageUtilization")
        if found is None and metric.get("type") == "Resource" and source.get("name") == "cpu" and percent is not None:
            found = percent
        else:
            others.append(metric)
    return found, others


def _take(annotations: dict[str, str], key: str) -> Any:
    """The JSON in an annotation, removed from it; None when there is none that can be read."""
    try:
        return orjson.loads(annotations.pop(key))
    except (KeyError, orjson.JSONDecodeError):
        return None
