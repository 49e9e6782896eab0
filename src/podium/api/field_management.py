"""metadata.managedFields: read from the stored object, kept by every write, and what an apply does with it.

Source: k8s.io/apimachinery util/managedfields (entries, messages); KEP-555.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from podium.api.request import Request
from podium.objects import apply as applying
from podium.objects import field_sets
from podium.objects.apply import ApplyConflict, Manager
from podium.objects.cause import invalid, invalid_error, required
from podium.objects.field_sets import FieldSet
from podium.objects.kinds import schema_of
from podium.objects.status import Conflict

Object = dict[str, Any]

MANAGER_LENGTH_MAX = 128
UPDATE_MANAGERS_MAX = 10
ANCIENT = "ancient-changes"
SHARED_SETS_MAX = 1024


def manager_of(request: Request, api_version: str, operation: str) -> Manager:
    """Who writes: ?fieldManager, else the first word of the user agent. Raises Invalid."""
    name = request.options.get("fieldManager", "")
    kind = "PatchOptions" if request.verb == "patch" else "UpdateOptions" if request.verb == "update" else "CreateOptions"
    if operation == "Apply" and not name:
        raise invalid_error("meta.k8s.io", kind, "", [required("fieldManager", "is required for apply patch")])
    if len(name) > MANAGER_LENGTH_MAX:
        raise invalid_error("meta.k8s.io", kind, "", [invalid("fieldManager", name, "may not be more than 128 characters")])
    if not name.isprintable():
        raise invalid_error("meta.k8s.io", kind, "", [invalid("fieldManager", name, "should only contain printable characters")])
    name = name or request.user_agent.partition("/")[0][:MANAGER_LENGTH_MAX] or "unknown"
    return Manager(name, operation, api_version, request.subresource if request.subresource in _DOORS else "")


_DOORS = ("status", "scale", "ephemeralcontainers", "resize")
"""Subresources whose writers are told apart from those of the object."""


def track(request: Request, new: Object, old: Object | None, now: str) -> None:
    """Sets `new`'s managedFields after a write that is not an apply: the writer owns what it changed."""
    api_version = new["apiVersion"]
    given = new["metadata"].pop("managedFields", None)
    before = _starting_point(given, old)
    manager = manager_of(request, api_version, "Update")
    node = schema_of(request.resource, api_version)
    elsewhere = request.resource.subresource("status") is not None and request.subresource != "status"
    if old is None and not before:
        if owned := applying.created(_tracked(new, elsewhere), node):
            new["metadata"]["managedFields"] = [_entry(manager, _shared(owned), now)]
        return
    changed, removed = applying.changes(_tracked(old, elsewhere) if old is not None else {}, _tracked(new, elsewhere), node)
    if changed or removed:
        write(new, _capped(applying.update(changed, removed, manager, read(before))), before, now)
    elif before:
        new["metadata"]["managedFields"] = before


def apply(request: Request, live: Object | None, applied: Object, now: str) -> Object:
    """The object after `applied` is applied by the request's manager. Raises Conflict with one cause per field."""
    api_version = applied["apiVersion"]
    before = live["metadata"].get("managedFields", []) if live is not None else []
    manager = manager_of(request, api_version, "Apply")
    node = schema_of(request.resource, api_version)
    try:
        new, managers = applying.apply(
            _bare(live) if live is not None else {}, applied, manager, read(before), node, force=request.flag("force")
        )
    except ApplyConflict as conflict:
        raise _conflict(conflict, before) from conflict
    new = {**new, "metadata": dict(new["metadata"])}
    write(new, managers, before, now)
    return new


def _starting_point(given: Any, old: Object | None) -> list[Object]:
    """The entries that a write starts from: those that it brings (kubectl moves ownership so), none to reset them, else the stored ones."""
    if given in ([], [{}]) or (old is None and not given):
        return []
    if old is not None and given == (stored := old["metadata"].get("managedFields")):
        return stored or []  # the same objects from write to write: what was read of them is known
    if isinstance(given, list) and read(given):
        return given
    return old["metadata"].get("managedFields", []) if old is not None else []


def _tracked(value: Object, without_status: bool) -> Object:
    """The part that a write through this door may change: not the status, when that has a door of its own."""
    return {k: v for k, v in value.items() if k != "status"} if without_status else value


def _bare(value: Object) -> Object:
    metadata = {k: v for k, v in value["metadata"].items() if k not in ("managedFields", "resourceVersion")}
    return {**value, "metadata": metadata}


def read(entries: list[Object]) -> dict[Manager, FieldSet]:
    """Entries that cannot be read are dropped, as upstream does."""
    managers: dict[Manager, FieldSet] = {}
    for entry in entries:
        try:
            manager = Manager(entry["manager"], entry["operation"], entry["apiVersion"], entry.get("subresource", ""))
            managers[manager] = _set_of(entry["fieldsV1"])
        except (KeyError, TypeError, AttributeError):
            continue
    return managers


def write(new: Object, managers: Mapping[Manager, FieldSet], before: list[Object], now: str) -> None:
    """Puts the entries into `new`; those that did not change keep their time."""
    known = {(e.get("manager"), e.get("operation"), e.get("apiVersion"), e.get("subresource", "")): e for e in before}
    entries = []
    for manager, fields in managers.items():
        old = known.get((manager.name, manager.operation, manager.api_version, manager.subresource))
        if old is not None and (seen := _read.get(id(old.get("fieldsV1")))) is not None and seen[1] is fields:
            entries.append(old)
            continue
        wire = _shared(field_sets.to_wire(fields))
        if old is not None and old.get("fieldsV1") == wire:
            entries.append(old)
            continue
        entries.append(_entry(manager, wire, now))
    if entries:
        entries.sort(key=lambda e: (e["operation"], e.get("time", ""), e["manager"], e.get("subresource", "")))
        new["metadata"]["managedFields"] = entries
    else:
        new["metadata"].pop("managedFields", None)


def _entry(manager: Manager, fields: Object, now: str) -> Object:
    entry: Object = {
        "manager": manager.name, "operation": manager.operation, "apiVersion": manager.api_version, "time": now,
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    }  # fmt: skip
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


_known: dict[bytes, Object] = {}


def _shared(wire: Object) -> Object:
    """One value for equal field sets: the pods of a ReplicaSet have the same, and it is larger than the rest of their metadata."""
    key = orjson.dumps(wire)
    found = _known.get(key)
    if found is None:
        if len(_known) >= SHARED_SETS_MAX:
            _known.clear()
        found = _known[key] = wire
    return found


_read: dict[int, tuple[Object, FieldSet]] = {}
"""By identity, with the value itself, so that it stays what the identity stands for."""


def _set_of(wire: Object) -> FieldSet:
    """The set of a stored FieldsV1; the same one for the same object, while it is remembered. Raises TypeError or AttributeError."""
    found = _read.get(id(wire))
    if found is None:
        if len(_read) >= SHARED_SETS_MAX:
            _read.clear()
        found = _read[id(wire)] = (wire, field_sets.from_wire(wire))
    return found[1]


def _capped(managers: dict[Manager, FieldSet]) -> dict[Manager, FieldSet]:
    """At most UPDATE_MANAGERS_MAX updaters; the oldest beyond share one entry."""
    updaters = [m for m in managers if m.operation == "Update"]
    excess = updaters[: max(0, len(updaters) - UPDATE_MANAGERS_MAX)]
    if not excess:
        return managers
    kept = {m: f for m, f in managers.items() if m not in excess}
    ancient = Manager(ANCIENT, "Update", excess[0].api_version)
    for manager in excess:
        kept[ancient] = field_sets.union(kept.get(ancient, {}), managers[manager])
    return kept


def _conflict(conflict: ApplyConflict, entries: list[Object]) -> Conflict:
    times = {(e["manager"], e["operation"], e.get("subresource", "")): e.get("time", "") for e in entries}
    causes, groups = [], []
    for manager, fields in sorted(conflict.conflicts.items(), key=lambda c: c[0].name):
        who = _named(manager, times.get((manager.name, manager.operation, manager.subresource), ""))
        found = list(field_sets.paths(fields))
        causes += [{"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path} for path in found]
        groups.append((who, found))
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: conflict with {groups[0][0]}: {causes[0]['field']}"
    else:
        lists = [f"conflicts with {who}:\n" + "\n".join(f"- {path}" for path in found) for who, found in groups]
        text = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lists)
    return Conflict(text, details={"causes": causes})


def _named(manager: Manager, time: str) -> str:
    text = f'"{manager.name}"'
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    if manager.operation == "Update":
        text += f" using {manager.api_version}" + (f" at {time}" if time else "")
    return text
