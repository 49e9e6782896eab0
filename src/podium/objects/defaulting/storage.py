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


def default_volume(value: Object) -> None:
    spec = value.setdefault("spec", {})
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    if (source := spec.get("hostPath")) is not None:
        source.setdefault("type", "")
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
