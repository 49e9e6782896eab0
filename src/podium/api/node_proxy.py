"""Logs, exec, attach and nodes' metrics: the API server passes them on to the node agent of the pod's node, over TLS with its own client certificate.

What the client may do was decided before; the node agent trusts only this server. Streams are passed on as they come, with flow control in
both directions, and end on either side's end.

Source: k8s.io/kubernetes pkg/registry/core/pod/strategy.go (LogLocation, ExecLocation) and their messages.
"""

import asyncio
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from podium.api import node_metrics_proxy
from podium.api.core import Core, Object
from podium.api.request import Request
from podium.objects.resources import resource
from podium.objects.status import BadRequest, MethodNotAllowed, NotFound, ServerError, StatusError, not_found
from podium.world.http_client import HttpClient, HttpResponse
from podium.world.http_server import Connection, HttpRequest, Response
from podium.world.supervisor import Supervisor

if TYPE_CHECKING:
    from podium.world.websocket import WebSocket

_LOG_OPTIONS = (
    "follow",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "timestamps",
    "tailLines",
    "limitBytes",
    "insecureSkipTLSVerifyBackend",
    "stream",
)
_EXEC_OPTIONS = ("stdin", "stdout", "stderr", "tty")
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
NODES_MAX = 64
_INSTEAD = {"portforward": ": pods and Services answer on their own addresses on this machine"}


class NodeProxy:
    """`tls` authenticates this server to the nodes; None when there are no node agents to reach (in-process clusters)."""

    def __init__(self, core: Core, tls: ssl.SSLContext | None) -> None:
        self._core = core
        self._tls = tls
        self._clients: dict[tuple[str, int], HttpClient] = {}

    async def connect(self, request: Request, http: HttpRequest, connection: Connection) -> Response | None:
        """Serves pods/log, pods/exec, pods/attach and nodes/proxy. Raises StatusError before anything is sent."""
        if (request.resource.group, request.resource.plural, request.subresource) == ("", "nodes", "proxy"):
            return await self._node_proxy(request, http)
        if request.resource.plural != "pods" or request.subresource not in ("log", "exec", "attach"):
            instead = _INSTEAD.get(request.subresource, "")
            raise MethodNotAllowed(f"Podium does not support {request.resource.plural}/{request.subresource} yet{instead}")
        pod = (await self._core.fetch(request)).value
        container = _container(pod, http.query.get("container", [""])[-1])
        client = await self._client(pod, request)
        name = f"{request.namespace}/{request.name}/{container}"
        if request.subresource == "log":
            return await self._log(client, f"/containerLogs/{name}", http, connection)
        return await self._stream(client, f"/{request.subresource}/{name}", http, connection)

    async def _node_proxy(self, request: Request, http: HttpRequest) -> Response:
        path = node_metrics_proxy.node_path(request, http)
        name, port = node_metrics_proxy.node_and_port(request.name)
        client = await self._client_of(name)
        if port and port != str(client.port):
            raise BadRequest(f"node {name} serves at port {client.port} only")
        with _unreachable(client):
            return await node_metrics_proxy.fetch(client, name, path, http)

    async def _client(self, pod: Object, request: Request) -> HttpClient:
        node_name = pod["spec"].get("nodeName", "")
        if not node_name:
            raise BadRequest(f"pod {request.name} does not have a host assigned")
        return await self._client_of(node_name)

    async def _client_of(self, node_name: str) -> HttpClient:
        record = await self._core.store.get(resource("nodes").key(None, node_name))
        if record is None:
            raise not_found("", "nodes", node_name)
        status = record.value.get("status", {})
        port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port", 0)
        address = next((a["address"] for a in status.get("addresses", ()) if a["type"] == "InternalIP"), "")
        if not port or not address or self._tls is None:
            raise BadRequest(f"node {node_name} runs no agent that serves logs and exec")
        client = self._clients.get((address, port))
        if client is None:
            if len(self._clients) >= NODES_MAX:
                _, oldest = self._clients.popitem()
                await oldest.aclose()
            client = self._clients[address, port] = HttpClient(address, port, self._tls)
        return client

    async def _log(self, client: HttpClient, path: str, http: HttpRequest, connection: Connection) -> Response | None:
        options = {k: http.query[k][-1] for k in _LOG_OPTIONS if k in http.query}
        with _unreachable(client):
            upstream = await client.stream("GET", f"{path}?{urlencode(options)}")
        if upstream.status != 200:
            body = await upstream.read()
            upstream.close()
            raise _refused(upstream.status, body)
        if options.get("follow", "") not in ("true", "1"):
            body = await upstream.read()
            upstream.close()
            return Response(200, body, ((b"content-type", b"text/plain"),))
        audit = (b"audit-id", http.headers.get("audit-id", "").encode("latin-1"))
        stream = connection.start_stream(200, ((b"content-type", b"text/plain"), (b"cache-control", b"no-cache, private"), audit))
        try:
            async for data in upstream:
                stream.write(data)
                await stream.drain()
                if stream.closed:
                    return None
            stream.end()
        except ConnectionError:
            connection.abort()
        finally:
            upstream.close()
        return None

    async def _stream(self, client: HttpClient, path: str, http: HttpRequest, connection: Connection) -> Response | None:
        from podium.world.websocket import is_handshake, offered_protocols

        upgrade = is_handshake(http.headers)
        offered = [p for p in offered_protocols(http.headers) if p in _PROTOCOLS] if upgrade else list(_PROTOCOLS)
        if not offered:
            raise BadRequest(f"unable to negotiate a stream protocol: this server speaks {', '.join(_PROTOCOLS)}")
        query = [(k, v[-1]) for k, v in http.query.items() if k in _EXEC_OPTIONS]
        query += [("command", c) for c in http.query.get("command", ())]
        with _unreachable(client):
            node = await client.websocket(f"{path}?{urlencode(query)}", tuple(offered))
        if isinstance(node, HttpResponse):
            raise _refused(node.status, node.body)
        if not upgrade:  # asked after the node, whose own refusal says more
            await node.close()
            raise BadRequest("Upgrade request required: Podium streams over WebSocket (SPDY is not served)")
        ours = await connection.accept_websocket(http, node.protocol)
        await _splice(ours, node)
        return None

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


class _unreachable:
    """Connection failures to a node as the error that upstream gives."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ConnectionError | TimeoutError):
            raise ServerError(f"error dialing backend: {self._client.host}:{self._client.port}: {error}") from error


def _refused(status: int, body: bytes) -> StatusError:
    text = body.decode("utf-8", "replace").strip()
    if status == 404:
        return NotFound(text)
    return BadRequest(text) if 400 <= status < 500 else ServerError(text or f"the node answered {status}")


async def _splice(left: "WebSocket", right: "WebSocket") -> None:
    """Passes messages on in both directions until one side ends, then closes the other."""

    async def carry(source: "WebSocket", sink: "WebSocket") -> None:
        while (message := await source.receive()) is not None:
            sink.send(message[1])
            await sink.drain()

    supervisor = Supervisor("splice")
    directions = [supervisor.start("client to node", carry(left, right)), supervisor.start("node to client", carry(right, left))]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await supervisor.stop()
        await right.close()
        await left.close()


def _container(pod: Object, asked: str) -> str:
    """The container meant. Raises BadRequest, worded as upstream."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    containers = [c["name"] for c in spec.get("containers", ())]
    initial = [c["name"] for c in spec.get("initContainers", ())]
    if asked:
        if asked not in containers and asked not in initial and asked not in [c["name"] for c in spec.get("ephemeralContainers", ())]:
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    if len(containers) == 1:
        return str(containers[0])
    if default := pod["metadata"].get("annotations", {}).get("kubectl.kubernetes.io/default-container"):
        return str(default)
    choices = f"choose one of: [{' '.join(containers)}]"
    if initial:
        choices += f" or one of the init containers: [{' '.join(initial)}]"
    raise BadRequest(f"a container name must be specified for pod {name}, {choices}")
