"""One HTTP GET for probes and hooks: no redirects to other hosts, no verification of certificates, a bounded read of the answer.

Source: kubelet probe/http (10 KiB of body, User-Agent kube-probe/VERSION, Accept */*, no verification).
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from podium.objects.values import Object

BODY_BYTES_MAX = 10 * 1024
HEAD_BYTES_MAX = 64 * 1024
USER_AGENT = "kube-probe/1.37"


@dataclass(frozen=True, slots=True)
class Get:
    """`host` is where to connect; a Host header among `headers` says otherwise what to ask for."""

    host: str
    port: int
    path: str
    tls: bool = False
    headers: tuple[tuple[str, str], ...] = field(default=())

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{self.path}"


HttpGet = Callable[[Get], Awaitable[tuple[int, bytes]]]


def port_of(value: int | str, container: Object) -> int:
    """A port by number or by the name the container gives it. Raises ValueError."""
    if isinstance(value, str) and not value.isdigit():
        for port in container.get("ports") or ():
            if port.get("name") == value:
                return int(port["containerPort"])
        raise ValueError(f"couldn't find port: {value} in container {container['name']}")
    number = int(value)
    if not 0 < number < 65536:
        raise ValueError(f"invalid port number: {number}")
    return number


def get_of(action: Object, container: Object, address: str) -> Get:
    """The request of an HTTPGetAction. Raises ValueError."""
    path = action.get("path") or "/"
    headers = tuple((h["name"], h.get("value", "")) for h in action.get("httpHeaders") or ())
    host = action.get("host") or address
    if not host:
        raise ValueError("the pod has no address")
    tls = action.get("scheme", "HTTP").upper() == "HTTPS"
    if any(c < " " or c == "\x7f" for text in (host, path, *(part for header in headers for part in header)) for c in text):
        raise ValueError("control characters in a request")
    return Get(host, port_of(action["port"], container), path if path.startswith("/") else "/" + path, tls, headers)


async def http_get(request: Get) -> tuple[int, bytes]:
    """(status, the body's beginning). Raises OSError, ValueError for an answer that is not HTTP. The caller sets the timeout."""
    context = _unverified() if request.tls else None
    reader, writer = await asyncio.open_connection(request.host, request.port, ssl=context, limit=HEAD_BYTES_MAX)
    try:
        writer.write(_head(request))
        await writer.drain()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ValueError("malformed HTTP response") from error
        parts = head.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
            raise ValueError(f"malformed HTTP response {head[:60]!r}")
        return int(parts[1]), await _body(reader, head)
    finally:
        writer.close()


def _head(request: Get) -> bytes:
    given = {name.lower() for name, _ in request.headers}
    host = f"[{request.host}]" if ":" in request.host else request.host
    standard = (("Host", f"{host}:{request.port}"), ("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Connection", "close"))
    lines = [f"GET {request.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in standard if name.lower() not in given]
    lines += [f"{name}: {value}" for name, value in request.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """What comes before the end, the announced length or the limit: only for messages, so chunk sizes may stay in it."""
    wanted = BODY_BYTES_MAX
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            wanted = min(wanted, int(value))
    body = b""
    while len(body) < wanted:
        data = await reader.read(wanted - len(body))
        if not data:
            break
        body += data
    return body


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
