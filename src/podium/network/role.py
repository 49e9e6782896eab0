"""The network of one node: keeps Services and DNS in step with the API.

Observe: mirrors of Services, EndpointSlices and Namespaces. Plan: `plan_forwards`. Apply: nftables (`kernel`) or a proxy (`loopback`).
Changes are gathered for GATHER_S, then applied as one; what an applier refuses is tried again after RETRY_S.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from podium.client.events import EventRecorder
from podium.client.interface import Client
from podium.client.mirrors import Mirrors
from podium.instrument.log import logger
from podium.network.dns import DnsServer
from podium.network.dns_zone import Directory, Zone
from podium.network.hosts_file import HostsFiles
from podium.network.loopback_proxy import LoopbackProxy
from podium.network.measurements import DnsMeasurements, ProxyMeasurements
from podium.network.nftables import NftablesApplier, RulesRefused, Site
from podium.network.services import SERVICE_LABEL, Endpoint, Forward, plan_forwards
from podium.objects.resources import resource
from podium.world.interface import World
from podium.world.supervisor import Supervisor

log = logger("network")

Object = dict[str, Any]
GATHER_S = 0.02
RETRY_S = 1.0


@dataclass(frozen=True)
class NetworkConfig:
    """`kind`: kernel or loopback. `gateway` is where DNS listens and the API server is reached by pods (kernel); `api` the API server's
    own address. `hosts`: where process pods' /etc/hosts lie, for machines on which nothing may listen on port 53."""

    kind: str
    name: str
    node_name: str
    pod_cidr: str
    service_cidr: str
    gateway: str
    dns_ip: str
    cluster_domain: str
    api: Endpoint
    resolvers: tuple[str, ...] = ()
    hosts: HostsFiles | None = None


async def run_network(
    config: NetworkConfig,
    client: Client,
    world: World,
    supervisor: Supervisor,
    proxy: ProxyMeasurements | None = None,
    dns: DnsMeasurements | None = None,
) -> None:
    """Starts what the node needs under the supervisor and returns."""
    mirrors = Mirrors(client, world, supervisor)
    events = EventRecorder(client, world, "podium-network", config.node_name)
    supervisor.start("network/events", events.run())
    supervisor.start("network/services", ServiceLoop(config, mirrors, events, world, supervisor, proxy).run())
    if config.kind == "kernel":
        zone = Zone(config.cluster_domain, directory(mirrors), [config.pod_cidr, config.service_cidr])
        supervisor.start("network/dns", DnsServer(zone, world, supervisor, config.resolvers, measurements=dns).run(config.gateway))


class ServiceLoop:
    def __init__(
        self,
        config: NetworkConfig,
        mirrors: Mirrors,
        events: EventRecorder,
        world: World,
        supervisor: Supervisor,
        measurements: ProxyMeasurements | None = None,
    ) -> None:
        self._config = config
        self._clock = world.clock
        self._measurements = measurements or ProxyMeasurements(world)
        self._events = events
        self._services = mirrors.of(resource("services"))
        self._slices = mirrors.of(resource("endpointslices", "discovery.k8s.io"))
        self._proxy = LoopbackProxy(world, supervisor, self._refused)
        site = Site(config.name, config.pod_cidr, config.service_cidr, config.gateway, config.dns_ip)
        self._kernel = NftablesApplier(site) if config.kind == "kernel" else None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; then nothing listens any more."""
        try:
            await self._follow()
        finally:
            await self._proxy.close()

    async def _follow(self) -> None:
        await self._reach_api()
        await self._services.synced()
        await self._slices.synced()
        self._services.subscribe(lambda _: self._noticed(self._measurements.service_changed))
        self._slices.subscribe(lambda _: self._noticed(self._measurements.endpoints_changed))
        self._changed.set()
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_S)
            self._changed.clear()
            began_s = self._clock.monotonic()
            if await self._apply(plan_forwards(self._services.all(), self._slices.all(), self._config.node_name)):
                self._measurements.synced(began_s)

    def _noticed(self, count: Callable[[], None]) -> None:
        count()
        self._changed.set()

    async def _reach_api(self) -> None:
        """Pods of the kernel network cannot reach 127.0.0.1: the gateway's address leads there. Taken already when the server does it."""
        if self._kernel is not None:
            try:
                await self._proxy.forward(self._config.gateway, self._config.api.port, self._config.api)
            except OSError as error:
                log.info("the API server is not forwarded to", gateway=self._config.gateway, error=str(error))

    async def _apply(self, forwards: tuple[Forward, ...]) -> bool:
        """False when the kernel refused: then it is tried again."""
        await self._proxy.apply(forwards, cluster_ips=self._kernel is None, node_ports=True)
        if self._config.hosts is not None:
            self._config.hosts.update(self._services.all(), forwards)
        if self._kernel is None:
            return True
        try:
            await self._kernel.apply(forwards)
        except RulesRefused as error:
            log.error("service rules refused", error=str(error))
            self._measurements.failures.add()
            await asyncio.sleep(RETRY_S)
            self._changed.set()
            return False
        return True

    def _refused(self, forward: Forward, why: str) -> None:
        service = self._services.get(forward.namespace, forward.name)
        if service is not None:
            self._events.event(service, "Warning", "PortNotForwarded", why)


def directory(mirrors: Mirrors) -> Directory:
    """The zone's view of the mirrors."""
    services = mirrors.of(resource("services"))
    slices = mirrors.of(resource("endpointslices", "discovery.k8s.io"))
    namespaces = mirrors.of(resource("namespaces"))
    services.add_index("dns/address", _cluster_ips)
    slices.add_index("dns/service", _service_key)
    slices.add_index("dns/address", lambda piece: [ip for entry in piece.get("endpoints") or () for ip in entry.get("addresses") or ()])

    def endpoints_at(address: str) -> list[tuple[Object, Object]]:
        found: dict[tuple[str, str], tuple[Object, Object]] = {}  # several slices may name the same endpoint, for several ports
        for piece in slices.by_index("dns/address", address):
            service = services.get(piece["metadata"]["namespace"], (piece["metadata"].get("labels") or {}).get(SERVICE_LABEL, ""))
            if service is None:
                continue
            for entry in piece.get("endpoints") or ():
                if address in (entry.get("addresses") or ()):
                    found.setdefault((service["metadata"]["uid"], entry.get("hostname", "")), (service, entry))
        return list(found.values())

    return Directory(
        service=lambda namespace, name: services.get(namespace, name),
        slices=lambda namespace, name: slices.by_index("dns/service", f"{namespace}/{name}"),
        namespace_exists=lambda name: namespaces.get("", name) is not None,
        services_at=lambda address: services.by_index("dns/address", address),
        endpoints_at=endpoints_at,
    )


def _cluster_ips(service: Object) -> list[str]:
    spec = service.get("spec", {})
    return [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP", "")] if ip and ip != "None"]


def _service_key(piece: Object) -> list[str]:
    metadata = piece["metadata"]
    return [f"{metadata.get('namespace', '')}/{(metadata.get('labels') or {}).get(SERVICE_LABEL, '')}"]
