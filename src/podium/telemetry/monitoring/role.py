"""The monitoring of a cluster, in one process: metrics, rules, alerts, and the exporters that need no process of their own.

What is scraped and evaluated is said by objects: this role makes one Prometheus (`podium` in namespace `monitoring`) that selects every
monitor and rule of every namespace, and one Alertmanager (`podium` too) that selects every AlertmanagerConfig; the operator runs them, as it
runs any that users make. The first ones answer at / and /alertmanager, the others at /prometheus/NAMESPACE/NAME and
/alertmanagers/NAMESPACE/NAME. Beside them: /exporters/node, /exporters/kube-state.

Invariant: a server that fails harms no other; a store that cannot be opened is told in the object's status.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from podium import __version__
from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirror import Mirror
from podium.client.mirrors import Mirrors
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, StatusError
from podium.telemetry.discovery.kinds import ALL_KINDS, all_makers
from podium.telemetry.discovery.kubernetes_clients import KubernetesAccess
from podium.telemetry.exporters.kube_state import serving as kube_state_serving
from podium.telemetry.exporters.kube_state.exporter import KubeState
from podium.telemetry.exporters.node import serving as node_serving
from podium.telemetry.exporters.node.exporter import NodeExporter
from podium.telemetry.metrics.errors import ConfigurationError, StorageFailed
from podium.telemetry.metrics.rules.documents import read as read_rules
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.metrics.server.server import MetricsServer, ServerOptions
from podium.telemetry.metrics.server.sources import Switches
from podium.telemetry.metrics.tsdb.options import Options as StoreOptions
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.telemetry.monitoring.admission import AdmissionWebhook
from podium.telemetry.monitoring.alerting import Alerting
from podium.telemetry.monitoring.jobs import Place, cluster_jobs
from podium.telemetry.monitoring.server_control import INDEX, ServerControl
from podium.telemetry.prometheus_operator.alertmanager_configuration import AlertmanagerPlan
from podium.telemetry.prometheus_operator.definitions import definitions
from podium.telemetry.prometheus_operator.reconcile import RESOURCES, PrometheusOperator
from podium.telemetry.prometheus_operator.server_configuration import ServerPlan
from podium.world.http_messages import HttpRequest, Response
from podium.world.http_server import HttpServer
from podium.world.interface import World
from podium.world.supervisor import Supervisor

NAMESPACE, NAME = "monitoring", "podium"
KUBE_STATE = "/exporters/kube-state"
ALERTMANAGER_SECRET = "alertmanager-podium"
SELECTED = ("serviceMonitor", "podMonitor", "probe", "scrapeConfig", "rule")
DEFINED_PATIENCE_S, DEFINED_PAUSE_S = 30.0, 0.1
_log = logger("monitoring")
_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class MonitoringConfig:
    """`directory` is for samples, silences and the notification log; `host` and `port` are where it answers."""

    directory: Path
    host: str
    port: int
    place: Place
    retention_ms: int = 15 * 24 * 3600 * 1000
    admission_tls: ssl.SSLContext | None = None
    """Of the webhook that checks rules when they are written: without it they are not checked then."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


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

    def __init__(self, config: MonitoringConfig, client: Client, world: World, supervisor: Supervisor) -> None:
        self.config, self._client, self._world, self._supervisor = config, client, world, supervisor
        self._running: dict[tuple[str, str], _Running] = {}
        self._mirrors = Mirrors(client, world, supervisor, packed=True)
        self._makers = all_makers(world, KubernetesAccess(world, supervisor, client, NAMESPACE, self._mirrors))
        self._events = EventRecorder(client, world, "podium-monitoring")
        self._alerting = Alerting(world)
        self._node = NodeExporter(world)
        self._kube_state = KubeState(self._mirrors)

    async def run(self) -> None:
        """Until it is cancelled. Raises OSError when the port is taken."""
        http = HttpServer(self._answer)
        webhook: AdmissionWebhook | None = None
        try:
            await http.listen(self.config.host, self.config.port)
            self._supervisor.start("events", self._events.run())
            await self._make_objects()
            self._kube_state.start()
            jobs = cluster_jobs(self.config.place)
            operator = PrometheusOperator(
                self._client, self._mirrors, self._events, self._world, self, ALL_KINDS, extra_jobs={(NAMESPACE, NAME): jobs}
            )
            secret = Mirror(
                self._client, resource("secrets"), self._world, namespace=NAMESPACE, fields=f"metadata.name={ALERTMANAGER_SECRET}"
            )
            secret.subscribe(lambda change: operator.secrets_changed())
            self._supervisor.start("alertmanager-secret", secret.run())
            webhook = await self._serve_admission()
            await operator.run()
        finally:
            await http.close()
            if webhook is not None:
                await webhook.stop()
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
                **selectors, "scrapeInterval": "30s", "evaluationInterval": "30s", "prometheusExternalLabelName": "",
                "replicaExternalLabelName": "", "arbitraryFSAccessThroughSMs": {"deny": True},
            },
        }  # fmt: skip
        await self._ensure(RESOURCES["prometheuses"], prometheus)
        alertmanager = {
            "apiVersion": "monitoring.coreos.com/v1", "kind": "Alertmanager", "metadata": metadata,
            "spec": {"alertmanagerConfigSelector": {}, "alertmanagerConfigNamespaceSelector": {}},
        }  # fmt: skip
        await self._ensure(RESOURCES["alertmanagers"], alertmanager)

    async def _serve_admission(self) -> AdmissionWebhook | None:
        """Without it bad rules are told of in events only."""
        if self.config.admission_tls is None:
            return None
        webhook = AdmissionWebhook(self._client, self.config.admission_tls, self.config.place.ca.read_bytes())
        try:
            await webhook.start()
        except (StatusError, OSError) as error:
            _log.warning("the webhook for rules cannot be registered; they are not checked when they are written", reason=str(error))
        return webhook

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
        directory = self.config.directory / ("data" if own else f"{key[0]}_{key[1]}")
        url = self.config.url if own else f"{self.config.url}/prometheus/{key[0]}/{key[1]}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            store = Tsdb.open(directory, self._world, StoreOptions(retention_ms=self.config.retention_ms))
        except (StorageFailed, OSError) as error:
            raise ConfigurationError(str(error)) from error
        options = ServerOptions(
            directory=directory, external_url=url, version=__version__,
            switches=Switches(admin_api=True, lifecycle=False, remote_write_receiver=True),
        )  # fmt: skip
        sources = {f"{self.config.url}{KUBE_STATE}/metrics": self._kube_state}
        server = MetricsServer(store, self._world, options, makers=self._makers, sources=sources)
        server.start()
        self._supervisor.start(f"server/{key[0]}/{key[1]}", server.failed())
        running = self._running[key] = _Running(server, server.application())
        return running

    def _own_alerting(self) -> Any:
        from podium.telemetry.metrics.configuration.configuration import load

        return load(
            f"alerting: {{alertmanagers: [{{path_prefix: /alertmanager, static_configs: [{{targets: ['{self.config.host}:{self.config.port}']}}]}}]}}"
        ).alerting

    async def end_server(self, namespace: str, name: str) -> None:
        running = self._running.pop((namespace, name), None)
        if running is not None:
            await running.server.stop()
            await running.server.store.close()

    async def run_alertmanager(self, plan: AlertmanagerPlan) -> None:
        key, own = (plan.namespace, plan.name), (plan.namespace, plan.name) == (NAMESPACE, NAME)
        directory = self.config.directory / ("alertmanager" if own else f"alertmanager_{key[0]}_{key[1]}")
        url = f"{self.config.url}/alertmanager" if own else f"{self.config.url}/alertmanagers/{key[0]}/{key[1]}"
        await self._alerting.run(plan, directory, url)

    async def end_alertmanager(self, namespace: str, name: str) -> None:
        await self._alerting.end(namespace, name)

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
            "/exporters/node": lambda request: node_serving.handle(self._node, request),
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
