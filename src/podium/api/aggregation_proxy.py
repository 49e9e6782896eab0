"""One request to an aggregated API, passed on: whole answers, streams of open length and upgraded connections.

The backend learns who asks from X-Remote-* headers; what the client sent under these names never passes. Credentials of the client
stay here too. A backend that is not available, or cannot be reached, is a 503 in plain text, as upstream says it.

Source: k8s.io/kube-aggregator pkg/apiserver/handler_proxy.go; k8s.io/client-go transport (SetAuthProxyHeaders); RFC 9110 section 7.6.1.
"""

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import quote

from podium.api.aggregation import Backend, Backends
from podium.api.core import Core
from podium.api.front_proxy import FrontProxy
from podium.api.request import User
from podium.api.service_endpoints import endpoint_of
from podium.instrument.log import logger
from podium.objects.status import StatusError
from podium.world.http_client import HttpClient, HttpResponse, ResponseStream
from podium.world.http_server import Connection, Headers, HttpRequest, Response
from podium.world.raw_stream import RawStream
from podium.world.supervisor import Supervisor

CLIENTS_MAX = 64
_TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff"))
_NOT_PASSED_ON = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade", "content-length", "host", "expect", "authorization",
    }
)  # fmt: skip
_OF_OURS = ("x-remote-", "impersonate-")
_NOT_PASSED_BACK = _NOT_PASSED_ON | {"audit-id"}
"""Both servers name the same one: once is enough."""

log = logger("api.aggregation")


class BackendClients:
    """Connections to backends, kept and used again."""

    def __init__(self, core: Core, front_proxy: FrontProxy | None) -> None:
        self._core = core
        self._front_proxy = front_proxy
        self._clients: dict[tuple[str, int, str, bytes, bool], HttpClient] = {}

    async def of(self, backend: Backend, *, verify: bool = True) -> HttpClient:
        """Raises StatusError when the Service leads nowhere, ssl.SSLError for a CA bundle that is none."""
        host, port = await endpoint_of(self._core, backend.namespace, backend.service, backend.port)
        insecure = backend.insecure or not verify
        name = f"{backend.service}.{backend.namespace}.svc"
        key = (host, port, name, b"" if insecure else backend.ca, insecure)
        client = self._clients.get(key)
        if client is None:
            if len(self._clients) >= CLIENTS_MAX:
                await self._clients.pop(next(iter(self._clients))).aclose()
            client = self._clients[key] = HttpClient(host, port, self._tls(backend.ca, insecure), server_hostname=name)
        return client

    def _tls(self, ca: bytes, insecure: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        elif ca:
            context.load_verify_locations(cadata=ca.decode("ascii", "replace"))
        else:
            context.load_default_certs()
        if self._front_proxy is not None:
            context.load_cert_chain(self._front_proxy.certificate_path, self._front_proxy.key_path)
        return context

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


async def pass_on(
    backends: Backends, clients: BackendClients, backend: Backend, http: HttpRequest, connection: Connection, user: User
) -> Response | None:
    """The backend's answer; None when it was streamed. Authorization is done. Never raises StatusError."""
    if not backends.available(backend):
        return _unavailable("service unavailable")
    headers = {k: v for k, v in http.headers.items() if k not in _NOT_PASSED_ON and not k.startswith(_OF_OURS)} | identity(user)
    headers["x-forwarded-uri"] = quote(http.path, safe="/%:")
    try:
        client = await clients.of(backend)
        if "upgrade" in http.headers:
            return await _upgrade(client, http, connection, headers)
        return await _answer(await client.stream(http.method, http.target, http.body, headers), http, connection)
    except StatusError as error:
        log.warning("no way to an aggregated API", name=backend.name, error=error.message)
        return _unavailable("service unavailable")
    except (ConnectionError, TimeoutError, ssl.SSLError) as error:
        return _unavailable(f"error trying to reach service: {error}")


def identity(user: User) -> dict[str, str]:
    """Who asks, as front-proxy headers. A header with several values is written on a line for each, as its readers want them."""
    headers = {"x-remote-user": [user.name], "x-remote-uid": [user.uid] if user.uid else [], "x-remote-group": list(user.groups)}
    headers |= {f"x-remote-extra-{quote(name.lower(), safe='')}": list(several) for name, several in user.extra}
    return {name: f"\r\n{name}: ".join(_one_line(text) for text in several) for name, several in headers.items() if several}


def _one_line(text: str) -> str:
    """As a header's value: what would end it is left out."""
    return text.replace("\r", "").replace("\n", "").encode("utf-8").decode("latin-1")


def _unavailable(text: str) -> Response:
    return Response(503, text.encode() + b"\n", _TEXT)


def _headers_back(headers: Mapping[str, str]) -> Headers:
    return tuple((k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items() if k not in _NOT_PASSED_BACK)


async def _answer(upstream: ResponseStream, http: HttpRequest, connection: Connection) -> Response | None:
    """Whole when its length is known, otherwise as it comes."""
    headers = _headers_back(upstream.headers)
    try:
        if "transfer-encoding" not in upstream.headers or http.method == "HEAD":
            return Response(upstream.status, await upstream.read() if http.method != "HEAD" else b"", headers)
        audit = (b"audit-id", http.headers.get("audit-id", "").encode("latin-1"))
        stream = connection.start_stream(upstream.status, (*headers, audit))
        try:
            async for data in upstream:
                stream.write(data)
                await stream.drain()
                if stream.closed:
                    return None
            stream.end()
        except ConnectionError:
            connection.abort()  # the client must not take a part for the whole
        return None
    finally:
        upstream.close()


async def _upgrade(client: HttpClient, http: HttpRequest, connection: Connection, headers: dict[str, str]) -> Response | None:
    headers |= {"connection": "Upgrade", "upgrade": http.headers["upgrade"]}
    answer = await client.upgrade(http.method, http.target, headers)
    if isinstance(answer, HttpResponse):
        return Response(answer.status, answer.body, _headers_back(answer.headers))
    agreed, theirs = answer
    switched = (*_headers_back(agreed), (b"connection", b"Upgrade"), (b"upgrade", agreed.get("upgrade", "").encode("latin-1")))
    await splice(connection.switch_protocols(switched), theirs)
    return None


async def splice(left: RawStream, right: RawStream) -> None:
    """Passes bytes on in both directions until one side ends, then closes both."""

    async def carry(source: RawStream, sink: RawStream) -> None:
        while (data := await source.receive()) is not None:
            sink.send(data)
            await sink.drain()

    supervisor = Supervisor("splice")
    directions = [supervisor.start("to the backend", carry(left, right)), supervisor.start("to the client", carry(right, left))]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await supervisor.stop()
        right.close()
        left.close()
