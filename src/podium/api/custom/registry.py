"""The registry: custom resources come and go with their definitions.

It follows the store's feed of CustomResourceDefinitions. In the same turn of the loop in which one is committed, its versions are in the
catalog (routing, discovery, OpenAPI follow from there); what is to be written down about it (accepted names, conditions) and done for it (deleting
its objects before it goes) is left to `run`.

Invariants: a resource is served if its definition is Established or its names are free; the kind of a resource changes only when the
definition's spec or accepted names do.

Source: apiextensions-apiserver pkg/apiserver/customresource_handler.go, pkg/controller/{status,establish,finalizer}.
"""

import asyncio
from typing import Any

import orjson

from podium.api import deleting, writing
from podium.api.core import Core
from podium.api.custom import names
from podium.api.custom.names import plan_status, taken
from podium.api.request import Request, User
from podium.api.watching import Hubs
from podium.instrument.log import logger
from podium.objects.custom.kind import CustomKind
from podium.objects.resources import Resource, builtin, resource
from podium.objects.status import NotFound, StatusError
from podium.objects.values import copy, is_deleting, name_of
from podium.store.errors import StoreError
from podium.store.record import Event

log = logger("api.custom")

Object = dict[str, Any]

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
SERVER = User("system:apiserver", ("system:masters", "system:authenticated"))
USER_AGENT = "kube-apiserver/podium"
RETRY_S = 1.0
"""How long until what the store or a rule refused is tried again."""


class CustomResources:
    def __init__(self, core: Core, hubs: Hubs) -> None:
        self._core = core
        self._hubs = hubs
        self._definitions: dict[str, Object] = {}
        self._served: dict[str, list[Resource]] = {}
        self._signatures: dict[str, bytes] = {}
        self._unsettled: dict[str, None] = {}
        self._awaited: dict[str, str] = {}
        """Prefixes of the objects whose end a definition waits for."""
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Serves what is defined already, and follows from there."""
        definitions = resource("customresourcedefinitions", "apiextensions.k8s.io")
        for record in (await self._core.store.range(definitions.prefix)).records:
            self._definitions[name_of(record.value)] = record.value
        for name in list(self._definitions):
            self._settle(name)
        self._core.store.feed(definitions.prefix, self._on_definitions)

    def _on_definitions(self, events: list[Event]) -> None:
        for event in events:
            value = event.record.value
            name = name_of(value)
            if event.deleted:
                self._definitions.pop(name, None)
                self._forget(name)
                self._settle_group(value["spec"]["group"])
            else:
                self._definitions[name] = value
                self._settle(name)
                if event.previous is not None:
                    self._settle_group(value["spec"]["group"], but=name)

    # What is served

    def _settle_group(self, group: str, but: str = "") -> None:
        """Names may have become free: for those that wait for one."""
        for name, definition in list(self._definitions.items()):
            if name != but and definition["spec"]["group"] == group and not names.are_accepted(definition.get("status") or {}):
                self._settle(name)

    def _settle(self, name: str) -> None:
        """Serves the definition as its status should be, which is written down afterwards."""
        definition = self._definitions[name]
        group = definition["spec"]["group"]
        others = [d for n, d in self._definitions.items() if n != name and d["spec"]["group"] == group]
        status = plan_status(definition, taken(others), self._core.world.clock.timestamp())
        if status != definition.get("status"):
            definition = self._definitions[name] = {**definition, "status": status}
            self._ask(name)
        if is_deleting(definition) and FINALIZER in definition["metadata"].get("finalizers", ()):
            self._ask(name)
        if names.is_established(status):
            self._serve(name, definition)
        for served in self._served.get(name, ()):
            assert served.custom is not None
            served.custom.terminating = is_deleting(definition)

    def _serve(self, name: str, definition: Object) -> None:
        status, spec = definition["status"], definition["spec"]
        signature = orjson.dumps([definition["metadata"]["uid"], spec, status["acceptedNames"], status["storedVersions"]])
        if self._signatures.get(name) == signature:
            return
        before = self._served.get(name, [])
        try:
            kinds = [CustomKind(definition, row["name"]) for row in spec["versions"] if row.get("served")]
            made = [kind.resource() for kind in kinds]
        except (ValueError, LookupError, TypeError, StopIteration) as error:  # stored by an older Podium, which did not check it
            log.error("a definition cannot be served", definition=name, error=repr(error))
            return
        self._signatures[name] = signature
        catalog = self._core.catalog
        self._served[name] = [r for r in made if (by := catalog.lookup(r.group, r.version, r.plural)) is None or by.custom is not None]
        if status["storedVersions"] == [row["name"] for row in spec["versions"]] and len(kinds) == 1:
            kinds[0].settled_revision = self._core.store.revision
        catalog.change(before, self._served[name])
        for old in before:
            self._hubs.drop(old)

    def _forget(self, name: str) -> None:
        self._signatures.pop(name, None)
        before = self._served.pop(name, [])
        self._core.catalog.change(before, ())
        for old in before:
            self._hubs.drop(old)

    # What is written down

    def _ask(self, name: str) -> None:
        self._unsettled[name] = None
        self._wake.set()

    async def run(self) -> None:
        """Forever; everything here can be repeated, and is after a restart."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            asked, self._unsettled = self._unsettled, {}
            for name in asked:
                try:
                    await self._attend(name)
                except (StatusError, StoreError) as error:
                    log.warning("a definition is not settled", definition=name, error=str(error))
                    asyncio.get_running_loop().call_later(RETRY_S, self._ask, name)

    async def _attend(self, name: str) -> None:
        definition = self._definitions.get(name)
        if definition is None:
            return
        try:
            await self._write_status(name, definition)
            if is_deleting(definition) and FINALIZER in definition["metadata"].get("finalizers", ()):
                await self._clean_up(name, definition)
        except NotFound:
            return

    def _request(self, verb: str, name: str, subresource: str = "") -> Request:
        definitions = resource("customresourcedefinitions", "apiextensions.k8s.io")
        return Request(verb, definitions, SERVER, None, name, subresource, user_agent=USER_AGENT)

    async def _write_status(self, name: str, definition: Object) -> None:
        def settled(old: Object) -> Object:
            new = copy(old)
            new["metadata"].pop("resourceVersion", None)
            if old["metadata"]["uid"] == definition["metadata"]["uid"]:
                kept = (old.get("status") or {}).get("storedVersions", [])
                new["status"] = {**copy(self._definitions[name]["status"]), "storedVersions": kept}
            return new

        await writing.change(self._core, self._request("update", name, "status"), settled)

    async def _clean_up(self, name: str, definition: Object) -> None:
        """Deletes every object of the definition; when the last has gone, the definition may go. What is stored under the name of a built-in
        resource is none of its objects, nor is anything of a definition that was never served."""
        spec = definition["spec"]
        if any((r.group, r.plural) == (spec["group"], spec["names"]["plural"]) for r in builtin()):
            await self._conclude(name, "False", "OverlappingBuiltInResource", "instances overlap with built-in resources in storage")
        elif not names.is_established(definition["status"]):
            await self._conclude(name, "False", "NeverEstablished", "resource was never established")
        elif not await self._empty(name, definition):
            return
        else:
            await self._conclude(name, "False", "InstanceDeletionCompleted", "removed all instances")

        def released(old: Object) -> Object:
            new = copy(old)
            new["metadata"].pop("resourceVersion", None)
            new["metadata"]["finalizers"] = [f for f in new["metadata"].get("finalizers", ()) if f != FINALIZER]
            return new

        await writing.change(self._core, self._request("update", name), released)

    async def _empty(self, name: str, definition: Object) -> bool:
        """Whether no object is left. Those that are held back by finalizers call again when they go."""
        served = self._served.get(name) or self._unserved(definition)
        prefix = served[0].prefix
        if not self._core.store.count(prefix):
            return True
        await self._conclude(name, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
        for record in (await self._core.store.range(prefix)).records:
            metadata = record.value["metadata"]
            if "deletionTimestamp" in metadata:
                continue
            one = Request("delete", served[0], SERVER, metadata.get("namespace"), metadata["name"], user_agent=USER_AGENT)
            try:
                await deleting.delete(self._core, one)
            except NotFound:
                continue
        if not self._core.store.count(prefix):
            return True
        self._await_end(name, prefix)
        return False

    @staticmethod
    def _unserved(definition: Object) -> list[Resource]:
        return [CustomKind(definition, row["name"]).resource() for row in definition["spec"]["versions"] if row.get("storage")]

    def _await_end(self, name: str, prefix: str) -> None:
        if name in self._awaited:
            return
        self._awaited[name] = prefix

        def look(events: list[Event]) -> None:
            if not self._core.store.count(prefix):
                cancel()
                self._awaited.pop(name, None)
                self._ask(name)

        cancel = self._core.store.feed(prefix, look)

    async def _conclude(self, name: str, state: str, reason: str, message: str) -> None:
        now = self._core.world.clock.timestamp()

        def concluded(old: Object) -> Object:
            new = copy(old)
            new["metadata"].pop("resourceVersion", None)
            new["status"] = names.with_condition(new.get("status") or {}, names.TERMINATING, state, reason, message, now)
            return new

        await writing.change(self._core, self._request("update", name, "status"), concluded)
