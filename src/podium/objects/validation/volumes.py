"""Volumes of a pod, and their mounts in its containers.

Sources that Podium cannot mount are refused elsewhere (support.py); here only that there is exactly one, and the rules of those it can.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidateVolumes, validateVolumeSource, ValidateVolumeMounts).
"""

from typing import Any

from podium.objects import names
from podium.objects.validation.environment import FILE_FIELDS, check_field_reference, check_resource_reference
from podium.objects.validation.faults import Faults
from podium.objects.values import Object

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_MODE_MAX = 0o777
_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_PROJECTIONS = ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate")
_TOKEN_SECONDS_MIN, _TOKEN_SECONDS_MAX = 600, 2**32


def check_volumes(faults: Faults, volumes: list[Object], path: str) -> dict[str, Object]:
    """The sound volumes by name, for the mounts."""
    sound: dict[str, Object] = {}
    for i, volume in enumerate(volumes):
        at, before = f"{path}[{i}]", len(faults)
        name = volume.get("name", "")
        _check_source(faults, volume, at)
        if not name:
            faults.required(f"{at}.name")
        else:
            faults.each(f"{at}.name", name, names.dns_label(name))
        if name in sound:
            faults.duplicate(f"{at}.name", name)
        if len(faults) == before:
            sound[name] = volume
    return sound


def check_mounts(faults: Faults, container: Object, volumes: dict[str, Object], path: str) -> None:
    mounts, devices = container.get("volumeMounts") or (), container.get("volumeDevices") or ()
    device_names = [d.get("name") for d in devices]
    device_paths = [d.get("devicePath") for d in devices]
    points: list[str] = []
    for i, mount in enumerate(mounts):
        at = f"{path}.volumeMounts[{i}]"
        name, point = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            faults.required(f"{at}.name")
        if name not in volumes:
            faults.missing(f"{at}.name", name)
        if not point:
            faults.required(f"{at}.mountPath")
        if point in points:
            faults.invalid(f"{at}.mountPath", point, "must be unique")
        points.append(point)
        if name in device_names:
            faults.invalid(f"{at}.name", name, "must not already exist in volumeDevices")
        if point in device_paths:
            faults.invalid(f"{at}.mountPath", point, "must not already exist as a path in volumeDevices")
        _check_mount_options(faults, mount, container, path, at)
    for i, device in enumerate(devices):
        at = f"{path}.volumeDevices[{i}]"
        source = volumes.get(device.get("name", ""))
        if source is None:
            faults.missing(f"{at}.name", device.get("name", ""))
        elif "persistentVolumeClaim" not in source and "ephemeral" not in source:
            why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            faults.invalid(f"{at}.name", device["name"], why)


def check_descending(faults: Faults, path: str, text: str) -> None:
    """A relative path that does not climb."""
    if text.startswith("/"):
        faults.invalid(path, text, "must be a relative path")
    check_no_backsteps(faults, path, text)


def check_no_backsteps(faults: Faults, path: str, text: str) -> None:
    if ".." in text.split("/"):
        faults.invalid(path, text, "must not contain '..'")


def _check_mount_options(faults: Faults, mount: Object, container: Object, path: str, at: str) -> None:
    if mount.get("subPath"):
        check_descending(faults, f"{path}.volumeMounts.subPath", mount["subPath"])
    if mount.get("subPathExpr"):
        if mount.get("subPath"):
            faults.invalid(f"{at}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
        check_descending(faults, f"{path}.volumeMounts.subPathExpr", mount["subPathExpr"])
    propagation = mount.get("mountPropagation")
    faults.one_of(f"{path}.volumeMounts.mountPropagation", propagation, ("Bidirectional", "HostToContainer", "None"))
    if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        why = "Bidirectional mount propagation is available only to privileged containers"
        faults.forbidden(f"{path}.volumeMounts.mountPropagation", why)
    recursive = mount.get("recursiveReadOnly")
    faults.one_of(f"{path}.volumeMounts.recursiveReadOnly", recursive, ("Disabled", "Enabled", "IfPossible"))
    if recursive in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            faults.forbidden(f"{path}.volumeMounts.recursiveReadOnly", "may only be specified when readOnly is true")
        if propagation not in (None, "None"):
            why = "may only be specified when mountPropagation is None or not specified"
            faults.forbidden(f"{path}.volumeMounts.recursiveReadOnly", why)


def _check_source(faults: Faults, volume: Object, path: str) -> None:
    kinds = [kind for kind, source in volume.items() if kind != "name" and source is not None]
    if not kinds:
        faults.required(path, "must specify a volume type")
        return
    for extra in kinds[1:]:
        faults.forbidden(f"{path}.{extra}", "may not specify more than 1 volume type")
    kind = kinds[0]
    check = _CHECKS.get(kind)
    if check:
        check(faults, volume[kind], f"{path}.{kind}")


def check_host_path(faults: Faults, source: Object, path: str) -> None:
    if not source.get("path"):
        faults.required(f"{path}.path")
        return
    check_no_backsteps(faults, f"{path}.path", source["path"])
    faults.one_of(f"{path}.type", source.get("type"), _HOST_PATH_TYPES)


def _check_secret(faults: Faults, source: Object, path: str) -> None:
    if not source.get("secretName"):
        faults.required(f"{path}.secretName")
    _check_items(faults, source, path)


def _check_config_map(faults: Faults, source: Object, path: str) -> None:
    if not source.get("name"):
        faults.required(f"{path}.name")
    _check_items(faults, source, path)


def _check_items(faults: Faults, source: Object, path: str) -> None:
    _check_mode(faults, f"{path}.defaultMode", source.get("defaultMode"))
    for i, item in enumerate(source.get("items") or ()):
        _check_key_to_path(faults, item, f"{path}.items[{i}]")


def _check_downward(faults: Faults, source: Object, path: str) -> None:
    _check_mode(faults, f"{path}.defaultMode", source.get("defaultMode"))
    for item in source.get("items") or ():
        _check_downward_file(faults, item, path)


def _check_projected(faults: Faults, source: Object, path: str) -> None:
    _check_mode(faults, f"{path}.defaultMode", source.get("defaultMode"))
    paths: list[str] = []
    for i, projection in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{i}]"
        given = [kind for kind in _PROJECTIONS if projection.get(kind) is not None]
        if len(given) > 1:
            faults.forbidden(at, "may not specify more than 1 volume type per source")
        for kind in given:
            part = projection[kind]
            if kind in ("secret", "configMap"):
                if not part.get("name"):
                    faults.required(f"{at}.{kind}.name")
                _check_items(faults, part, f"{at}.{kind}")
                _check_conflicts(faults, [item.get("path") for item in part.get("items") or ()], paths, path, part.get("name", ""))
            elif kind == "downwardAPI":
                for item in part.get("items") or ():
                    _check_downward_file(faults, item, f"{at}.{kind}")
                    _check_conflicts(faults, [item.get("path")], paths, path, item.get("path"))
            elif kind == "serviceAccountToken":
                _check_token(faults, part, f"{at}.{kind}", path)


def _check_conflicts(faults: Faults, given: list[str | None], paths: list[str], path: str, shown: Any) -> None:
    for one in given:
        if one and one in paths:
            faults.invalid(path, shown, "conflicting duplicate paths")
        elif one:
            paths.append(one)


def _check_token(faults: Faults, source: Object, path: str, volume_path: str) -> None:
    seconds = source.get("expirationSeconds")
    if seconds is not None and seconds < _TOKEN_SECONDS_MIN:
        faults.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds is not None and seconds > _TOKEN_SECONDS_MAX:
        faults.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
    if not source.get("path"):
        faults.required(f"{volume_path}.path")
    else:
        _check_local_path(faults, f"{volume_path}.path", source["path"])


def _check_key_to_path(faults: Faults, item: Object, path: str) -> None:
    if not item.get("key"):
        faults.required(f"{path}.key")
    if not item.get("path"):
        faults.required(f"{path}.path")
    else:
        _check_local_path(faults, f"{path}.path", item["path"])
    _check_mode(faults, f"{path}.mode", item.get("mode"))


def _check_downward_file(faults: Faults, item: Object, path: str) -> None:
    if not item.get("path"):
        faults.required(f"{path}.path")
    else:
        _check_local_path(faults, f"{path}.path", item["path"])
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        check_field_reference(faults, field, f"{path}.fieldRef", FILE_FIELDS)
        if resource is not None:
            faults.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif resource is not None:
        check_resource_reference(faults, resource, f"{path}.resourceFieldRef", file=True)
    else:
        faults.required(path, "one of fieldRef and resourceFieldRef is required")
    _check_mode(faults, f"{path}.mode", item.get("mode"))


def _check_local_path(faults: Faults, path: str, text: str) -> None:
    check_descending(faults, path, text)
    if text.startswith("..") and not text.startswith("../"):
        faults.invalid(path, text, "must not start with '..'")


def _check_mode(faults: Faults, path: str, mode: int | None) -> None:
    if mode is not None and not 0 <= mode <= _MODE_MAX:
        faults.invalid(path, mode, _MODE)


_CHECKS = {
    "hostPath": check_host_path,
    "secret": _check_secret,
    "configMap": _check_config_map,
    "downwardAPI": _check_downward,
    "projected": _check_projected,
}
