"""The monitoring of a cluster, in one process: metrics, rules, alerts, and the exporters that need no process of their own.

What is scraped and evaluated is said by objects: this role makes one Prometheus (`podium` in namespace `monitoring`) that selects every
monitor and rule of every namespace, and one Alertmanager (`podium` too) that selects every AlertmanagerConfig; the operator runs them, as it
runs any that users make. The first ones answer at / and /alertmanager, the others at /prometheus/NAMESPACE/NAME,
/prometheusagents/NAMESPACE/NAME and /alertmanagers/NAMESPACE/NAME. Beside them: /exporters/kube-state, and /exporters/node where there is a machine.
Services by which all of them are found: governing_services.py. The same role runs live and in a rehearsal: what is around it (surroundings.py) is
all that differs.

Invariant: a server that fails harms no other; a store that cannot be opened is told in the object's status.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirror import Mirror
from podium.client.mirrors import Mirrors
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, Conflict, StatusError
from podium.telemetry.discovery.kubernetes_clients import KubernetesAccess
from podium.telemetry.exporters.kube_state import serving as kube_state_serving
from podium.telemetry.exporters.kube_state.exporter import KubeState
from podium.telemetry.metrics.alertmanager.alertmanager import Alertmanager
from podium.telemetry.metrics.configuration.alerting import AlertingConfig
from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.metrics.rules.documents import read as read_rules
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.metrics.server.server import MetricsServer
from podium.telemetry.monitoring.admission import AdmissionWebhook
from podium.telemetry.monitoring.alerting import Alerting
from podium.telemetry.monitoring.bundled_objects import bring_definitions, bring_object
from podium.telemetry.monitoring.governing_services import GoverningServices
from podium.telemetry.monitoring.metrics_servers import MetricsServers
from podium.telemetry.monitoring.server_control import INDEX
from podium.telemetry.monitoring.surroundings import Close, Door, Surroundings
from podium.telemetry.prometheus_operator.alertmanager_configuration import AlertmanagerPlan
from podium.telemetry.prometheus_operator.reconcile import RESOURCES, Key, PrometheusOperator
from podium.telemetry.prometheus_operator.server_configuration import ServerPlan
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World
from podium.world.supervisor import Supervisor

NAMESPACE, NAME = "monitoring", "podium"
KUBE_STATE = "/exporters/kube-state"
ALERTMANAGER_SECRET = "alertmanager-podium"
OWN_SERVER: Key = ("prometheuses", NAMESPACE, NAME)
OWN_ALERTMANAGER: Key = ("alertmanagers", NAMESPACE, NAME)
PREFIXES = {"prometheuses": "prometheus", "prometheusagents": "prometheusagents", "alertmanagers": "alertmanagers"}
"""What comes before NAMESPACE/NAME in addresses."""
_FOLDERS = {"prometheuses": "", "prometheusagents": "agent_", "alertmanagers": "alertmanager_"}
SELECTED = ("serviceMonitor", "podMonitor", "probe", "scrapeConfig", "rule")
DEFINED_PATIENCE_S, DEFINED_PAUSE_S = 30.0, 0.1
_log = logger("monitoring")
_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)
_UNAVAILABLE = Response(503, b"Service Unavailable\n", _TEXT)

Handler = Callable[[HttpRequest, object], Any]
"""Of a request and its connection: an answer, or what is awaited for one; None when the connection was taken."""


def bundled_rules() -> list[Group]:
    """What comes with Podium (telemetry/bundled_rules), with a link to each alert's page."""
    folder = files("podium.telemetry") / "bundled_rules"
    return [g for file in sorted(folder.iterdir(), key=lambda f: f.name) for g in read_rules(file.read_bytes(), f"podium/{file.name}")]


class Monitoring:
    """Runs the servers that the operator plans (its `Servers`), and answers for them."""

    def __init__(self, around: Surroundings, client: Client, world: World, supervisor: Supervisor) -> None:
        self._around, self._client, self._world, self._supervisor = around, client, world, supervisor
        self._mirrors = Mirrors(client, world, supervisor, packed=around.packed)
        self._url = f"http://{around.address}"
        self._events = EventRecorder(client, world, "podium-monitoring")
        self._alerting = Alerting(world, around)
        self._exporters = around.exporters()
        self._kube_state = KubeState(self._mirrors)
        self._doors = GoverningServices(client, self._mirrors, self._open_door)
        makers = around.makers(KubernetesAccess(world, supervisor, client, NAMESPACE, self._mirrors))
        sources = {f"{self._url}{KUBE_STATE}/metrics": self._kube_state}
        self._servers = MetricsServers(world, supervisor, makers, around.open_store, sources=sources, outbound=around.outbound)

    async def run(self) -> None:
        """Until it is cancelled. Raises OSError when the port is taken."""
        closes: list[Close] = []
        try:
            closes.append(await self._around.listen(self._answer))
            self._supervisor.start("events", self._events.run())
            webhook = await self._around.serve_webhooks(self._client)
            closes += [webhook.stop] if webhook is not None else []
            await self._make_objects(webhook)
            self._kube_state.start()
            jobs = {OWN_SERVER: self._around.jobs()}
            operator = PrometheusOperator(self._client, self._mirrors, self._events, self._world, self, self._around.kinds, extra_jobs=jobs)
            secret = Mirror(
                self._client, resource("secrets"), self._world, namespace=NAMESPACE, fields=f"metadata.name={ALERTMANAGER_SECRET}"
            )
            secret.subscribe(lambda change: operator.secrets_changed())
            self._supervisor.start("alertmanager-secret", secret.run())
            if webhook is not None:
                await webhook.register()
            await operator.run()
        finally:
            for close in [*closes, self._doors.stop, self._servers.stop, self._alerting.stop]:
                await close()

    # -- what the cluster must have

    async def _make_objects(self, webhook: AdmissionWebhook | None) -> None:
        """Definitions, the namespace, the Prometheus, the Alertmanager: see bundled_objects.py."""
        await bring_definitions(self._client, webhook.conversion() if webhook else None)
        try:
            await self._client.create(resource("namespaces"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        except AlreadyExists:
            pass
        await self._await_definitions()
        for plural, value in own_objects(self._around.interval, self._around.retention).items():
            try:
                await bring_object(self._client, RESOURCES[plural], value)
            except Conflict as error:
                _log.warning("an object of Podium's is left as others have set it", kind=value["kind"], reason=str(error))

    async def _await_definitions(self) -> None:
        """A definition is served a moment after it was made."""
        async with asyncio.timeout(DEFINED_PATIENCE_S):
            for kind in RESOURCES.values():
                while True:
                    try:
                        await self._client.list(kind, limit=1)
                        break
                    except (StatusError, OSError) as error:
                        _log.debug("waiting for a definition", kind=kind.plural, reason=str(error))
                        await asyncio.sleep(DEFINED_PAUSE_S)

    # -- Servers of the operator

    async def run_server(self, key: Key, plan: ServerPlan) -> None:
        groups: Sequence[Group] = [*bundled_rules(), *plan.groups] if key == OWN_SERVER else plan.groups
        configuration = plan.configuration
        if key == OWN_SERVER and not (configuration.alerting and configuration.alerting.alertmanagers):
            configuration = replace(configuration, alerting=self._own_alerting(configuration.alerting))
        folder = "data" if key == OWN_SERVER else f"{_FOLDERS[key[0]]}{key[1]}_{key[2]}"
        await self._servers.run(key, configuration, groups, plan.settings, folder, self._address(key))

    def _own_alerting(self, given: AlertingConfig | None) -> AlertingConfig:
        """To Podium's own Alertmanager, relabelled as `given` says."""
        targets = f"targets: ['{self._around.address}']"
        text = f"alerting: {{alertmanagers: [{{path_prefix: /alertmanager, static_configs: [{{{targets}}}]}}]}}"
        own = load(text).alerting
        assert own is not None
        return replace(own, alert_relabel_configs=given.alert_relabel_configs if given else ())

    async def run_alertmanager(self, key: Key, plan: AlertmanagerPlan) -> None:
        folder = "alertmanager" if key == OWN_ALERTMANAGER else f"{_FOLDERS[key[0]]}{key[1]}_{key[2]}"
        await self._alerting.run(key, plan, folder, self._address(key))

    async def end(self, key: Key) -> None:
        await (self._alerting if key[0] == "alertmanagers" else self._servers).end(key)
        await self._doors.withdraw(key)

    async def publish(self, key: Key, found: dict[str, Any]) -> None:
        await self._doors.publish(key, found)

    async def _open_door(self, key: Key) -> Door:
        """What Podium brings stays on loopback."""

        async def answer(request: HttpRequest, connection: object) -> Response | None:
            handler = self._handler(key)
            return await _awaited(handler(request, connection)) if handler else _UNAVAILABLE

        return await self._around.open_door(answer, key in (OWN_SERVER, OWN_ALERTMANAGER))

    def url(self, key: Key) -> str:
        return self._address(key) if self._handler(key) else ""

    def _address(self, key: Key) -> str:
        own = {OWN_SERVER: "", OWN_ALERTMANAGER: "/alertmanager"}
        return self._url + own.get(key, f"/{PREFIXES[key[0]]}/{key[1]}/{key[2]}")

    # -- for who wires it

    def server(self, namespace: str = NAMESPACE, name: str = NAME) -> MetricsServer | None:
        """That of a Prometheus object; None while it does not run."""
        running = self._servers.get(("prometheuses", namespace, name))
        return running.server if running else None

    def alertmanager(self, namespace: str = NAMESPACE, name: str = NAME) -> Alertmanager | None:
        """Likewise."""
        running = self._alerting.get(("alertmanagers", namespace, name))
        return running.manager if running else None

    # -- HTTP

    async def _answer(self, request: HttpRequest, connection: object) -> Response | None:
        for prefix, answer in self._prefixes().items():
            if request.path == prefix and request.method == "GET":
                return _into(request)
            if request.path.startswith(f"{prefix}/"):
                return await _awaited(answer(_below(request, prefix), connection))
        for plural, prefix in PREFIXES.items():
            if request.path.startswith(f"/{prefix}/"):
                namespace, _, rest = request.path.removeprefix(f"/{prefix}/").partition("/")
                name = rest.partition("/")[0]
                found = self._handler((plural, namespace, name))
                if found is None:
                    return Response(404, f"there is no {prefix.removesuffix('s')} {namespace}/{name}\n".encode(), _TEXT)
                if "/" not in rest and request.method == "GET":
                    return _into(request)
                return await _awaited(found(_below(request, f"/{prefix}/{namespace}/{name}"), connection))
        if request.path == "/":
            return Response(200, INDEX, ((b"content-type", b"text/html; charset=utf-8"),))
        own = self._handler(OWN_SERVER)
        return await _awaited(own(request, connection)) if own else _UNAVAILABLE

    def _handler(self, key: Key) -> Handler | None:
        if key[0] == "alertmanagers":
            alertmanager = self._alerting.get(key)
            return _without_connection(alertmanager.api.handle) if alertmanager else None
        server = self._servers.get(key)
        return server.answer if server else None

    def _prefixes(self) -> Mapping[str, Handler]:
        return {
            "/alertmanager": self._handler(OWN_ALERTMANAGER) or (lambda request, connection: _UNAVAILABLE),
            **{prefix: _without_connection(answer) for prefix, answer in self._exporters.items()},
            KUBE_STATE: lambda request, connection: kube_state_serving.handle(self._kube_state, request),
        }


def own_objects(interval: str, retention: str) -> dict[str, dict[str, Any]]:
    """Resource -> what every cluster has of it. It selects everything; users change that."""
    selectors: dict[str, Any] = {f"{prefix}{suffix}": {} for prefix in SELECTED for suffix in ("Selector", "NamespaceSelector")}
    metadata = {"name": NAME, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/managed-by": "podium"}}
    prometheus = {
        "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": metadata,
        "spec": {
            **selectors, "scrapeInterval": interval, "evaluationInterval": interval, "retention": retention, "prometheusExternalLabelName": "",
            "replicaExternalLabelName": "", "arbitraryFSAccessThroughSMs": {"deny": True}, "enableAdminAPI": True,
            "enableRemoteWriteReceiver": True, "enableOTLPReceiver": True,
        },
    }  # fmt: skip
    alertmanager = {
        "apiVersion": "monitoring.coreos.com/v1", "kind": "Alertmanager", "metadata": metadata,
        "spec": {"alertmanagerConfigSelector": {}, "alertmanagerConfigNamespaceSelector": {}},
    }  # fmt: skip
    return {"prometheuses": prometheus, "alertmanagers": alertmanager}


def _without_connection(answer: Callable[[HttpRequest], Any]) -> Handler:
    return lambda request, connection: answer(request)


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
