"""Relabel configurations made of selectors and of the operator's own fields.

Source: the Prometheus operator's API reference (RelabelConfig), the labels of Kubernetes discovery.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from podium.telemetry.prometheus_operator.errors import ResourceRefused

Config = dict[str, Any]
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")
_FIELDS = {
    "sourceLabels": "source_labels", "separator": "separator", "targetLabel": "target_label", "regex": "regex", "modulus": "modulus",
    "replacement": "replacement",
}  # fmt: skip


def label_name(name: str) -> str:
    """As discovery writes a Kubernetes label or annotation in a label name."""
    return _NOT_IN_NAMES.sub("_", name)


def renamed(source: str, target: str) -> Config:
    return {"source_labels": [source], "target_label": target}


def selected(selector: Mapping[str, Any] | None, meta: str) -> list[Config]:
    """Keeps what a label selector matches; `meta` is the labels' prefix, `__meta_kubernetes_service` for instance."""
    given = selector or {}
    configs = []
    for name, value in sorted((given.get("matchLabels") or {}).items()):
        configs.append(_condition("keep", meta, name, f"({re.escape(value)});true"))
    for expression in given.get("matchExpressions") or ():
        name, values = expression.get("key", ""), "|".join(re.escape(v) for v in expression.get("values") or ())
        match expression.get("operator"):
            case "In":
                configs.append(_condition("keep", meta, name, f"({values});true"))
            case "NotIn":
                configs.append(_condition("drop", meta, name, f"({values});true"))
            case "Exists":
                configs.append({"action": "keep", "source_labels": [f"{meta}_labelpresent_{label_name(name)}"], "regex": "true"})
            case "DoesNotExist":
                configs.append({"action": "drop", "source_labels": [f"{meta}_labelpresent_{label_name(name)}"], "regex": "true"})
            case other:
                raise ResourceRefused(f"selector.matchExpressions: operator {other!r} is not In, NotIn, Exists or DoesNotExist")
    return configs


def _condition(action: str, meta: str, name: str, regex: str) -> Config:
    shown = label_name(name)
    return {"action": action, "source_labels": [f"{meta}_label_{shown}", f"{meta}_labelpresent_{shown}"], "regex": regex}


def written(configs: Iterable[Mapping[str, Any]] | None) -> list[Config]:
    """The user's own `relabelings` or `metricRelabelings`, in prometheus.yml's words."""
    found = []
    for config in configs or ():
        one = {ours: config[theirs] for theirs, ours in _FIELDS.items() if config.get(theirs) is not None}
        if action := config.get("action"):
            one["action"] = action.lower()
        found.append(one)
    return found


def copied_labels(names: Iterable[str] | None, meta: str) -> list[Config]:
    """`targetLabels` and `podTargetLabels`: labels of the object onto the series."""
    return [
        {"source_labels": [f"{meta}_label_{label_name(name)}"], "target_label": label_name(name), "regex": "(.+)", "replacement": "${1}"}
        for name in names or ()
    ]
