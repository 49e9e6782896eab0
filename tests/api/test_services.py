"""Addresses and node ports: shared pools that neither leak nor hand out twice."""

import asyncio
import ipaddress

import pytest

from podium.client.in_process import InProcessClient
from podium.objects import values
from podium.objects.resources import resource
from podium.objects.status import Invalid, ServerError
from tests.api.conftest import SERVICE_CIDR
from tests.api.objects import service

SERVICES = resource("services")


async def test_each_service_has_an_address_of_its_own(client: InProcessClient) -> None:
    created = await asyncio.gather(*(client.create(SERVICES, service(f"s{i}")) for i in range(20)))
    addresses = [s["spec"]["clusterIP"] for s in created]
    assert len(set(addresses)) == 20
    assert all(ipaddress.ip_address(a) in ipaddress.ip_network(SERVICE_CIDR) for a in addresses)


async def test_the_pool_is_exhausted_and_filled_again(client: InProcessClient) -> None:
    size = ipaddress.ip_network(SERVICE_CIDR).num_addresses - 3  # without network, broadcast and the kubernetes Service
    for i in range(size):
        await client.create(SERVICES, service(f"s{i}"))
    with pytest.raises(ServerError, match="range is full"):
        await client.create(SERVICES, service("extra"))
    await client.delete(SERVICES, "s7", "default")
    await client.create(SERVICES, service("extra"))


REFUSED = [
    ({"clusterIP": "10.97.0.1"}, "is not in the valid range"),
    ({"clusterIP": "10.96.0.1"}, "provided IP is already allocated"),
    ({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}, "spec.ports[0].nodePort"),
]


@pytest.mark.parametrize(("spec", "says"), REFUSED)
async def test_an_address_that_cannot_be_had_is_refused(client: InProcessClient, spec: dict[str, object], says: str) -> None:
    with pytest.raises(Invalid) as caught:
        await client.create(SERVICES, service("s", **spec))
    assert says in caught.value.message


async def test_node_ports_follow_the_type(client: InProcessClient) -> None:
    created = await client.create(SERVICES, service("s", type="NodePort"))
    port = created["spec"]["ports"][0]["nodePort"]
    with pytest.raises(Invalid, match="provided port is already allocated"):
        await client.create(SERVICES, service("t", type="NodePort", ports=[{"port": 80, "nodePort": port}]))
    changed = values.copy(created)
    changed["spec"]["type"] = "ClusterIP"
    changed["spec"]["ports"] = [{"port": 80}]
    assert "nodePort" not in (await client.update(SERVICES, changed))["spec"]["ports"][0]
    taken = await client.create(SERVICES, service("t", type="NodePort", ports=[{"port": 80, "nodePort": port}]))
    assert taken["spec"]["ports"][0]["nodePort"] == port


async def test_a_headless_service_takes_no_address(client: InProcessClient) -> None:
    created = await client.create(SERVICES, service("s", clusterIP="None"))
    assert created["spec"]["clusterIP"] == "None" and created["spec"]["clusterIPs"] == ["None"]


async def test_an_update_keeps_the_address(client: InProcessClient) -> None:
    created = await client.create(SERVICES, service("s"))
    changed = service("s", ports=[{"port": 81}])
    assert (await client.update(SERVICES, changed))["spec"]["clusterIP"] == created["spec"]["clusterIP"]
