"""The proxy: bytes arrive unchanged, in both directions, from an endpoint that answers."""

import asyncio
from dataclasses import replace

import pytest

from podium.network.loopback_proxy import Listener, LoopbackProxy, plan_listeners
from podium.network.services import Endpoint, Forward
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld
from tests.addresses import OWN

SERVICE = f"{OWN}.20"
FORWARD = Forward("default", "web", "", "TCP", 18080, (SERVICE,), ())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends everything back, once the client has ended."""
    writer.write(await reader.read())
    writer.close()


async def exchange(data: bytes, host: str = SERVICE, port: int = 18080) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
async def proxy(told: list[str]):  # type: ignore[no-untyped-def]
    supervisor = Supervisor("test")
    made = LoopbackProxy(VirtualWorld(1), supervisor, lambda forward, why: told.append(f"{forward.name}: {why}"))
    yield made
    await made.close()
    await supervisor.stop()


async def test_bytes_pass_both_ways_and_dead_endpoints_are_passed_over(proxy: LoopbackProxy) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    living, dead = Endpoint("127.0.0.1", port), Endpoint("127.0.0.9", 1)
    await proxy.apply([replace(FORWARD, endpoints=(dead, living))])
    data = bytes(range(256)) * 4_000
    assert await exchange(data) == data
    for _ in range(5):
        assert await exchange(b"x") == b"x"
    server.close()


async def test_no_endpoint_closes_and_a_removed_service_refuses(proxy: LoopbackProxy) -> None:
    await proxy.apply([FORWARD])
    with pytest.raises(ConnectionResetError):
        await exchange(b"x")
    await proxy.apply([])
    with pytest.raises(ConnectionRefusedError):
        await exchange(b"x")


async def test_fixed_forwardings_stay(proxy: LoopbackProxy) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    await proxy.forward(f"{OWN}.77", 18081, Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]))
    await proxy.apply([])
    assert await exchange(b"api", f"{OWN}.77", 18081) == b"api"
    server.close()


async def test_what_cannot_be_forwarded_is_told_once(proxy: LoopbackProxy, told: list[str]) -> None:
    other = replace(FORWARD, name="dns", protocol="UDP", port=53)
    holder = await asyncio.start_server(echo, SERVICE, 18082)
    taken = replace(FORWARD, name="taken", port=18082)
    for _ in range(2):
        await proxy.apply([other, taken])
    assert [line.split(":")[0] for line in told] == ["taken", "dns"]
    holder.close()


def test_listeners_planned() -> None:
    node = replace(FORWARD, node_port=30080)
    outside = replace(FORWARD, addresses=("10.96.0.1",))
    assert list(plan_listeners([node], cluster_ips=True, node_ports=True)[0]) == [Listener(SERVICE, 18080), Listener("127.0.0.1", 30080)]
    assert list(plan_listeners([node], cluster_ips=False, node_ports=True)[0]) == [Listener("127.0.0.1", 30080)]
    assert plan_listeners([outside], cluster_ips=True, node_ports=True) == ({}, [])
