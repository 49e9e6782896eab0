"""Storage: volumes, claims on them and the classes they come from."""

from datetime import datetime
from typing import Any

from podium.api.tables.columns import AGE, NAME, NONE, UNSET, WIDE, Column, Table, age, at, name, spec, status
from podium.objects.values import Object

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _volume(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    claim = wanted.get("claimRef")
    return [
        name(value), at(wanted, "capacity", "storage", default="0"), _access(wanted), wanted.get("persistentVolumeReclaimPolicy", ""),
        _phase(value), f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "", _class(value),
        wanted.get("volumeAttributesClassName") or UNSET, status(value).get("reason", ""), age(value, now),
        wanted.get("volumeMode") or UNSET,
    ]  # fmt: skip


def _claim(value: Object, now: datetime) -> list[Any]:
    wanted, found = spec(value), status(value)
    volume = wanted.get("volumeName", "")
    return [
        name(value), _phase(value), volume, at(found, "capacity", "storage", default="0") if volume else "",
        _access(found) if volume else "", _class(value), wanted.get("volumeAttributesClassName") or UNSET, age(value, now),
        wanted.get("volumeMode") or UNSET,
    ]  # fmt: skip


def _access(holder: Object) -> str:
    given = holder.get("accessModes") or ()
    return ",".join(short for mode, short in _MODES.items() if mode in given)


def _phase(value: Object) -> str:
    return "Terminating" if "deletionTimestamp" in value["metadata"] else status(value).get("phase", "")


def _class(value: Object) -> str:
    annotations = value["metadata"].get("annotations") or {}
    return annotations.get(_OLD_CLASS) or spec(value).get("storageClassName") or ""


def _storage_class(value: Object, now: datetime) -> list[Any]:
    return [
        _with_default(value, *_DEFAULT_CLASS), value.get("provisioner", ""), value.get("reclaimPolicy") or "Delete",
        value.get("volumeBindingMode") or "Immediate", bool(value.get("allowVolumeExpansion")), age(value, now),
    ]  # fmt: skip


def _with_default(value: Object, *marks: str) -> str:
    annotations = value["metadata"].get("annotations") or {}
    return f"{name(value)} (default)" if any(annotations.get(mark) == "true" for mark in marks) else name(value)


def _attributes_class(value: Object, now: datetime) -> list[Any]:
    shown = _with_default(value, "storage.alpha.kubernetes.io/is-default-class")
    return [shown, value.get("driverName", ""), age(value, now)]


def _attachment(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    volume = at(wanted, "source", "persistentVolumeName", default="")
    return [
        name(value), wanted.get("attacher", ""), volume, wanted.get("nodeName", ""), status(value).get("attached", False), age(value, now),
    ]  # fmt: skip


def _driver(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    requests = wanted.get("tokenRequests")
    return [
        name(value), wanted.get("attachRequired", True), wanted.get("podInfoOnMount", False), wanted.get("storageCapacity", False),
        UNSET if requests is None else ",".join(r.get("audience", "") for r in requests), wanted.get("requiresRepublish", False),
        ",".join(wanted.get("volumeLifecycleModes") or ()) or NONE, age(value, now),
    ]  # fmt: skip


_VOLUME, _CLAIM = "core.v1.PersistentVolume", "core.v1.PersistentVolumeClaim"
_CLASS, _DRIVER, _ATTACHMENT = "storage.v1.StorageClass", "storage.v1.CSIDriverSpec", "storage.v1.VolumeAttachment"

TABLES = {
    ("", "persistentvolumes"): Table(
        (
            NAME,
            Column("Capacity", field=f"{_VOLUME}Spec.capacity"),
            Column("Access Modes", field=f"{_VOLUME}Spec.accessModes"),
            Column("Reclaim Policy", field=f"{_VOLUME}Spec.persistentVolumeReclaimPolicy"),
            Column("Status", field=f"{_VOLUME}Status.phase"),
            Column("Claim", field=f"{_VOLUME}Spec.claimRef"),
            Column("StorageClass", text="StorageClass of the pv"),
            Column("VolumeAttributesClass", text="VolumeAttributesClass of the pv"),
            Column("Reason", field=f"{_VOLUME}Status.reason"),
            AGE,
            Column("VolumeMode", field=f"{_VOLUME}Spec.volumeMode", priority=WIDE),
        ),
        _volume,
    ),
    ("", "persistentvolumeclaims"): Table(
        (
            NAME,
            Column("Status", field=f"{_CLAIM}Status.phase"),
            Column("Volume", field=f"{_CLAIM}Spec.volumeName"),
            Column("Capacity", field=f"{_CLAIM}Status.capacity"),
            Column("Access Modes", field=f"{_CLAIM}Status.accessModes"),
            Column("StorageClass", text="StorageClass of the pvc"),
            Column("VolumeAttributesClass", text="VolumeAttributesClass of the pvc"),
            AGE,
            Column("VolumeMode", field=f"{_CLAIM}Spec.volumeMode", priority=WIDE),
        ),
        _claim,
    ),
    ("storage.k8s.io", "storageclasses"): Table(
        (
            NAME,
            Column("Provisioner", field=f"{_CLASS}.provisioner"),
            Column("ReclaimPolicy", field=f"{_CLASS}.reclaimPolicy"),
            Column("VolumeBindingMode", field=f"{_CLASS}.volumeBindingMode"),
            Column("AllowVolumeExpansion", field=f"{_CLASS}.allowVolumeExpansion"),
            AGE,
        ),
        _storage_class,
    ),
    ("storage.k8s.io", "volumeattributesclasses"): Table(
        (NAME, Column("DriverName", field="storage.v1.VolumeAttributesClass.driverName"), AGE), _attributes_class
    ),
    ("storage.k8s.io", "volumeattachments"): Table(
        (
            NAME,
            Column("Attacher", format="name", field=f"{_ATTACHMENT}Spec.attacher"),
            Column("PV", field=f"{_ATTACHMENT}Source.persistentVolumeName"),
            Column("Node", field=f"{_ATTACHMENT}Spec.nodeName"),
            Column("Attached", "boolean", field=f"{_ATTACHMENT}Status.attached"),
            AGE,
        ),
        _attachment,
    ),
    ("storage.k8s.io", "csinodes"): Table(
        (NAME, Column("Drivers", "integer", text="Drivers indicates the number of CSI drivers registered on the node"), AGE),
        lambda value, now: [name(value), len(spec(value).get("drivers") or ()), age(value, now)],
    ),
    ("storage.k8s.io", "csidrivers"): Table(
        (
            NAME,
            Column("AttachRequired", "boolean", field=f"{_DRIVER}.attachRequired"),
            Column("PodInfoOnMount", "boolean", field=f"{_DRIVER}.podInfoOnMount"),
            Column("StorageCapacity", "boolean", field=f"{_DRIVER}.storageCapacity"),
            Column("TokenRequests", field=f"{_DRIVER}.tokenRequests"),
            Column("RequiresRepublish", "boolean", field=f"{_DRIVER}.requiresRepublish"),
            Column("Modes", field=f"{_DRIVER}.volumeLifecycleModes"),
            AGE,
        ),
        _driver,
    ),
    ("storage.k8s.io", "csistoragecapacities"): Table(
        (
            NAME,
            Column("StorageClassName", field="storage.v1.CSIStorageCapacity.storageClassName"),
            Column("Capacity", field="storage.v1.CSIStorageCapacity.capacity"),
        ),
        lambda value, now: [name(value), value.get("storageClassName", ""), value.get("capacity") or UNSET],
    ),
}
