"""HTTP/1.1 messages as values, their heads as bytes, and who is at the other end of a connection.

Source: RFC 9112.
"""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

KEEPALIVE_IDLE_S, KEEPALIVE_PERIOD_S, KEEPALIVE_PROBES = 60, 15, 4

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """The verified client certificate's subject."""

    common_name: str
    organizations: tuple[str, ...]


@dataclass(slots=True)
class HttpRequest:
    """`path` is percent-decoded, without the query; `target` as sent. Header names are lower-case; a repeated header is joined with ", "."""

    method: str
    path: str
    target: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    peer: Peer | None


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: Headers = ((b"content-type", b"application/json"),)


_STATUS_LINES = {s.value: b"HTTP/1.1 %d %s\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus}


def head_of(status: int, headers: Headers) -> bytearray:
    head = bytearray(_STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status)
    for name, value in headers:
        head += name + b": " + value + b"\r\n"
    return head


def frame(data: bytes) -> bytes:
    """`data` as one HTTP chunk: made once, written to many streams."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def keep_alive(listening: Iterable[Any]) -> None:
    """A peer that vanished without a word is found out in about two minutes. Connections have it from the sockets that they come in by."""
    for sock in listening:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            continue
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", KEEPALIVE_IDLE_S), ("TCP_KEEPINTVL", KEEPALIVE_PERIOD_S), ("TCP_KEEPCNT", KEEPALIVE_PROBES)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def peer_of(transport: asyncio.Transport) -> Peer | None:
    certificate: Any = transport.get_extra_info("peercert")
    if not certificate:
        return None
    names = [pair for rdn in certificate["subject"] for pair in rdn]
    common_name = next((value for name, value in names if name == "commonName"), "")
    organizations = tuple(value for name, value in names if name == "organizationName")
    certificate.clear()  # the transport would hold it for as long as the connection lives
    return _one_peer(common_name, organizations)


@lru_cache(maxsize=1024)
def _one_peer(common_name: str, organizations: tuple[str, ...]) -> Peer:
    """Shared by the connections of one client."""
    return Peer(common_name, organizations)
