"""Revisions: the templates that a StatefulSet or DaemonSet has had, kept as ControllerRevisions, so that it can go back.

A template equal to an earlier one is that revision again, moved to the front, not a new one. Names are made from the content, so two turns
that see the same template make the same object. What no pod runs and no status names is dropped beyond the limit, oldest first.

Source: k8s.io/kubernetes pkg/controller/history/controller_history.go.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from podium.client.interface import Client, DeleteOptions, Object
from podium.controllers.ownership import controller_reference
from podium.objects.names import pod_template_hash
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, NotFound
from podium.objects.values import copy, name_of, namespace_of

HASH = "controller-revision-hash"
DEFAULT_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Newest:
    """The revision of the template as it is now: `create` it, or `renumber` it when it is not the newest; else both are None."""

    value: Object
    create: bool = False
    renumber: bool = False


def data_of(owner: Object) -> Object:
    """What is kept: a patch that puts the template back."""
    return {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}


def template_of(revision: Object) -> Object:
    template = dict(revision["data"]["spec"]["template"])
    template.pop("$patch", None)
    return template


def newest(owner: Object, revisions: Sequence[Object]) -> Newest:
    ordered = sorted(revisions, key=lambda r: (r["revision"], name_of(r)))
    data, following = data_of(owner), (ordered[-1]["revision"] if ordered else 0) + 1
    equal = [r for r in ordered if r["data"] == data]
    if equal and equal[-1] is ordered[-1]:
        return Newest(equal[-1])
    if equal:
        return Newest({**equal[-1], "revision": following}, renumber=True)
    digest = pod_template_hash(data)
    metadata = owner["metadata"]
    labels = {**((owner["spec"]["template"].get("metadata") or {}).get("labels") or {}), HASH: digest}
    value = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [controller_reference(owner)],
        },
        "data": copy(data),
        "revision": following,
    }
    return Newest(value, create=True)


def surplus(revisions: Iterable[Object], live: Iterable[str], limit: int | None) -> list[Object]:
    """Those to drop; `live` are the names in use."""
    used = frozenset(live)
    idle = sorted((r for r in revisions if name_of(r) not in used), key=lambda r: r["revision"])
    return idle[: max(len(idle) - (DEFAULT_LIMIT if limit is None else limit), 0)]


async def store(client: Client, found: Newest) -> Object:
    kind = resource("controllerrevisions", "apps")
    if found.create:
        try:
            return await client.create(kind, found.value)
        except AlreadyExists:  # by us, and the mirror does not show it yet
            return await client.get(kind, name_of(found.value), namespace_of(found.value))
    return await client.update(kind, found.value) if found.renumber else found.value


async def drop(client: Client, revisions: Iterable[Object]) -> None:
    kind = resource("controllerrevisions", "apps")
    for revision in revisions:
        try:
            await client.delete(kind, name_of(revision), namespace_of(revision), DeleteOptions(uid=revision["metadata"]["uid"]))
        except NotFound:
            continue
