"""Delete and deletecollection: graceful, with finalizers, preconditions and propagation.

An object goes at once when nobody holds it back. Otherwise it is marked (deletionTimestamp) and goes when the last finalizer is removed, a pod
when its node says that it has ended (a delete with grace 0).

Source: k8s.io/apiserver registry/rest/delete.go, registry/generic/registry/store.go.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from podium.api.admission import approve_delete
from podium.api.core import Core, Object
from podium.api.reading import list_
from podium.api.request import ListResult, ObjectResult, Request
from podium.objects import values
from podium.objects.cause import Cause, invalid_error, not_supported
from podium.objects.status import MODIFIED, BadRequest, NotFound, conflict
from podium.store.errors import RevisionMismatch
from podium.store.record import Record

RETRIES_MAX = 20
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_POLICIES = ("Background", "Foreground", "Orphan")


async def delete(core: Core, request: Request) -> ObjectResult:
    options = _options(request)
    for _ in range(RETRIES_MAX):
        record = await core.fetch(request)
        _check_preconditions(request, options, record)
        try:
            return await _delete_once(core, request, options, record)
        except RevisionMismatch:
            continue
    raise conflict(request.resource.group, request.resource.plural, request.name, MODIFIED)


async def _delete_once(core: Core, request: Request, options: Mapping[str, Any], record: Record) -> ObjectResult:
    strategy = core.strategy(request.resource)
    old = record.value
    await approve_delete(core, request, old)
    new = values.copy(old)
    metadata = new["metadata"]
    _set_propagation(options, metadata)
    if "deletionTimestamp" not in metadata:
        strategy.prepare_delete(core, new)
    grace_s = strategy.delete_grace_s(core, old, options.get("gracePeriodSeconds"))
    held = bool(metadata.get("finalizers")) or (new["kind"] == "Namespace" and bool(new.get("spec", {}).get("finalizers")))
    if grace_s == 0 and not held:
        if not request.dry_run:
            gone = await core.store.delete(record.key, expected=record.revision)
            assert gone is not None
            strategy.released(core, old)
        return ObjectResult(value=_deleted_status(request, old))
    _mark(core, metadata, grace_s)
    if new["kind"] == "Namespace":
        new.setdefault("status", {})["phase"] = "Terminating"
    if new == old:
        return ObjectResult(record)
    if request.dry_run:
        return ObjectResult(value=new)
    return ObjectResult(await core.put(request.resource, record.key, new, expected=record.revision))


def _mark(core: Core, metadata: Object, grace_s: int) -> None:
    """Sets or shortens the deletion's deadline; it is never put off."""
    before_s = metadata.get("deletionGracePeriodSeconds")
    if "deletionTimestamp" in metadata and before_s is not None and before_s <= grace_s:
        return
    if "deletionTimestamp" not in metadata:
        metadata["generation"] = metadata.get("generation", 0) + 1 if "generation" in metadata else metadata.pop("generation", None)
        if metadata["generation"] is None:
            del metadata["generation"]
    deadline = core.world.clock.now() + timedelta(seconds=grace_s)
    metadata["deletionTimestamp"] = deadline.strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata["deletionGracePeriodSeconds"] = grace_s


def _set_propagation(options: Mapping[str, Any], metadata: Object) -> None:
    policy = options.get("propagationPolicy")
    if policy is None and "orphanDependents" in options:
        policy = "Orphan" if options["orphanDependents"] else "Background"
    if policy is None:
        return
    finalizers = [f for f in metadata.get("finalizers", ()) if f not in (_ORPHAN, _FOREGROUND)]
    if policy == "Orphan":
        finalizers.append(_ORPHAN)
    elif policy == "Foreground":
        finalizers.append(_FOREGROUND)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)


def _options(request: Request) -> Mapping[str, Any]:
    """DeleteOptions from the body, completed from the query."""
    body = request.value if request.value is not None else {}
    if not isinstance(body, dict) or body.get("kind", "DeleteOptions") != "DeleteOptions":
        raise BadRequest("the body of a delete must be DeleteOptions")
    options = dict(body)
    if "gracePeriodSeconds" in request.options:
        options["gracePeriodSeconds"] = request.number("gracePeriodSeconds")
    if "propagationPolicy" in request.options:
        options["propagationPolicy"] = request.options["propagationPolicy"]
    if "orphanDependents" in request.options:
        options["orphanDependents"] = request.flag("orphanDependents")
    if options.get("dryRun"):
        request.options = {**request.options, "dryRun": options["dryRun"][0]}
    _check_options(request, options)
    return options


def _check_options(request: Request, options: Mapping[str, Any]) -> None:
    causes: list[Cause] = []
    policy = options.get("propagationPolicy")
    if policy is not None and policy not in _POLICIES:
        causes.append(not_supported("propagationPolicy", policy, _POLICIES))
    grace = options.get("gracePeriodSeconds")
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise BadRequest(f"gracePeriodSeconds must be an integer, not {grace!r}")
    if causes:
        raise invalid_error("meta.k8s.io", "DeleteOptions", "", causes)


def _check_preconditions(request: Request, options: Mapping[str, Any], record: Record) -> None:
    wanted = options.get("preconditions") or {}
    metadata = record.value["metadata"]
    resource = request.resource
    if (uid := wanted.get("uid")) and uid != metadata["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {metadata['uid']}"
        raise conflict(resource.group, resource.plural, request.name, why)
    if (version := wanted.get("resourceVersion")) and version != metadata["resourceVersion"]:
        why = f"Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {metadata['resourceVersion']}"
        raise conflict(resource.group, resource.plural, request.name, why)


def _deleted_status(request: Request, old: Object) -> Object:
    resource = request.resource
    details = {"name": request.name, "group": resource.group, "kind": resource.plural, "uid": old["metadata"]["uid"]}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {k: v for k, v in details.items() if v},
    }


async def delete_collection(core: Core, request: Request) -> ListResult:
    """Deletes what the same list would give; answers with that list. Objects that went meanwhile are passed over."""
    body = request.value
    listed = await list_(core, request)
    for record in listed.records:
        metadata = record.value["metadata"]
        one = Request(
            "delete", request.resource, request.user, metadata.get("namespace"), metadata["name"], value=body,
            options={k: v for k, v in request.options.items() if k in ("dryRun", "gracePeriodSeconds", "propagationPolicy", "orphanDependents")},
        )  # fmt: skip
        try:
            await delete(core, one)
        except NotFound:
            continue
    return listed
