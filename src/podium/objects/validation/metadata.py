"""Metadata: what holds for every object, whatever its kind.

Source: k8s.io/apimachinery pkg/api/validation/objectmeta.go; the name rules in k8s.io/kubernetes pkg/apis/*/validation.
"""

from collections.abc import Mapping
from typing import Any

from podium.objects import names
from podium.objects.resources import Resource
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_labels
from podium.objects.values import Object

_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_RBAC = "rbac.authorization.k8s.io"
_CRON_JOB_NAME_LENGTH_MAX = 52
_FIXED_FIELDS = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")

_NAMES: Mapping[tuple[str, str], names.Check] = {
    ("", "services"): names.dns_1035_label,
    ("", "namespaces"): names.dns_label,
    ("", "events"): names.path_segment,
    ("events.k8s.io", "events"): names.path_segment,
    (_RBAC, "roles"): names.path_segment,
    (_RBAC, "rolebindings"): names.path_segment,
    (_RBAC, "clusterroles"): names.path_segment,
    (_RBAC, "clusterrolebindings"): names.path_segment,
    ("certificates.k8s.io", "clustertrustbundles"): names.path_segment,
    ("networking.k8s.io", "ipaddresses"): names.path_segment,
    ("apiregistration.k8s.io", "apiservices"): names.path_segment,
}
"""By (group, plural); all others are DNS subdomains."""


def check_create(faults: Faults, resource: Resource, value: Object) -> None:
    metadata = value.get("metadata") or {}
    check = _NAMES.get((resource.group, resource.plural), names.dns_subdomain)
    base, name = metadata.get("generateName"), metadata.get("name")
    if base:
        faults.each("metadata.generateName", base, _of_base(check, base))
    if name:
        faults.each("metadata.name", name, check(name))
    else:
        faults.required("metadata.name", "name or generateName is required")
    _check_namespace(faults, resource, metadata.get("namespace"))
    if resource.plural == "cronjobs" and name and len(name) > _CRON_JOB_NAME_LENGTH_MAX:
        faults.invalid("metadata.name", name, f"must be no more than {_CRON_JOB_NAME_LENGTH_MAX} characters")
    faults.not_negative("metadata.generation", metadata.get("generation"))
    _check_content(faults, resource, metadata)


def check_update(faults: Faults, resource: Resource, new: Object, old: Object) -> None:
    metadata, before = new.get("metadata") or {}, old.get("metadata") or {}
    if before.get("deletionTimestamp"):
        kept = before.get("finalizers") or []
        added = sorted({f for f in metadata.get("finalizers") or () if f not in kept})
        if added:
            shown = "[]string{" + ", ".join(f'"{f}"' for f in added) + "}"
            why = "no new finalizers can be added if the object is being deleted, found new finalizers"
            faults.forbidden("metadata.finalizers", f"{why} {shown}")
    if not metadata.get("resourceVersion"):
        faults.invalid("metadata.resourceVersion", "", "must be specified for an update")
    if (metadata.get("generation") or 0) < (before.get("generation") or 0):
        faults.invalid("metadata.generation", metadata.get("generation") or 0, "must not be decremented")
    for field in _FIXED_FIELDS:
        faults.unchanged(f"metadata.{field}", metadata.get(field), before.get(field))
    _check_content(faults, resource, metadata)


def check_name(faults: Faults, path: str, name: str, check: names.Check = names.dns_subdomain) -> None:
    faults.each(path, name, check(name))


def check_annotations(faults: Faults, annotations: Object | None, path: str) -> None:
    if not annotations:
        return
    size = 0
    for key, value in annotations.items():
        faults.each(path, key, names.label_key(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > names.ANNOTATIONS_BYTES_MAX:
        faults.too_long(path, names.ANNOTATIONS_BYTES_MAX)


def check_finalizers(faults: Faults, finalizers: list[str], path: str, *, core: bool) -> None:
    """In the core group a name without a domain must be one of the standard ones."""
    for i, finalizer in enumerate(finalizers):
        faults.each(path, finalizer, names.label_key(finalizer))
        if core and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            faults.invalid(f"{path}[{i}]", finalizer, "name is neither a standard finalizer name nor is it fully qualified")
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        faults.invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set")


def _check_namespace(faults: Faults, resource: Resource, namespace: Any) -> None:
    if not resource.namespaced:
        if namespace:
            faults.forbidden("metadata.namespace", "not allowed on this type")
    elif not namespace:
        faults.required("metadata.namespace")
    else:
        faults.each("metadata.namespace", namespace, names.dns_label(namespace))


def _check_content(faults: Faults, resource: Resource, metadata: Object) -> None:
    check_labels(faults, metadata.get("labels"), "metadata.labels")
    check_annotations(faults, metadata.get("annotations"), "metadata.annotations")
    owners = metadata.get("ownerReferences")
    if owners:
        _check_owners(faults, owners, "metadata.ownerReferences")
    finalizers = metadata.get("finalizers")
    if finalizers:
        check_finalizers(faults, finalizers, "metadata.finalizers", core=resource.group == "")


def _check_owners(faults: Faults, owners: list[Object], path: str) -> None:
    controller = ""
    for owner in owners:
        if not owner.get("apiVersion"):
            faults.invalid(f"{path}.apiVersion", owner.get("apiVersion", ""), "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                faults.invalid(f"{path}.{field}", owner.get(field, ""), "must not be empty")
        if owner.get("apiVersion") == "v1" and owner.get("kind") == "Event":
            faults.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            shown = f"{owner.get('kind', '')}/{owner.get('name', '')}"
            if controller:
                why = 'Only one reference can have Controller set to true. Found "true" in references for'
                faults.invalid(path, owners, f"{why} {controller} and {shown}")
            controller = controller or shown


def _of_base(check: names.Check, base: str) -> list[str]:
    if check is names.path_segment:
        return names.path_segment_prefix(base)
    return check(names.generate_name_base(base))
