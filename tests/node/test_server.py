import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from podium.api.authority import Authority
from podium.node.config import KUBELET_CLIENT
from podium.node.observation import PodView
from podium.node.pod_memory import Waiting
from podium.node.pod_plan import Held
from podium.node.pod_worker import PodWorker
from podium.node.runtime.interface import ContainerState, ContainerStatus
from podium.node.server import NodeServer
from podium.world.http_client import HttpClient
from tests.node.scene import container, pod

LOG = b"2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stderr F two\n"


class EchoSession:
    """Gives back on stdout what comes in on stdin, and ends with code 3 when that is closed; sizes go to stderr."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.killed = False

    async def read(self) -> tuple[int, bytes]:
        return await self.items.get()

    async def write(self, data: bytes) -> None:
        await self.items.put((1, data))

    async def close_stdin(self) -> None:
        await self.items.put((0, b""))

    async def resize(self, columns: int, rows: int) -> None:
        await self.items.put((2, f"{columns}x{rows}".encode()))

    async def wait(self) -> int:
        return 3

    async def kill(self) -> None:
        self.killed = True


class Node:
    """A server with one pod, `web`, whose container `app` runs."""

    def __init__(self, directory: Path) -> None:
        self.session = EchoSession()
        self.asked: list[Any] = []
        self.worker = PodWorker(pod(containers=[container("app"), container("other")]))
        self.log = directory / "0.log"
        self.log.write_bytes(LOG)
        self.show(self.status(0))
        self.workers = SimpleNamespace(runtime=self, now_s=lambda: 1767225602.5)

    def status(self, attempt: int, state: ContainerState = ContainerState.RUNNING) -> ContainerStatus:
        return ContainerStatus(f"c{attempt}", "s", "u", "app", attempt, state, "i", "", 1, 1, log_path=str(self.log))

    def show(self, *statuses: ContainerStatus) -> None:
        self.worker.view = PodView((), statuses)

    def find(self, namespace: str, name: str) -> Any:
        return (self.workers, self.worker) if (namespace, name) == ("default", "web") else None

    async def exec(self, container_id: str, command: tuple[str, ...], *, tty: bool, stdin: bool) -> EchoSession:
        self.asked.append((container_id, command, tty, stdin))
        return self.session


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Any]:
    authority = Authority.load_or_create(tmp_path / "pki")
    found = Node(tmp_path)
    server = NodeServer(found.find, KUBELET_CLIENT, _server_tls(authority))  # type: ignore[arg-type]
    found.port = await server.start("127.0.0.1", 0)  # type: ignore[attr-defined]
    task = asyncio.ensure_future(server.run())
    clients: list[HttpClient] = []

    def client(name: str = KUBELET_CLIENT) -> HttpClient:
        context = ssl.create_default_context(cafile=str(authority.ca_path))
        context.load_cert_chain(*authority.issue_files(name, name))
        clients.append(HttpClient("127.0.0.1", found.port, context))  # type: ignore[attr-defined]
        return clients[-1]

    found.client = client  # type: ignore[attr-defined]
    yield found
    for each in clients:
        await each.aclose()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _server_tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue_files("n1", "system:node:n1", hosts=["127.0.0.1"]))
    context.load_verify_locations(cafile=str(authority.ca_path))
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


async def get(client: HttpClient, path: str) -> tuple[int, str]:
    answer = await client.stream("GET", path)
    body = await answer.read()
    answer.close()
    return answer.status, body.decode()


ANSWERS = [
    ("/healthz", 200, "ok"),
    ("/containerLogs/default/web/app", 200, "one\ntwo\n"),
    ("/containerLogs/default/web/app?tailLines=1&timestamps=true", 200, "2026-01-01T00:00:02Z two\n"),
    ("/containerLogs/default/web/app?sinceSeconds=1", 200, "two\n"),
    ("/containerLogs/default/web/app?sinceTime=2026-01-01T00:00:02Z", 200, "two\n"),
    ("/containerLogs/default/web/app?limitBytes=2", 200, "on"),
    ("/containerLogs/default/web/app?stream=Stderr", 200, "two\n"),
    ("/containerLogs/default/web/app?tailLines=-1", 400, "tailLines must be 0 or more"),
    ("/containerLogs/default/web/app?previous=true", 400, 'previous terminated container "app" in pod "web" not found'),
    ("/containerLogs/default/web/other", 400, 'container "other" in pod "web" is waiting to start: ContainerCreating'),
    ("/containerLogs/default/web/none", 404, 'container "none" not found in pod "web"'),
    ("/containerLogs/default/none/app", 404, 'pod "none" not found'),
    ("/exec/default/web/app?command=ls", 400, "a WebSocket handshake is needed"),
    ("/elsewhere", 404, "404 page not found"),
]


@pytest.mark.parametrize(("path", "status", "body"), ANSWERS)
async def test_answers(node: Any, path: str, status: int, body: str) -> None:
    assert await get(node.client(), path) == (status, body)


async def test_nobody_but_the_api_server_may_ask(node: Any) -> None:
    assert (await get(node.client("system:node:other"), "/containerLogs/default/web/app"))[0] == 403


async def test_previous_is_the_one_before_or_the_one_that_waits_to_be_restarted(node: Any) -> None:
    exited = node.status(0, ContainerState.EXITED)
    node.show(node.status(1), exited)
    assert await get(node.client(), "/containerLogs/default/web/app?previous=true") == (200, "one\ntwo\n")
    node.show(exited)
    assert (await get(node.client(), "/containerLogs/default/web/app?previous=true"))[0] == 400
    node.worker.held = (Held("app", 10.0),)
    assert (await get(node.client(), "/containerLogs/default/web/app?previous=true"))[0] == 200


async def test_an_image_that_cannot_be_pulled_is_said(node: Any) -> None:
    node.show()
    node.worker.memory.waiting["app"] = Waiting("ImagePullBackOff", "")
    answer = await get(node.client(), "/containerLogs/default/web/app")
    assert answer == (400, 'container "app" in pod "web" is waiting to start: image can\'t be pulled')


async def test_following_ends_with_the_container(node: Any) -> None:
    answer = await node.client().stream("GET", "/containerLogs/default/web/app?follow=true")
    pieces = aiter(answer)
    assert await anext(pieces) == b"one\ntwo\n"
    with node.log.open("ab") as opened:
        opened.write(b"2026-01-01T00:00:03Z stdout F three\n")
    node.show(node.status(0, ContainerState.EXITED))
    assert [piece async for piece in pieces] == [b"three\n"]


async def test_exec_carries_all_channels(node: Any) -> None:
    query = "command=sh&command=-c&command=cat&stdin=true&stdout=true&stderr=true"
    socket = await node.client().websocket(f"/exec/default/web/app?{query}", ("v5.channel.k8s.io", "v4.channel.k8s.io"))
    assert socket.protocol == "v5.channel.k8s.io"
    socket.send(b"\x00hello")
    assert await socket.receive() == (2, b"\x01hello")
    socket.send(b"\x04" + orjson.dumps({"Width": 80, "Height": 24}))
    assert await socket.receive() == (2, b"\x0280x24")
    socket.send(b"\x04not json")
    socket.send(b"\xff\x00")
    _, last = await socket.receive()
    assert last[0] == 3
    assert orjson.loads(last[1:]) == {
        "metadata": {},
        "status": "Failure",
        "message": "command terminated with non-zero exit code: exit status 3",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    }
    assert await socket.receive() is None
    assert node.asked == [("c0", ("sh", "-c", "cat"), False, True)]


async def test_a_command_whose_client_went_is_killed(node: Any) -> None:
    socket = await node.client().websocket("/exec/default/web/app?command=x&stdout=true", ("v4.channel.k8s.io",))
    assert socket.protocol == "v4.channel.k8s.io"
    await socket.close()
    async with asyncio.timeout(10):
        while not node.session.killed:
            await asyncio.sleep(0.005)


async def test_attach_shows_what_comes_and_the_exit(node: Any) -> None:
    socket = await node.client().websocket("/attach/default/web/app?stdout=true&stderr=true", ("v5.channel.k8s.io",))
    await asyncio.sleep(0.02)
    with node.log.open("ab") as opened:
        opened.write(b"2026-01-01T00:00:03Z stdout F three\n")
    assert await socket.receive() == (2, b"\x01three\n")
    node.show(node.status(0, ContainerState.EXITED))
    _, last = await socket.receive()
    assert orjson.loads(last[1:])["status"] == "Success"


async def test_a_container_that_does_not_run_cannot_be_entered(node: Any) -> None:
    node.show(node.status(0, ContainerState.EXITED))
    socket = await node.client().websocket("/exec/default/web/app?command=x", ("v5.channel.k8s.io",))
    _, last = await socket.receive()
    assert last[0] == 3 and orjson.loads(last[1:])["message"] == 'container not found ("app")'
    assert await socket.receive() is None
