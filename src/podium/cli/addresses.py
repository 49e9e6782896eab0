"""Ports and networks for a new cluster, free on this machine at the time of choosing.

Kernel networks: pods 10.244.0.0/16 and services 10.96.0.0/16 as kubeadm's users expect them, for the first cluster; further ones
count away from these (10.243 and 10.97, ...) from a start that the cluster's id decides, so that clusters which are down keep theirs.
Loopback networks lie in 127.0.0.0/8, which needs no rights: services 127.96.0.0/16 on, pods 127.160.0.0/16 on.
"""

import errno
import socket
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from podium.cli.refusal import Refusal

CLUSTERS_MAX = 60
IP_FREEBIND = 15  # Linux, linux/in.h; the module `socket` does not name it
PORTS_OFFSET, PORTS_SPREAD, PORTS_TRIED_MAX = 9_000, 3_000, 200


def choose_port(preferred: int, cluster_id: str, *, first: bool, host: str = "127.0.0.1") -> int:
    """`preferred` for the first cluster if it is free; else one that the cluster's id decides, so that clusters made at the same time
    rarely meet. It lies PORTS_OFFSET above the preferred one and on: below the node ports and the ports of outgoing connections."""
    start = preferred + PORTS_OFFSET + int(cluster_id, 16) % PORTS_SPREAD
    for port in [*([preferred] if first else []), *range(start, start + PORTS_TRIED_MAX)]:
        if port < 65536 and port_is_free(port, host) and port_is_free(port, ""):
            return port
    return _bind(host, 0)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    return _bind(host, port) != 0


def _bind(host: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            probe.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)  # the host may be an address that comes with the cluster's network
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return 0
            raise
        return int(probe.getsockname()[1])


def choose_networks(cluster_id: str, network: str, *, first: bool) -> tuple[IPv4Network, IPv4Network]:
    """(pods, services), apart from every route of this machine. Raises Refusal when none is left."""
    taken = routed_networks() if network == "kernel" else []
    start = 0 if first else 1 + int(cluster_id, 16) % (CLUSTERS_MAX - 1)
    for step in range(CLUSTERS_MAX):
        pods, services = _networks((start + step) % CLUSTERS_MAX, loopback=network == "loopback")
        if not any(pods.overlaps(route) or services.overlaps(route) for route in taken):
            return pods, services
    raise Refusal(
        "every network Podium may use (10.96.0.0 to 10.244.0.0) is routed elsewhere: remove a route (`ip route`), or use --runtime simulated"
    )


def _networks(number: int, *, loopback: bool) -> tuple[IPv4Network, IPv4Network]:
    if loopback:
        return IPv4Network(f"127.{160 + number}.0.0/16"), IPv4Network(f"127.{96 + number}.0.0/16")
    return IPv4Network(f"10.{244 - number}.0.0/16"), IPv4Network(f"10.{96 + number}.0.0/16")


def routed_networks(table: str = "/proc/net/route") -> list[IPv4Network]:
    """The destinations of this machine's IPv4 routes, default routes left out."""
    try:
        lines = Path(table).read_text().splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        _, destination, *_rest = columns = line.split()
        mask = int.from_bytes(bytes.fromhex(columns[7]), "little")
        if mask:
            address = int.from_bytes(bytes.fromhex(destination), "little")
            found.append(IPv4Network((address, mask.bit_count())))
    return found


def machine_resolvers(path: str = "/etc/resolv.conf") -> tuple[str, ...]:
    """The machine's own IPv4 resolvers, at most three; none when it has none."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                found.append(str(IPv4Address(words[1])))
            except ValueError:
                continue
    return tuple(found[:3])
