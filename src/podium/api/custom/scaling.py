"""The scale subresource of custom resources: where in the object its numbers are, the definition says.

Source: apiextensions-apiserver pkg/registry/customresource/etcd.go (ScaleREST).
"""

from typing import Any

from podium.objects.custom.json_paths import compile_path
from podium.objects.custom.kind import CustomKind
from podium.objects.status import ServerError

Object = dict[str, Any]


def parts(kind: CustomKind, value: Object) -> Object:
    """The spec and status of the Scale. Raises ServerError when the object names no replicas."""
    assert kind.scale is not None
    path = kind.scale["specReplicasPath"]
    wanted = compile_path(path)(value)
    if not wanted:
        raise ServerError(f'Internal error occurred: the spec replicas field "{path}" does not exist')
    current = compile_path(kind.scale["statusReplicasPath"])(value)
    status: Object = {"replicas": current[0] if current else 0}
    if (selector_path := kind.scale.get("labelSelectorPath")) and (selector := compile_path(selector_path)(value)):
        status["selector"] = selector[0]
    return {"spec": {"replicas": wanted[0]}, "status": status}


def set_replicas(kind: CustomKind, value: Object, replicas: int) -> None:
    """In place."""
    assert kind.scale is not None
    *above, name = kind.scale["specReplicasPath"].strip(".").split(".")
    for field in above:
        value = value.setdefault(field, {})
    value[name] = replicas
