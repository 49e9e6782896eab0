"""A Service over several EndpointSlices written by hand: its address leads to what each of them names, and so does its name."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podium.client.events import EventRecorder
from podium.client.mirrors import Mirrors
from podium.control_plane import build, start_controllers
from podium.network import dns_wire
from podium.network.dns_zone import Zone
from podium.network.role import NetworkConfig, ServiceLoop, directory
from podium.network.services import Endpoint
from podium.store.memory import MemoryStore
from podium.world.real import RealWorld
from podium.world.supervisor import Supervisor
from tests.conformance.api import Api
from tests.controllers.api_cluster import signing_key

shows = pytest.mark.conformance
SERVICES, SLICES = "/api/v1/namespaces/default/services", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
ENDPOINTS = "/api/v1/namespaces/default/endpoints"
SERVICE_CIDR = "127.98.0.0/24"
PATIENCE_S = 10.0


class Network:
    """An API with the network of one node beside it: the loopback proxy listens on Services' addresses."""

    def __init__(self, api: Api, zone: Zone) -> None:
        self.api, self.zone = api, zone
        self.servers: list[asyncio.Server] = []

    async def serve(self, host: str, word: str) -> int:
        """A TCP server that says this word to who connects; its port."""

        async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(word.encode())
            writer.close()

        self.servers.append(await asyncio.start_server(say, host, 0))
        return int(self.servers[-1].sockets[0].getsockname()[1])

    async def answers(self, host: str, port: int, wanted: set[str]) -> None:
        """Waits until connections have been answered with every one of these words, and then by no other."""
        loop, seen = asyncio.get_running_loop(), set[str]()
        end = loop.time() + PATIENCE_S
        while loop.time() < end:
            try:
                reader, writer = await asyncio.open_connection(host, port)
                seen.add((await reader.read()).decode())
                writer.close()
            except ConnectionError:
                seen.add("")
            if seen - {""} >= wanted:
                assert seen - {""} == wanted
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{host}:{port} answers {seen}, not {wanted}")

    def addresses(self, name: str) -> list[str]:
        found = self.zone.answer(dns_wire.name_of(f"{name}.default.svc.cluster.local"), dns_wire.A)
        return sorted(".".join(map(str, record.data)) for record in found.records)


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    world = RealWorld()
    plane = await build(MemoryStore(), world, service_cidr=SERVICE_CIDR, signing_key=signing_key(), api_endpoint=("127.0.0.1", 6443))
    start_controllers(plane, ca_pem="PEM", scheduler=False)
    supervisor = Supervisor("network")
    config = NetworkConfig(
        "loopback", "n", "n", "10.244.0.0/16", SERVICE_CIDR, "127.0.0.1", "127.98.0.10", "cluster.local", Endpoint("127.0.0.1", 6443)
    )
    mirrors = Mirrors(plane.client(), world, supervisor)
    events = EventRecorder(plane.client(), world, "podium-network", "n")
    zone = Zone("cluster.local", directory(mirrors), [SERVICE_CIDR])
    supervisor.start("services", ServiceLoop(config, mirrors, events, world, supervisor).run())
    made = Network(Api(plane), zone)
    yield made
    for server in made.servers:
        server.close()
    await supervisor.stop()
    await plane.stop()


def piece(name: str, port_name: str, port: int, *addresses: str, of: str = "custom") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": of, "endpointslice.kubernetes.io/managed-by": "by-hand"}},
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address]} for address in addresses],
    }


PORTS = [{"name": "one", "port": 8090, "protocol": "TCP"}, {"name": "two", "port": 8091, "protocol": "TCP"}]


async def made_service(network: Network, **spec: Any) -> str:
    made = await network.api.post(SERVICES, {"metadata": {"name": "custom"}, "spec": {"ports": PORTS, **spec}})
    return str(made["spec"]["clusterIP"])


@shows("[sig-network] EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices")
async def test_ports_of_one_address_may_come_from_several_slices(network: Network) -> None:
    address = await made_service(network)
    for name, port_name in (("a", "one"), ("b", "two")):
        port = await network.serve("127.0.0.41", port_name)
        await network.api.post(SLICES, piece(name, port_name, port, "127.0.0.41"))
    await network.answers(address, 8090, {"one"})
    await network.answers(address, 8091, {"two"})


@shows("[sig-network] EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices")
async def test_addresses_and_ports_may_come_from_several_slices(network: Network) -> None:
    address = await made_service(network)
    for name, port_name, host in (("a", "one", "127.0.0.41"), ("b", "two", "127.0.0.42")):
        port = await network.serve(host, port_name)
        await network.api.post(SLICES, piece(name, port_name, port, host))
    await network.answers(address, 8090, {"one"})
    await network.answers(address, 8091, {"two"})


async def test_slices_of_the_same_port_are_one_choice_of_endpoints(network: Network) -> None:
    address = await made_service(network)
    for name, host in (("a", "127.0.0.41"), ("b", "127.0.0.42")):
        await network.api.post(SLICES, piece(name, "one", await network.serve(host, name), host))
    await network.answers(address, 8090, {"a", "b"})
    await network.api.delete(f"{SLICES}/a")
    await network.api.settled(SLICES, lambda found: "a" not in [s["metadata"]["name"] for s in found["items"]])
    await asyncio.sleep(0.1)
    await network.answers(address, 8090, {"b"})


async def test_mirrored_and_handwritten_slices_add_up(network: Network) -> None:
    address = await made_service(network)
    mirrored, written = await network.serve("127.0.0.41", "mirrored"), await network.serve("127.0.0.42", "written")
    subsets = [{"addresses": [{"ip": "127.0.0.41"}], "ports": [{"name": "one", "port": mirrored}]}]
    await network.api.post(ENDPOINTS, {"metadata": {"name": "custom"}, "subsets": subsets})
    await network.api.post(SLICES, piece("b", "one", written, "127.0.0.42"))
    await network.answers(address, 8090, {"mirrored", "written"})


async def test_the_name_of_a_headless_service_has_the_addresses_of_all_its_slices(network: Network) -> None:
    await made_service(network, clusterIP="None")
    slices = [piece("a", "one", 8080, "127.98.0.41", "127.98.0.42"), piece("b", "two", 8081, "127.98.0.42", "127.98.0.43")]
    for value in slices:
        value["endpoints"] = [{**e, "hostname": "h" + e["addresses"][0][-1]} for e in value["endpoints"]]
        await network.api.post(SLICES, value)
    for _ in range(1000):
        if len(network.addresses("custom")) == 3:
            break
        await asyncio.sleep(0.005)
    assert network.addresses("custom") == ["127.98.0.41", "127.98.0.42", "127.98.0.43"]
    reverse = network.zone.answer(dns_wire.name_of("42.0.98.127.in-addr.arpa"), dns_wire.PTR)
    assert [dns_wire.read_name(r.data, 0)[0][:2] for r in reverse.records] == [("h2", "custom")]
