"""The monitoring of a cluster, in one process: metrics, rules, alerts, and the exporters that need no process of their own.

What is scraped and evaluated is said by objects: this role makes one Prometheus (`podium` in namespace `monitoring`) that selects every
monitor and rule of every namespace, and one Alertmanager (`podium` too) that selects every AlertmanagerConfig; the operator runs them, as it
runs any that users make. The first ones answer at / and /alertmanager, the others at /prometheus/NAMESPACE/NAME and
/alertmanagers/NAMESPACE/NAME. Beside them: /exporters/kube-state, and /exporters/node where there is a machine. The same role runs live and in a
rehearsal: what is around it (surroundings.py) is all that differs.

Invariant: a server that fails harms no other; a store that cannot be opened is told in the object's status.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirror import Mirror
from podium.client.mirrors import Mirrors
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists
from podium.telemetry.discovery.kubernetes_clients import KubernetesAccess
from podium.telemetry.exporters.kube_state import serving as kube_state_serving
from podium.telemetry.exporters.kube_state.exporter import KubeState
from podium.telemetry.metrics.alertmanager.alertmanager import Alertmanager
from podium.telemetry.metrics.rules.documents import read as read_rules
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.metrics.server.server import MetricsServer
from podium.telemetry.monitoring.alerting import Alerting
from podium.telemetry.monitoring.server_control import INDEX, ServerControl
from podium.telemetry.monitoring.surroundings import Close, Surroundings
from podium.telemetry.prometheus_operator.alertmanager_configuration import AlertmanagerPlan
from podium.telemetry.prometheus_operator.definitions import definitions
from podium.telemetry.prometheus_operator.reconcile import RESOURCES, PrometheusOperator
from podium.telemetry.prometheus_operator.server_configuration import ServerPlan
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World
from podium.world.supervisor import Supervisor

NAMESPACE, NAME = "monitoring", "podium"
KUBE_STATE = "/exporters/kube-state"
ALERTMANAGER_SECRET = "alertmanager-podium"
SELECTED = ("serviceMonitor", "podMonitor", "probe", "scrapeConfig", "rule")
DEFINED_PATIENCE_S, DEFINED_PAUSE_S = 30.0, 0.1
_log = logger("monitoring")
_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)


def bundled_rules() -> list[Group]:
    """What comes with Podium (telemetry/bundled_rules), with a link to each alert's page."""
    folder = files("podium.telemetry") / "bundled_rules"
    return [g for file in sorted(folder.iterdir(), key=lambda f: f.name) for g in read_rules(file.read_bytes(), f"podium/{file.name}")]


@dataclass(slots=True)
class _Running:
    server: MetricsServer
    answer: Callable[[HttpRequest], Awaitable[Response]]


class Monitoring:
    """Runs the servers that the operator plans (its `Servers`), and answers for them."""

    def __init__(self, around: Surroundings, client: Client, world: World, supervisor: Supervisor) -> None:
        self._around, self._client, self._world, self._supervisor = around, client, world, supervisor
        self._running: dict[tuple[str, str], _Running] = {}
        self._mirrors = Mirrors(client, world, supervisor, packed=around.packed)
        self._url = f"http://{around.address}"
        self._makers = around.makers(KubernetesAccess(world, supervisor, client, NAMESPACE, self._mirrors))
        self._events = EventRecorder(client, world, "podium-monitoring")
        self._alerting = Alerting(world, around)
        self._exporters = around.exporters()
        self._kube_state = KubeState(self._mirrors)

    async def run(self) -> None:
        """Until it is cancelled. Raises OSError when the port is taken."""
        closes: list[Close] = []
        try:
            closes.append(await self._around.listen(self._answer))
            self._supervisor.start("events", self._events.run())
            await self._make_objects()
            self._kube_state.start()
            jobs = {(NAMESPACE, NAME): self._around.jobs()}
            operator = PrometheusOperator(self._client, self._mirrors, self._events, self._world, self, self._around.kinds, extra_jobs=jobs)
            secret = Mirror(
                self._client, resource("secrets"), self._world, namespace=NAMESPACE, fields=f"metadata.name={ALERTMANAGER_SECRET}"
            )
            secret.subscribe(lambda change: operator.secrets_changed())
            self._supervisor.start("alertmanager-secret", secret.run())
            if (close := await self._around.serve_admission(self._client)) is not None:
                closes.append(close)
            await operator.run()
        finally:
            for close in closes:
                await close()
            for running in self._running.values():
                await running.server.stop()
                await running.server.store.close()
            await self._alerting.stop()

    # -- what the cluster must have

    async def _make_objects(self) -> None:
        """Definitions, the namespace, the Prometheus, the Alertmanager: each unless it is there."""
        custom = resource("customresourcedefinitions", "apiextensions.k8s.io")
        for definition in definitions():
            await self._ensure(custom, definition)
        await self._ensure(resource("namespaces"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        await self._await_definitions()
        selectors: dict[str, Any] = {f"{prefix}{suffix}": {} for prefix in SELECTED for suffix in ("Selector", "NamespaceSelector")}
        metadata = {"name": NAME, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/managed-by": "podium"}}
        prometheus = {
            "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": metadata,
            "spec": {
                **selectors, "scrapeInterval": self._around.interval, "evaluationInterval": self._around.interval, "prometheusExternalLabelName": "",
                "replicaExternalLabelName": "", "arbitraryFSAccessThroughSMs": {"deny": True},
            },
        }  # fmt: skip
        await self._ensure(RESOURCES["prometheuses"], prometheus)
        alertmanager = {
            "apiVersion": "monitoring.coreos.com/v1", "kind": "Alertmanager", "metadata": metadata,
            "spec": {"alertmanagerConfigSelector": {}, "alertmanagerConfigNamespaceSelector": {}},
        }  # fmt: skip
        await self._ensure(RESOURCES["alertmanagers"], alertmanager)

    async def _ensure(self, kind: Any, value: dict[str, Any]) -> None:
        try:
            await self._client.create(kind, value)
        except AlreadyExists:
            pass

    async def _await_definitions(self) -> None:
        """A definition is served a moment after it was made."""
        async with asyncio.timeout(DEFINED_PATIENCE_S):
            for kind in RESOURCES.values():
                while True:
                    try:
                        await self._client.list(kind, limit=1)
                        break
                    except Exception as error:
                        _log.debug("waiting for a definition", kind=kind.plural, reason=str(error))
                        await asyncio.sleep(DEFINED_PAUSE_S)

    # -- Servers of the operator

    async def run_server(self, plan: ServerPlan) -> None:
        key = (plan.namespace, plan.name)
        running = self._running.get(key) or self._open(key)
        groups = [*bundled_rules(), *plan.groups] if key == (NAMESPACE, NAME) else list(plan.groups)
        configuration = plan.configuration
        if key == (NAMESPACE, NAME) and configuration.alerting is None:
            configuration = replace(configuration, alerting=self._own_alerting())
        running.server.apply(configuration, groups)
        control = ServerControl(running.server, self._world)
        running.answer = running.server.application(control)

    def _open(self, key: tuple[str, str]) -> _Running:
        """Raises ConfigurationError when its store cannot be opened."""
        own = key == (NAMESPACE, NAME)
        store, options = self._around.open_store("data" if own else f"{key[0]}_{key[1]}")
        url = self._url if own else f"{self._url}/prometheus/{key[0]}/{key[1]}"
        options = replace(options, external_url=url)
        sources = {f"{self._url}{KUBE_STATE}/metrics": self._kube_state}
        server = MetricsServer(store, self._world, options, makers=self._makers, outbound=self._around.outbound, sources=sources)
        server.start()
        self._supervisor.start(f"server/{key[0]}/{key[1]}", server.failed())
        running = self._running[key] = _Running(server, server.application())
        return running

    def _own_alerting(self) -> Any:
        from podium.telemetry.metrics.configuration.configuration import load

        targets = f"targets: ['{self._around.address}']"
        return load(f"alerting: {{alertmanagers: [{{path_prefix: /alertmanager, static_configs: [{{{targets}}}]}}]}}").alerting

    async def end_server(self, namespace: str, name: str) -> None:
        running = self._running.pop((namespace, name), None)
        if running is not None:
            await running.server.stop()
            await running.server.store.close()

    async def run_alertmanager(self, plan: AlertmanagerPlan) -> None:
        key, own = (plan.namespace, plan.name), (plan.namespace, plan.name) == (NAMESPACE, NAME)
        folder = "alertmanager" if own else f"alertmanager_{key[0]}_{key[1]}"
        url = f"{self._url}/alertmanager" if own else f"{self._url}/alertmanagers/{key[0]}/{key[1]}"
        await self._alerting.run(plan, folder, url)

    async def end_alertmanager(self, namespace: str, name: str) -> None:
        await self._alerting.end(namespace, name)

    # -- for who wires it

    def server(self, namespace: str = NAMESPACE, name: str = NAME) -> MetricsServer | None:
        """That of a Prometheus object; None while it does not run."""
        running = self._running.get((namespace, name))
        return running.server if running else None

    def alertmanager(self, namespace: str = NAMESPACE, name: str = NAME) -> Alertmanager | None:
        """Likewise."""
        running = self._alerting.get((namespace, name))
        return running.manager if running else None

    # -- HTTP

    async def _answer(self, request: HttpRequest, connection: object) -> Response | None:
        for prefix, answer in self._prefixes().items():
            if request.path == prefix and request.method == "GET":
                return _into(request)
            if request.path.startswith(f"{prefix}/"):
                return await _awaited(answer(_below(request, prefix)))
        for prefix, find in (("/prometheus/", self._server_answer), ("/alertmanagers/", self._alertmanager_answer)):
            if request.path.startswith(prefix):
                namespace, _, rest = request.path.removeprefix(prefix).partition("/")
                name = rest.partition("/")[0]
                found = find((namespace, name))
                if found is None:
                    return Response(404, f"there is no {prefix.strip('/').removesuffix('s')} {namespace}/{name}\n".encode(), _TEXT)
                if "/" not in rest and request.method == "GET":
                    return _into(request)
                return await _awaited(found(_below(request, f"{prefix}{namespace}/{name}")))
        if request.path == "/":
            return Response(200, INDEX, ((b"content-type", b"text/html; charset=utf-8"),))
        own = self._running.get((NAMESPACE, NAME))
        return await own.answer(request) if own else Response(503, b"Service Unavailable\n", _TEXT)

    def _server_answer(self, key: tuple[str, str]) -> Callable[[HttpRequest], Any] | None:
        running = self._running.get(key)
        return running.answer if running else None

    def _alertmanager_answer(self, key: tuple[str, str]) -> Callable[[HttpRequest], Any] | None:
        running = self._alerting.get(key)
        return running.api.handle if running else None

    def _prefixes(self) -> Mapping[str, Callable[[HttpRequest], Any]]:
        own = self._alertmanager_answer((NAMESPACE, NAME))
        return {
            "/alertmanager": own or (lambda request: Response(503, b"Service Unavailable\n", _TEXT)),
            **self._exporters,
            KUBE_STATE: lambda request: kube_state_serving.handle(self._kube_state, request),
        }


def _into(request: HttpRequest) -> Response:
    """To the folder of that name: what pages link to stands beside them."""
    path, mark, query = request.target.partition("?")
    return Response(301, b"", ((b"location", f"{path}/{mark}{query}".encode()),))


def _below(request: HttpRequest, prefix: str) -> HttpRequest:
    path = request.path.removeprefix(prefix) or "/"
    return HttpRequest(
        request.method, path, request.target.removeprefix(prefix) or "/", request.query, request.headers, request.body, request.peer
    )


async def _awaited(answer: Any) -> Response | None:
    found: Response | None = answer if isinstance(answer, Response) else await answer
    return found
