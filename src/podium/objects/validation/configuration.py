"""Configuration: ConfigMaps and Secrets.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidateConfigMap, ValidateSecret and their updates).
"""

import binascii
from base64 import b64decode

import orjson

from podium.objects import names
from podium.objects.validation.faults import IMMUTABLE, Faults
from podium.objects.values import Object

DATA_BYTES_MAX = 1024 * 1024
_FIXED = f"{IMMUTABLE} when `immutable` is set"
_REDACTED = "<secret contents redacted>"
_ACCOUNT = "kubernetes.io/service-account.name"
_DOCKER_KEYS = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}


def check_config_map(faults: Faults, value: Object) -> None:
    data, binary = value.get("data") or {}, value.get("binaryData") or {}
    size = 0
    for key, text in data.items():
        faults.each(f"data[{key}]", key, names.data_key(key))
        if key in binary:
            faults.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        size += len(text.encode())
    for key, text in binary.items():
        faults.each(f"binaryData[{key}]", key, names.data_key(key))
        size += _decoded_bytes(text)
    if size > DATA_BYTES_MAX:
        faults.too_long("", DATA_BYTES_MAX)


def check_config_map_update(faults: Faults, new: Object, old: Object) -> None:
    _check_fixed(faults, new, old, ("data", "binaryData"))
    check_config_map(faults, new)


def check_secret(faults: Faults, value: Object) -> None:
    data, kind = value.get("data") or {}, value.get("type") or "Opaque"
    for key in data:
        faults.each(f"data[{key}]", key, names.data_key(key))
    if sum(_decoded_bytes(text) for text in data.values()) > DATA_BYTES_MAX:
        faults.too_long("data", DATA_BYTES_MAX)
    if kind == "kubernetes.io/service-account-token":
        if not ((value.get("metadata") or {}).get("annotations") or {}).get(_ACCOUNT):
            faults.required(f"metadata.annotations[{_ACCOUNT}]")
    elif kind in _DOCKER_KEYS:
        _check_docker(faults, data, _DOCKER_KEYS[kind])
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            faults.required("data[username]")
            faults.required("data[password]")
    elif kind == "kubernetes.io/ssh-auth":
        if not data.get("ssh-privatekey"):
            faults.required("data[ssh-privatekey]")
    elif kind == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in data:
                faults.required(f"data[{key}]")


def check_secret_update(faults: Faults, new: Object, old: Object) -> None:
    faults.unchanged("type", new.get("type"), old.get("type"))
    _check_fixed(faults, new, old, ("data",))
    check_secret(faults, new)


def _check_fixed(faults: Faults, new: Object, old: Object, fields: tuple[str, ...]) -> None:
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        faults.forbidden("immutable", _FIXED)
    for field in fields:
        if (new.get(field) or {}) != (old.get(field) or {}):
            faults.forbidden(field, _FIXED)


def _check_docker(faults: Faults, data: Object, key: str) -> None:
    if key not in data:
        faults.required(f"data[{key}]")
        return
    try:
        content = orjson.loads(b64decode(data[key]))
        if not isinstance(content, dict):
            faults.invalid(f"data[{key}]", _REDACTED, "json: cannot unmarshal into Go value of type map[string]interface {}")
    except (orjson.JSONDecodeError, binascii.Error):
        faults.invalid(f"data[{key}]", _REDACTED, "invalid character looking for beginning of value")


def _decoded_bytes(text: str) -> int:
    """The size behind base64, without decoding it."""
    return len(text) * 3 // 4 - text[-2:].count("=")
