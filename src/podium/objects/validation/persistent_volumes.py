"""PersistentVolume and PersistentVolumeClaim.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidatePersistentVolumeSpec, ValidatePersistentVolumeClaimSpec and their updates).
"""

from typing import Any

from podium.objects import names
from podium.objects.quantities import parse
from podium.objects.validation.differences import differences
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_label_selector
from podium.objects.validation.placement import check_node_selector
from podium.objects.validation.resource_amounts import check_amount, check_positive
from podium.objects.validation.volume_sources import check_source, source_of
from podium.objects.values import Object

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_RECLAIM = ("Delete", "Recycle", "Retain")
_MODES = ("Block", "Filesystem")
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_ALONE = "may not use ReadWriteOncePod with other access modes"
_INLINE = "in the context of inline volumes"
_FIXED = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_RESIZING = (
    "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizePending", "NodeResizeInProgress", "NodeResizeInfeasible",
)  # fmt: skip
_ZONES = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region", "node.kubernetes.io/instance-type")


def check_volume(faults: Faults, value: Object) -> None:
    check_volume_spec(faults, value.get("spec") or {}, "spec")


def check_volume_spec(faults: Faults, spec: Object, path: str, *, inline: bool = False) -> None:
    """`inline`: in a VolumeAttachment, of a volume that is no object."""
    if inline:
        _check_inline(faults, spec, path)
    if not spec.get("accessModes"):
        faults.required(f"{path}.accessModes")
    _check_access_modes(faults, spec, path)
    if not inline:
        _check_capacity(faults, spec.get("capacity") or {}, f"{path}.capacity")
        faults.one_of(f"{path}.persistentVolumeReclaimPolicy", spec.get("persistentVolumeReclaimPolicy") or None, _RECLAIM)
        faults.one_of(f"{path}.volumeMode", spec.get("volumeMode"), _MODES)
        if name := spec.get("storageClassName"):
            faults.each(f"{path}.storageClassName", name, names.dns_subdomain(name))
    affinity = spec.get("nodeAffinity")
    if affinity is not None and not inline:
        if affinity.get("required") is None:
            faults.required(f"{path}.nodeAffinity.required", "must specify required node constraints")
        else:
            check_node_selector(faults, affinity["required"], f"{path}.nodeAffinity.required")
    check_source(faults, spec, path)
    if spec.get("local") is not None and not (affinity or {}).get("required"):
        faults.required(f"{path}.nodeAffinity", "Local volume requires node affinity")
    if (attributes := spec.get("volumeAttributesClassName")) is not None:
        if not attributes:
            faults.required(f"{path}.volumeAttributesClassName", "an empty string is disallowed")
        else:
            faults.each(f"{path}.volumeAttributesClassName", attributes, names.dns_subdomain(attributes))
        if spec.get("csi") is None:
            faults.required(f"{path}.csi", "has to be specified when using volumeAttributesClassName")


def _check_inline(faults: Faults, spec: Object, path: str) -> None:
    for field in ("claimRef", "capacity", "nodeAffinity", "storageClassName"):
        if spec.get(field):
            faults.forbidden(f"{path}.{field}", f"may not be specified {_INLINE}")
    if spec.get("csi") is None:
        faults.required(f"{path}.csi", f"has to be specified {_INLINE}")
    if spec.get("persistentVolumeReclaimPolicy") not in (None, "", "Retain"):
        faults.forbidden(f"{path}.persistentVolumeReclaimPolicy", f"may only be Retain {_INLINE}")
    if spec.get("volumeMode") not in (None, "Filesystem"):
        faults.forbidden(f"{path}.volumeMode", f"may not specify volumeMode other than Filesystem {_INLINE}")


def _check_access_modes(faults: Faults, spec: Object, path: str) -> None:
    modes = spec.get("accessModes") or ()
    for mode in modes:
        faults.one_of(f"{path}.accessModes", mode, ACCESS_MODES)
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        faults.forbidden(f"{path}.accessModes", _ALONE)


def _check_capacity(faults: Faults, capacity: Object, path: str) -> None:
    if not capacity:
        faults.required(path)
    if list(capacity) != ["storage"]:
        faults.one_of(path, capacity, ("storage",))
    for name, text in capacity.items():
        check_amount(faults, name, text, f"{path}[{name}]")
        check_positive(faults, text, f"{path}[{name}]")


def check_volume_update(faults: Faults, new: Object, old: Object) -> None:
    check_volume(faults, new)
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    source, past = source_of(spec), source_of(before)
    if "csi" in past and "csi" in source and past["csi"].get("controllerExpandSecretRef") is None:  # may be added later
        source["csi"] = {k: v for k, v in source["csi"].items() if k != "controllerExpandSecretRef"}
    if source != past:
        shown = "\n".join(differences(past, source, "spec"))
        faults.forbidden("spec.persistentvolumesource", f"spec.persistentvolumesource is immutable after creation\n{shown}")
    faults.unchanged("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    if before.get("nodeAffinity") is not None and _beta_labels_replaced(before["nodeAffinity"]) != spec.get("nodeAffinity"):
        faults.unchanged("nodeAffinity", spec.get("nodeAffinity"), before["nodeAffinity"])
    if before.get("volumeAttributesClassName") is not None and spec.get("volumeAttributesClassName") is None:
        faults.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden")


_BETA = dict(
    zip(("failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region", "beta.kubernetes.io/instance-type"), _ZONES,
        strict=True)
)  # fmt: skip


def _beta_labels_replaced(value: Any) -> Any:
    """Labels that have got other names since may be renamed in what is otherwise fixed."""
    if isinstance(value, dict):
        return {k: _BETA.get(v, v) if k == "key" else _beta_labels_replaced(v) for k, v in value.items()}
    return [_beta_labels_replaced(v) for v in value] if isinstance(value, list) else value


def check_claim(faults: Faults, value: Object) -> None:
    check_claim_spec(faults, value.get("spec") or {}, "spec")


def check_claim_spec(faults: Faults, spec: Object, path: str) -> None:
    """Of a claim, or of a template of claims."""
    if not spec.get("accessModes"):
        faults.required(f"{path}.accessModes", "at least 1 access mode is required")
    check_label_selector(faults, spec.get("selector"), f"{path}.selector")
    _check_access_modes(faults, spec, path)
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        faults.required(f"{path}.resources[storage]")
    else:
        check_positive(faults, size, f"{path}.resources[storage]")
    for field in ("storageClassName", "volumeAttributesClassName"):
        if name := spec.get(field):
            faults.each(f"{path}.{field}", name, names.dns_subdomain(name))
    faults.one_of(f"{path}.volumeMode", spec.get("volumeMode"), _MODES)
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for field, origin in (("dataSource", source), ("dataSourceRef", reference)):
        if origin is not None:
            _check_origin(faults, origin, f"{path}.{field}")
    if source is None or reference is None:
        return
    if reference.get("namespace"):
        faults.invalid(path, f"{path}.dataSource", "may not be specified when dataSourceRef.namespace is specified")
    elif any(source.get(field) != reference.get(field) for field in ("apiGroup", "kind", "name")):
        faults.invalid(path, f"{path}.dataSource", "must match dataSourceRef")


def _check_origin(faults: Faults, origin: Object, path: str) -> None:
    for field in ("name", "kind"):
        if not origin.get(field):
            faults.required(f"{path}.{field}")
    group, kind = origin.get("apiGroup") or "", origin.get("kind") or ""
    if not group and kind != "PersistentVolumeClaim":
        faults.invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
    if group:
        faults.each(f"{path}.apiGroup", group, names.dns_subdomain(group))
    if namespace := origin.get("namespace"):
        faults.each(f"{path}.namespace", namespace, names.dns_label(namespace))


def check_claim_update(faults: Faults, new: Object, old: Object) -> None:
    """A claim is fixed, but: its volume is set once, a missing class may be filled in, a bound one grows, attributes change."""
    check_claim(faults, new)
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    kept = dict(spec)
    if not before.get("volumeName"):
        _restore(kept, before, "volumeName")
    if before.get("storageClassName") is None and _may_fill_class(new, old):
        _restore(kept, before, "storageClassName")
    _restore(kept, before, "volumeAttributesClassName")
    requests = (spec.get("resources") or {}).get("requests")
    if (new.get("status") or {}).get("phase") == "Bound" and requests:
        size = ((before.get("resources") or {}).get("requests") or {}).get("storage")
        kept["resources"] = {**spec["resources"], "requests": {**requests, "storage": size}}
    if kept != before:
        shown = "\n".join(differences(before, kept, "spec"))
        faults.forbidden("spec", f"{_FIXED}\n{shown}")
    _check_not_smaller(faults, new, old)
    faults.unchanged("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    attributes = spec.get("volumeAttributesClassName")
    if before.get("volumeAttributesClassName") is not None and not attributes:
        what = "nil" if attributes is None else "an empty string"
        faults.forbidden("spec.volumeAttributesClassName", f"update from non-nil value to {what} is forbidden")


def _may_fill_class(new: Object, old: Object) -> bool:
    annotated = ((old.get("metadata") or {}).get("annotations") or {}).get(_BETA_CLASS)
    name = (new.get("spec") or {}).get("storageClassName")
    return name is not None and annotated in (None, name)


def _check_not_smaller(faults: Faults, new: Object, old: Object) -> None:
    """Not below what the volume has already been given."""
    wanted, before = _storage(new.get("spec")), _storage(old.get("spec"))
    if wanted is None or before is None or wanted >= before:
        return
    given = ((old.get("status") or {}).get("capacity") or {}).get("storage")
    if wanted <= (_nanos(given) or 0):
        faults.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")


def _storage(spec: Any) -> int | None:
    return _nanos((((spec or {}).get("resources") or {}).get("requests") or {}).get("storage"))


def _nanos(text: Any) -> int | None:
    try:
        return parse(str(text)).nanos if text is not None else None
    except ValueError:
        return None


def _restore(value: Object, before: Object, field: str) -> None:
    value.pop(field, None)
    if field in before:
        value[field] = before[field]


def check_claim_status(faults: Faults, new: Object, old: Object) -> None:
    status = new.get("status") or {}
    for field in ("capacity", "allocatedResources"):
        for name, text in (status.get(field) or {}).items():
            check_amount(faults, name, text, f"status.{field}[{name}]")
    for field in ("allocatedResourceStatuses", "allocatedResources"):
        at = "status.allocatedResourceStatus" if field == "allocatedResourceStatuses" else f"status.{field}"
        for name in status.get(field) or {}:
            wrong = names.label_key(name)
            faults.each(at, name, wrong)
            if not wrong and ("/" not in name or "kubernetes.io/" in name):
                faults.one_of(at, name, ("storage",))
    for name, phase in (status.get("allocatedResourceStatuses") or {}).items():
        if phase not in _RESIZING:
            faults.one_of("status.allocatedResourceStatus", name, tuple(sorted(_RESIZING)))
