"""Addresses: IP addresses and ranges as fields hold them.

Source: k8s.io/apimachinery pkg/util/validation/ip.go; k8s.io/kubernetes pkg/apis/core/validation (ValidateNonSpecialIP).
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from podium.objects.validation.faults import Faults

Address = IPv4Address | IPv6Address


@lru_cache(maxsize=8192)
def parse(text: str) -> Address | None:
    try:
        return ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def family(text: str) -> str:
    """`IPv4`, `IPv6`, or empty for what is no address."""
    address = parse(text)
    return "" if address is None else f"IPv{address.version}"


def check_address(faults: Faults, path: str, text: str) -> bool:
    """Says whether it is one."""
    if parse(text) is None:
        faults.invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
        return False
    return True


def check_range(faults: Faults, path: str, text: str) -> None:
    try:
        ip_network(text, strict=False)
    except ValueError:
        faults.invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
    else:
        if "/" not in text:
            faults.invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")


def check_not_special(faults: Faults, path: str, text: str, *, loopback: bool = False) -> None:
    """Endpoints and external addresses: nothing that means another machine on every machine.

    `loopback`: such addresses are allowed, which upstream refuses: where Podium has no rights to make networks, its pods have them.
    """
    address = parse(text)
    if address is None:
        faults.invalid(path, text, "must be a valid IP address")
        return
    if address.is_unspecified:
        faults.invalid(path, text, f"may not be unspecified ({text})")
    if address.is_loopback and not loopback:
        faults.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        faults.invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if _is_link_local_multicast(address):
        faults.invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


def _is_link_local_multicast(address: Address) -> bool:
    packed = address.packed
    return packed[:3] == b"\xe0\x00\x00" if address.version == 4 else packed[0] == 0xFF and packed[1] & 0x0F == 2
