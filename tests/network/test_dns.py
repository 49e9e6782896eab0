"""The cluster's DNS, asked as resolvers ask. dnspython is the oracle for the wire format."""

import asyncio
import socket
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.network import dns_wire
from podium.network.dns import DnsServer
from podium.network.dns_zone import Directory, Zone
from podium.world.real import RealWorld
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld

Object = dict[str, Any]


def service(name: str, **spec: Any) -> Object:
    return {"metadata": {"namespace": "shop", "name": name}, "spec": spec}


def slices(*endpoints: Object) -> list[Object]:
    return [{"addressType": "IPv4", "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}], "endpoints": list(endpoints)}]


SERVICES = {
    "web": service("web", clusterIP="10.96.0.20", clusterIPs=["10.96.0.20"], ports=[{"name": "http", "port": 80, "protocol": "TCP"}]),
    "db": service("db", clusterIP="None", clusterIPs=["None"], ports=[{"name": "sql", "port": 5432}]),
    "idle": service("idle", clusterIP="None", clusterIPs=["None"]),
    "ext": service("ext", type="ExternalName", externalName="web.shop.svc.cluster.local"),
    "out": service("out", type="ExternalName", externalName="example.com"),
}
ENDPOINTS = [
    {"addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": {"ready": True}},
    {"addresses": ["10.244.0.6"], "conditions": {}},
    {"addresses": ["10.244.0.7"], "conditions": {"ready": False}},
]
DIRECTORY = Directory(
    service=lambda namespace, name: SERVICES.get(name) if namespace == "shop" else None,
    slices=lambda namespace, name: slices(*ENDPOINTS) if name == "db" else [],
    namespace_exists=lambda name: name in ("shop", "default"),
    services_at=lambda address: [SERVICES["web"]] if address == "10.96.0.20" else [],
    endpoints_at=lambda address: [(SERVICES["db"], ENDPOINTS[0])] if address == "10.244.0.5" else [],
)
ZONE = Zone("cluster.local", DIRECTORY, ["10.244.0.0/16", "10.96.0.0/16"])

NXDOMAIN = "NXDOMAIN"
QUESTIONS = [
    ("web.shop.svc.cluster.local", "A", ["10.96.0.20"]),
    ("WEB.Shop.svc.Cluster.Local", "A", ["10.96.0.20"]),
    ("web.shop.svc.cluster.local", "AAAA", []),
    ("web.shop.svc.cluster.local", "ANY", ["10.96.0.20"]),
    ("_http._tcp.web.shop.svc.cluster.local", "SRV", ["0 100 80 web.shop.svc.cluster.local."]),
    ("_http._udp.web.shop.svc.cluster.local", "SRV", NXDOMAIN),
    ("_tcp.web.shop.svc.cluster.local", "A", []),
    ("x.web.shop.svc.cluster.local", "A", NXDOMAIN),
    ("db.shop.svc.cluster.local", "A", ["10.244.0.5", "10.244.0.6"]),
    ("db-0.db.shop.svc.cluster.local", "A", ["10.244.0.5"]),
    ("10-244-0-6.db.shop.svc.cluster.local", "A", ["10.244.0.6"]),
    ("10-244-0-7.db.shop.svc.cluster.local", "A", NXDOMAIN),
    ("_sql._tcp.db.shop.svc.cluster.local", "SRV", ["0 50 5432 10-244-0-6.db.shop.svc.cluster.local.", "0 50 5432 db-0.db.shop.svc.cluster.local."]),
    ("idle.shop.svc.cluster.local", "A", NXDOMAIN),
    ("ext.shop.svc.cluster.local", "A", ["10.96.0.20", "web.shop.svc.cluster.local."]),
    ("ext.shop.svc.cluster.local", "CNAME", ["web.shop.svc.cluster.local."]),
    ("out.shop.svc.cluster.local", "A", ["example.com."]),
    ("nothing.shop.svc.cluster.local", "A", NXDOMAIN),
    ("web.other.svc.cluster.local", "A", NXDOMAIN),
    ("shop.svc.cluster.local", "A", []),
    ("other.svc.cluster.local", "A", NXDOMAIN),
    ("svc.cluster.local", "A", []),
    ("cluster.local", "NS", ["ns.dns.cluster.local."]),
    ("dns-version.cluster.local", "TXT", ['"1.1.0"']),
    ("example.com.shop.svc.cluster.local", "A", NXDOMAIN),
    ("10-1-2-3.shop.pod.cluster.local", "A", ["10.1.2.3"]),
    ("10-1-2.shop.pod.cluster.local", "A", NXDOMAIN),
    ("20.0.96.10.in-addr.arpa", "PTR", ["web.shop.svc.cluster.local."]),
    ("5.0.244.10.in-addr.arpa", "PTR", ["db-0.db.shop.svc.cluster.local."]),
    ("9.0.244.10.in-addr.arpa", "PTR", NXDOMAIN),
]  # fmt: skip


def ask(server: DnsServer, message: bytes, *, stream: bool = False) -> dns.message.Message | None:
    replies: list[bytes] = []
    server.handle(message, replies.append, stream=stream)
    return dns.message.from_wire(replies[0]) if replies else None


@pytest.fixture
def server() -> DnsServer:
    return DnsServer(ZONE, VirtualWorld(1), Supervisor("test"))


@pytest.mark.parametrize(("name", "kind", "expected"), QUESTIONS, ids=[f"{q[0]} {q[1]}" for q in QUESTIONS])
def test_answers(server: DnsServer, name: str, kind: str, expected: list[str] | str) -> None:
    question = dns.message.make_query(name, kind, use_edns=True)
    reply = ask(server, question.to_wire())
    assert reply is not None
    assert question.is_response(reply)
    assert reply.flags & dns.flags.AA
    if expected == NXDOMAIN:
        assert reply.rcode() == dns.rcode.NXDOMAIN
    else:
        assert reply.rcode() == dns.rcode.NOERROR
        assert sorted(item.to_text() for rrset in reply.answer for item in rrset) == expected
    if not reply.answer:
        assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]


def test_case_of_the_question_is_kept(server: DnsServer) -> None:
    reply = ask(server, dns.message.make_query("WeB.shop.SVC.cluster.local", "A").to_wire())
    assert reply is not None
    assert reply.question[0].name.to_text() == "WeB.shop.SVC.cluster.local."


def test_names_outside_are_refused_without_resolvers(server: DnsServer) -> None:
    reply = ask(server, dns.message.make_query("example.com", "A").to_wire())
    assert reply is not None
    assert reply.rcode() == dns.rcode.REFUSED
    assert not reply.flags & dns.flags.AA


def test_long_answers_are_cut_for_datagrams_only() -> None:
    many = [{"addresses": [f"10.244.{i // 250}.{i % 250 + 1}"], "conditions": {}} for i in range(100)]
    directory = Directory(DIRECTORY.service, lambda *_: slices(*many), DIRECTORY.namespace_exists, lambda _: [], lambda _: [])
    server = DnsServer(Zone("cluster.local", directory, []), VirtualWorld(1), Supervisor("test"))
    question = dns.message.make_query("db.shop.svc.cluster.local", "A").to_wire()
    datagram, stream = ask(server, question), ask(server, question, stream=True)
    assert datagram is not None
    assert stream is not None
    assert datagram.flags & dns.flags.TC
    assert not datagram.answer
    assert len(stream.answer[0]) == 100
    assert not stream.flags & dns.flags.TC


@given(st.binary(max_size=64))
def test_any_bytes_get_an_answer_with_their_id_or_none(message: bytes) -> None:
    server = DnsServer(ZONE, VirtualWorld(1), Supervisor("test"))
    replies: list[bytes] = []
    server.handle(message, replies.append, stream=False)
    assert all(reply[:2] == message[:2] for reply in replies)


@given(st.binary(max_size=64))
def test_any_answer_of_a_resolver_is_read_or_malformed(message: bytes) -> None:
    try:
        dns_wire.read_answers(message)
    except dns_wire.Malformed:
        pass


LABELS = st.lists(st.text("abcXYZ09-_", min_size=1, max_size=63), min_size=1, max_size=3)


@given(LABELS, st.sampled_from(["A", "AAAA", "SRV", "PTR"]), st.booleans())
def test_queries_are_read_as_dnspython_writes_them(labels: list[str], kind: str, edns: bool) -> None:
    question = dns.message.make_query(dns.name.Name([*(label.encode() for label in labels), b""]), kind, use_edns=edns)
    query = dns_wire.parse_query(question.to_wire())
    assert (query.id, query.name, query.type) == (question.id, tuple(label.lower() for label in labels), dns.rdatatype.from_text(kind))
    assert bool(query.edns_bytes) == edns


def test_pointer_loops_are_malformed() -> None:
    with pytest.raises(dns_wire.Malformed):
        dns_wire.read_name(b"\xc0\x00", 0)


async def test_resolvers_answer_for_names_outside() -> None:
    """One question in full: a resolver on the loopback address, UDP and TCP, an alias followed through it."""
    loop = asyncio.get_running_loop()
    supervisor = Supervisor("test")
    resolver_transport, _ = await loop.create_datagram_endpoint(_Resolver, local_addr=("127.0.0.53", 0))
    port = resolver_transport.get_extra_info("sockname")[1]
    server = DnsServer(ZONE, RealWorld(), supervisor, ["127.0.0.53"], resolver_port=port)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        own_port = probe.getsockname()[1]
    supervisor.start("dns", server.run("127.0.0.1", own_port))
    await asyncio.sleep(0.02)

    def over(ask_by: Any, name: str) -> list[str]:
        reply = ask_by(dns.message.make_query(name, "A"), "127.0.0.1", port=own_port, timeout=2)
        return sorted(item.to_text() for rrset in reply.answer for item in rrset)

    assert await asyncio.to_thread(over, dns.query.udp, "example.com") == ["192.0.2.1"]
    assert await asyncio.to_thread(over, dns.query.tcp, "web.shop.svc.cluster.local") == ["10.96.0.20"]
    assert await asyncio.to_thread(over, dns.query.udp, "out.shop.svc.cluster.local") == ["192.0.2.1", "example.com."]
    await supervisor.stop()
    resolver_transport.close()


class _Resolver(asyncio.DatagramProtocol):
    """Answers 192.0.2.1 to everything."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns_wire.parse_query(data)
        reply = dns_wire.answer(query, dns_wire.NO_ERROR, [dns_wire.a_record(query.name, "192.0.2.1", 5)])
        self.transport.sendto(reply, addr)  # type: ignore[attr-defined]
