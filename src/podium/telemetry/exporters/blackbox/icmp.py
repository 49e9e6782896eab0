"""The ICMP prober: one echo request, and the wait for its reply.

Through the kernel's ping sockets, which ordinary users may have (net.ipv4.ping_group_range), or a raw socket where they are not to be had.

Source: blackbox_exporter prober/icmp.go; RFC 792, RFC 4443; icmp(7).
"""

import asyncio
import os
import socket
import struct

from podium.telemetry.exporters.blackbox.modules import IcmpModule
from podium.telemetry.exporters.blackbox.probing import Address, Failed, Run, resolve
from podium.world.interface import World

_DURATION, _DURATION_TEXT = "probe_icmp_duration_seconds", "How long a phase of the probe took."
_PAYLOAD = b"Podium blackbox probe. "
IP_RECVTTL, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IPV6_DONTFRAG = 12, 10, 2, 62


class IcmpProber:
    """Numbers its requests, so that a late reply to one probe is not taken for another's."""

    def __init__(self, world: World) -> None:
        self._identifier = world.random("icmp").randrange(1, 65536)
        self._sequence = 0

    async def probe(self, module: IcmpModule, run: Run) -> bool:
        loop = asyncio.get_running_loop()
        for phase in ("resolve", "setup", "rtt"):
            run.phase(_DURATION, _DURATION_TEXT, phase, 0.0)
        began_s = loop.time()
        address = await resolve(run.target, module.reach, run)
        resolved_s = loop.time()
        run.phase(_DURATION, _DURATION_TEXT, "resolve", resolved_s - began_s)
        self._sequence = self._sequence % 65535 + 1
        sock, raw = _open(module, address, run)
        try:
            packet = _packet(address.family, self._identifier, self._sequence, module.payload_bytes)
            sent_s = loop.time()
            run.phase(_DURATION, _DURATION_TEXT, "setup", sent_s - resolved_s)
            sock.sendto(packet, (address.ip, 0))
            hops = await _reply(sock, raw, address, None if not raw else self._identifier, self._sequence, packet[8:])
            run.phase(_DURATION, _DURATION_TEXT, "rtt", loop.time() - sent_s)
        finally:
            sock.close()
        if hops is not None:
            run.gauge("probe_icmp_reply_hop_limit", "The hop limit of the reply.", hops)
        return True


def _open(module: IcmpModule, address: Address, run: Run) -> tuple[socket.socket, bool]:
    """A socket, and whether it is raw. Raises Failed."""
    protocol = socket.IPPROTO_ICMP if address.family == 4 else socket.IPPROTO_ICMPV6
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            sock = socket.socket(address.socket_family, kind | socket.SOCK_NONBLOCK, protocol)
        except PermissionError:
            run.log("ping sockets are not allowed" if kind == socket.SOCK_DGRAM else "raw sockets are not allowed")
            continue
        try:
            _set_options(sock, module, address)
        except OSError:
            sock.close()
            raise
        return sock, kind == socket.SOCK_RAW
    raise Failed("ICMP needs CAP_NET_RAW, or net.ipv4.ping_group_range to include this user's group")


def _set_options(sock: socket.socket, module: IcmpModule, address: Address) -> None:
    four = address.family == 4
    if four:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    if module.ttl and four:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, module.ttl)
    elif module.ttl:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, module.ttl)
    if module.dont_fragment and four:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    elif module.dont_fragment:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)
    if module.reach.source:
        sock.bind((module.reach.source, 0))


def _packet(family: int, identifier: int, sequence: int, payload_bytes: int) -> bytes:
    payload = (os.path.basename(__file__).encode() + b" " + _PAYLOAD * (payload_bytes // len(_PAYLOAD) + 1))[:payload_bytes]
    kind = 8 if family == 4 else 128
    head = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence)
    sum_ = checksum(head + payload) if family == 4 else 0  # the kernel fills in ICMPv6's
    return struct.pack("!BBHHH", kind, 0, sum_, identifier, sequence) + payload


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


async def _reply(sock: socket.socket, raw: bool, address: Address, identifier: int | None, sequence: int, payload: bytes) -> int | None:
    """Waits for the reply to this very request; gives its hop limit where the kernel tells. A ping socket has an identifier of its own."""
    loop = asyncio.get_running_loop()
    wanted = 0 if address.family == 4 else 129
    while True:
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(sock, _wake, readable)
        try:
            await readable
        finally:
            loop.remove_reader(sock)
        try:
            data, control, _, _ = sock.recvmsg(65_536, 256)
        except BlockingIOError:
            continue
        if raw and address.family == 4:
            data = data[(data[0] & 0x0F) * 4 :]
        if len(data) < 8:
            continue
        kind, _, _, found_identifier, found_sequence = struct.unpack("!BBHHH", data[:8])
        if (
            kind != wanted
            or found_sequence != sequence
            or (identifier is not None and found_identifier != identifier)
            or data[8:] != payload
        ):
            continue
        return next((int.from_bytes(value[:4], "little") for _, _, value in control if len(value) >= 4), None)
