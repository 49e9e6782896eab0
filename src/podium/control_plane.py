"""Wires the control plane: store, API server, controllers, scheduler in one event loop.

`build` is what all three ways to run share (live, rehearsal, test): an API server on a store in a world. `start_controllers` adds the control
loops, each as a client with an identity of its own. `run` is the live role: SQLite, TLS, signals.

Order matters for the start: the API listens and answers /readyz before the control loops are even imported.
"""

import asyncio
import gc
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from podium import __version__
from podium.api import admission, authentication_config
from podium.api.account_tokens import ISSUER
from podium.api.aggregated import Aggregation
from podium.api.authentication import Authenticator, Sources
from podium.api.authority import Authority
from podium.api.bootstrap import API_SERVER, bootstrap
from podium.api.core import Core
from podium.api.custom.registry import CustomResources
from podium.api.custom.views import Views
from podium.api.custom.webhook_conversion import WebhookConversion
from podium.api.encoding import encode
from podium.api.expiry import expire_events
from podium.api.flow_control import FlowControl
from podium.api.front_proxy import FrontProxy
from podium.api.measurements import Measurements
from podium.api.node_proxy import NodeProxy
from podium.api.pod_security_config import NO_SETTINGS, PodSecurity
from podium.api.request import User
from podium.api.server import ApiServer
from podium.api.strategies import strategies
from podium.api.strategies.services import ServiceStrategy
from podium.api.watching import Hubs
from podium.cli.cluster import Cluster
from podium.cli.refusal import Refusal
from podium.client.in_process import InProcessClient
from podium.instrument import component as component_of_tasks
from podium.instrument.metrics import Registry
from podium.instrument.process_metrics import register_process
from podium.objects import values
from podium.objects.resources import Catalog, Resource, builtin, resource
from podium.store.errors import RevisionMismatch, StoreError
from podium.store.interface import Store
from podium.world.http_server import HttpServer
from podium.world.interface import World
from podium.world.supervisor import Supervisor

CONTROLLER_MANAGER = User("system:kube-controller-manager", ("system:authenticated",))
SCHEDULER = User("system:kube-scheduler", ("system:authenticated",))
_ACCOUNTS = ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")
ADMINISTRATOR = User("kubernetes-admin", ("system:masters", "system:authenticated"))


GC_THRESHOLDS = (50_000, 50, 100)
"""Thousands of objects live long and hold no cycles: with Python's defaults the collector takes a fifth of the time at 5,000 pods."""


def controller(name: str) -> User:
    """The service account of one controller; what it may do is in api/bootstrap_controller_roles.py."""
    return User(f"system:serviceaccount:kube-system:{name}", _ACCOUNTS)


@dataclass(slots=True)
class ControlPlane:
    """A running API server and what belongs to it. `tasks` owns its loops."""

    server: ApiServer
    world: World
    tasks: Supervisor
    controllers: Supervisor = field(default_factory=lambda: Supervisor("controllers"))

    def client(self, user: User = ADMINISTRATOR, user_agent: str = "") -> InProcessClient:
        return InProcessClient(self.server, user, user_agent)

    async def stop(self) -> None:
        """Control loops first, then watches, then the store."""
        await self.controllers.stop()
        self.server.hubs.close()
        await self.tasks.stop()
        await self.server.nodes.aclose()
        await self.server.aggregation.aclose()
        await self.server.core.admission.aclose()
        if self.server.audit is not None:
            await self.server.audit.aclose()
        await self.server.core.store.close()


async def build(
    store: Store,
    world: World,
    *,
    service_cidr: str,
    signing_key: bytes,
    api_endpoint: tuple[str, int] | None = None,
    nodes_tls: ssl.SSLContext | None = None,
    disabled_plugins: frozenset[str] = frozenset(),
    identities: Sources | None = None,
    client_ca: str = "",
    front_proxy: FrontProxy | None = None,
    issuer: str = ISSUER,
    resources: Iterable[Resource] | None = None,
    pod_security: PodSecurity = NO_SETTINGS,
) -> ControlPlane:
    """An API server that is ready: system namespaces, the `kubernetes` Service (with `api_endpoint` behind it), pools restored. `resources`
    are the built-in ones that it serves, all unless given."""
    core = Core(
        store, world, Catalog(builtin() if resources is None else resources), strategies(service_cidr), disabled_plugins, pod_security
    )
    hubs = Hubs(core)
    server = ApiServer(
        core, hubs, Authenticator(core, signing_key, identities, issuer), NodeProxy(core, nodes_tls), Measurements(core, hubs),
        Aggregation(core, front_proxy),
    )  # fmt: skip
    services = cast(ServiceStrategy, core.strategies["", "services"])
    services.restore([r.value for r in (await store.range(resource("services").prefix)).records])
    await core.authorizer.load(store)
    plane = ControlPlane(server, world, Supervisor("control-plane"))
    custom = CustomResources(core, server.hubs)
    await custom.start()
    await admission.start(core)
    server.flows = FlowControl(store, registry=server.measurements.registry)
    await server.flows.start()
    core.views = Views(WebhookConversion(core.admission.webhook_client, world.uid))
    plane.tasks.start("custom-resources", custom.run())
    await bootstrap(core, service_cidr, api_endpoint, client_ca)
    plane.tasks.start("event-expiry", expire_events(core))
    await server.aggregation.start(plane.tasks)
    server.ready = True
    return plane


def start_controllers(plane: ControlPlane, *, ca_pem: str, scheduler: bool = True, sign: Callable[..., str] | None = None) -> None:
    """Starts every control loop; they run until `plane.stop()`. `sign` signs approved certificate requests; without it nobody does."""
    from podium.client.events import EventRecorder
    from podium.client.mirrors import Mirrors
    from podium.controllers.certificate_signing import CertificateSigningController
    from podium.controllers.cluster_role_aggregation import ClusterRoleAggregationController
    from podium.controllers.cron_jobs import CronJobController
    from podium.controllers.daemon_sets import DaemonSetController
    from podium.controllers.deployments import DeploymentController
    from podium.controllers.disruption import DisruptionController
    from podium.controllers.endpoint_slice_mirroring import EndpointSliceMirroringController
    from podium.controllers.endpoint_slices import EndpointSliceController
    from podium.controllers.endpoints import EndpointsController
    from podium.controllers.flow_schemas import FlowSchemaController
    from podium.controllers.garbage_collection import GarbageCollector
    from podium.controllers.jobs import JobController
    from podium.controllers.namespaces import NamespaceController
    from podium.controllers.node_lifecycle import NodeLifecycleController
    from podium.controllers.pod_garbage_collection import PodGarbageCollector
    from podium.controllers.policy_status import PolicyStatusController
    from podium.controllers.replica_sets import REPLICATION_CONTROLLERS, ReplicaSetController
    from podium.controllers.resource_quotas import ResourceQuotaController
    from podium.controllers.root_ca import RootCaController
    from podium.controllers.service_accounts import ServiceAccountController
    from podium.controllers.stateful_sets import StatefulSetController
    from podium.controllers.volume_protection import ClaimProtection, VolumeProtection

    world, owner, catalog = plane.world, plane.controllers, plane.server.core.catalog
    registry = _component(plane, "kube-controller-manager")
    mirrors = Mirrors(plane.client(CONTROLLER_MANAGER), world, owner)

    def start(identity: str, make: Callable[..., Any], component: str = "", user: User | None = None, **more: Any) -> None:
        """`make(client, mirrors, events, world)`; `component` is the name in its events, `user` who it is, where that is not the identity's."""
        client = plane.client(user or controller(identity), "kube-controller-manager")
        events = EventRecorder(client, world, component or identity)
        owner.start(f"events/{identity}", events.run())
        with component_of_tasks.counting_in(registry):
            owner.start(identity, make(client, mirrors, events, world, **more).run())

    start("service-account-controller", ServiceAccountController, "serviceaccount-controller")
    start("root-ca-cert-publisher", RootCaController, ca_pem=ca_pem)
    aggregation = plane.server.aggregation
    start(
        "namespace-controller", NamespaceController, resources=lambda: (*catalog, *aggregation.resources()), unknown=aggregation.unknown
    )  # fmt: skip
    start("replicaset-controller", ReplicaSetController)
    start("replication-controller", ReplicaSetController, kind=REPLICATION_CONTROLLERS)
    start("job-controller", JobController)
    start("cronjob-controller", CronJobController)
    start("statefulset-controller", StatefulSetController)
    start("daemon-set-controller", DaemonSetController, "daemonset-controller")
    start("disruption-controller", DisruptionController, "controllermanager")
    start("deployment-controller", DeploymentController)
    start("endpointslice-controller", EndpointSliceController, "endpoint-slice-controller")
    start("endpointslicemirroring-controller", EndpointSliceMirroringController, "endpoint-slice-mirroring-controller")
    start("endpoint-controller", EndpointsController)
    start("generic-garbage-collector", GarbageCollector, "garbage-collector-controller", resources=catalog)
    start("resourcequota-controller", ResourceQuotaController, resources=catalog)
    start("pvc-protection-controller", ClaimProtection)
    start("pv-protection-controller", VolumeProtection)
    if sign is not None:
        start("certificate-controller", CertificateSigningController, sign=sign)
    start("validatingadmissionpolicy-status-controller", PolicyStatusController, resources=catalog)
    start("flow-schema-controller", FlowSchemaController, user=API_SERVER)
    start("pod-garbage-collector", PodGarbageCollector)
    start("node-controller", NodeLifecycleController)
    start("clusterrole-aggregation-controller", ClusterRoleAggregationController)
    if scheduler:
        _start_scheduler(plane)


def _start_scheduler(plane: ControlPlane) -> None:
    from podium.client.events import EventRecorder
    from podium.client.mirrors import Mirrors

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy is loaded next; its arrays here are too small for threads
    from podium.scheduler.scheduler import Scheduler

    client, world, owner = plane.client(SCHEDULER), plane.world, plane.controllers
    events = EventRecorder(client, world, "default-scheduler")
    owner.start("events/default-scheduler", events.run())
    with component_of_tasks.counting_in(_component(plane, "kube-scheduler")):
        owner.start("scheduler", Scheduler(client, Mirrors(client, world, owner), events, world).run())


def _component(plane: ControlPlane, name: str) -> Registry:
    """The registry of a component of this process, served at /metrics/NAME."""
    registry = plane.server.measurements.components[name] = Registry()
    registry.constant("kubernetes_build_info", "The version of this component; always 1.", {"git_version": f"v{__version__}"})
    return registry


def run(cluster: Cluster) -> None:
    """The control-plane role of a live cluster: returns after SIGTERM or SIGINT."""
    import uvloop

    uvloop.run(_run(cluster))


async def write_anew(store: Store, prefix: str) -> None:
    """Writes every object under `prefix` as it is, so that it is sealed with the current key."""
    for record in (await store.range(prefix)).records:
        try:
            await store.put(record.key, encode(values.copy(record.value)), expected=record.revision)
        except RevisionMismatch:
            continue  # somebody else has just written it


async def _run(cluster: Cluster) -> None:
    """Raises Refusal when the store cannot be opened, OSError when the port is taken, and the first crash of any of its tasks."""
    from podium.instrument.log import configure
    from podium.instrument.task_dump import dump_on_signal
    from podium.store.compaction import compact_regularly
    from podium.store.seal import AesGcmSeal, load_or_create_keys
    from podium.store.sqlite import SqliteStore
    from podium.world.allocation import give_back_early
    from podium.world.real import RealWorld

    give_back_early()
    configure()
    gc.set_threshold(*GC_THRESHOLDS)
    dump_on_signal()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    authority = Authority.load_or_create(cluster.pki_dir)
    try:
        keys = load_or_create_keys(cluster.encryption_keys_path)
        store = SqliteStore.open(cluster.store_path, seal=AesGcmSeal(keys, (resource("secrets").prefix,)))
    except StoreError as error:
        raise Refusal(str(error)) from error
    world = RealWorld()
    try:
        identities = authentication_config.load(cluster.authentication_dir, world)
    except ValueError as error:
        raise Refusal(str(error)) from error
    plane = await build(
        store, world, service_cidr=cluster.service_cidr, signing_key=authority.service_account_key,
        api_endpoint=(cluster.api_endpoint_ip, cluster.api_port), nodes_tls=_nodes_tls(authority),
        front_proxy=FrontProxy.load_or_create(authority),
        identities=identities, client_ca=authority.ca_pem.decode(), pod_security=_pod_security(cluster),
    )  # fmt: skip
    server = plane.server
    _start_audit(plane, cluster)
    http = HttpServer(server.handle, _server_tls(authority, cluster), on_crash=server.crashed, on_too_large=server.too_large)
    await http.listen(cluster.api_host, cluster.api_port)
    if len(keys) > 1:
        plane.tasks.start("seal anew", write_anew(store, resource("secrets").prefix))
    plane.tasks.start("compaction", compact_regularly(store))
    start_controllers(plane, ca_pem=authority.ca_pem.decode(), sign=authority.sign_request)
    plane.tasks.start("controllers", plane.controllers.failed())
    measurements = plane.server.measurements
    for registry in (measurements.registry, *measurements.components.values()):
        register_process(registry)
    try:
        await plane.tasks.until(stopping)
    finally:
        await plane.controllers.stop()
        await http.close()
        await plane.stop()


def _pod_security(cluster: Cluster) -> PodSecurity:
    if not cluster.admission_config_file:
        return NO_SETTINGS
    from podium.api import admission_config

    try:
        return admission_config.read(Path(cluster.admission_config_file))
    except (OSError, ValueError) as error:
        raise Refusal(f"admission settings {cluster.admission_config_file}: {error}") from error


def _start_audit(plane: ControlPlane, cluster: Cluster) -> None:
    if not cluster.audit_policy_file:
        return
    from podium.api import audit_policy
    from podium.api.audit_log import AuditLog

    try:
        policy = audit_policy.parse(Path(cluster.audit_policy_file).read_text())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise Refusal(f"audit policy {cluster.audit_policy_file}: {error}") from error
    plane.server.audit = AuditLog(policy, cluster.audit_log_path, plane.world)
    plane.tasks.start("audit", plane.server.audit.run())


def _server_tls(authority: Authority, cluster: Cluster) -> ssl.SSLContext:
    hosts = server_hosts(cluster.cluster_domain, [cluster.api_host, cluster.kubernetes_ip, cluster.api_endpoint_ip])
    certificate, key = authority.issue_files("apiserver", "kube-apiserver", hosts=hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.num_tickets = 0  # clients keep their connections; a ticket is a session kept here, for each
    context.load_verify_locations(cafile=str(authority.ca_path))
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def server_hosts(cluster_domain: str, addresses: Sequence[str]) -> list[str]:
    """The names and addresses that the API server is known by."""
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{cluster_domain}"]
    hostname = socket.gethostname()
    unique = dict.fromkeys([*names, *([hostname] if hostname.isascii() else []), "127.0.0.1", *addresses])
    return [h for h in unique if h]


def _nodes_tls(authority: Authority) -> ssl.SSLContext:
    """How the API server presents itself to node agents."""
    certificate, key = authority.issue_files("apiserver-node-client", "kube-apiserver-kubelet-client")
    context = ssl.create_default_context(cafile=str(authority.ca_path))
    context.load_cert_chain(certificate, key)
    return context
