"""Embedded resources: objects inside a custom object, which have a kind and the metadata that every object has.

Source: apiextensions-apiserver pkg/apiserver/schema/objectmeta/validation.go.
"""

from collections.abc import Mapping
from typing import Any

from podium.objects import names
from podium.objects import schema as schemas
from podium.objects.cause import Cause
from podium.objects.custom.validity import EMBEDDED, Node
from podium.objects.structure import Findings, conform_part
from podium.objects.validation import metadata
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_labels

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def conform_embedded(value: Any, node: Node, path: str, findings: Findings) -> None:
    """The metadata of all resources inside `value`, in place."""
    for below, inner, here in _within(value, node, path):
        if inner.get(EMBEDDED) and isinstance(below.get("metadata"), dict):
            conform_part(below["metadata"], schemas.named(OBJECT_META), f"{here}.metadata", findings)


def embedded_faults(node: Node, value: Any, path: str = "") -> list[Cause]:
    faults = Faults()
    for below, inner, here in _within(value, node, path):
        if inner.get(EMBEDDED):
            _check(faults, below, here)
    return faults


def _within(value: Any, node: Node, path: str) -> list[tuple[dict[str, Any], Node, str]]:
    """Every object of `value` (but itself, when it is the root) with its schema and place."""
    found: list[tuple[dict[str, Any], Node, str]] = []
    if type(value) is list and isinstance(node.get("items"), Mapping):
        for index, item in enumerate(value):
            found += _within(item, node["items"], f"{path}[{index}]")
    elif type(value) is dict:
        if path:
            found.append((value, node, path))
        known, others = node.get("properties", {}), node.get("additionalProperties")
        for name, child in value.items():
            below = known.get(name, others)
            if isinstance(below, Mapping):
                found += _within(child, below, f"{path}.{name}" if path else name)
    return found


def _check(faults: Faults, value: Mapping[str, Any], path: str) -> None:
    version, kind = value.get("apiVersion"), value.get("kind")
    if "apiVersion" not in value:
        faults.required(f"{path}.apiVersion")
    elif not isinstance(version, str):
        faults.invalid(f"{path}.apiVersion", version, "must be a string")
    elif not version:
        faults.invalid(f"{path}.apiVersion", "", "must not be empty")
    elif version.count("/") > 1:
        faults.invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    if "kind" not in value:
        faults.required(f"{path}.kind")
    elif not isinstance(kind, str):
        faults.invalid(f"{path}.kind", kind, "must be a string")
    elif not kind:
        faults.invalid(f"{path}.kind", "", "must not be empty")
    elif wrong := names.dns_1035_label(kind.lower()):
        faults.invalid(f"{path}.kind", kind, "may have mixed case, but should otherwise match: " + ",".join(wrong))
    own = value.get("metadata")
    if isinstance(own, dict):
        _check_metadata(faults, own, f"{path}.metadata")
    elif own is not None:
        faults.invalid(f"{path}.metadata", own, "must be an object")


def _check_metadata(faults: Faults, own: Mapping[str, Any], path: str) -> None:
    if name := own.get("name"):
        faults.each(f"{path}.name", name, names.path_segment(name))
    if namespace := own.get("namespace"):
        faults.each(f"{path}.namespace", namespace, names.dns_label(namespace))
    check_labels(faults, own.get("labels"), f"{path}.labels")
    metadata.check_annotations(faults, own.get("annotations"), f"{path}.annotations")
    metadata.check_finalizers(faults, own.get("finalizers") or [], f"{path}.finalizers", core=False)
