"""A connection after `101 Switching Protocols`, as bytes: for those who pass a protocol on without speaking it (SPDY, WebSocket).

Bound: beyond `RECEIVED_BYTES_MAX` of unread bytes the socket is not read until the reader has caught up.
"""

import asyncio
from collections import deque
from typing import Protocol

RECEIVED_BYTES_MAX = 1024 * 1024


class ByteTransport(Protocol):
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    async def drain(self) -> None: ...


class RawStream:
    """For one reader at a time."""

    def __init__(self, transport: ByteTransport) -> None:
        self._transport = transport
        self._received: deque[bytes] = deque()
        self._received_bytes = 0
        self._paused = False
        self._ended = False
        self._arrived = asyncio.Event()

    # -- from the transport

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._received_bytes += len(data)
        self._arrived.set()
        if self._received_bytes > RECEIVED_BYTES_MAX and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self) -> None:
        self._ended = True
        self._arrived.set()

    # -- for the reader

    async def receive(self) -> bytes | None:
        """All that has arrived; None at the end."""
        while not self._received:
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        data = b"".join(self._received)
        self._received.clear()
        self._received_bytes = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def send(self, data: bytes) -> None:
        self._transport.write(data)

    async def drain(self) -> None:
        await self._transport.drain()

    def close(self) -> None:
        self._transport.close()
