"""WebSocket connections on top of a byte transport, either side. The framing is wsproto's; this adds the queue and flow control.

Bounds: one message `message_bytes_max`; received messages wait in a queue; beyond
`RECEIVED_BYTES_MAX` the socket is not read until the reader has caught up.
Source: RFC 6455.
"""

import asyncio
import base64
import hashlib
from collections import deque

from wsproto.connection import Connection as Framing
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from podium.world.raw_stream import RECEIVED_BYTES_MAX, ByteTransport

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
OPCODE_TEXT = 1
OPCODE_BINARY = 2
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()).decode()


def offered_protocols(headers: dict[str, str]) -> list[str]:
    return [p.strip() for p in headers.get("sec-websocket-protocol", "").split(",") if p.strip()]


def is_handshake(headers: dict[str, str]) -> bool:
    return "websocket" in headers.get("upgrade", "").lower() and "sec-websocket-key" in headers


def accept_head(headers: dict[str, str], protocol: str) -> bytes:
    """The 101 response to a handshake. Raises ValueError when it is none."""
    if not is_handshake(headers):
        raise ValueError("not a WebSocket handshake")
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "upgrade: websocket",
        "connection: Upgrade",
        f"sec-websocket-accept: {accept_key(headers['sec-websocket-key'])}",
    ]
    if protocol:
        lines.append(f"sec-websocket-protocol: {protocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class WebSocket:
    """Whole messages in, whole messages out."""

    def __init__(self, transport: ByteTransport, *, client: bool, protocol: str = "") -> None:
        self.protocol = protocol
        self.close_code: int | None = None
        self._transport = transport
        self._framing = Framing(ConnectionType.CLIENT if client else ConnectionType.SERVER)
        self._received: deque[tuple[int, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._received_bytes = 0
        self._paused = False
        self._partial = bytearray()
        self._ended = False

    # -- from the transport

    def data_received(self, data: bytes) -> None:
        try:
            self._framing.receive_data(data)
            for event in self._framing.events():
                self._on_event(event)
        except RemoteProtocolError:
            self._end(1002)
            self._transport.close()

    def connection_lost(self) -> None:
        self._end(1006)

    def _on_event(self, event: object) -> None:
        if isinstance(event, Message):
            self._on_message(event)
        elif isinstance(event, Ping):
            self._transport.write(self._framing.send(event.response()))
        elif isinstance(event, CloseConnection):
            if self._framing.state is ConnectionState.REMOTE_CLOSING:
                self._transport.write(self._framing.send(event.response()))
            self._end(int(event.code))
            self._transport.close()
        else:
            assert isinstance(event, Pong), event

    def _on_message(self, event: Message) -> None:
        data = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
        self._partial += data
        if len(self._partial) > MESSAGE_BYTES_MAX:
            self._transport.write(self._framing.send(CloseConnection(code=1009, reason="message too large")))
            self._end(1009)
            self._transport.close()
        elif event.message_finished:
            opcode = OPCODE_BINARY if isinstance(event, BytesMessage) else OPCODE_TEXT
            self._received.append((opcode, bytes(self._partial)))
            self._received_bytes += len(self._partial)
            if self._received_bytes > RECEIVED_BYTES_MAX and not self._paused:
                self._paused = True
                self._transport.pause_reading()
            self._partial.clear()
            self._arrived.set()

    def _end(self, code: int) -> None:
        if not self._ended:
            self._ended = True
            self.close_code = code
            self._arrived.set()

    # -- for users

    async def receive(self) -> tuple[int, bytes] | None:
        """The next message as (opcode, data); None when the connection has ended and all messages were taken."""
        while not self._received:
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        opcode, data = self._received.popleft()
        self._received_bytes -= len(data)
        if self._paused and self._received_bytes <= RECEIVED_BYTES_MAX // 2:
            self._paused = False
            if not self._ended:
                self._transport.resume_reading()
        return opcode, data

    def send(self, data: bytes) -> None:
        """Queues one binary message; silently nothing after the end."""
        if self._ended:
            return
        try:
            self._transport.write(self._framing.send(BytesMessage(data=data)))
        except LocalProtocolError:
            self._end(1006)

    def send_text(self, text: str) -> None:
        if not self._ended:
            self._transport.write(self._framing.send(TextMessage(data=text)))

    def ping(self) -> None:
        if not self._ended:
            self._transport.write(self._framing.send(Ping()))

    async def drain(self) -> None:
        await self._transport.drain()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._ended:
            try:
                self._transport.write(self._framing.send(CloseConnection(code=code, reason=reason)))
            except LocalProtocolError:
                pass
            self._end(code)
        await self._transport.drain()
        self._transport.close()
