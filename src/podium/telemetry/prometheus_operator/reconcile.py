"""The operator: watches its resources, plans a server for each Prometheus, has it run, and says in status and events what came of it.

A change of anything that is watched (a monitor, a rule, a namespace's labels, a Secret that is referred to) makes a new plan for every
Prometheus, at most one every QUIET_S: plans are pure and cheap, and a plan that did not change does nothing. Level-triggered: what is
remembered is only what was applied last.

Secrets are read, not watched: a cluster has many, and few are referred to. They are read again every SECRETS_PERIOD_S.

Source: the Prometheus operator's design: what a Prometheus object means.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirrors import Mirrors
from podium.instrument.log import logger
from podium.objects.resources import Resource, resource
from podium.objects.status import NotFound, StatusError
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.schemas import GROUP, KINDS
from podium.telemetry.prometheus_operator.server_configuration import Problem, ServerPlan, plan_server
from podium.world.interface import World

QUIET_S = 0.25
SECRETS_PERIOD_S = 60.0
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_log = logger("prometheus-operator")
Object = dict[str, Any]

RESOURCES: Mapping[str, Resource] = {
    plural: Resource(GROUP, versions[0], plural, kind, True, _VERBS) for kind, plural, _, versions, _, _ in KINDS
}


class Servers(Protocol):
    """Runs what is planned."""

    async def run_server(self, plan: ServerPlan) -> None:
        """From now on as planned; the first time it is started. Raises ConfigurationError."""
        ...

    async def end_server(self, namespace: str, name: str) -> None: ...


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
        self._running: dict[tuple[str, str], str] = {}
        self._told: dict[tuple[str, str, str], str] = {}
        self._credentials: dict[tuple[str, str, str], Object | None] = {}
        self._asked: dict[tuple[str, str, str], None] = {}
        for mirror in self._mirrors.values():
            mirror.subscribe(lambda change: self._changed.set())

    async def run(self) -> None:
        """For ever."""
        for mirror in self._mirrors.values():
            await mirror.synced()
        self._changed.set()
        while True:
            try:
                async with asyncio.timeout(SECRETS_PERIOD_S):
                    await self._changed.wait()
            except TimeoutError:
                self._credentials.clear()
            await asyncio.sleep(QUIET_S)
            self._changed.clear()
            await self._reconcile()

    async def _reconcile(self) -> None:
        objects = [*self._mirrors["prometheuses"].all(), *self._mirrors["prometheusagents"].all()]
        present = {(o["metadata"]["namespace"], o["metadata"]["name"]) for o in objects}
        for key in [key for key in self._running if key not in present]:
            await self._guarded(self._servers.end_server(*key))
            del self._running[key]
        for found in objects:
            if not found["spec"].get("paused"):
                await self._guarded(self._one(found))

    async def _guarded(self, work: Awaitable[None]) -> None:
        """What fails for one harms no other."""
        try:
            await work
        except (StatusError, OSError) as error:
            _log.warning("reconciling failed; it is tried again with the next change", reason=str(error))
            self._changed.set()
            await asyncio.sleep(1.0)

    async def _one(self, prometheus: Object) -> None:
        key = (prometheus["metadata"]["namespace"], prometheus["metadata"]["name"])
        try:
            plan = await self._planned(prometheus, self._extra_jobs.get(key, ()))
            agent = prometheus["kind"] == "PrometheusAgent"
            shown = f"{plan.text}\n{plan.groups}"
            if self._running.get(key) != shown:
                await self._servers.run_server(plan)
                self._running[key] = shown
            if agent and plan.groups:
                raise ResourceRefused("spec.ruleSelector: an agent evaluates no rules")
        except (ResourceRefused, ConfigurationError) as error:
            await self._report(prometheus, "False", type(error).__name__, str(error))
            self._say(prometheus, str(error))
            return
        for problem in plan.problems:
            self._complain(problem)
        await self._report(prometheus, "True", "", "")

    async def _planned(self, prometheus: Object, extra_jobs: Sequence[Mapping[str, Any]]) -> ServerPlan:
        """Again and again while the plan asks for Secrets that have not been read: each is read once."""
        while True:
            self._asked = {}
            plan = plan_server(prometheus, lambda name: self._mirrors[name].all(), self._lookup, self._kinds, extra_jobs)
            unread = [key for key in self._asked if key not in self._credentials]
            if not unread:
                return plan
            for key in unread:
                self._credentials[key] = await self._read(*key)

    def _lookup(self, kind: str, namespace: str, name: str) -> Object | None:
        self._asked[kind, namespace, name] = None
        return self._credentials.get((kind, namespace, name))

    async def _read(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return await self._client.get(resource(kind), name, namespace) if name else None
        except NotFound:
            return None

    def _complain(self, problem: Problem) -> None:
        found = self._mirrors[problem.resource].get(problem.namespace, problem.name)
        if found is not None:
            self._say(found, problem.reason)

    def _say(self, found: Object, reason: str) -> None:
        """An event, once for each version of the object and reason."""
        metadata = found["metadata"]
        key = (found["kind"], metadata["namespace"], metadata["name"])
        told = f"{metadata.get('generation')} {reason}"
        if self._told.get(key) != told:
            self._told[key] = told
            self._events.event(found, "Warning", "InvalidConfiguration", reason)

    async def _report(self, prometheus: Object, status: str, reason: str, message: str) -> None:
        """The conditions Available and Reconciled, when they changed."""
        metadata, before = prometheus["metadata"], (prometheus.get("status") or {}).get("conditions") or ()
        known = {c["type"]: c for c in before}
        conditions = []
        for kind in ("Available", "Reconciled"):
            old = known.get(kind, {})
            same = old.get("status") == status
            conditions.append({
                "type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": metadata.get("generation", 1),
                "lastTransitionTime": old["lastTransitionTime"] if same else self._world.clock.timestamp(),
            })  # fmt: skip
        if conditions == list(before):
            return
        patch = {"status": {"conditions": conditions, "paused": False}}
        kind_of = RESOURCES["prometheusagents" if prometheus["kind"] == "PrometheusAgent" else "prometheuses"]
        await self._client.patch(kind_of, metadata["name"], patch, metadata["namespace"], subresource="status")
