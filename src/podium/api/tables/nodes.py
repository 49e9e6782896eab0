"""Nodes: whether they are ready, and what runs on them."""

from datetime import datetime
from typing import Any

from podium.api.tables.columns import AGE, NAME, NONE, WIDE, Column, Table, age, at, name, spec, status
from podium.objects.values import Object

_ROLE_PREFIX = "node-role.kubernetes.io/"
_UNKNOWN = "<unknown>"


def _cells(value: Object, now: datetime) -> list[Any]:
    information = at(value, "status", "nodeInfo", default={})
    return [
        name(value), _status(value), _roles(value), age(value, now), information.get("kubeletVersion", ""),
        _address(value, "InternalIP"), _address(value, "ExternalIP"), information.get("osImage") or _UNKNOWN,
        information.get("kernelVersion") or _UNKNOWN, information.get("containerRuntimeVersion") or _UNKNOWN,
    ]  # fmt: skip


def _status(value: Object) -> str:
    ready = next((c for c in reversed(status(value).get("conditions") or ()) if c.get("type") == "Ready"), None)
    word = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{word},SchedulingDisabled" if spec(value).get("unschedulable") else word


def _roles(value: Object) -> str:
    """From `node-role.kubernetes.io/ROLE` and `kubernetes.io/role: ROLE` labels, sorted."""
    labels = value["metadata"].get("labels") or {}
    roles = {key[len(_ROLE_PREFIX) :] for key in labels if key.startswith(_ROLE_PREFIX)} | {labels.get("kubernetes.io/role", "")}
    return ",".join(sorted(roles - {""})) or NONE


def _address(value: Object, kind: str) -> str:
    return next((a["address"] for a in status(value).get("addresses") or () if a.get("type") == kind), NONE)


_INFORMATION = "core.v1.NodeSystemInfo"
_STATUS = "core.v1.NodeStatus"

TABLES = {
    ("", "nodes"): Table(
        (
            NAME,
            Column("Status", text="The status of the node"),
            Column("Roles", text="The roles of the node"),
            AGE,
            Column("Version", field=f"{_INFORMATION}.kubeletVersion"),
            Column("Internal-IP", field=f"{_STATUS}.addresses", priority=WIDE),
            Column("External-IP", field=f"{_STATUS}.addresses", priority=WIDE),
            Column("OS-Image", field=f"{_INFORMATION}.osImage", priority=WIDE),
            Column("Kernel-Version", field=f"{_INFORMATION}.kernelVersion", priority=WIDE),
            Column("Container-Runtime", field=f"{_INFORMATION}.containerRuntimeVersion", priority=WIDE),
        ),
        _cells,
    ),
}
