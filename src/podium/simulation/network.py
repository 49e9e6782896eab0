"""A network in memory: servers are functions, an address is a line in a table, and whoever asks gets the answer in the same event loop.

What monitoring asks in a rehearsal goes here instead of into a socket: scrapes, alerts on their way to an Alertmanager, notifications, remote
write, http_sd. Whoever reaches for an address that nobody serves, or whose server raises `Unreachable`, is refused at once, with the words
of a refused connection; a server that takes long is given up after the caller's time; one that raises anything else answers 500.

Requests carry the credentials of their http_config (basic_auth, authorization, http_headers); `https` is `http` with `identity` shown as the client
certificate's subject. There are no certificates to check, no proxies and no redirects; OAuth2 is refused.

Bound: the caller's limits on time and on the size of answers, as over sockets.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from podium.instrument.log import logger
from podium.simulation.errors import Unreachable
from podium.telemetry.metrics.configuration.http import HttpConfig
from podium.telemetry.metrics.outbound.credentials import basic, bearer, extra_headers
from podium.telemetry.metrics.outbound.decompression import Body
from podium.telemetry.metrics.outbound.interface import (
    RESPONSE_BYTES_MAX,
    OutboundError,
    OutboundResponse,
    OutboundTimeout,
    ResponseTooLarge,
)  # fmt: skip
from podium.world.http_messages import HttpRequest, Peer, Response

Handler = Callable[[HttpRequest], Response | Awaitable[Response]]
_PORTS = {"http": 80, "https": 443}
_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)
log = logger("simulation.network")


class Network:
    """`identity` is who asks over https: what a server sees as the client's certificate."""

    def __init__(self, identity: Peer | None = None) -> None:
        self._identity = identity
        self._handlers: dict[str, Handler] = {}

    def serve(self, address: str, handler: Handler) -> None:
        """From now on `handler` answers at host:port; it replaces the one of before. `handler` may raise Unreachable."""
        self._handlers[address] = handler

    def close(self, address: str) -> None:
        self._handlers.pop(address, None)

    def serves(self, url: str) -> bool:
        return _place(url)[1] in self._handlers

    def outbound(self, config: HttpConfig) -> "NetworkRequester":
        """As an OutboundMaker."""
        return NetworkRequester(self, config)

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Raises OutboundError."""
        scheme, place, path, query = _place(url)
        handler = self._handlers.get(place)
        if handler is None:
            raise OutboundError(f"dial tcp {place}: connect: connection refused")
        given = {"host": place, **{name.lower(): value for name, value in headers.items()}}
        target = f"{path}?{query}" if query else path
        peer = self._identity if scheme == "https" else None
        request = HttpRequest(method, unquote(path), target, parse_qs(query, keep_blank_values=True), given, body, peer)
        try:
            answer: Any = handler(request)
            found: Response = answer if isinstance(answer, Response) else await answer
        except Unreachable as error:
            raise OutboundError(f"dial tcp {place}: connect: {str(error) or 'no route to host'}") from error
        except Exception as error:  # as a server would whose handler fails
            log.error("a simulated server failed", url=url, error=error)
            return Response(500, f"{error!r}\n".encode(), _TEXT)
        return found


class NetworkRequester:
    """A Requester for one http_config."""

    def __init__(self, network: Network, config: HttpConfig) -> None:
        self._network, self._config = network, config

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"", timeout_s: float,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
    ) -> OutboundResponse:  # fmt: skip
        given = {**self._credentials(), **(headers or {})}
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._network.ask(method, url, given, body)
        except TimeoutError as error:
            raise OutboundTimeout("context deadline exceeded") from error
        if len(answer.body) >= response_bytes_max:
            raise ResponseTooLarge(f"the answer has {len(answer.body)} bytes, {response_bytes_max} or more are too many")
        found = {name.decode().lower(): value.decode() for name, value in answer.headers}
        received = Body(found.get("content-encoding", ""), response_bytes_max)
        for _ in received.add(answer.body):
            await asyncio.sleep(0)
        return OutboundResponse(answer.status, found, received.whole())

    async def aclose(self) -> None:
        return

    def _credentials(self) -> dict[str, str]:
        config = self._config
        if config.oauth2 is not None:
            raise OutboundError("a simulated network has no OAuth2: use authorization or basic_auth")
        headers = extra_headers(config.http_headers)
        if config.basic_auth is not None:
            headers["authorization"] = basic(config.basic_auth)
        elif config.authorization is not None:
            headers["authorization"] = bearer(config.authorization)
        return headers


def _place(url: str) -> tuple[str, str, str, str]:
    """(scheme, host:port, path, query). Raises OutboundError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OutboundError(f"invalid address: {error}") from error
    if parts.scheme not in _PORTS:
        raise OutboundError(f'unsupported protocol scheme "{parts.scheme}"')
    host = parts.hostname or ""
    if not host:
        raise OutboundError("no Host in request URL")
    host = f"[{host}]" if ":" in host else host
    return parts.scheme, f"{host}:{port or _PORTS[parts.scheme]}", parts.path or "/", parts.query
