"""The operator: watches its resources, plans a server for each Prometheus and Alertmanager, has it run, and says in status and events what
came of it.

A change of anything that is watched (a monitor, a rule, a namespace's labels, a Secret that is referred to) makes a new plan for every
server, at most one every QUIET_S: plans are pure and cheap, and a plan that did not change does nothing. Level-triggered: what is
remembered is only what was applied last.

Secrets are read, not watched (references.py). They are read again every SECRETS_PERIOD_S, and when `secrets_changed` is called.

Source: the Prometheus operator's design: what a Prometheus and an Alertmanager object mean.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirror import Change
from podium.client.mirrors import Mirrors
from podium.instrument.log import logger
from podium.objects.resources import Resource, resource
from podium.objects.status import BadRequest, StatusError
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.prometheus_operator.alertmanager_configuration import AlertmanagerPlan, plan_alertmanager
from podium.telemetry.prometheus_operator.credentials import Lookup
from podium.telemetry.prometheus_operator.definitions import KINDS
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.references import References
from podium.telemetry.prometheus_operator.schemas import GROUP
from podium.telemetry.prometheus_operator.server_configuration import Problem, ServerPlan, plan_server
from podium.world.interface import World

QUIET_S = 0.25
RETRY_S = 1.0
SECRETS_PERIOD_S = 60.0
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_log = logger("prometheus-operator")
Object = dict[str, Any]
T = TypeVar("T")

RESOURCES: Mapping[str, Resource] = {
    kind.plural: Resource(GROUP, kind.versions[0][0], kind.plural, kind.kind, True, _VERBS) for kind in KINDS
}


SERVERS = ("prometheuses", "prometheusagents", "alertmanagers")
_KIND_OF = {kind.kind: kind.plural for kind in KINDS}
Key = tuple[str, str, str]
"""Resource, namespace, name."""


class Servers(Protocol):
    """Runs what is planned."""

    async def run_server(self, key: Key, plan: ServerPlan) -> None:
        """From now on as planned; the first time it is started. Raises ConfigurationError."""
        ...

    async def run_alertmanager(self, key: Key, plan: AlertmanagerPlan) -> None:
        """Likewise."""
        ...

    async def end(self, key: Key) -> None:
        """Whether it ran or not."""
        ...

    async def publish(self, key: Key, found: Object) -> None:
        """After each plan that runs: others are to find it. `found` is its object. Raises OSError, StatusError."""
        ...

    def url(self, key: Key) -> str:
        """Where it answers; '' when it does not run."""
        ...


class PrometheusOperator:
    """`servers` runs the plans; `extra_jobs` are scraped by the Prometheus of that key as well."""

    def __init__(
        self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, servers: Servers, kinds: Mapping[str, type], *,
        extra_jobs: Mapping[Key, Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:  # fmt: skip
        self._client, self._events, self._world, self._servers, self._kinds = client, events, world, servers, kinds
        self._extra_jobs = extra_jobs or {}
        self._mirrors = {name: mirrors.of(found) for name, found in RESOURCES.items()}
        self._mirrors["namespaces"] = mirrors.of(resource("namespaces"))
        self._changed = asyncio.Event()
        self._changes = 0
        self._running: dict[Key, str] = {}
        self._told: dict[Key, tuple[int, set[str]]] = {}
        self._references = References(client)
        for mirror in self._mirrors.values():
            mirror.subscribe(self._heard)

    def _heard(self, change: Change) -> None:
        self._changes += 1
        self._changed.set()

    def secrets_changed(self) -> None:
        """Plans are made again with Secrets as they are now."""
        self._references.forget()
        self._changed.set()

    async def run(self) -> None:
        """For ever."""
        for mirror in self._mirrors.values():
            await mirror.synced()
        self._changed.set()
        clock = self._world.clock
        read_at = clock.monotonic()
        while True:
            try:
                async with asyncio.timeout(max(0.0, read_at + SECRETS_PERIOD_S - clock.monotonic())):
                    await self._changed.wait()
            except TimeoutError:
                pass
            if clock.monotonic() >= read_at + SECRETS_PERIOD_S:
                self._references.forget()
                read_at = clock.monotonic()
            await asyncio.sleep(QUIET_S)
            self._changed.clear()
            await self._reconcile()

    async def _reconcile(self) -> None:
        objects = {_key(plural, found): found for plural in SERVERS for found in self._mirrors[plural].all()}
        for key in [key for key in self._running if key not in objects]:
            await self._guarded(self._servers.end(key))
            del self._running[key]
        known = {_key(plural, found) for plural in RESOURCES for found in self._mirrors[plural].all()}
        self._told = {key: told for key, told in self._told.items() if key in known}
        self._references.keep(objects)
        for key in sorted(objects):
            found = objects[key]
            if found["spec"].get("paused"):
                await self._guarded(self._report_paused(found))
            else:
                await self._guarded(self._one(key, found))

    async def _guarded(self, work: Awaitable[None]) -> None:
        """What fails for one harms no other."""
        try:
            await work
        except (StatusError, OSError) as error:
            _log.warning("reconciling failed; it is tried again", reason=str(error))
            self._changed.set()
            await asyncio.sleep(RETRY_S)

    async def _one(self, key: Key, found: Object) -> None:
        try:
            plan = await (self._alertmanager(key, found) if key[0] == "alertmanagers" else self._prometheus(key, found))
        except (ResourceRefused, ConfigurationError) as error:
            await self._report(key, found, str(error))
            self._say(found, "ReconciliationFailed", str(error))
            return
        for problem in plan.problems:
            self._complain(problem)
        for notice in plan.notices:
            self._say(found, "NoEffect", notice)
        await self._report(key, found, "")
        try:
            await self._servers.publish(key, found)
        except StatusError as error:
            self._say(found, "NotPublished", f"others do not find it by its Service: {error.message}")

    async def _prometheus(self, key: Key, found: Object) -> ServerPlan:
        """Raises ResourceRefused, ConfigurationError."""
        extra = self._extra_jobs.get(key, ())
        plan = await self._planned(key, lambda lookup: plan_server(found, self._all, lookup, self._kinds, extra))
        shown = plan.shown
        if self._running.get(key) != shown:
            self._running[key] = ""  # should it fail, it is tried again, and ended when its object goes
            await self._servers.run_server(key, plan)
            self._running[key] = shown
        return plan

    async def _alertmanager(self, key: Key, found: Object) -> AlertmanagerPlan:
        """Raises ResourceRefused, ConfigurationError."""
        plan = await self._planned(key, lambda lookup: plan_alertmanager(found, self._all, lookup))
        if self._running.get(key) != plan.shown:
            self._running[key] = ""
            await self._servers.run_alertmanager(key, plan)
            self._running[key] = plan.shown
        return plan

    async def _planned(self, key: Key, plan: Callable[[Lookup], T]) -> T:
        """Raises ResourceRefused."""
        try:
            return await self._references.planned(key, self._changes, plan)
        except BadRequest as error:
            raise ResourceRefused(f"a selector: {error.message}") from error

    def _all(self, name: str) -> Sequence[Object]:
        return self._mirrors[name].all()

    def _complain(self, problem: Problem) -> None:
        found = self._mirrors[problem.resource].get(problem.namespace, problem.name)
        if found is not None:
            self._say(found, "InvalidConfiguration", problem.reason)

    def _say(self, found: Object, reason: str, message: str) -> None:
        """An event, once for each generation of the object and message."""
        key, generation = _key(_KIND_OF[found["kind"]], found), found["metadata"].get("generation", 1)
        if self._told.get(key, (0, set()))[0] != generation:
            self._told[key] = (generation, set())
        told = self._told[key][1]
        if message not in told:
            told.add(message)
            self._events.event(found, "Warning", reason, message)

    async def _report(self, key: Key, found: Object, refusal: str) -> None:
        """The status, when it changed. A server whose object is refused goes on as it was, if there was one."""
        url = self._servers.url(key)
        up = bool(url)
        wanted = {
            "Available": ("True", "", "") if up else ("False", "NotRunning", refusal),
            "Reconciled": ("False", "ReconciliationFailed", refusal) if refusal else ("True", "", ""),
        }
        before: Object = found.get("status") or {}
        known = {c["type"]: c for c in before.get("conditions") or ()}
        conditions = [self._condition(found, kind, *values, known.get(kind, {})) for kind, values in wanted.items()]
        status = {
            "paused": False, "replicas": 1, "updatedReplicas": 0 if refusal else 1, "availableReplicas": int(up),
            "unavailableReplicas": int(not up), "url": url, "conditions": conditions,
        }  # fmt: skip
        if any(before.get(name) != value for name, value in status.items()):
            await self._patch(found, status)

    def _condition(self, found: Object, kind: str, status: str, reason: str, message: str, old: Object) -> Object:
        since = old["lastTransitionTime"] if old.get("status") == status else self._world.clock.timestamp()
        return {
            "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
            "observedGeneration": found["metadata"].get("generation", 1),
        }  # fmt: skip

    async def _report_paused(self, found: Object) -> None:
        if not (found.get("status") or {}).get("paused"):
            await self._patch(found, {"paused": True})

    async def _patch(self, found: Object, status: Object) -> None:
        metadata, kind = found["metadata"], RESOURCES[_KIND_OF[found["kind"]]]
        await self._client.patch(kind, metadata["name"], {"status": status}, metadata["namespace"], subresource="status")


def _key(plural: str, found: Object) -> Key:
    return plural, found["metadata"]["namespace"], found["metadata"]["name"]
