"""Configuration: what pods are given, and what bounds them."""

from datetime import datetime
from typing import Any

from podium.api.tables.columns import AGE, NAME, Column, Table, age, at, name, spec, status
from podium.objects.values import Object


def _config_map(value: Object, now: datetime) -> list[Any]:
    return [name(value), len(value.get("data") or ()) + len(value.get("binaryData") or ()), age(value, now)]


def _secret(value: Object, now: datetime) -> list[Any]:
    return [name(value), value.get("type", ""), len(value.get("data") or ()), age(value, now)]


def _quota(value: Object, now: datetime) -> list[Any]:
    hard, used = status(value).get("hard") or {}, status(value).get("used") or {}
    rows = [(resource, f"{resource}: {used.get(resource, '0')}/{limit}") for resource, limit in sorted(hard.items())]
    requests = ", ".join(text for resource, text in rows if not resource.startswith("limits."))
    limits = ", ".join(text for resource, text in rows if resource.startswith("limits."))
    return [name(value), requests, limits, age(value, now)]


def _priority_class(value: Object, now: datetime) -> list[Any]:
    return [name(value), value.get("value", 0), value.get("globalDefault", False), age(value, now), value.get("preemptionPolicy", "")]


def _lease_candidate(value: Object, now: datetime) -> list[Any]:
    return [name(value), *(spec(value).get(f, "") for f in ("leaseName", "binaryVersion", "emulationVersion")), age(value, now)]


def _component(value: Object, now: datetime) -> list[Any]:
    healthy = next((c for c in value.get("conditions") or () if c.get("type") == "Healthy"), None)
    if healthy is None:
        return [name(value), "Unknown", "", ""]
    word = "Healthy" if healthy.get("status") == "True" else "Unhealthy"
    return [name(value), word, healthy.get("message", ""), healthy.get("error", "")]


_PRIORITY = "scheduling.v1.PriorityClass"
_REQUEST = "Request represents a minimum amount of cpu/memory that a container may consume."
_LIMIT = "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."

TABLES = {
    ("", "configmaps"): Table((NAME, Column("Data", field="core.v1.ConfigMap.data"), AGE), _config_map),
    ("", "secrets"): Table(
        (NAME, Column("Type", field="core.v1.Secret.type"), Column("Data", field="core.v1.Secret.data"), AGE),
        _secret,
    ),
    ("", "serviceaccounts"): Table(
        (NAME, Column("Secrets", field="core.v1.ServiceAccount.secrets"), AGE),
        lambda value, now: [name(value), len(value.get("secrets") or ()), age(value, now)],
    ),
    ("", "namespaces"): Table(
        (NAME, Column("Status", text="The status of the namespace"), AGE),
        lambda value, now: [name(value), status(value).get("phase", ""), age(value, now)],
    ),
    ("", "resourcequotas"): Table((NAME, Column("Request", text=_REQUEST), Column("Limit", text=_LIMIT), AGE), _quota),
    ("", "componentstatuses"): Table(
        (
            NAME,
            Column("Status", text="Status of the component conditions"),
            Column("Message", text="Message of the component conditions"),
            Column("Error", text="Error of the component conditions"),
        ),
        _component,
    ),
    ("scheduling.k8s.io", "priorityclasses"): Table(
        (
            NAME,
            Column("Value", "integer", field=f"{_PRIORITY}.value"),
            Column("Global-Default", "boolean", field=f"{_PRIORITY}.globalDefault"),
            AGE,
            Column("PreemptionPolicy", field=f"{_PRIORITY}.preemptionPolicy"),
        ),
        _priority_class,
    ),
    ("node.k8s.io", "runtimeclasses"): Table(
        (NAME, Column("Handler", field="node.v1.RuntimeClass.handler"), AGE),
        lambda value, now: [name(value), value.get("handler", ""), age(value, now)],
    ),
    ("coordination.k8s.io", "leases"): Table(
        (NAME, Column("Holder", field="coordination.v1.LeaseSpec.holderIdentity"), AGE),
        lambda value, now: [name(value), at(value, "spec", "holderIdentity", default=""), age(value, now)],
    ),
    ("coordination.k8s.io", "leasecandidates"): Table(
        (NAME, Column("LeaseName"), Column("BinaryVersion"), Column("EmulationVersion"), AGE),
        _lease_candidate,
    ),
}
