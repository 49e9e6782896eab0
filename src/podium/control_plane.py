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
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from podium.api.aggregated import Aggregation
from podium.api.authentication import Authenticator
from podium.api.authority import Authority
from podium.api.bootstrap import bootstrap
from podium.api.core import Core
from podium.api.encoding import encode
from podium.api.expiry import expire_events
from podium.api.front_proxy import FrontProxy
from podium.api.measurements import Measurements
from podium.api.node_proxy import NodeProxy
from podium.api.request import User
from podium.api.server import ApiServer
from podium.api.strategies import strategies
from podium.api.strategies.services import ServiceStrategy
from podium.api.watching import Hubs
from podium.cli.cluster import Cluster
from podium.cli.refusal import Refusal
from podium.client.in_process import InProcessClient
from podium.objects import values
from podium.objects.resources import Catalog, builtin, resource
from podium.store.errors import RevisionMismatch, StoreError
from podium.store.interface import Store
from podium.world.http_server import HttpServer
from podium.world.interface import World
from podium.world.supervisor import Supervisor

CONTROLLER_MANAGER = User("system:kube-controller-manager", ("system:authenticated",))
SCHEDULER = User("system:kube-scheduler", ("system:authenticated",))
ADMINISTRATOR = User("kubernetes-admin", ("system:masters", "system:authenticated"))


GC_THRESHOLDS = (50_000, 50, 100)
"""Thousands of objects live long and hold no cycles: with Python's defaults the collector takes a fifth of the time at 5,000 pods."""


@dataclass(slots=True)
class ControlPlane:
    """A running API server and what belongs to it. `tasks` owns its loops."""

    server: ApiServer
    world: World
    tasks: Supervisor
    controllers: Supervisor = field(default_factory=lambda: Supervisor("controllers"))

    def client(self, user: User = ADMINISTRATOR) -> InProcessClient:
        return InProcessClient(self.server, user)

    async def stop(self) -> None:
        """Control loops first, then watches, then the store."""
        await self.controllers.stop()
        self.server.hubs.close()
        await self.tasks.stop()
        await self.server.nodes.aclose()
        await self.server.aggregation.aclose()
        await self.server.core.store.close()


async def build(
    store: Store,
    world: World,
    *,
    service_cidr: str,
    signing_key: bytes,
    api_endpoint: tuple[str, int] | None = None,
    nodes_tls: ssl.SSLContext | None = None,
    front_proxy: FrontProxy | None = None,
) -> ControlPlane:
    """An API server that is ready: system namespaces, the `kubernetes` Service (with `api_endpoint` behind it), pools restored."""
    core = Core(store, world, Catalog(builtin()), strategies(service_cidr))
    hubs = Hubs(core)
    server = ApiServer(
        core, hubs, Authenticator(core, signing_key), NodeProxy(core, nodes_tls), Measurements(core, hubs), Aggregation(core, front_proxy)
    )
    services = cast(ServiceStrategy, core.strategies["", "services"])
    services.restore([r.value for r in (await store.range(resource("services").prefix)).records])
    plane = ControlPlane(server, world, Supervisor("control-plane"))
    await bootstrap(core, service_cidr, api_endpoint)
    plane.tasks.start("event-expiry", expire_events(core))
    await server.aggregation.start(plane.tasks)
    server.ready = True
    return plane


def start_controllers(plane: ControlPlane, *, ca_pem: str, scheduler: bool = True) -> None:
    """Starts every control loop; they run until `plane.stop()`."""
    from podium.client.events import EventRecorder
    from podium.client.mirrors import Mirrors
    from podium.controllers.deployments import DeploymentController
    from podium.controllers.endpoint_slice_mirroring import EndpointSliceMirroringController
    from podium.controllers.endpoint_slices import EndpointSliceController
    from podium.controllers.endpoints import EndpointsController
    from podium.controllers.garbage_collection import GarbageCollector
    from podium.controllers.namespaces import NamespaceController
    from podium.controllers.node_lifecycle import NodeLifecycleController
    from podium.controllers.pod_garbage_collection import PodGarbageCollector
    from podium.controllers.replica_sets import REPLICATION_CONTROLLERS, ReplicaSetController
    from podium.controllers.root_ca import RootCaController
    from podium.controllers.service_accounts import ServiceAccountController

    client, world, owner = plane.client(CONTROLLER_MANAGER), plane.world, plane.controllers
    mirrors = Mirrors(client, world, owner)

    def recorder(component: str) -> EventRecorder:
        events = EventRecorder(client, world, component)
        owner.start(f"events/{component}", events.run())
        return events

    loops: list[tuple[str, Any]] = [
        ("service-accounts", ServiceAccountController(client, mirrors, recorder("serviceaccount-controller"), world)),
        ("root-ca", RootCaController(client, mirrors, recorder("root-ca-cert-publisher"), world, ca_pem)),
        ("namespaces", NamespaceController(client, mirrors, recorder("namespace-controller"), world, resources=plane.server.core.catalog)),
        ("replica-sets", ReplicaSetController(client, mirrors, recorder("replicaset-controller"), world)),
        (
            "replication-controllers",
            ReplicaSetController(client, mirrors, recorder("replication-controller"), world, kind=REPLICATION_CONTROLLERS),
        ),
        ("deployments", DeploymentController(client, mirrors, recorder("deployment-controller"), world)),
        ("endpoint-slices", EndpointSliceController(client, mirrors, recorder("endpoint-slice-controller"), world)),
        (
            "endpoint-slice-mirroring",
            EndpointSliceMirroringController(client, mirrors, recorder("endpoint-slice-mirroring-controller"), world),
        ),
        ("endpoints", EndpointsController(client, mirrors, recorder("endpoint-controller"), world)),
        (
            "garbage-collection",
            GarbageCollector(client, mirrors, recorder("garbage-collector-controller"), world, resources=plane.server.core.catalog),
        ),
        ("pod-garbage-collection", PodGarbageCollector(client, mirrors, recorder("pod-garbage-collector"), world)),
        ("node-lifecycle", NodeLifecycleController(client, mirrors, recorder("node-controller"), world)),
    ]
    for name, loop in loops:
        owner.start(name, loop.run())
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
    owner.start("scheduler", Scheduler(client, Mirrors(client, world, owner), events, world).run())


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
    from podium.store.compaction import compact_regularly
    from podium.store.seal import AesGcmSeal, load_or_create_keys
    from podium.store.sqlite import SqliteStore
    from podium.world.real import RealWorld

    configure()
    gc.set_threshold(*GC_THRESHOLDS)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    authority = Authority.load_or_create(cluster.pki_dir)
    try:
        keys = load_or_create_keys(cluster.encryption_keys_path)
        store = SqliteStore.open(cluster.store_path, seal=AesGcmSeal(keys, (resource("secrets").prefix,)))
    except StoreError as error:
        raise Refusal(str(error)) from error
    plane = await build(
        store, RealWorld(), service_cidr=cluster.service_cidr, signing_key=authority.service_account_key,
        api_endpoint=(cluster.api_endpoint_ip, cluster.api_port), nodes_tls=_nodes_tls(authority),
        front_proxy=FrontProxy.load_or_create(authority),
    )  # fmt: skip
    server = plane.server
    http = HttpServer(server.handle, _server_tls(authority, cluster), on_crash=server.crashed, on_too_large=server.too_large)
    await http.listen(cluster.api_host, cluster.api_port)
    if len(keys) > 1:
        plane.tasks.start("seal anew", write_anew(store, resource("secrets").prefix))
    plane.tasks.start("compaction", compact_regularly(store))
    start_controllers(plane, ca_pem=authority.ca_pem.decode())
    plane.tasks.start("controllers", plane.controllers.failed())
    try:
        await plane.tasks.until(stopping)
    finally:
        await plane.controllers.stop()
        await http.close()
        await plane.stop()


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
    certificate, key = authority.issue_files("apiserver-kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"])
    context = ssl.create_default_context(cafile=str(authority.ca_path))
    context.load_cert_chain(certificate, key)
    return context
