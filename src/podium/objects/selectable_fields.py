"""Selectable fields: what a field selector may ask of each kind.

Every kind offers its name and namespace; the rest is upstream's list, kind by kind. A reader gives the field as text, empty when absent.

Source: k8s.io/kubernetes pkg/apis/*/v1/conversion.go (which fields), pkg/registry/*/strategy.go (what they read).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

from podium.objects.resources import Resource
from podium.objects.values import Object

Reader = Callable[[Object], str]
_EMPTY: dict[str, Any] = {}
RESOURCES_MAX = 4096
"""How many resources' readers are kept."""


def _text(path: str, default: str = "") -> Reader:
    parts = path.split(".")
    if len(parts) == 2:
        first, second = parts
        return lambda value: (value.get(first) or _EMPTY).get(second) or default

    def read(value: Object) -> str:
        for part in parts:
            value = value.get(part)  # type: ignore[assignment]  # a leaf is text
            if not value:
                return default
        return value  # type: ignore[return-value]

    return read


def _flag(path: str) -> Reader:
    read = _text(path)
    return lambda value: "true" if read(value) else "false"


def _number(path: str) -> Reader:
    read = _text(path)
    return lambda value: str(read(value) or 0)


def _either(*paths: str) -> Reader:
    """The first that is there: events are stored in the shape of either of their groups."""
    readers = [_text(path) for path in paths]
    return lambda value: next((text for read in readers if (text := read(value))), "")


def _pod_ips(value: Object) -> str:
    return ",".join(ip["ip"] for ip in (value.get("status") or _EMPTY).get("podIPs") or ())


_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT = {
    **{f"involvedObject.{f}": _either(f"involvedObject.{f}", f"regarding.{f}") for f in _REFERENCE},
    "reason": _text("reason"),
    "reportingComponent": _either("reportingComponent", "reportingController"),
    "source": _either("source.component", "deprecatedSource.component", "reportingComponent", "reportingController"),
    "type": _text("type"),
}
_NEW_EVENT = {
    **{f"regarding.{f}": _either(f"regarding.{f}", f"involvedObject.{f}") for f in _REFERENCE},
    "reason": _text("reason"),
    "reportingController": _either("reportingController", "reportingComponent"),
    "type": _text("type"),
}
_SIGNER = {"spec.signerName": _text("spec.signerName")}

_FIELDS: Mapping[tuple[str, str], Mapping[str, Reader]] = {
    ("", "pods"): {
        "spec.nodeName": _text("spec.nodeName"),
        "spec.restartPolicy": _text("spec.restartPolicy"),
        "spec.schedulerName": _text("spec.schedulerName"),
        "spec.serviceAccountName": _text("spec.serviceAccountName"),
        "spec.hostNetwork": _flag("spec.hostNetwork"),
        "status.phase": _text("status.phase"),
        "status.podIP": _text("status.podIP"),
        "status.podIPs": _pod_ips,
        "status.nominatedNodeName": _text("status.nominatedNodeName"),
    },
    ("", "events"): _EVENT,
    ("events.k8s.io", "events"): _NEW_EVENT,
    ("", "nodes"): {"spec.unschedulable": _flag("spec.unschedulable")},
    ("", "namespaces"): {"status.phase": _text("status.phase")},
    ("", "secrets"): {"type": _text("type")},
    ("", "services"): {"spec.clusterIP": _text("spec.clusterIP"), "spec.type": _text("spec.type")},
    ("", "replicationcontrollers"): {"status.replicas": _number("status.replicas")},
    ("apps", "replicasets"): {"status.replicas": _number("status.replicas")},
    ("apps", "statefulsets"): {"status.successful": _number("status.successful")},
    ("batch", "jobs"): {"status.successful": _number("status.succeeded")},
    ("certificates.k8s.io", "certificatesigningrequests"): _SIGNER,
    ("certificates.k8s.io", "clustertrustbundles"): _SIGNER,
    ("certificates.k8s.io", "podcertificaterequests"): {**_SIGNER, "spec.nodeName": _text("spec.nodeName")},
    ("resource.k8s.io", "resourceslices"): {"spec.nodeName": _text("spec.nodeName"), "spec.driver": _text("spec.driver")},
}


@lru_cache(maxsize=RESOURCES_MAX)
def selectable(resource: Resource) -> dict[str, Reader]:
    """The readers by path, as the selector's text names them."""
    metadata = itemgetter("metadata")
    readers: dict[str, Reader] = {"metadata.name": lambda value: metadata(value).get("name", "")}
    if resource.namespaced:
        readers["metadata.namespace"] = lambda value: metadata(value).get("namespace", "")
    if resource.custom is not None:
        return {**readers, **resource.custom.selectable}
    return {**readers, **_FIELDS.get((resource.group, resource.plural), {})}
