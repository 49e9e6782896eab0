"""Create, update and patch: one path for every kind.

decode -> conform (drop unknown, type errors) -> metadata -> strategy -> defaults -> admission -> validation -> encode -> compare-and-put.
An update or a patch that loses the race is computed again on the newer object, unless the caller insisted on a resourceVersion.
A write that changes nothing is answered with the object as it is, without a new revision (as upstream).

Source: k8s.io/apiserver registry/generic/registry/store.go and endpoints/handlers (order, messages).
"""

from collections.abc import Callable
from typing import Any

from podium.api import field_management
from podium.api.admission import admit, approve
from podium.api.core import Core, Object, Reservation, Strategy
from podium.api.escalation import check_grant
from podium.api.request import OWN_PARTS, ObjectResult, Request
from podium.objects import conversion, patches, values
from podium.objects.cause import Cause, invalid_error
from podium.objects.kinds import kind_of
from podium.objects.resources import Resource
from podium.objects.status import (
    MODIFIED,
    BadRequest,
    Conflict,
    MethodNotAllowed,
    StatusError,
    UnsupportedMediaType,
    already_exists,
    conflict,
)
from podium.store.errors import RevisionMismatch
from podium.store.interface import ABSENT
from podium.store.record import Record

RETRIES_MAX = 20
GENERATE_NAME_RETRIES_MAX = 8
WARNINGS_MAX = 50
GENERATED_BASE_MAX = 58
_PARTS = ("status", "approval")
"""Subresources that are a part of the object: the rest may be missing from what is sent."""
_SERVER_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")

CUSTOM_PATCHES = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"

Change = Callable[[Object], Object]


async def create(core: Core, request: Request) -> ObjectResult:
    resource, new = request.resource, request.value
    _check_creatable(request)
    check_kind(request, new, resource.api_version, resource.kind)
    _conform(request, new, resource)
    metadata = _metadata(new)
    _check_namespace(request, metadata)
    if metadata.pop("resourceVersion", ""):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    generated = not metadata.get("name") and metadata.get("generateName", "")
    for attempt in range(GENERATE_NAME_RETRIES_MAX):
        candidate = values.copy(new) if generated and attempt + 1 < GENERATE_NAME_RETRIES_MAX else new
        if generated:
            candidate["metadata"]["name"] = generated[:GENERATED_BASE_MAX] + core.world.token(5)
        request.name = candidate["metadata"].get("name", "")
        try:
            return await _create_once(core, request, candidate)
        except RevisionMismatch:
            if not generated or attempt + 1 == GENERATE_NAME_RETRIES_MAX:
                raise already_exists(resource.group, resource.plural, request.name) from None
    raise AssertionError("unreachable")


async def _create_once(core: Core, request: Request, new: Object, *, applied: bool = False) -> ObjectResult:
    resource = core.stored_as(request.resource)
    kind = kind_of(resource)
    new = conversion.to_storage(request.resource, new)
    metadata = new["metadata"]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        metadata.pop(name, None)
    metadata["uid"] = core.world.uid()
    metadata["creationTimestamp"] = core.world.clock.timestamp()
    strategy = core.strategy(resource)
    strategy.prepare_create(core, new)
    kind.default(new)
    if not applied:
        field_management.track(request, new, None, metadata["creationTimestamp"])
    if request.missing:
        _judge(request, new, None, kind.validate_create(resource, new))
    check_grant(core.authorizer, request, new, None)
    await admit(core, request, new, None)
    _judge(request, new, None, kind.validate_create(resource, new))
    taken = await _take(core, request, strategy, new, None)
    try:
        if request.dry_run:
            _give_back(taken)
            return ObjectResult(value=new, status=201)
        key = resource.key(request.namespace, request.name)
        record = await core.put(resource, key, new, expected=ABSENT)
    except BaseException:
        _give_back(taken)
        raise
    for hold in taken:
        hold.keep()
    return ObjectResult(record, status=201)


def _check_creatable(request: Request) -> None:
    if request.resource.custom is not None and request.resource.custom.terminating:
        raise MethodNotAllowed(f"{request.verb} not allowed while custom resource definition is terminating")


async def _take(core: Core, request: Request, strategy: Strategy, new: Object, old: Object | None) -> list[Reservation]:
    """The last word of admission, and what the write takes of what is shared. The put follows without an await."""
    share = await approve(core, request, new, old)
    taken: list[Reservation] = [] if share is None else [share]
    try:
        reservation = strategy.reserve(core, new, old)
    except BaseException:
        _give_back(taken)
        raise
    return taken if reservation is None else [*taken, reservation]


def _give_back(taken: list[Reservation]) -> None:
    for hold in taken:
        hold.undo()


async def update(core: Core, request: Request) -> ObjectResult:
    new = request.value
    resource = request.resource
    check_kind(request, new, resource.api_version, resource.kind)
    _conform(request, new, resource, partial=request.subresource in _PARTS)
    metadata = _metadata(new)
    _check_namespace(request, metadata)
    if metadata.get("name", request.name) != request.name:
        raise BadRequest(f"the name of the object ({metadata['name']}) does not match the name on the URL ({request.name})")
    metadata["name"] = request.name
    return await change(core, request, lambda old: conversion.to_storage(resource, values.copy(new)))


async def patch(core: Core, request: Request) -> ObjectResult:
    if request.patch_type == "apply":
        return await apply(core, request)
    resource = request.resource
    instructions = request.value

    def patched(stored: Object) -> Object:
        old = conversion.from_storage(resource, stored)
        match request.patch_type:
            case "json":
                new = patches.apply_json(old, instructions)
            case "merge":
                new = patches.apply_merge(old, instructions)
            case "strategic" if resource.custom is None:
                new = patches.apply_strategic(old, instructions, resource.api_version, resource.kind)
            case _:
                raise UnsupportedMediaType(
                    f"the body of the request was in an unknown format - accepted media types include: {CUSTOM_PATCHES}"
                )
        if not isinstance(new, dict):
            raise BadRequest("the patch does not leave an object")
        new = values.copy(new)  # the patch may share parts with the old object
        check_kind(request, new, resource.api_version, resource.kind)
        _conform(request, new, resource, partial=request.subresource in _PARTS)
        _check_name_kept(request, _metadata(new))
        if _metadata(new).get("resourceVersion") == old["metadata"]["resourceVersion"] and not _insists(instructions):
            del new["metadata"]["resourceVersion"]
        return conversion.to_storage(resource, new)

    return await change(core, request, patched)


async def apply(core: Core, request: Request) -> ObjectResult:
    """Server-side apply: creates the object, or merges the fields that the manager names into it."""
    resource, applied = request.resource, request.value
    check_kind(request, applied, resource.api_version, resource.kind)
    metadata = _metadata(applied)
    if metadata.pop("managedFields", None):
        raise BadRequest("metadata.managedFields must be nil")
    _conform(request, applied, resource, partial=True)
    _check_namespace(request, metadata)
    metadata.setdefault("name", request.name)
    _check_name_kept(request, metadata)
    applied = _own_part(core, request, conversion.to_storage(resource, applied))
    for _ in range(RETRIES_MAX):
        now = core.world.clock.timestamp()
        record = await core.find(request)
        try:
            if record is None:
                return await _apply_new(core, request, applied, now)
            insisted = _check_preconditions(request, applied, record)
            new = values.copy(field_management.apply(request, record.value, applied, now))
            _conform(request, new, core.stored_as(resource))
            return await _store_change(core, request, new, record, applied=True)
        except RevisionMismatch:
            if record is not None and insisted:
                break
    raise _modified(request)


async def _apply_new(core: Core, request: Request, applied: Object, now: str) -> ObjectResult:
    _check_creatable(request)
    if request.subresource:
        raise core.absent(request)
    if applied["metadata"].get("uid"):
        raise conflict(
            request.resource.group,
            request.resource.plural,
            request.name,
            "uid mismatch: the provided object specified uid, and no existing object was found",
        )
    core.authorizer.authorize_creation(request)
    new = values.copy(field_management.apply(request, None, applied, now))
    new["metadata"].pop("resourceVersion", None)
    _conform(request, new, core.stored_as(request.resource))
    return await _create_once(core, request, new, applied=True)


def _own_part(core: Core, request: Request, applied: Object) -> Object:
    """What this door may set: the status through status, the rest through the object itself."""
    if request.subresource == "status":
        return {k: applied[k] for k in ("apiVersion", "kind", "metadata", "status") if k in applied}
    if core.strategy(core.stored_as(request.resource)).has_status:
        return {k: v for k, v in applied.items() if k != "status"}
    return applied


def _insists(instructions: Any) -> bool:
    """Whether a merge-like patch names the resourceVersion it is meant for."""
    metadata = instructions.get("metadata") if isinstance(instructions, dict) else None
    return isinstance(metadata, dict) and "resourceVersion" in metadata


def _check_name_kept(request: Request, metadata: Object) -> None:
    if metadata.get("name") != request.name or (metadata.get("namespace") or None) != request.namespace:
        if metadata.get("name") != request.name:
            raise BadRequest(f"the name of the object ({metadata.get('name', '')}) does not match the name on the URL ({request.name})")
        raise BadRequest(
            f"the namespace of the object ({metadata.get('namespace', '')}) does not match the namespace on the URL ({request.namespace or ''})"
        )


async def change(core: Core, request: Request, compute: Change) -> ObjectResult:
    """Applies `compute(old) -> new` (new is the caller's to give away) and stores the result against the revision it was computed from."""
    for _ in range(RETRIES_MAX):
        record = await core.fetch(request)
        new = compute(record.value)
        insisted = _check_preconditions(request, new, record)
        try:
            return await _store_change(core, request, new, record)
        except RevisionMismatch:
            if insisted:
                raise _modified(request) from None
    raise _modified(request)


def _modified(request: Request) -> Conflict:
    return conflict(request.resource.group, request.resource.plural, request.name, MODIFIED)


def _check_preconditions(request: Request, new: Object, record: Record) -> bool:
    """Whether the caller insists on a revision. Raises Conflict when the object is another one by now."""
    metadata = new["metadata"]
    uid, current = metadata.get("uid"), record.value["metadata"]["uid"]
    if uid and uid != current:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {current}"
        raise conflict(request.resource.group, request.resource.plural, request.name, why)
    version = metadata.get("resourceVersion", "")
    if version and version != str(record.revision):
        if not version.isdecimal():
            raise BadRequest(f'invalid resource version "{version}"')
        raise _modified(request)
    return bool(version)


async def _store_change(core: Core, request: Request, new: Object, record: Record, *, applied: bool = False) -> ObjectResult:
    resource, old = core.stored_as(request.resource), record.value
    kind = kind_of(resource)
    strategy = core.strategy(resource)
    _keep_server_metadata(new["metadata"], old["metadata"])
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    if request.subresource == "status":
        strategy.prepare_status(core, new, old)
    elif request.subresource in OWN_PARTS:
        strategy.prepare_part(core, new, old, request.subresource)
    else:
        strategy.prepare_update(core, new, old)
    kind.default(new)
    if not applied:
        field_management.track(request, new, old, core.world.clock.timestamp())
    if request.missing:
        _judge(request, new, old, kind.validate_update(resource, new, old, request.subresource))
    check_grant(core.authorizer, request, new, old)
    await admit(core, request, new, old)
    _judge(request, new, old, kind.validate_update(resource, new, old, request.subresource))
    if not _finished(new) and await core.is_stored(resource, new, record):
        return ObjectResult(record)
    if _finished(new):
        if request.dry_run:
            return ObjectResult(value=new)
        gone = await core.store.delete(record.key, expected=record.revision)
        strategy.released(core, old)
        if gone is not None and resource.custom is not None:
            gone = await core.views.seen(resource.custom, gone)
        return ObjectResult(gone)
    taken = await _take(core, request, strategy, new, old)
    try:
        if request.dry_run:
            _give_back(taken)
            return ObjectResult(value=new)
        stored = await core.put(resource, record.key, new, expected=record.revision)
    except BaseException:
        _give_back(taken)
        raise
    for hold in taken:
        hold.keep()
    return ObjectResult(stored)


def _finished(value: Object) -> bool:
    """Being deleted, and nobody holds it back any more."""
    metadata = value["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    if metadata.get("deletionGracePeriodSeconds", 0) > 0:
        return False
    return value["kind"] != "Namespace" or not value.get("spec", {}).get("finalizers")


def _keep_server_metadata(new: Object, old: Object) -> None:
    new.pop("selfLink", None)
    for name in _SERVER_METADATA:
        if name in old:
            new[name] = old[name]
        else:
            new.pop(name, None)
    if "generation" in old:
        new["generation"] = old["generation"]
    else:
        new.pop("generation", None)


def _metadata(value: Object) -> Object:
    metadata = value.get("metadata")
    if metadata is None:
        metadata = value["metadata"] = {}
    if not isinstance(metadata, dict):
        raise BadRequest("metadata must be an object")
    return metadata


def check_kind(request: Request, value: Any, api_version: str, kind: str) -> None:
    """Fills in an absent apiVersion and kind from the URL; refuses others."""
    if not isinstance(value, dict):
        raise BadRequest("the request body must be an object")
    given_version, given_kind = value.setdefault("apiVersion", api_version), value.setdefault("kind", kind)
    if given_kind != kind and given_version == api_version:
        raise BadRequest(
            f'{given_kind} in version "{given_version}" cannot be handled as a {kind}: the kind in the data does not match the expected kind ({kind})'
        )
    if given_version != api_version:
        raise BadRequest(f"the API version in the data ({given_version}) does not match the expected API version ({api_version})")


def _check_namespace(request: Request, metadata: Object) -> None:
    if not request.resource.namespaced:
        if metadata.pop("namespace", ""):
            raise BadRequest("namespace may not be set on a cluster-scoped object")
        return
    given = metadata.setdefault("namespace", request.namespace) or request.namespace
    metadata["namespace"] = given
    if given != request.namespace:
        raise BadRequest(
            f"the namespace of the provided object does not match the namespace sent on the request: {given} != {request.namespace}"
        )


def _conform(request: Request, value: Object, resource: Resource, *, partial: bool = False) -> None:
    """Type errors refuse the request; unknown and duplicate fields do what fieldValidation says (Warn by default, as upstream).
    A `partial` object may lack required fields."""
    findings = kind_of(resource).conform(value)
    missing = [c for c in findings.causes if c.reason == "FieldValueRequired"]
    if partial or len(missing) == len(findings.causes):
        findings.causes = [c for c in findings.causes if c.reason != "FieldValueRequired"]
        request.missing = [] if partial else missing
    mode = request.options.get("fieldValidation", "Warn") or "Warn"
    if mode not in ("Strict", "Warn", "Ignore"):
        raise request.bad_option("fieldValidation", mode, ("", "Ignore", "Strict", "Warn"))
    strange = [*request.duplicates, *findings.unknown]
    if strange and mode == "Strict":
        version = f'{resource.kind} in version "{resource.version}"'
        raise BadRequest(f"{version} cannot be handled as a {resource.kind}: strict decoding error: " + ", ".join(strange))
    if strange and mode == "Warn":
        for text in strange[:WARNINGS_MAX]:
            request.warn(text)
    if findings.causes:
        metadata = value.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        raise _invalid(request, name, findings.causes)


def _judge(request: Request, new: Object, old: Object | None, causes: list[Cause]) -> None:
    review = kind_of(request.resource).review(request.resource, new, old)
    for text in review.warnings:
        request.warn(text)
    found = {c.field for c in causes}
    causes = [*causes, *(c for c in request.missing if c.field not in found), *review.causes]
    if causes:
        raise _invalid(request, new["metadata"].get("name", ""), causes)


def _invalid(request: Request, name: str, causes: list[Cause]) -> StatusError:
    return invalid_error(request.resource.group, request.resource.kind, name or request.name, causes)
