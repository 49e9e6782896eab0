"""Who owns whom, as far as garbage collection needs it: a lean graph of owner references.

Only objects that name owners are in it (`Dependent`, keyed by uid); what they own is found the other way round. Whether an owner exists is
not this graph's business: the mirrors know. So an object without owners costs nothing here, and 10,000 pods of one ReplicaSet cost 10,000
small records that share their ReplicaSet's `Owner`.

`plan_dependent` is the decision about one object that names owners; see the table in its docstring.

Source: kubernetes pkg/controller/garbagecollector (graph.go, attemptToDeleteItem).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from podium.objects.values import Object, is_deleting

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

State = Literal["solid", "absent", "waiting"]
"""An owner is `solid` (exists), `absent` (verified to be gone), or `waiting` (is being deleted in the foreground: for its dependents)."""

Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner reference. `blocks` is blockOwnerDeletion."""

    api_version: str
    kind: str
    name: str
    uid: str
    blocks: bool


@dataclass(slots=True)
class Dependent:
    """`number` says which resource (in the collector's table); `foreground` that it is itself waiting for its dependents."""

    number: int
    namespace: str
    name: str
    uid: str
    owners: tuple[Owner, ...]
    foreground: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with an object: nothing, `delete` it, or `drop` the references with these uids. `unblock`: first let go of its owners,
    which would wait for it forever."""

    delete: Propagation | None = None
    drop: tuple[str, ...] = ()
    unblock: bool = False


NOTHING = Plan()


class OwnershipGraph:
    def __init__(self) -> None:
        self._objects: dict[str, Dependent] = {}
        self._dependents: dict[str, dict[str, Dependent]] = {}
        self._owners: dict[Owner, Owner] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def set(self, number: int, value: Object) -> tuple[Owner, ...]:
        """Takes over the object's references. Returns the owners that it does not block any more: one may have waited for it."""
        metadata = value["metadata"]
        uid = metadata["uid"]
        references = metadata.get("ownerReferences")
        before = self._objects.get(uid)
        if not references and before is None:
            return ()
        owners = tuple(self._shared(owner) for owner in owners_of(value))
        foreground = is_foreground(value)
        if before is not None:
            before.foreground = foreground
            if before.owners == owners:
                return ()
            self._unlink(before)
        if owners:
            after = Dependent(number, metadata.get("namespace", ""), metadata["name"], uid, owners, foreground)
            self._objects[uid] = after
            for owner in owners:
                self._dependents.setdefault(owner.uid, {})[uid] = after
        blocked = before.owners if before is not None else ()
        return tuple(owner for owner in blocked if owner.blocks and owner not in owners)

    def remove(self, uid: str) -> tuple[Owner, ...]:
        """The owners it had."""
        before = self._objects.get(uid)
        if before is None:
            return ()
        self._unlink(before)
        return before.owners

    def dependents(self, uid: str) -> list[Dependent]:
        """Objects that name this owner, in order of arrival."""
        return list(self._dependents.get(uid, {}).values())

    def is_blocked(self, uid: str) -> bool:
        """Whether the owner's foreground deletion must wait for one of them."""
        return any(owner.uid == uid and owner.blocks for d in self._dependents.get(uid, {}).values() for owner in d.owners)

    def _shared(self, owner: Owner) -> Owner:
        return self._owners.setdefault(owner, owner)

    def _unlink(self, dependent: Dependent) -> None:
        del self._objects[dependent.uid]
        for owner in dependent.owners:
            siblings = self._dependents.get(owner.uid)
            if siblings is None:
                continue
            siblings.pop(dependent.uid, None)
            if not siblings:
                del self._dependents[owner.uid]
                for known in [o for o in dependent.owners if o.uid == owner.uid]:
                    self._owners.pop(known, None)


def plan_dependent(
    value: Object, state_of: Callable[[Owner], State], waits_below: Callable[[], bool], has_dependents: Callable[[], bool]
) -> Plan:
    """What becomes of an object that names owners:

    | owners                               | plan                                                                     |
    |--------------------------------------|--------------------------------------------------------------------------|
    | at least one solid                   | drop the references to the others                                        |
    | none solid, one waiting, dependents  | delete in the foreground, letting go of its owners if it would be a cycle|
    | none solid                           | delete, the way its own finalizers ask for, else in the background       |
    """
    owners = owners_of(value)
    if not owners or is_deleting(value):
        return NOTHING
    states = [(owner, state_of(owner)) for owner in owners]
    if any(state == "solid" for _, state in states):
        return Plan(drop=tuple(dict.fromkeys(owner.uid for owner, state in states if state != "solid")))
    if any(state == "waiting" for _, state in states) and has_dependents():
        return Plan(delete="Foreground", unblock=waits_below())
    return Plan(delete=_own_propagation(value))


def owners_of(value: Object) -> list[Owner]:
    return [
        Owner(o["apiVersion"], o["kind"], o["name"], o["uid"], bool(o.get("blockOwnerDeletion")))
        for o in value["metadata"].get("ownerReferences") or ()
    ]


def references_without(value: Object, uids: Sequence[str]) -> list[Object]:
    return [o for o in value["metadata"].get("ownerReferences") or () if o["uid"] not in uids]


def is_foreground(value: Object) -> bool:
    """It is being deleted and waits for its dependents."""
    return is_deleting(value) and FOREGROUND in (value["metadata"].get("finalizers") or ())


def is_orphaning(value: Object) -> bool:
    """It is being deleted and its dependents are to be let go first."""
    return is_deleting(value) and ORPHAN in (value["metadata"].get("finalizers") or ())


def _own_propagation(value: Object) -> Propagation:
    finalizers = value["metadata"].get("finalizers") or ()
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"
