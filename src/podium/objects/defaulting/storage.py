"""Defaults of volumes, claims and storage classes.

Source: pkg/apis/core/v1/defaults.go, pkg/apis/storage/v1/defaults.go.
"""

from typing import Any

Object = dict[str, Any]


def default_claim_spec(spec: Object) -> None:
    spec.setdefault("volumeMode", "Filesystem")
    spec.setdefault("resources", {})


def default_claim(value: Object) -> None:
    default_claim_spec(value.setdefault("spec", {}))
    _default_phase(value)


_SOURCES: dict[str, dict[str, Any]] = {
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_volume_source(volume: Object) -> None:
    """What a pod's volume and a PersistentVolume have in common."""
    for name, defaults in _SOURCES.items():
        if (source := volume.get(name)) is not None:
            source |= {field: value for field, value in defaults.items() if source.get(field) in (None, "")}


def default_volume(value: Object) -> None:
    spec = value.setdefault("spec", {})
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    default_volume_source(spec)
    _default_phase(value)


def _default_phase(value: Object) -> None:
    status = value.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"


def default_storage_class(value: Object) -> None:
    value.setdefault("reclaimPolicy", "Delete")
    value.setdefault("volumeBindingMode", "Immediate")


def default_csi_driver(value: Object) -> None:
    spec = value.setdefault("spec", {})
    spec.setdefault("attachRequired", True)
    spec.setdefault("podInfoOnMount", False)
    spec.setdefault("storageCapacity", False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]
    spec.setdefault("requiresRepublish", False)
    spec.setdefault("seLinuxMount", False)
