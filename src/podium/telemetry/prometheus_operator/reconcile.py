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
    plural: Resource(GROUP, versions[0], plural, kind, True, _VERBS) for kind, plural, _, versions, _, _ in KINDS
}


SERVERS = ("prometheuses", "prometheusagents", "alertmanagers")
_KIND_OF = {kind: plural for kind, plural, *_ in KINDS}
Key = tuple[str, str, str]
"""Resource, namespace, name."""


class Servers(Protocol):
    """Runs what is planned."""

    async def run_server(self, plan: ServerPlan) -> None:
        """From now on as planned; the first time it is started. Raises ConfigurationError."""
        ...

    async def end_server(self, namespace: str, name: str) -> None: ...

    async def run_alertmanager(self, plan: AlertmanagerPlan) -> None:
        """Likewise."""
        ...

    async def end_alertmanager(self, namespace: str, name: str) -> None: ...


class PrometheusOperator:
    """`servers` runs the plans; `extra_jobs` are scraped by the Prometheus of that (namespace, name) as well."""

    def __init__(
        self, client: Client, mirrors: Mirrors, events: EventRecorder, world: World, servers: Servers, kinds: Mapping[str, type], *,
        extra_jobs: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:  # fmt: skip
        self._client, self._events, self._world, self._servers, self._kinds = client, events, world, servers, kinds
        self._extra_jobs = extra_jobs or {}
        self._mirrors = {name: mirrors.of(found) for name, found in RESOURCES.items()}
        self._mirrors["namespaces"] = mirrors.of(resource("namespaces"))
        self._changed = asyncio.Event()
        self._running: dict[Key, str] = {}
        self._told: dict[Key, str] = {}
        self._references = References(client)
        for mirror in self._mirrors.values():
            mirror.subscribe(lambda change: self._changed.set())

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
            end = self._servers.end_alertmanager if key[0] == "alertmanagers" else self._servers.end_server
            await self._guarded(end(*key[1:]))
            del self._running[key]
        known = {_key(plural, found) for plural in RESOURCES for found in self._mirrors[plural].all()}
        self._told = {key: told for key, told in self._told.items() if key in known}
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
            problems = await (self._alertmanager(key, found) if key[0] == "alertmanagers" else self._prometheus(key, found))
        except (ResourceRefused, ConfigurationError) as error:
            await self._report(found, "False", type(error).__name__, str(error))
            self._say(found, str(error))
            return
        for problem in problems:
            self._complain(problem)
        await self._report(found, "True", "", "")

    async def _prometheus(self, key: Key, found: Object) -> Sequence[Problem]:
        """Raises ResourceRefused, ConfigurationError."""
        extra = self._extra_jobs.get(key[1:], ())
        plan = await self._planned(lambda lookup: plan_server(found, self._all, lookup, self._kinds, extra))
        shown = f"{plan.text}\n{plan.groups}"
        if self._running.get(key) != shown:
            self._running[key] = ""  # should it fail, it is tried again, and ended when its object goes
            await self._servers.run_server(plan)
            self._running[key] = shown
        if key[0] == "prometheusagents" and plan.groups:
            raise ResourceRefused("spec.ruleSelector: an agent evaluates no rules")
        return plan.problems

    async def _alertmanager(self, key: Key, found: Object) -> Sequence[Problem]:
        """Raises ResourceRefused, ConfigurationError."""
        plan = await self._planned(lambda lookup: plan_alertmanager(found, self._all, lookup))
        if self._running.get(key) != plan.shown:
            self._running[key] = ""
            await self._servers.run_alertmanager(plan)
            self._running[key] = plan.shown
        return plan.problems

    async def _planned(self, plan: Callable[[Lookup], T]) -> T:
        """Raises ResourceRefused."""
        try:
            return await self._references.planned(plan)
        except BadRequest as error:
            raise ResourceRefused(f"a selector: {error.message}") from error

    def _all(self, name: str) -> Sequence[Object]:
        return self._mirrors[name].all()

    def _complain(self, problem: Problem) -> None:
        found = self._mirrors[problem.resource].get(problem.namespace, problem.name)
        if found is not None:
            self._say(found, problem.reason)

    def _say(self, found: Object, reason: str) -> None:
        """An event, once for each version of the object and reason."""
        key = _key(_KIND_OF[found["kind"]], found)
        told = f"{found['metadata'].get('generation')} {reason}"
        if self._told.get(key) != told:
            self._told[key] = told
            self._events.event(found, "Warning", "InvalidConfiguration", reason)

    async def _report(self, found: Object, status: str, reason: str, message: str) -> None:
        """The conditions Available and Reconciled, when they changed."""
        metadata, before = found["metadata"], (found.get("status") or {}).get("conditions") or ()
        known = {c["type"]: c for c in before}
        conditions = []
        for kind in ("Available", "Reconciled"):
            old = known.get(kind, {})
            same = old.get("status") == status
            conditions.append({
                "type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": metadata.get("generation", 1),
                "lastTransitionTime": old["lastTransitionTime"] if same else self._world.clock.timestamp(),
            })  # fmt: skip
        if conditions != list(before) or (found.get("status") or {}).get("paused"):
            await self._patch(found, {"conditions": conditions, "paused": False})

    async def _report_paused(self, found: Object) -> None:
        if not (found.get("status") or {}).get("paused"):
            await self._patch(found, {"paused": True})

    async def _patch(self, found: Object, status: Object) -> None:
        metadata, kind = found["metadata"], RESOURCES[_KIND_OF[found["kind"]]]
        await self._client.patch(kind, metadata["name"], {"status": status}, metadata["namespace"], subresource="status")


def _key(plural: str, found: Object) -> Key:
    return plural, found["metadata"]["namespace"], found["metadata"]["name"]
