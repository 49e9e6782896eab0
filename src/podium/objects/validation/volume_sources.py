"""Where a PersistentVolume keeps its data: one source, and what each kind of source cannot do without.

Source: k8s.io/kubernetes pkg/apis/core/validation (validateNFSVolumeSource and its like).
"""

from collections.abc import Mapping
from posixpath import normpath

from podium.objects import names
from podium.objects.validation.faults import Faults
from podium.objects.validation.volumes import check_host_path, check_no_backsteps
from podium.objects.values import Object

DRIVER_LENGTH_MAX = 63
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "awsElasticBlockStore": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "azureFile": ("secretName", "shareName"),
    "cephfs": ("monitors",),
    "cinder": ("volumeID",),
    "csi": ("driver", "volumeHandle"),
    "flexVolume": ("driver",),
    "gcePersistentDisk": ("pdName",),
    "glusterfs": ("endpoints", "path"),
    "hostPath": ("path",),
    "iscsi": ("targetPortal", "iqn"),
    "local": ("path",),
    "nfs": ("server", "path"),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "quobyte": ("registry", "volume"),
    "rbd": ("monitors", "image"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "storageos": ("volumeName",),
    "vsphereVolume": ("volumePath",),
}
KINDS = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte", "cephfs", "iscsi", "cinder",
    "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk", "scaleIO", "local", "storageos",
    "csi",
)  # fmt: skip
"""In the order in which they are looked at: the first is the source, others are one too many."""

_PARTITIONED = ("gcePersistentDisk", "awsElasticBlockStore")
_LUN_MAX = 255
_SECRETS = ("controllerPublishSecretRef", "nodePublishSecretRef", "nodeStageSecretRef", "controllerExpandSecretRef", "nodeExpandSecretRef")


def source_of(spec: Object) -> Object:
    """The fields of the spec that say where its data is."""
    return {kind: spec[kind] for kind in KINDS if spec.get(kind) is not None}


def check_source(faults: Faults, spec: Object, path: str) -> None:
    """Of a PersistentVolume's spec."""
    given = list(source_of(spec))
    if not given:
        faults.required(path, "must specify a volume type")
        return
    for extra in given[1:]:
        faults.forbidden(f"{path}.{extra}", "may not specify more than 1 volume type")
    kind = given[0]
    source, at = spec[kind], f"{path}.{kind}"
    if kind == "hostPath":
        check_host_path(faults, source, at)
        if normpath(source.get("path") or "") == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
            faults.forbidden(f"{path}.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
        return
    for field in _NEEDED.get(kind, ()):
        if not source.get(field) and (kind, field) != ("csi", "driver"):
            faults.required(f"{at}.{field}")
    if kind in _PARTITIONED and not 0 <= (source.get("partition") or 0) <= _LUN_MAX:
        faults.invalid(f"{at}.partition", source["partition"], names.out_of_range(0, _LUN_MAX))
    if check := _CHECKS.get(kind):
        check(faults, source, at)


def check_driver_name(faults: Faults, name: str, path: str) -> None:
    """Of a CSI driver, or of a driver of devices."""
    if not name:
        faults.required(path)
        return
    if len(name.encode()) > DRIVER_LENGTH_MAX:
        faults.too_long(path, DRIVER_LENGTH_MAX)
    faults.each(path, name, names.dns_subdomain(name.lower()))


def _check_nfs(faults: Faults, source: Object, path: str) -> None:
    text = source.get("path") or ""
    if text and not text.startswith("/"):
        faults.invalid(f"{path}.path", text, "must be an absolute path")


def _check_local(faults: Faults, source: Object, path: str) -> None:
    if text := source.get("path"):
        check_no_backsteps(faults, f"{path}.path", text)


def _check_csi(faults: Faults, source: Object, path: str) -> None:
    check_driver_name(faults, source.get("driver") or "", f"{path}.driver")
    for field in _SECRETS:
        if (reference := source.get(field)) is None:
            continue
        for part in ("name", "namespace"):
            if not reference.get(part):
                faults.required(f"{path}.{field}.{part}")
        if name := reference.get("name"):
            faults.each(f"{path}.{field}.name", name, names.dns_subdomain(name))


def _check_iscsi(faults: Faults, source: Object, path: str) -> None:
    iqn, lun = source.get("iqn") or "", source.get("lun", 0)
    if iqn and not iqn.startswith(("iqn", "eui", "naa")):
        faults.invalid(f"{path}.iqn", iqn, "must be valid format")
    if not 0 <= lun <= _LUN_MAX:
        faults.invalid(f"{path}.lun", lun, names.out_of_range(0, _LUN_MAX))
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        faults.required(f"{path}.secretRef")
    if (secret := source.get("secretRef")) and not secret.get("name"):
        faults.required(f"{path}.secretRef.name")


def _check_fc(faults: Faults, source: Object, path: str) -> None:
    targets, ids, lun = source.get("targetWWNs"), source.get("wwids"), source.get("lun")
    if not targets and not ids:
        faults.required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if targets and ids:
        faults.invalid(f"{path}.targetWWNs", targets, "targetWWNs and wwids can not be specified simultaneously")
    if targets and lun is None:
        faults.required(f"{path}.lun", "lun is required if targetWWNs is specified")
    elif targets and lun is not None and not 0 <= lun <= _LUN_MAX:
        faults.invalid(f"{path}.lun", lun, names.out_of_range(0, _LUN_MAX))


def _check_azure_disk(faults: Faults, source: Object, path: str) -> None:
    faults.one_of(f"{path}.cachingMode", source.get("cachingMode"), ("None", "ReadOnly", "ReadWrite"))
    faults.one_of(f"{path}.kind", source.get("kind"), ("Dedicated", "Managed", "Shared"))


def _check_flocker(faults: Faults, source: Object, path: str) -> None:
    name, uuid = source.get("datasetName"), source.get("datasetUUID")
    if not name and not uuid:
        faults.required(path, "one of datasetName and datasetUUID is required")
    if name and uuid:
        faults.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if name and "/" in name:
        faults.invalid(f"{path}.datasetName", name, "must not contain '/'")


_CHECKS = {
    "nfs": _check_nfs,
    "local": _check_local,
    "csi": _check_csi,
    "iscsi": _check_iscsi,
    "fc": _check_fc,
    "azureDisk": _check_azure_disk,
    "flocker": _check_flocker,
}
