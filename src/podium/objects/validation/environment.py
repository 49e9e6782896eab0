"""Environment: variables of a container and the references that fill them, which downward API files share.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidateEnv, ValidateEnvFrom, validateObjectFieldSelector), pkg/apis/core/pods.
"""

import re

from podium.objects import names, quantities
from podium.objects.validation.faults import Faults
from podium.objects.values import Object

_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_FIELDS_KNOWN = frozenset({
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName", "spec.host", "status.phase", "status.hostIP", "status.hostIPs",
    "status.podIP", "status.podIPs",
})  # fmt: skip
_ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs",
    "status.podIP", "status.podIPs",
)  # fmt: skip
FILE_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_RESOURCES = ("limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory")
_HUGE = ("requests.hugepages-", "limits.hugepages-")
_BYTE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")


def check_environment(faults: Faults, container: Object, path: str) -> None:
    for i, variable in enumerate(container.get("env") or ()):
        at = f"{path}.env[{i}]"
        name = variable.get("name")
        if not name:
            faults.required(f"{at}.name")
        else:
            faults.each(f"{at}.name", name, names.environment_name(name))
        if variable.get("valueFrom") is not None:
            _check_value_from(faults, variable, f"{at}.valueFrom")
    for i, source in enumerate(container.get("envFrom") or ()):
        _check_source(faults, source, f"{path}.envFrom[{i}]", f"{path}.envFrom")


def check_field_reference(faults: Faults, reference: Object, path: str, supported: tuple[str, ...]) -> None:
    """A reference to a field of the pod, for a variable or for a file."""
    field = reference.get("fieldPath", "")
    if not field:
        faults.required(f"{path}.fieldPath")
        return
    subscripted = re.fullmatch(r"(.*)\['(.*)'\]", field)
    base = subscripted[1] if subscripted else field
    if base not in _FIELDS_KNOWN:
        faults.invalid(f"{path}.fieldPath", field, f"error converting fieldPath: field label not supported: {base}")
    elif subscripted:
        key = subscripted[2].lower() if base == "metadata.annotations" else subscripted[2]
        if base in ("metadata.annotations", "metadata.labels"):
            faults.each(path, key, names.label_key(key))
        else:
            faults.invalid(path, base, "does not support subscript")
    else:
        faults.one_of(f"{path}.fieldPath", field, supported)


def check_resource_reference(faults: Faults, reference: Object, path: str, *, file: bool) -> None:
    """A reference to a container's resource; a file must name the container."""
    resource = reference.get("resource", "")
    if file and not reference.get("containerName"):
        faults.required(f"{path}.containerName")
    elif not resource:
        faults.required(f"{path}.resource")
    elif not resource.startswith(_HUGE):
        faults.one_of(f"{path}.resource", resource, _RESOURCES)
    divisor = _canonical(str(reference.get("divisor") or "0"))
    if divisor == "0":
        return
    if resource.endswith(".cpu"):
        if divisor not in ("1", "1m"):
            faults.invalid(f"{path}.divisor", resource, "only divisor's values 1m and 1 are supported with the cpu resource")
    elif divisor not in _BYTE_DIVISORS:
        what = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(resource.partition(".")[2], "hugepages")
        faults.invalid(
            f"{path}.divisor", resource, f"only divisor's values {', '.join(_BYTE_DIVISORS)} are supported with the {what} resource"
        )


def _check_value_from(faults: Faults, variable: Object, path: str) -> None:
    source = variable["valueFrom"]
    given = [kind for kind in _SOURCES if source.get(kind) is not None]
    for kind in given:
        at, reference = f"{path}.{kind}", source[kind]
        if kind == "fieldRef":
            check_field_reference(faults, reference, at, _ENV_FIELDS)
        elif kind == "resourceFieldRef":
            check_resource_reference(faults, reference, at, file=False)
        elif kind in ("configMapKeyRef", "secretKeyRef"):
            _check_key_reference(faults, reference, at)
    if not given:
        faults.invalid(path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`")
    elif variable.get("value"):
        faults.invalid(path, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        faults.invalid(path, "", "may not have more than one field specified at a time")


def _check_key_reference(faults: Faults, reference: Object, path: str) -> None:
    faults.each(f"{path}.name", reference.get("name", ""), names.dns_subdomain(reference.get("name", "")))
    key = reference.get("key")
    if not key:
        faults.required(f"{path}.key")
    else:
        faults.each(f"{path}.key", key, names.data_key(key))


def _check_source(faults: Faults, source: Object, path: str, list_path: str) -> None:
    if source.get("prefix"):
        faults.each(f"{path}.prefix", source["prefix"], names.environment_name(source["prefix"]))
    given = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
    for kind in given:
        name = source[kind].get("name")
        if not name:
            faults.required(f"{path}.{kind}.name")
        else:
            faults.each(f"{path}.{kind}.name", name, names.dns_subdomain(names.generate_name_base(name)))
    if not given:
        faults.invalid(list_path, "", "must specify one of: `configMapRef` or `secretRef`")
    elif len(given) > 1:
        faults.invalid(list_path, "", "may not have more than one field specified at a time")


def _canonical(text: str) -> str:
    try:
        return quantities.canonical(text)
    except ValueError:
        return text
