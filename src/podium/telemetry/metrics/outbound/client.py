"""Requests over sockets as an http_config says: credentials, TLS, proxies, redirects, compressed answers.

One `OutboundClient` serves one section of the configuration (a job, a receiver), to any number of hosts; connections are kept. Credentials
go to the host that was asked, never along a redirect to another one.

Bounds: HOSTS_MAX hosts with kept connections (the one unused longest makes room), REDIRECTS_MAX, the response's size (with
decompression), the caller's time for all of it.
"""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from podium.telemetry.metrics.configuration.http import BasicAuth, HttpConfig
from podium.telemetry.metrics.configuration.values import Secret
from podium.telemetry.metrics.outbound.credentials import basic, bearer, extra_headers
from podium.telemetry.metrics.outbound.decompression import Body
from podium.telemetry.metrics.outbound.interface import (
    RESPONSE_BYTES_MAX,
    OutboundError,
    OutboundResponse,
    OutboundTimeout,
    Requester,
    RequestInvalid,
)  # fmt: skip
from podium.telemetry.metrics.outbound.oauth2 import TokenSource
from podium.telemetry.metrics.outbound.proxies import Proxy, proxy_for
from podium.telemetry.metrics.outbound.tls import TlsContexts
from podium.world.http_client import HttpClient, ResponseStream
from podium.world.interface import World

HOSTS_MAX = 20_000
REDIRECTS_MAX = 10
CONNECTIONS_PER_HOST_MAX = 1000
HEAD_TIMEOUT_S = 86_400.0
"""The caller's own time limit comes first."""
_REDIRECTS = (301, 302, 303, 307, 308)
_KEEPS_METHOD = (307, 308)
_IDEMPOTENT = ("GET", "HEAD", "OPTIONS")

_Place = tuple[str, str, int]
OutboundMaker = Callable[[HttpConfig], Requester]
"""What asks others as an http_config says: sockets, or a rehearsal's network."""


@dataclass(frozen=True, slots=True)
class _Address:
    """A URL taken apart. `target` is the path and the query; `authorization` what a user and password in it amount to."""

    scheme: str
    host: str
    port: int
    target: str
    authorization: str = ""

    @property
    def place(self) -> _Place:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == default else f"{host}:{self.port}"


def _address(url: str) -> _Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RequestInvalid(f"invalid address: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise RequestInvalid(f'unsupported protocol scheme "{parts.scheme}"')
    if not parts.hostname:
        raise RequestInvalid("no Host in request URL")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    user = BasicAuth(unquote(parts.username), password=Secret(unquote(parts.password or ""))) if parts.username is not None else None
    return _Address(
        parts.scheme, parts.hostname, {"https": 443, "http": 80}[parts.scheme] if port is None else port, target,
        basic(user) if user is not None else "",
    )  # fmt: skip


class OutboundClient:
    """A Requester over sockets. Close it."""

    def __init__(self, config: HttpConfig, world: World, *, compression: bool = True, user_agent: str = "Podium") -> None:
        self._config = config
        self._contexts = TlsContexts(config.tls_config)
        self._hosts: OrderedDict[tuple[_Place, bool], HttpClient] = OrderedDict()
        self._base = {"user-agent": user_agent, "accept-encoding": "gzip" if compression else "identity"}
        self._token_client: Requester | None = None
        self._tokens: TokenSource | None = None
        if config.oauth2 is not None:
            own = HttpConfig(tls_config=config.oauth2.tls_config, proxy=config.oauth2.proxy)
            self._token_client = OutboundClient(own, world, user_agent=user_agent)
            self._tokens = TokenSource(config.oauth2, self._token_client, world)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
        cut: bool = False,
    ) -> OutboundResponse:
        """`cut`: of a larger body its beginning, instead of ResponseTooLarge."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(method, url, dict(headers or {}), body, timeout_s, (response_bytes_max, cut))
        except TimeoutError as error:
            raise OutboundTimeout("context deadline exceeded") from error
        except UnicodeError as error:
            raise RequestInvalid(str(error)) from error
        except OSError as error:
            raise OutboundError(str(error)) from error

    async def _follow(
        self, method: str, url: str, headers: dict[str, str], body: bytes, timeout_s: float, limit: tuple[int, bool]
    ) -> OutboundResponse:
        first = _address(url)
        for _ in range(REDIRECTS_MAX + 1):
            address = _address(url)
            credentials = await self._credentials(timeout_s) if address.place == first.place else {}
            if address.authorization:
                credentials.setdefault("authorization", address.authorization)
            response = await self._once(method, address, {**self._base, **credentials, **headers}, body, limit)
            if response.status == 401 and self._tokens is not None:
                self._tokens.forget()
            location = response.headers.get("location", "")
            if not self._config.follow_redirects or response.status not in _REDIRECTS or not location:
                return response
            try:
                url = urljoin(url, location)
            except ValueError as error:
                raise OutboundError(f'failed to parse Location header "{location}": {error}') from error
            if response.status not in _KEEPS_METHOD and method not in ("GET", "HEAD"):
                method, body = "GET", b""
        raise OutboundError(f"stopped after {REDIRECTS_MAX} redirects")

    async def _credentials(self, timeout_s: float) -> dict[str, str]:
        config = self._config
        headers = extra_headers(config.http_headers)
        if config.basic_auth is not None:
            headers["authorization"] = basic(config.basic_auth)
        elif config.authorization is not None:
            headers["authorization"] = bearer(config.authorization)
        elif self._tokens is not None:
            headers["authorization"] = await self._tokens.header(timeout_s)
        return headers

    async def _once(
        self, method: str, address: _Address, headers: dict[str, str], body: bytes, limit: tuple[int, bool]
    ) -> OutboundResponse:
        try:
            proxy = proxy_for(self._config.proxy, *address.place)
        except ValueError as error:
            raise OutboundError(str(error)) from error
        client = self._client(address, proxy)
        target = address.target
        if proxy is not None and address.scheme == "http":
            target = f"http://{address.authority}{address.target}"
            headers = {**headers, **proxy.headers}
        headers.setdefault("host", address.authority)
        for name, value in headers.items():
            if "\n" in value or "\r" in value or "\n" in name:
                raise RequestInvalid(f"invalid value of header {name!r}")
        async with await self._open(client, method, target, body, headers) as stream:
            encoding = stream.headers.get("content-encoding", "").lower() if method != "HEAD" else ""
            if encoding == "snappy" and stream.status // 100 != 2:
                encoding = ""  # upstream's errors are plain text under the header of the answer that they replace
            received = Body(encoding, *limit)
            async for data in stream:
                for _ in received.add(data):
                    await asyncio.sleep(0)
                if received.full:
                    break
            return OutboundResponse(stream.status, stream.headers, received.whole())

    async def _open(self, client: HttpClient, method: str, target: str, body: bytes, headers: dict[str, str]) -> ResponseStream:
        """Once more where a kept connection turns out to be closed and asking twice does no harm."""
        try:
            return await client.stream(method, target, body, headers)
        except ConnectionResetError:
            if method not in _IDEMPOTENT:
                raise
            return await client.stream(method, target, body, headers)

    def _client(self, address: _Address, proxy: Proxy | None) -> HttpClient:
        context = self._context() if address.scheme == "https" else None
        key = (address.place if proxy is None or context is not None else ("http", proxy.host, proxy.port), proxy is not None)
        client = self._hosts.get(key)
        if client is None:
            client = self._hosts[key] = self._connect(address, proxy, context)
            while len(self._hosts) > HOSTS_MAX:
                self._hosts.popitem(last=False)[1].close_idle()
        self._hosts.move_to_end(key)
        return client

    def _connect(self, address: _Address, proxy: Proxy | None, context: ssl.SSLContext | None) -> HttpClient:
        name = self._config.tls_config.server_name or address.host
        options = {"server_hostname": name, "connections_max": CONNECTIONS_PER_HOST_MAX, "timeout_s": HEAD_TIMEOUT_S}
        if proxy is not None and context is not None:
            through = (proxy.host, proxy.port, proxy.headers)
            return HttpClient(address.host, address.port, context, tunnel=through, **options)  # type: ignore[arg-type]
        host, port = (proxy.host, proxy.port) if proxy is not None else (address.host, address.port)
        return HttpClient(host, port, context, **options)  # type: ignore[arg-type]

    def _context(self) -> ssl.SSLContext:
        context, changed = self._contexts.current()
        if changed:  # connections with the old certificates are not used again
            for client in self._hosts.values():
                client.close_idle()
            self._hosts.clear()
        return context

    async def aclose(self) -> None:
        for client in self._hosts.values():
            await client.aclose()
        self._hosts.clear()
        if self._token_client is not None:
            await self._token_client.aclose()
