"""Workloads: what makes pods from a template, and what scales and guards them.

Source: k8s.io/kubernetes pkg/apis/apps/validation, pkg/apis/policy/validation, pkg/apis/autoscaling/validation; selectors are immutable
by pkg/registry/apps/*/strategy.go.
"""

from typing import Any

from podium.objects import names, selectors
from podium.objects.selectors import LabelSelector
from podium.objects.status import BadRequest
from podium.objects.validation.faults import NEGATIVE, Faults
from podium.objects.validation.labels import check_label_selector
from podium.objects.validation.pod_spec import check_selected_template
from podium.objects.values import Object

_STATUS_COUNTS = ("replicas", "updatedReplicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def check_deployment(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    faults.not_negative("spec.replicas", spec.get("replicas"))
    selector = _check_selector(faults, spec, "deployment")
    check_selected_template(faults, spec.get("template"), selector, "spec.template", "ReplicaSet")
    _check_strategy(faults, spec.get("strategy") or {}, "spec.strategy")
    least_s, deadline_s = spec.get("minReadySeconds") or 0, spec.get("progressDeadlineSeconds")
    faults.not_negative("spec.minReadySeconds", least_s)
    faults.not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    faults.not_negative("spec.progressDeadlineSeconds", deadline_s)
    if deadline_s is not None and deadline_s <= least_s:
        faults.invalid("spec.progressDeadlineSeconds", deadline_s, "must be greater than minReadySeconds")


def check_replica_set(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    faults.not_negative("spec.replicas", spec.get("replicas"))
    faults.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = _check_selector(faults, spec, "deployment")  # upstream says deployment here, too
    check_selected_template(faults, spec.get("template"), selector, "spec.template", "ReplicaSet")


def check_replication_controller(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    faults.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    faults.not_negative("spec.replicas", spec.get("replicas"))
    if not spec.get("selector"):
        faults.required("spec.selector")
    selector = selectors.from_labels(spec.get("selector"))
    check_selected_template(faults, spec.get("template"), selector, "spec.template", "ReplicationController")


def check_selector_unchanged(faults: Faults, new: Object, old: Object) -> None:
    faults.unchanged("spec.selector", (new.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector"))


def check_counts(faults: Faults, new: Object, old: Object) -> None:
    """The status of a Deployment, ReplicaSet or ReplicationController."""
    status = new.get("status") or {}
    for field in (*_STATUS_COUNTS, "unavailableReplicas", "observedGeneration", "collisionCount"):
        faults.not_negative(f"status.{field}", status.get(field))
    total, ready = status.get("replicas") or 0, status.get("readyReplicas") or 0
    for field in _STATUS_COUNTS[1:]:
        if (status.get(field) or 0) > total:
            faults.invalid(f"status.{field}", status.get(field, 0), "cannot be greater than status.replicas")
    if (status.get("availableReplicas") or 0) > ready:
        faults.invalid("status.availableReplicas", status.get("availableReplicas", 0), "cannot be greater than readyReplicas")
    collisions, before = status.get("collisionCount"), (old.get("status") or {}).get("collisionCount")
    if before is not None and (collisions is None or collisions < before):
        faults.invalid("status.collisionCount", collisions, "cannot be decremented")


def check_scale(faults: Faults, value: Object) -> None:
    replicas = (value.get("spec") or {}).get("replicas") or 0
    if replicas < 0:
        faults.invalid("spec.replicas", replicas, NEGATIVE)


def check_disruption_budget(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        faults.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        if spec.get(field) is not None:
            check_count_or_percent(faults, spec[field], f"spec.{field}")
            _check_at_most_all(faults, spec[field], f"spec.{field}")
    check_label_selector(faults, spec.get("selector"), "spec.selector")
    faults.one_of("spec.unhealthyPodEvictionPolicy", spec.get("unhealthyPodEvictionPolicy"), ("AlwaysAllow", "IfHealthyBudget"))


def check_count_or_percent(faults: Faults, value: Any, path: str) -> None:
    if isinstance(value, str):
        faults.each(path, value, names.percent(value))
    else:
        faults.not_negative(path, value)


def _check_selector(faults: Faults, spec: Object, kind: str) -> LabelSelector | None:
    """None when there is none or it is not sound."""
    value = spec.get("selector")
    if value is None:
        faults.required("spec.selector")
        return None
    check_label_selector(faults, value, "spec.selector")
    if not value.get("matchLabels") and not value.get("matchExpressions"):
        faults.invalid("spec.selector", value, f"empty selector is invalid for {kind}")
    try:
        return selectors.from_value(value)
    except BadRequest:
        faults.invalid("spec.selector", value, "invalid label selector")
        return None


def _check_strategy(faults: Faults, strategy: Object, path: str) -> None:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            faults.forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind not in (None, "RollingUpdate"):
        faults.one_of(path, strategy, ("Recreate", "RollingUpdate"))  # upstream shows the whole strategy
    elif rolling is not None:
        unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
        at = f"{path}.rollingUpdate"
        for field, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
            if value is not None:
                check_count_or_percent(faults, value, f"{at}.{field}")
        if _amount(unavailable) == 0 and _amount(surge) == 0:
            faults.invalid(f"{at}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
        _check_at_most_all(faults, unavailable, f"{at}.maxUnavailable")


def _check_at_most_all(faults: Faults, value: Any, path: str) -> None:
    if isinstance(value, str) and not names.percent(value) and int(value[:-1]) > 100:
        faults.invalid(path, value, "must not be greater than 100%")


def _amount(value: Any) -> int | None:
    """The number of a count or a percentage; None for neither."""
    if isinstance(value, str):
        return None if names.percent(value) else int(value[:-1])
    return value if isinstance(value, int) else None


def check_revision(faults: Faults, value: Object) -> None:
    if value.get("data") is None:
        faults.required("data", "data is mandatory")
    faults.not_negative("revision", value.get("revision"))


def check_revision_update(faults: Faults, new: Object, old: Object) -> None:
    """What a revision holds is what it was; only its number grows."""
    check_revision(faults, new)
    faults.unchanged("data", new.get("data"), old.get("data"))
