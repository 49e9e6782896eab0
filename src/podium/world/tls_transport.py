"""TLS for the server's side of a connection: between a transport of bytes and a protocol that wants plaintext.

An event loop's own TLS serves clients and servers, any size of message, and keeps room for it: some 9 KiB for each connection beside
OpenSSL's own, and OpenSSL's buffers as large as the largest message that ever went through. Ten thousand watches are ten thousand
connections that say little, so here a connection is one object beside OpenSSL's. It keeps nothing: what comes in is decrypted and handed on, what is
written is encrypted and handed to the transport below, which does the buffering and the flow control (its `pause_writing` is passed on).

A connection's life: SHAKING -> OPEN -> LEAVING -> GONE. The protocol is made when the handshake is done, so that a stranger costs
none. A connection that is closed says so (close_notify) and lingers: what the peer still sends is taken and thrown away until it leaves, since to
close at once would reset the connection, and take an answer that is under way from the peer. Nor is the socket's direction ended before the peer
leaves, but where there is no TLS to speak of: uvloop's own clients throw away what they have not read yet when that comes while they read slowly.

Bounds: RECORD_BYTES at a time pass through OpenSSL's buffers, which keep the room for it (4/3 of that, each way). SHAKING_MAX handshakes at a
time (one more is closed at once), each for at most HANDSHAKE_TIMEOUT_S; LINGER_TIMEOUT_S to leave, then the connection is cut, as it is at
once when LEAVING_MAX others are leaving.

Source: RFC 8446 sections 5 and 6; asyncio's Transport and Protocol.
"""

import asyncio
import ssl
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Final, cast

RECORD_BYTES: Final = 16 * 1024
"""The most plaintext of one record (RFC 8446, section 5.1)."""
SHAKING_MAX = LEAVING_MAX = 20_000
HANDSHAKE_TIMEOUT_S = 10.0
LINGER_TIMEOUT_S = 30.0

SHAKING, OPEN, LEAVING, GONE = range(4)

MakeProtocol = Callable[[], asyncio.Protocol]


class TlsAcceptor:
    """Makes the TLS end of each connection of a server. `sweep`, called now and then, cuts off those that take too long to come or to go."""

    def __init__(self, context: ssl.SSLContext, make_protocol: MakeProtocol, time: Callable[[], float]) -> None:
        context.options |= ssl.OP_NO_RENEGOTIATION  # so that writing never waits for something to be read
        self.context, self.make_protocol = context, make_protocol
        self._time = time
        self._shaking: dict[TlsTransport, float] = {}
        self._leaving: dict[TlsTransport, float] = {}

    def __call__(self) -> "TlsTransport":
        return TlsTransport(self)

    def moved(self, end: "TlsTransport", state: int) -> None:
        """`end` is now SHAKING, OPEN, LEAVING or GONE."""
        self._shaking.pop(end, None)
        self._leaving.pop(end, None)
        if state == SHAKING:
            if len(self._shaking) >= SHAKING_MAX:
                end.abort()
            else:
                self._shaking[end] = self._time()
        elif state == LEAVING:
            if len(self._leaving) >= LEAVING_MAX:
                end.abort()
            else:
                self._leaving[end] = self._time()

    def sweep(self) -> None:
        now_s = self._time()
        for waiting, limit_s in ((self._shaking, HANDSHAKE_TIMEOUT_S), (self._leaving, LINGER_TIMEOUT_S)):
            for end, _ in list(takewhile(lambda item: now_s - item[1] > limit_s, waiting.items())):  # noqa: B023
                end.abort()

    def abort(self) -> None:
        """Cuts off everyone who has not come yet or is about to leave."""
        for end in [*self._shaking, *self._leaving]:
            end.abort()


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """The protocol of the transport below and the transport of the protocol above."""

    __slots__ = ("_acceptor", "_below", "_incoming", "_outgoing", "_protocol", "_state", "_tls")

    def __init__(self, acceptor: TlsAcceptor) -> None:
        self._acceptor = acceptor
        self._below: asyncio.Transport | None = None
        self._protocol: asyncio.Protocol | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = acceptor.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._state = SHAKING

    def _move(self, state: int) -> None:
        self._state = state
        self._acceptor.moved(self, state)

    # -- called by the transport below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast(asyncio.Transport, transport)
        self._move(SHAKING)

    def connection_lost(self, error: Exception | None) -> None:
        self._move(GONE)
        if (protocol := self._protocol) is not None:
            self._protocol = None
            protocol.connection_lost(error)
        self._below = None

    def data_received(self, data: bytes) -> None:
        if self._state >= LEAVING:
            return
        if len(data) <= RECORD_BYTES:
            self._incoming.write(data)
            self._advance()
            return
        rest = memoryview(data)
        while rest and self._state < LEAVING:
            self._incoming.write(rest[:RECORD_BYTES])
            rest = rest[RECORD_BYTES:]
            self._advance()

    def eof_received(self) -> bool:
        """Without a close_notify, which the protocol above need not know: what it was sent says itself where it ends."""
        if self._state == OPEN and self._protocol is not None:
            self._protocol.eof_received()
        return False

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

    # -- what has come in

    def _advance(self) -> None:
        """Hands on what can be decrypted. OpenSSL takes no more than a record from `incoming`, so when that is empty nothing is left."""
        if self._state == SHAKING and not self._shake():
            return
        incoming, protocol = self._incoming, self._protocol
        assert protocol is not None
        while incoming.pending and self._state == OPEN:
            try:
                data = self._tls.read(RECORD_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._fail(error)
                return
            if not data:
                protocol.eof_received()
                self.close()
                return
            protocol.data_received(data)
        self._flush()

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._fail(error)
            return False
        self._flush()
        self._protocol = self._acceptor.make_protocol()
        self._move(OPEN)
        self._protocol.connection_made(self)
        return self._state == OPEN

    def _fail(self, error: ssl.SSLError) -> None:
        """The peer breaks the protocol, or shows a certificate that nobody vouches for: it is told why (an alert)."""
        del error
        self._flush()
        self._linger(end=True)

    def _flush(self) -> None:
        if self._outgoing.pending and self._below is not None:
            self._below.write(self._outgoing.read())

    def _linger(self, *, end: bool = False) -> None:
        below = self._below
        if below is None or below.is_closing():
            return
        self._move(LEAVING)
        if self._state != LEAVING:
            return
        try:
            if end:
                below.write_eof()
            below.resume_reading()
        except (OSError, RuntimeError):  # the peer has gone already
            self.abort()

    # -- called by the protocol above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        below = self._below
        if self._state != OPEN or below is None or not data:
            return
        try:
            if len(data) <= RECORD_BYTES:
                self._tls.write(data)
                below.write(self._outgoing.read())
                return
            rest = memoryview(data)
            while rest:
                rest = rest[self._tls.write(rest[:RECORD_BYTES]) :]
                below.write(self._outgoing.read())
        except ssl.SSLError as error:
            self._fail(error)

    def close(self) -> None:
        """Says goodbye after what was written; the connection ends when the peer leaves, or in LINGER_TIMEOUT_S."""
        if self._state == SHAKING:
            self.abort()
        if self._state != OPEN:
            return
        try:
            self._tls.unwrap()
        except (ssl.SSLError, OSError):  # the peer has not said goodbye: nor need it
            pass
        self._flush()
        self._linger()

    def abort(self) -> None:
        if self._below is not None:
            self._move(GONE)
            self._below.abort()

    def is_closing(self) -> bool:
        return self._state >= LEAVING or self._below is None or self._below.is_closing()

    def pause_reading(self) -> None:
        if self._state == OPEN and self._below is not None:
            self._below.pause_reading()

    def resume_reading(self) -> None:
        if self._state == OPEN and self._below is not None:
            self._below.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size() if self._below is not None else 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._below is not None:
            self._below.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peercert":
            return self._tls.getpeercert()
        if name == "ssl_object":
            return self._tls
        return self._below.get_extra_info(name, default) if self._below is not None else default
