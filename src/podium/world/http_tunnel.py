"""A connection to a server through a proxy: HTTP's CONNECT, then the caller's protocol, over TLS if wanted.

Bounds: HEAD_BYTES_MAX of the proxy's answer; the caller's time. Every failure is an OSError that names the proxy. Source: RFC 9110 section 9.3.6.
"""

import asyncio
import ssl
from collections.abc import Mapping

HEAD_BYTES_MAX = 16 * 1024

Tunnel = tuple[str, int, Mapping[str, str]]
"""The proxy's host and port, headers for it alone."""


class _Handshake(asyncio.Protocol):
    """Collects the head of the proxy's answer. A proxy says nothing beyond it until the tunnel is used."""

    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self._answered = answered
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" in self._received or len(self._received) > HEAD_BYTES_MAX:
            self._answer(self._received)

    def connection_lost(self, error: Exception | None) -> None:
        self._answer(self._received)

    def _answer(self, data: bytes) -> None:
        if not self._answered.done():
            self._answered.set_result(data)


async def open_tunnel(
    tunnel: Tunnel, host: str, port: int, protocol: asyncio.Protocol, tls: ssl.SSLContext | None, server_hostname: str
) -> None:
    """`protocol` is connected to host:port. Raises OSError."""
    proxy_host, proxy_port, headers = tunnel
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_connection(lambda: _Handshake(answered), proxy_host, proxy_port)
    try:
        place = f"{f'[{host}]' if ':' in host else host}:{port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"host: {place}", *(f"{name}: {value}" for name, value in headers.items())]
        transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        status = (await answered).partition(b"\r\n")[0].split(b" ", 2)
        if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or status[1] != b"200":
            said = b" ".join(status[1:]).decode("latin-1") or "nothing"
            raise ConnectionRefusedError(f"the proxy {proxy_host}:{proxy_port} refuses a tunnel to {place}: {said}")
        if tls is not None:
            secured = await loop.start_tls(transport, protocol, tls, server_hostname=server_hostname)
            if secured is None:
                raise ConnectionResetError(f"the proxy {proxy_host}:{proxy_port} closed the tunnel to {place}")
            transport = secured
        else:
            transport.set_protocol(protocol)
        protocol.connection_made(transport)
    except BaseException:
        transport.close()
        raise
