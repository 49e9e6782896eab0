"""Names of custom resources: who may use which, and the conditions that say so. Pure.

In one group no two definitions share a plural, singular or short name, or a kind or list kind. Who had a name first keeps it; who asks for one
that is taken is not served (or keeps its old names) until it is free.

Source: apiextensions-apiserver pkg/controller/status/naming_controller.go, pkg/controller/establish/establishing_controller.go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from podium.objects.custom.approval import approval, is_protected

Object = dict[str, Any]

ESTABLISHED, NAMES_ACCEPTED, TERMINATING = "Established", "NamesAccepted", "Terminating"
API_APPROVED = "KubernetesAPIApprovalPolicyConformant"


@dataclass(slots=True)
class Taken:
    """The names that other definitions of a group hold: of resources (plural, singular, short) and of kinds."""

    resources: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)


def taken(others: Iterable[Object]) -> Taken:
    found = Taken()
    for definition in others:
        names = (definition.get("status") or {}).get("acceptedNames") or {}
        found.resources |= {n for n in (names.get("plural"), names.get("singular"), *(names.get("shortNames") or ())) if n}
        found.kinds |= {n for n in (names.get("kind"), names.get("listKind")) if n}
    return found


def plan_status(definition: Object, held: Taken, now: str) -> Object:
    """The definition's status as it should be: accepted names and conditions."""
    status: Object = dict(definition.get("status") or {})
    wanted, accepted = definition["spec"]["names"], dict(status.get("acceptedNames") or {})
    conflicts: list[tuple[str, str]] = []
    for name, names in (("plural", held.resources), ("singular", held.resources), ("kind", held.kinds), ("listKind", held.kinds)):
        asked = wanted.get(name, "")
        if asked != accepted.get(name, "") and asked in names:
            conflicts.append((f"{name[0].upper()}{name[1:]}Conflict", f'"{asked}" is already in use'))
        elif asked:
            accepted[name] = asked
    short = wanted.get("shortNames") or []
    if clashes := [n for n in short if n not in (accepted.get("shortNames") or ()) and n in held.resources]:
        texts = [f'"{n}" is already in use' for n in clashes]
        conflicts.append(("ShortNamesConflict", texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"))
    else:
        _set(accepted, "shortNames", short)
    _set(accepted, "categories", wanted.get("categories") or [])
    conditions = [dict(c) for c in status.get("conditions") or ()]
    if conflicts:
        reason, message = conflicts[-1]
        _put(conditions, NAMES_ACCEPTED, "False", reason, message, now)
    else:
        _put(conditions, NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found", now)
    if _condition(conditions, ESTABLISHED).get("status") != "True":
        if conflicts:
            _put(conditions, ESTABLISHED, "False", "NotAccepted", "not all names are accepted", now)
        else:
            _put(conditions, ESTABLISHED, "True", "InitialNamesAccepted", "the initial names have been accepted", now)
    _put_approval(conditions, definition, now)
    accepted.setdefault("plural", "")
    accepted.setdefault("kind", "")
    return {**status, "acceptedNames": accepted, "conditions": conditions, "storedVersions": status.get("storedVersions") or []}


def _set(value: Object, name: str, content: list[str]) -> None:
    if content:
        value[name] = list(content)
    else:
        value.pop(name, None)


def is_established(status: Object) -> bool:
    return _condition(status.get("conditions") or (), ESTABLISHED).get("status") == "True"


def are_accepted(status: Object) -> bool:
    return _condition(status.get("conditions") or (), NAMES_ACCEPTED).get("status") == "True"


def with_condition(status: Object, kind: str, state: str, reason: str, message: str, now: str) -> Object:
    """`status` with one condition set."""
    conditions = [dict(c) for c in status.get("conditions") or ()]
    _put(conditions, kind, state, reason, message, now)
    return {**status, "conditions": conditions}


def _condition(conditions: Iterable[Object], kind: str) -> Mapping[str, Any]:
    return next((c for c in conditions if c["type"] == kind), {})


def _put(conditions: list[Object], kind: str, state: str, reason: str, message: str, now: str) -> None:
    current = _condition(conditions, kind)
    if (current.get("status"), current.get("reason"), current.get("message")) == (state, reason, message):
        return
    since = current["lastTransitionTime"] if current.get("status") == state else now
    new = {"lastTransitionTime": since, "message": message, "reason": reason, "status": state, "type": kind}
    for index, condition in enumerate(conditions):
        if condition["type"] == kind:
            conditions[index] = new
            return
    conditions.append(new)


def _put_approval(conditions: list[Object], definition: Object, now: str) -> None:
    if is_protected(definition["spec"]["group"]):
        _put(conditions, API_APPROVED, *approval(definition["metadata"].get("annotations")), now)
    else:
        conditions[:] = [c for c in conditions if c["type"] != API_APPROVED]
