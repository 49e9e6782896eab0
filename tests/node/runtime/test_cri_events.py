"""A runtime with container events (containerd 1.7 and newer, CRI-O), played by a gRPC server of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from podium.node.runtime.cri import CriRuntime
from podium.node.runtime.cri_client import RUNTIME, message
from podium.node.runtime.cri_config import CLUSTER_LABEL, POD_UID
from podium.node.runtime.interface import RuntimeUnavailable
from podium.world.real import RealWorld


class FakeRuntime(grpc.GenericRpcHandler):
    """Answers Version, Status, ListContainers, and GetContainerEvents from a queue; a None in it ends the stream."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.containers: list[Any] = []
        self.network_ready = True
        self.lists = 0

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        name = details.method.removeprefix(f"/{RUNTIME}/")
        request = message({"GetContainerEvents": "GetEventsRequest"}.get(name, f"{name}Request"))
        if name == "GetContainerEvents":
            return grpc.unary_stream_rpc_method_handler(self.stream, request.FromString, lambda item: item.SerializeToString())
        return grpc.unary_unary_rpc_method_handler(getattr(self, name), request.FromString, lambda item: item.SerializeToString())

    async def stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        while (event := await self.events.get()) is not None:
            yield event

    async def Version(self, request: Any, context: Any) -> Any:
        return message("VersionResponse")(runtime_name="fake", runtime_version="2.0")

    async def Status(self, request: Any, context: Any) -> Any:
        response = message("StatusResponse")()
        response.status.conditions.add(type="RuntimeReady", status=True)
        response.status.conditions.add(type="NetworkReady", status=self.network_ready, message="cni plugin not initialized")
        return response

    async def ListContainers(self, request: Any, context: Any) -> Any:
        self.lists += 1
        return message("ListContainersResponse")(containers=self.containers)

    def tell(self, uid: str, cluster: str) -> None:
        event = message("ContainerEventResponse")(container_id="c")
        event.pod_sandbox_status.metadata.uid = uid
        event.pod_sandbox_status.labels[CLUSTER_LABEL] = cluster
        self.events.put_nowait(event)


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[tuple[FakeRuntime, CriRuntime]]:
    handler = FakeRuntime()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix:{tmp_path}/cri.sock")
    await server.start()
    runtime = CriRuntime(f"{tmp_path}/cri.sock", "mine", RealWorld())
    yield handler, runtime
    await runtime.close()
    await server.stop(0)


async def test_events_of_this_cluster_are_told_without_polling(fake: tuple[FakeRuntime, CriRuntime]) -> None:
    handler, runtime = fake
    for uid, cluster in (("a", "mine"), ("x", "another"), ("b", "mine")):
        handler.tell(uid, cluster)
    changes = runtime.changes()
    async with asyncio.timeout(5):
        assert [await anext(changes), await anext(changes)] == ["a", "b"]
    assert handler.lists == 0
    await changes.aclose()  # type: ignore[attr-defined]


async def test_when_events_end_polling_goes_on(fake: tuple[FakeRuntime, CriRuntime]) -> None:
    handler, runtime = fake
    handler.events.put_nowait(None)
    changes = runtime.changes()
    waiting = asyncio.ensure_future(anext(changes))
    while not handler.lists:
        await asyncio.sleep(0.005)
    handler.containers = [message("Container")(id="c", state=1, labels={POD_UID: "late"})]
    runtime._stir()
    async with asyncio.timeout(5):
        assert await waiting == "late"
    await changes.aclose()  # type: ignore[attr-defined]


async def test_a_runtime_without_network_is_not_ready_and_says_why(fake: tuple[FakeRuntime, CriRuntime]) -> None:
    handler, runtime = fake
    assert (await runtime.info()).version == "2.0"
    handler.network_ready = False
    with pytest.raises(RuntimeUnavailable, match="NetworkReady is false: cni plugin not initialized"):
        await runtime.info()
