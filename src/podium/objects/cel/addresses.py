"""Addresses: ip('192.0.2.1') and cidr('192.0.2.0/24').

Neither zones nor IPv4 in IPv6 (::ffff:1.2.3.4), nor leading zeros.
Source: k8s.io/apiserver pkg/cel/library/ip.go, cidr.go; Go's net/netip.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.types import BOOL, INT, STRING, opaque

IP, CIDR = opaque("net.IP"), opaque("net.CIDR")
_MAPPED = ipaddress.ip_network("::ffff:0:0/96")
_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Ip:
    __slots__ = ("address",)
    cel_type = IP.name

    def __init__(self, address: _Address) -> None:
        self.address = address

    def __eq__(self, other: object) -> bool:
        return type(other) is Ip and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __str__(self) -> str:
        return str(self.address)


class Cidr:
    """`address` as written, not cut to the prefix."""

    __slots__ = ("address", "network", "prefix")
    cel_type = CIDR.name

    def __init__(self, address: _Address, prefix: int) -> None:
        self.address = address
        self.prefix = prefix
        self.network = ipaddress.ip_network((address, prefix), strict=False)

    def __eq__(self, other: object) -> bool:
        return type(other) is Cidr and (other.address, other.prefix) == (self.address, self.prefix)

    def __hash__(self) -> int:
        return hash((self.address, self.prefix))

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"


def _address(text: str, function: str) -> _Address:
    fault = f"IP Address {text[:100]!r} parse error during conversion from string"
    if "%" in text:
        raise CelRuntimeError(f"{fault}: IP address with zone value is not allowed")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise CelRuntimeError(f"{fault}: ParseAddr({text[:100]!r}): unable to parse IP") from None
    if address.version == 6 and address in _MAPPED:
        raise CelRuntimeError(f"{fault}: IPv4-mapped IPv6 address is not allowed")
    return address


def parse_ip(text: str) -> Ip:
    return Ip(_address(text, "ip"))


def parse_cidr(text: str) -> Cidr:
    """Raises CelRuntimeError."""
    address, slash, prefix = text.partition("/")
    try:
        found = _address(address, "cidr")
        if not slash or not _PREFIX.fullmatch(prefix) or int(prefix) > found.max_prefixlen:
            raise CelRuntimeError("prefix")
    except CelRuntimeError:
        raise CelRuntimeError(f"network address parse error during conversion from string: netip.ParsePrefix({text[:100]!r})") from None
    return Cidr(found, int(prefix))


def _is(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def run(text: str) -> bool:
        try:
            parse(text)
        except CelRuntimeError:
            return False
        return True

    return run


def _is_canonical(text: str) -> bool:
    return str(parse_ip(text)) == text


def _holds_ip(cidr: Cidr, other: Ip) -> bool:
    return other.address.version == cidr.address.version and other.address in cidr.network


def _holds_cidr(cidr: Cidr, other: Cidr) -> bool:
    return other.address.version == cidr.address.version and cidr.prefix <= other.prefix and other.network.network_address in cidr.network


def _link_local_multicast(ip: Ip) -> bool:
    number = int(ip.address)
    if ip.address.version == 4:
        return number >> 8 == 0xE00000
    return number >> 120 == 0xFF and (number >> 112) & 0xF == 2


def _link_local_unicast(ip: Ip) -> bool:
    return bool(ip.address.is_link_local)


def _global_unicast(ip: Ip) -> bool:
    """As Go: neither unspecified, loopback, multicast, link-local nor the limited broadcast address."""
    address = ip.address
    broadcast = address.version == 4 and int(address) == 0xFFFFFFFF
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local or broadcast)


OVERLOADS: list[Overload] = [
    plain("ip", (STRING,), IP, parse_ip, costs.TRAVERSAL),
    plain("isIP", (STRING,), BOOL, _is(parse_ip), costs.TRAVERSAL),
    plain("ip.isCanonical", (STRING,), BOOL, _is_canonical, costs.traversal(2)),
    plain("string", (IP,), STRING, str),
    member("family", (IP,), INT, lambda i: i.address.version),
    member("isUnspecified", (IP,), BOOL, lambda i: i.address.is_unspecified),
    member("isLoopback", (IP,), BOOL, lambda i: i.address.is_loopback),
    member("isLinkLocalMulticast", (IP,), BOOL, _link_local_multicast),
    member("isLinkLocalUnicast", (IP,), BOOL, _link_local_unicast),
    member("isGlobalUnicast", (IP,), BOOL, _global_unicast),
    plain("cidr", (STRING,), CIDR, parse_cidr, costs.TRAVERSAL),
    plain("isCIDR", (STRING,), BOOL, _is(parse_cidr), costs.TRAVERSAL),
    plain("string", (CIDR,), STRING, str),
    member("ip", (CIDR,), IP, lambda c: Ip(c.address)),
    member("prefixLength", (CIDR,), INT, lambda c: c.prefix),
    member("masked", (CIDR,), CIDR, lambda c: Cidr(c.network.network_address, c.prefix)),
    member("containsIP", (CIDR, IP), BOOL, _holds_ip, costs.ADDRESS),
    member("containsIP", (CIDR, STRING), BOOL, lambda c, t: _holds_ip(c, parse_ip(t)), costs.ADDRESS),
    member("containsCIDR", (CIDR, CIDR), BOOL, _holds_cidr, costs.ADDRESS),
    member("containsCIDR", (CIDR, STRING), BOOL, lambda c, t: _holds_cidr(c, parse_cidr(t)), costs.ADDRESS),
]
TYPES = (IP, CIDR)
