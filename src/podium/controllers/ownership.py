"""Who controls what: the controller reference, and how objects are adopted and released.

An object has at most one controller. A controller adopts an orphan that its selector matches, unless either is being deleted, and
releases what it controls and no longer matches. Both are patches that carry the revision they were decided on, so that of two who adopt at
once one gets a Conflict.

Source: k8s.io/kubernetes pkg/controller/controller_ref_manager.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from podium.client.interface import Client, Object
from podium.objects.resources import Resource
from podium.objects.selectors import LabelSelector
from podium.objects.status import Conflict, Invalid, NotFound
from podium.objects.values import is_deleting, name_of, namespace_of


@dataclass(frozen=True, slots=True)
class Claims:
    """`held` are controlled and stay so; `adopt` and `release` are to be changed."""

    held: list[Object]
    adopt: list[Object]
    release: list[Object]


def controller_reference(owner: Object) -> Object:
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def plan_claims(owner: Object, selector: LabelSelector, controlled: Iterable[Object], orphans: Iterable[Object]) -> Claims:
    """`controlled` have `owner` as controller, `orphans` have none and are in its namespace."""
    deleting = is_deleting(owner)
    matches = selector.matches
    held = controlled = list(controlled)
    release: list[Object] = []
    if not all(map(matches, [value["metadata"].get("labels") for value in controlled])):  # almost never
        held = [value for value in controlled if matches(value["metadata"].get("labels"))]
        release = [] if deleting else [value for value in controlled if not matches(value["metadata"].get("labels"))]
    adopt = [] if deleting else [o for o in orphans if matches(o["metadata"].get("labels")) and not is_deleting(o)]
    return Claims(held, adopt, release)


async def apply_claims(client: Client, owner_resource: Resource, owner: Object, resource: Resource, claims: Claims) -> list[Object]:
    """What `owner` controls afterwards. Raises Conflict or NotFound when the owner itself is not what it was."""
    claimed = list(claims.held)
    if claims.adopt:
        await _check_may_adopt(client, owner_resource, owner)
    for value in claims.adopt:
        references = [*(value["metadata"].get("ownerReferences") or ()), controller_reference(owner)]
        try:
            claimed.append(await _set_references(client, resource, value, references))
        except NotFound:
            continue
    for value in claims.release:
        uid = owner["metadata"]["uid"]
        references = [r for r in value["metadata"].get("ownerReferences") or () if r["uid"] != uid]
        try:
            await _set_references(client, resource, value, references)
        except (NotFound, Invalid):
            continue
    return claimed


async def _check_may_adopt(client: Client, resource: Resource, owner: Object) -> None:
    """The mirror may be behind: an owner that is gone or going must not adopt, or what it adopts would be deleted with it."""
    fresh = await client.get(resource, name_of(owner), namespace_of(owner))
    if fresh["metadata"]["uid"] != owner["metadata"]["uid"] or is_deleting(fresh):
        raise Conflict(f"{owner['kind']} {name_of(owner)} is gone or being deleted: it may not adopt")


async def _set_references(client: Client, resource: Resource, value: Object, references: list[Object]) -> Object:
    metadata = value["metadata"]
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "uid": metadata["uid"], "ownerReferences": references or None}}
    return await client.patch(resource, metadata["name"], patch, metadata.get("namespace"))
