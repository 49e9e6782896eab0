"""Which resources a Prometheus takes: by the labels of the object, and of its namespace.

An absent selector and an empty one differ, as upstream has it:

    serviceMonitorSelector           absent: none      {}: all
    serviceMonitorNamespaceSelector  absent: its own   {}: all namespaces

Source: the Prometheus operator's API reference, PrometheusSpec.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from podium.objects import selectors

Object = dict[str, Any]


def chosen(
    spec: Mapping[str, Any], prefix: str, own_namespace: str, objects: Iterable[Object], namespaces: Mapping[str, Object]
) -> list[Object]:
    """Objects of one kind, in the order of NAMESPACE/NAME. `prefix` is the selectors' in `spec` (`serviceMonitor`, `rule`...)."""
    selector, of_namespaces = spec.get(f"{prefix}Selector"), spec.get(f"{prefix}NamespaceSelector")
    if selector is None:
        return []
    by_labels = selectors.from_value(selector)
    names = {own_namespace} if of_namespaces is None else _matching(of_namespaces, namespaces)
    found = [o for o in objects if o["metadata"]["namespace"] in names and by_labels.matches(o["metadata"].get("labels") or {})]
    return sorted(found, key=lambda o: f"{o['metadata']['namespace']}/{o['metadata']['name']}")


def _matching(selector: Mapping[str, Any], namespaces: Mapping[str, Object]) -> set[str]:
    by_labels = selectors.from_value(dict(selector))
    return {name for name, namespace in namespaces.items() if by_labels.matches(namespace["metadata"].get("labels") or {})}


def namespaces_of(selector: Mapping[str, Any] | None, own_namespace: str) -> list[str]:
    """Of a monitor's `namespaceSelector`, for discovery: empty means all."""
    given = selector or {}
    if given.get("any"):
        return []
    return list(given.get("matchNames") or [own_namespace])
