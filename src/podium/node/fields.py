"""Values of a pod by path: fieldRef and resourceFieldRef, for environment variables and downward API files. Pure.

Source: kubelet podFieldSelectorRuntimeValue; k8s.io/kubernetes pkg/fieldpath, pkg/api/v1/resource (conversion by divisor).
"""

import json
import re
from typing import Any

from podium.objects.quantities import milli, whole
from podium.objects.values import Object

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


class UnknownField(ValueError):
    """The path names nothing that a pod may be asked for."""


def field_value(pod: Object, path: str, addresses: tuple[str, str]) -> str:
    """`addresses` are (pod IP, host IP) now, which the status may not have yet. Raises UnknownField."""
    metadata, spec = pod["metadata"], pod["spec"]
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        return str((metadata.get(subscript[1]) or {}).get(subscript[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        return _as_lines(metadata.get(path.removeprefix("metadata.")) or {})
    pod_ip, host_ip = addresses
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostname": spec.get("hostname") or metadata["name"],
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
    }
    if path not in simple:
        raise UnknownField(f"unsupported fieldPath: {path}")
    return str(simple[path])


def _as_lines(values: dict[str, str]) -> str:
    """`key="value"` a line, sorted, values quoted as Go's %q does."""
    return "\n".join(f"{key}={json.dumps(values[key], ensure_ascii=False)}" for key in sorted(values))


def resource_value(container: Object, reference: Object, allocatable: dict[str, str]) -> str:
    """A request or limit of the container in units of the divisor, rounded up; an unset limit is what the node can give.
    Raises UnknownField."""
    name = reference["resource"]
    section, _, kind = name.partition(".")
    if section not in ("limits", "requests") or kind not in ("cpu", "memory", "ephemeral-storage"):
        raise UnknownField(f"unsupported container resource: {name}")
    resources: dict[str, Any] = container.get("resources") or {}
    amount = (resources.get(section) or {}).get(kind)
    if amount is None and section == "limits":
        amount = allocatable.get(kind)
    if amount is None:
        return "0"
    divisor = str(reference.get("divisor") or "1")
    if kind == "cpu":
        unit = milli(divisor) if milli(divisor) else 1000
        return str(-(-milli(str(amount)) // unit))
    return str(-(-whole(str(amount)) // (whole(divisor) or 1)))
