"""What Podium brings to a cluster's objects: the operator's definitions, the namespace, a Prometheus and an Alertmanager. Made when missing,
brought up to date when this version brings them differently, and otherwise left alone.

Each is applied (server-side apply, field manager MANAGER) with a digest of what was applied in an annotation, DIGEST. While the digest is this
version's, nothing is written, whatever users changed or took away. When it differs, the object is applied again, and:

    a definition    is Podium's as a whole. Where anybody else set a field of it (upstream's definitions applied over it), it is theirs, and is
                    left as it is; the operator refuses by name what it does not know.
    an object       is Podium's field by field of its spec. A field that a user set differently is theirs and is left out; fields that Podium
                    does not bring are never touched.

What clusters have from before there was a digest was made by a create, under the name CREATED_BY: that was Podium, too.

Where the conversion webhook answers changes with every start: it is put into the definition that needs it, if that one is Podium's.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from podium.client.interface import Client
from podium.instrument.log import logger
from podium.objects.resources import Resource, resource
from podium.objects.status import Conflict, NotFound
from podium.telemetry.prometheus_operator.definitions import definitions

MANAGER = "podium-monitoring"
CREATED_BY = "podium"
DIGEST = "podium.dev/applied"
ROUNDS_MAX = 10
Object = dict[str, Any]
DEFINITIONS = resource("customresourcedefinitions", "apiextensions.k8s.io")
_log = logger("monitoring")


def digest(value: Object) -> str:
    """Of what is brought, but for where a conversion webhook answers."""
    spec = {name: part for name, part in (value.get("spec") or {}).items() if name != "conversion"}
    return hashlib.sha256(orjson.dumps({**value, "spec": spec}, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


async def bring_definitions(client: Client, conversion: Object | None) -> None:
    """Without `conversion` only the versions that are stored are served. Raises StatusError."""
    for value in definitions(conversion):
        name = value["metadata"]["name"]
        try:
            await _bring(client, DEFINITIONS, value)
        except Conflict as error:
            managers = sorted({_manager(cause) for cause in _causes(error)})
            _log.warning("a definition is left as others have set it", definition=name, managers=managers)
            continue
        if wanted := value["spec"].get("conversion"):
            live = await client.get(DEFINITIONS, name)
            if live["spec"].get("conversion") != wanted and _is_ours(live, value):
                await client.patch(DEFINITIONS, name, {"spec": {"conversion": wanted}})


async def bring_object(client: Client, kind: Resource, value: Object) -> None:
    """Raises StatusError."""
    given = value
    for _ in range(ROUNDS_MAX):
        try:
            await _bring(client, kind, given, digest(value))
            return
        except Conflict as error:
            theirs = {_field_of_spec(cause) for cause in _causes(error) if _is_theirs(cause)}
            left = {name: part for name, part in given["spec"].items() if name not in theirs}
            if len(left) == len(given["spec"]):
                raise
            _log.info("fields are left as users have set them", kind=value["kind"], name=value["metadata"]["name"], fields=sorted(theirs))
            given = {**given, "spec": left}


async def _bring(client: Client, kind: Resource, value: Object, mark: str = "") -> None:
    """Raises Conflict where somebody else has set a field."""
    mark = mark or digest(value)
    live = await _live(client, kind, value["metadata"])
    if live is not None and _mark(live) == mark:
        return
    metadata = value["metadata"]
    marked = {**value, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), DIGEST: mark}}}
    try:
        await client.apply(kind, marked, MANAGER)
    except Conflict as error:
        causes = _causes(error)
        if not causes or any(_is_theirs(cause) for cause in causes):
            raise
        await client.apply(kind, marked, MANAGER, force=True)


async def _live(client: Client, kind: Resource, metadata: Mapping[str, Any]) -> Object | None:
    try:
        return await client.get(kind, metadata["name"], metadata.get("namespace"))
    except NotFound:
        return None


def _mark(live: Object) -> str:
    return str((live["metadata"].get("annotations") or {}).get(DIGEST, ""))


def _is_ours(live: Object, value: Object) -> bool:
    served = {version["name"] for version in live["spec"]["versions"]}
    return _mark(live) == digest(value) and served >= {version["name"] for version in value["spec"]["versions"]}


def _causes(error: Conflict) -> list[Mapping[str, str]]:
    """[] for a conflict that is none of fields."""
    return [c for c in (error.details or {}).get("causes") or () if c.get("reason") == "FieldManagerConflict"]


def _is_theirs(cause: Mapping[str, str]) -> bool:
    """The annotation is Podium's, whoever wrote it."""
    return _manager(cause) != CREATED_BY and DIGEST not in cause["field"]


def _manager(cause: Mapping[str, str]) -> str:
    """conflict with "NAME" using VERSION."""
    return cause["message"].split('"')[1]


def _field_of_spec(cause: Mapping[str, str]) -> str:
    """.spec.NAME and what is within it -> NAME; '' for what is elsewhere."""
    parts = cause["field"].split(".")
    return parts[2].partition("[")[0] if len(parts) > 2 and parts[1] == "spec" else ""
