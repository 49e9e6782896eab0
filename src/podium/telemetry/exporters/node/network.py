"""Interfaces and protocols: arp, bonding, conntrack, ipvs, netclass, netdev, netstat, sockstat, udp_queues.

Source: proc(5), Documentation/ABI/testing/sysfs-class-net; node exporter's collectors of these names.
"""

import os
import re
from ipaddress import IPv4Address, IPv6Address

from podium.instrument.exposition import Page, Pairs
from podium.telemetry.exporters.node.sources import Absent, Roots, entries, integer, optional, required, rows

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def neighbours(roots: Roots, page: Page) -> None:
    counts: dict[str, int] = {}
    for words in list(rows(f"{roots.proc}/net/arp"))[1:]:
        counts[words[-1]] = counts.get(words[-1], 0) + 1
    for device, count in counts.items():
        page.gauge("node_arp_entries", "Entries of the ARP table, by device.", count, (("device", device),))


def bonding(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/class/net"
    for master in required(f"{folder}/bonding_masters").split():
        members = (optional(f"{folder}/{master}/bonding/slaves") or "").split()
        active = 0
        for member in members:
            state = optional(f"{folder}/{master}/lower_{member}/bonding_slave/mii_status")
            state = state or optional(f"{folder}/{master}/slave_{member}/bonding_slave/mii_status")
            active += state == "up"
        labels = (("master", master),)
        page.gauge("node_bonding_slaves", "Interfaces that a bond was given.", len(members), labels)
        page.gauge("node_bonding_active", "Interfaces of a bond whose link is up.", active, labels)


_CONNTRACK = {
    "found": "Lookups that found an entry.",
    "invalid": "Packets that could not be tracked.",
    "ignore": "Packets of connections that are not tracked.",
    "insert": "Entries inserted.",
    "insert_failed": "Entries that could not be inserted.",
    "drop": "Packets dropped because they could not be tracked.",
    "early_drop": "Entries dropped to make room for others.",
    "search_restart": "Lookups begun again because the table was resized.",
}


def connections(roots: Roots, page: Page) -> None:
    count = integer(f"{roots.proc}/sys/net/netfilter/nf_conntrack_count")
    limit = integer(f"{roots.proc}/sys/net/netfilter/nf_conntrack_max")
    if count is None or limit is None:
        raise Absent("conntrack")
    page.gauge("node_nf_conntrack_entries", "Connections that are tracked.", count)
    page.gauge("node_nf_conntrack_entries_limit", "Connections that can be tracked.", limit)
    header, *cpus = list(rows(f"{roots.proc}/net/stat/nf_conntrack"))
    for field, text in _CONNTRACK.items():
        if field in header:
            column = header.index(field)
            page.gauge(f"node_nf_conntrack_stat_{field}", text, sum(int(words[column], 16) for words in cpus))


_IPVS_TOTALS = (
    ("connections", "Connections made."),
    ("incoming_packets", "Packets received."),
    ("outgoing_packets", "Packets sent."),
    ("incoming_bytes", "Bytes received."),
    ("outgoing_bytes", "Bytes sent."),
)
_IPVS_BACKEND = (("weight", "Weight"), ("connections_active", "Active connections"), ("connections_inactive", "Inactive connections"))


def virtual_servers(roots: Roots, page: Page) -> None:
    lines = required(f"{roots.proc}/net/ip_vs_stats").splitlines()
    for (name, text), word in zip(_IPVS_TOTALS, lines[2].split(), strict=False):
        page.counter(f"node_ipvs_{name}_total", f"{text} through IPVS.", int(word, 16))
    local: Pairs = ()
    for words in rows(f"{roots.proc}/net/ip_vs"):
        if words[0] in ("TCP", "UDP", "SCTP"):
            address, port = _ipvs_endpoint(words[1])
            local = (("local_address", address), ("local_port", port), ("local_mark", ""), ("proto", words[0]))
        elif words[0] == "FWM":
            local = (("local_address", ""), ("local_port", "0"), ("local_mark", words[1]), ("proto", words[0]))
        elif words[0] == "->" and len(words) >= 6 and words[1] != "RemoteAddress:Port":
            address, port = _ipvs_endpoint(words[1])
            labels = tuple(sorted((*local, ("remote_address", address), ("remote_port", port))))
            for (name, text), word in zip(_IPVS_BACKEND, words[3:], strict=False):
                page.gauge(f"node_ipvs_backend_{name}", f"{text} of an IPVS backend.", int(word), labels)


def _ipvs_endpoint(text: str) -> tuple[str, str]:
    address, _, port = text.rpartition(":")
    if address.startswith("["):
        return str(IPv6Address(address.strip("[]"))), str(int(port, 16))
    return str(IPv4Address(int(address, 16))), str(int(port, 16))


_NETCLASS = (
    ("addr_assign_type", "address_assign_type", "gauge"),
    ("carrier", "carrier", "gauge"),
    ("carrier_changes", "carrier_changes_total", "counter"),
    ("carrier_up_count", "carrier_up_changes_total", "counter"),
    ("carrier_down_count", "carrier_down_changes_total", "counter"),
    ("dev_id", "device_id", "gauge"),
    ("dormant", "dormant", "gauge"),
    ("flags", "flags", "gauge"),
    ("ifindex", "iface_id", "gauge"),
    ("iflink", "iface_link", "gauge"),
    ("link_mode", "iface_link_mode", "gauge"),
    ("mtu", "mtu_bytes", "gauge"),
    ("name_assign_type", "name_assign_type", "gauge"),
    ("netdev_group", "net_dev_group", "gauge"),
    ("tx_queue_len", "transmit_queue_length", "gauge"),
    ("type", "protocol_type", "gauge"),
)
_NETINFO = ("address", "broadcast", "duplex", "operstate", "ifalias")
_IFF_UP = 1


def interfaces(roots: Roots, page: Page) -> None:
    folder = f"{roots.sys}/class/net"
    for device in entries(folder):
        if not os.path.isdir(f"{folder}/{device}"):
            continue
        labels = (("device", device),)
        told = {name: optional(f"{folder}/{device}/{name}") or "" for name in _NETINFO}
        values = {file: integer(f"{folder}/{device}/{file}") for file, _, _ in _NETCLASS}
        admin = "up" if (values["flags"] or 0) & _IFF_UP else "down"
        info = tuple(sorted((*labels, *told.items(), ("adminstate", admin))))
        page.gauge("node_network_info", "What an interface says of itself; always 1.", 1, info)
        page.gauge("node_network_up", "Whether an interface is operational.", told["operstate"] == "up", labels)
        for file, name, kind in _NETCLASS:
            if (value := values[file]) is not None:
                page.family(f"node_network_{name}", kind, f"{file} of an interface.").samples["", labels] = value
        speed = integer(f"{folder}/{device}/speed")  # -1 where the kernel does not know it: shown, as node exporter 1 does
        if speed is not None:
            page.gauge("node_network_speed_bytes", "Speed of an interface, in bytes a second.", speed * 1000 * 1000 / 8, labels)


_RECEIVED = ("bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast")
_SENT = ("bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed")
_NETDEV = (*(f"receive_{word}" for word in _RECEIVED), *(f"transmit_{word}" for word in _SENT))


def traffic(roots: Roots, page: Page) -> None:
    families = [page.family(f"node_network_{name}_total", "counter", f"{name} of an interface.").samples for name in _NETDEV]
    for line in required(f"{roots.proc}/net/dev").splitlines()[2:]:
        device, _, rest = line.rpartition(":")
        device = device.strip()
        labels = (("device", device),)
        for samples, word in zip(families, rest.split(), strict=False):
            samples["", labels] = int(word)
        unhandled = integer(f"{roots.sys}/class/net/{device}/statistics/rx_nohandler")
        if unhandled is not None:
            page.counter("node_network_receive_nohandler_total", "Packets received that nobody handled.", unhandled, labels)


NETSTAT_FIELDS = re.compile(
    r".*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
    r"|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)"
    r"|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
    r"|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors)"
)
_wanted: dict[str, bool] = {}


def protocols(roots: Roots, page: Page) -> None:
    found: list[tuple[str, str]] = []
    for file in ("netstat", "snmp"):
        lines = required(f"{roots.proc}/net/{file}").splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=False):
            protocol, _, fields = names.partition(":")
            found += zip((f"{protocol}_{field}" for field in fields.split()), values.partition(":")[2].split(), strict=False)
    for line in (optional(f"{roots.proc}/net/snmp6") or "").splitlines():
        word, _, value = line.partition(" ")
        at = word.find("6")
        if at > 0:
            found.append((f"{word[: at + 1]}_{word[at + 1 :]}", value))
    for name, value in found:
        wanted = _wanted.get(name)
        if wanted is None and len(_wanted) < 10_000:
            wanted = _wanted[name] = NETSTAT_FIELDS.fullmatch(name) is not None
        if wanted:
            page.untyped(f"node_netstat_{name}", f"{name.replace('_', '')} of the kernel's network statistics.", float(value))


def sockets(roots: Roots, page: Page) -> None:
    for file in ("sockstat", "sockstat6"):
        lines = required(f"{roots.proc}/net/{file}") if file == "sockstat" else optional(f"{roots.proc}/net/{file}")
        for line in (lines or "").splitlines():
            protocol, _, rest = line.partition(":")
            words = rest.split()
            for state, word in zip(words[::2], words[1::2], strict=False):
                page.gauge(f"node_sockstat_{protocol}_{state}", f"{protocol} sockets: {state}.", int(word))
                if state == "mem":
                    text = f"{protocol} sockets: memory in bytes."
                    page.gauge(f"node_sockstat_{protocol}_mem_bytes", text, int(word) * _PAGE_BYTES)


def udp_queues(roots: Roots, page: Page) -> None:
    for file, version in (("udp", "v4"), ("udp6", "v6")):
        lines = optional(f"{roots.proc}/net/{file}")
        if lines is None:
            if version == "v4":
                raise Absent("udp")
            continue
        sent = received = 0
        for line in lines.splitlines()[1:]:
            transmit, _, receive = line.split(None, 5)[4].partition(":")
            sent, received = sent + int(transmit, 16), received + int(receive, 16)
        for queue, count in (("tx", sent), ("rx", received)):
            page.gauge("node_udp_queues", "Bytes that wait in the queues of UDP sockets.", count, (("queue", queue), ("ip", version)))
