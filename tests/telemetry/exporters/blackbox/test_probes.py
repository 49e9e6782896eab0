"""Probes of servers on loopback that answer as they are told."""

import asyncio
import gzip
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest
import yaml

from podium.api.authority import Authority
from podium.instrument.exposition import render
from podium.telemetry.exporters.blackbox import modules
from podium.telemetry.exporters.blackbox.exporter import BlackboxExporter
from podium.telemetry.exporters.blackbox.probing import Run, split_target
from podium.world.http_messages import HttpRequest
from podium.world.real import RealWorld
from tests.telemetry.exporters.linting import lint

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(*answers: bytes, asked: list[bytes] | None = None) -> Handler:
    """Each connection is given the next answer."""
    left = list(answers)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(head)
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return handler


def http(status: str = "200 OK", body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()), f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def fnv32a(data: bytes) -> int:
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 % 2**32
    return value


async def probe(prober: str, settings: str, target: str, hostname: str = "", timeout_s: float = 5.0) -> dict[str, Any]:
    """Metrics of one probe by name and labels as written."""
    run = await ran(prober, settings, target, hostname, timeout_s)
    lines = render(run.page.families.values()).decode().splitlines()
    found: dict[str, Any] = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    found["log"] = "\n".join(run.lines)
    return found


async def ran(prober: str, settings: str, target: str, hostname: str = "", timeout_s: float = 5.0) -> Run:
    config = {"modules": {"m": {"prober": prober, prober: {"preferred_ip_protocol": "ip4", **(yaml.safe_load(settings) or {})}}}}
    return await BlackboxExporter(RealWorld()).run(modules.parse(yaml.dump(config))["m"], target, hostname, timeout_s)


def success(found: dict[str, Any]) -> int:
    return int(found["probe_success"])


HTTP = [
    ("", http(body=b"hello"), 1, {"probe_http_status_code": 200, "probe_http_content_length": 5, "probe_http_version": 1.1}),
    ("", http("404 Not Found"), 0, {"probe_http_status_code": 404, "probe_failed_due_to_regex": 0}),
    ("valid_status_codes: [404]", http("404 Not Found"), 1, {}),
    ("valid_http_versions: [HTTP/2.0]", http(), 0, {}),
    ("valid_http_versions: [HTTP/1.1]", http(), 1, {}),
    ("fail_if_not_ssl: true", http(), 0, {"probe_http_ssl": 0}),
    ("fail_if_body_matches_regexp: [err]", http(body=b"an error"), 0, {"probe_failed_due_to_regex": 1}),
    ("fail_if_body_matches_regexp: [err]", http(body=b"fine"), 1, {"probe_failed_due_to_regex": 0}),
    ("fail_if_body_not_matches_regexp: [fine]", http(body=b"an error"), 0, {"probe_failed_due_to_regex": 1}),
    ("fail_if_header_matches: [{header: x-a, regexp: b}]", http(x_a="abc"), 0, {"probe_failed_due_to_regex": 1}),
    ("fail_if_header_matches: [{header: x-a, regexp: b}]", http(), 0, {}),
    ("fail_if_header_matches: [{header: x-a, regexp: b, allow_missing: true}]", http(), 1, {}),
    ("fail_if_header_not_matches: [{header: X-A, regexp: b}]", http(x_a="abc"), 1, {}),
    ("body_size_limit: 4B", http(body=b"hello"), 0, {"probe_http_uncompressed_body_length": 4}),
    ("", http(last_modified="Thu, 01 Jan 2026 00:00:00 GMT"), 1, {"probe_http_last_modified_timestamp_seconds": 1767225600}),
    ("", b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 1, {"probe_http_content_length": -1, "probe_http_uncompressed_body_length": 13}),
    ("", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 1, {"probe_http_uncompressed_body_length": 3}),
    ("", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", 0, {}),
    ("", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", 0, {"probe_http_status_code": 200}),
    ("", b"HTTP/1.1 100 Continue\r\n\r\n" + http(body=b"x"), 1, {"probe_http_status_code": 200}),
    ("", b"garbage\r\n\r\n", 0, {"probe_http_status_code": 0}),
    ("", b"\x00\x01\x02", 0, {}),
    ("", b"", 0, {}),
    ("", b"HTTP/1.1 200 OK\r\n" + b"x-a: " + b"b" * 400_000, 0, {}),
    ("compression: gzip", http(body=gzip.compress(b"hello" * 100), content_encoding="gzip"), 1, {"probe_http_uncompressed_body_length": 500}),
    ("compression: gzip\nbody_size_limit: 1MB", http(body=gzip.compress(bytes(50_000_000)), content_encoding="gzip"), 0,
     {"probe_http_uncompressed_body_length": 1048576}),
    ("compression: gzip", http(body=b"not gzip", content_encoding="gzip"), 0, {}),
    ("compression: gzip", http(body=b"plain"), 0, {"probe_http_uncompressed_body_length": 0}),
    ("compression: deflate", http(body=b"\xcaH\xcd\xc9\xc9\x07\x00"), 1, {"probe_http_uncompressed_body_length": 5}),
    ("", http("204 No Content").replace(b"content-length: 0\r\n", b""), 1, {"probe_http_content_length": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "answer", "succeeds", "expected"), HTTP)
async def test_http_answers_are_judged(settings: str, answer: bytes, succeeds: int, expected: dict[str, float]) -> None:
    async with serving(answering(answer)) as port:
        found = await probe("http", settings, f"127.0.0.1:{port}")
    assert success(found) == succeeds, found["log"]
    assert {name: found[name] for name in expected} == expected


async def test_phases_are_timed_and_the_request_is_as_configured() -> None:
    asked: list[bytes] = []
    settings = "{method: POST, body: hi, headers: {X-Team: a}, basic_auth: {username: u, password: p}, compression: gzip}"
    async with serving(answering(http(), asked=asked)) as port:
        found = await probe("http", settings, f"http://127.0.0.1:{port}/a b?q=1", hostname="shop.example")
    head = asked[0].decode()
    assert head.startswith("POST /a%20b?q=1 HTTP/1.1\r\nhost: shop.example\r\n")
    assert "x-team: a\r\n" in head and "authorization: Basic dTpw\r\n" in head and "accept-encoding: gzip\r\n" in head
    assert "content-length: 2\r\n" in head
    phases = {name for name in found if name.startswith("probe_http_duration_seconds")}
    assert phases == {f'probe_http_duration_seconds{{phase="{p}"}}' for p in ("resolve", "connect", "tls", "processing", "transfer")}
    assert (found["probe_ip_protocol"] == 4 and found["probe_ip_addr_hash"] == 3619153832) or found["probe_ip_addr_hash"] > 0
    assert found['probe_http_duration_seconds{phase="tls"}'] == 0
    assert found["probe_duration_seconds"] > 0


async def test_redirects_are_followed_counted_and_bounded() -> None:
    asked: list[bytes] = []
    first = http("302 Found", location="/next", set_cookie="a=b; Path=/")
    async with serving(answering(first, http(), asked=asked)) as port:
        found = await probe("http", "method: POST", f"127.0.0.1:{port}")
    assert success(found) == 1 and found["probe_http_redirects"] == 1
    assert asked[1].startswith(b"GET /next HTTP/1.1") and b"cookie: a=b\r\n" in asked[1]
    async with serving(answering(first)) as port:
        endless = await probe("http", "", f"127.0.0.1:{port}")
        still = await probe("http", "follow_redirects: false\nvalid_status_codes: [302]", f"127.0.0.1:{port}")
    assert success(endless) == 0 and "stopped after 10 redirects" in endless["log"]
    assert endless["probe_http_redirects"] == 11 and endless["probe_http_status_code"] == 302
    assert success(still) == 1 and still["probe_http_redirects"] == 1
    async with serving(answering(http("302 Found", location="file:///etc/passwd"))) as port:
        assert success(await probe("http", "", f"127.0.0.1:{port}")) == 0


async def test_credentials_do_not_follow_to_another_host() -> None:
    asked: list[bytes] = []
    async with (
        serving(answering(http(), asked=asked)) as other,
        serving(answering(http("302 Found", location=f"http://localhost:{other}/"))) as port,
    ):
        settings = "authorization: {credentials: t}\nheaders: {Cookie: c=d, X-A: b}"
        found = await probe("http", settings, f"127.0.0.1:{port}")
    assert success(found) == 1
    assert b"authorization" not in asked[0] and b"cookie" not in asked[0] and b"x-a: b" in asked[0]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.load_or_create(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def server_tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue_files("server", "server", hosts=["localhost", "127.0.0.1"]))
    return context


async def test_tls_is_verified_and_shown(authority: Authority, server_tls: ssl.SSLContext) -> None:
    async with serving(answering(http()), server_tls) as port:
        trusted = await probe("http", f"tls_config: {{ca_file: {authority.ca_path}}}\nfail_if_not_ssl: true", f"https://127.0.0.1:{port}")
        unknown = await probe("http", "", f"https://127.0.0.1:{port}")
        unverified = await probe("http", "tls_config: {insecure_skip_verify: true}", f"https://127.0.0.1:{port}")
        forbidden = await probe("http", f"tls_config: {{ca_file: {authority.ca_path}}}\nfail_if_ssl: true", f"https://127.0.0.1:{port}")
    assert success(trusted) == 1, trusted["log"]
    assert trusted["probe_http_ssl"] == 1 and trusted['probe_tls_version_info{version="TLS 1.3"}'] == 1
    assert 1.5e9 < trusted["probe_ssl_earliest_cert_expiry"] == trusted["probe_ssl_last_chain_expiry_timestamp_seconds"]
    info = next(name for name in trusted if name.startswith("probe_ssl_last_chain_info"))
    assert 'subjectalternative="localhost' in info and 'subject="' in info
    assert success(unknown) == 0 and "certificate verify failed" in unknown["log"]
    assert success(unverified) == 1 and unverified["probe_ssl_last_chain_expiry_timestamp_seconds"] == -62135596800
    assert success(forbidden) == 0


async def test_what_does_not_answer_in_time_fails() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        found = await probe("http", "", f"127.0.0.1:{port}", timeout_s=0.2)
    assert success(found) == 0 and "did not end within 0.2 s" in found["log"]
    assert 0.2 <= found["probe_duration_seconds"] < 2


async def test_what_refuses_or_has_no_name_fails() -> None:
    async with serving(answering(http())) as port:
        pass
    assert success(await probe("http", "", f"127.0.0.1:{port}")) == 0
    nowhere = await probe("http", "", "http://nowhere.invalid/")
    assert success(nowhere) == 0 and "resolution of 'nowhere.invalid' failed" in nowhere["log"]
    assert success(await probe("http", "", "http://")) == 0
    assert success(await probe("http", "", "http://[::bad/")) == 0
    assert success(await probe("http", "{ip_protocol_fallback: false, preferred_ip_protocol: ip6}", "http://127.0.0.1/")) == 0


async def test_a_dialogue_over_tcp_with_starttls(authority: Authority, server_tls: ssl.SSLContext) -> None:
    heard: list[bytes] = []

    async def smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ignored\r\n220 mail.example ESMTP\r\n")
        heard.append(await reader.readline())
        writer.write(b"250 ok\r\n")
        heard.append(await reader.readline())
        writer.write(b"220 go\r\n")
        await writer.drain()
        await writer.start_tls(server_tls)
        heard.append(await reader.readline())
        writer.write(b"221 bye\r\n")
        await writer.drain()

    settings = f"""
tls_config: {{ca_file: {authority.ca_path}}}
query_response:
- expect: "^220 (?P<host>[^ ]+) ESMTP"
  send: "EHLO $${{1}}-${{host}}$9"
  labels: [{{name: host, value: "${{1}}"}}]
- {{expect: "^250", send: STARTTLS}}
- {{expect: "^220", starttls: true}}
- {{send: QUIT}}
- {{expect: "^221"}}
"""
    async with serving(smtp) as port:
        found = await probe("tcp", settings, f"127.0.0.1:{port}")
    assert success(found) == 1, found["log"]
    assert heard == [b"EHLO ${1}-mail.example\n", b"STARTTLS\n", b"QUIT\n"]
    assert found['probe_expect_info{host="mail.example"}'] == 1
    assert "probe_ssl_earliest_cert_expiry" in found and found["probe_failed_due_to_regex"] == 0


async def test_an_unexpected_line_fails() -> None:
    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"no\n")

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 200_000)
        await reader.read()

    async with serving(says) as port:
        found = await probe("tcp", "query_response: [{expect: yes.*}]", f"127.0.0.1:{port}")
        plain = await probe("tcp", "", f"127.0.0.1:{port}")
    assert (success(found), found["probe_failed_due_to_regex"], success(plain)) == (0, 1, 1)
    async with serving(endless) as port:
        assert "longer than" in (await probe("tcp", "query_response: [{expect: yes.*}]", f"127.0.0.1:{port}"))["log"]
    assert success(await probe("tcp", "", "127.0.0.1")) == 0


class NameServer(asyncio.DatagramProtocol):
    """Answers with two A records and a SOA, after a datagram of nonsense."""

    transport: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(b"nonsense", addr)
        self.transport.sendto(name_answer(data), addr)


def name_answer(data: bytes) -> bytes:
    answer = dns.message.make_response(dns.message.from_wire(data))
    answer.answer.append(dns.rrset.from_text("example.com.", 60, "IN", "A", "192.0.2.1", "192.0.2.2"))
    answer.answer.append(dns.rrset.from_text("example.com.", 60, "IN", "SOA", "ns. root. 2026010101 1 1 1 1"))
    answer.set_rcode(dns.rcode.NOERROR)
    return answer.to_wire()


DNS = [
    ("", 1),
    ("valid_rcodes: [NXDOMAIN]", 0),
    ("validate_answer_rrs: {fail_if_matches_regexp: ['192\\.0\\.2\\.2']}", 0),
    ("validate_answer_rrs: {fail_if_all_match_regexp: ['\\tA\\t']}", 1),
    ("validate_answer_rrs: {fail_if_not_matches_regexp: ['\\tA\\t']}", 0),
    ("validate_answer_rrs: {fail_if_none_matches_regexp: ['\\tIN\\tA\\t192']}", 1),
    ("validate_authority_rrs: {fail_if_none_matches_regexp: [x]}", 0),
]


@pytest.mark.parametrize(("settings", "succeeds"), DNS)
async def test_names_are_asked_for_and_answers_judged(settings: str, succeeds: int) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        found = await probe("dns", f"query_name: example.com\nquery_type: A\n{settings}", f"127.0.0.1:{port}")
    finally:
        transport.close()
    assert success(found) == succeeds, found["log"]
    assert found["probe_dns_answer_rrs"] == 3 and "probe_dns_serial" not in found
    assert found["probe_dns_query_succeeded"] == 1


async def test_names_are_asked_for_over_tcp_and_tls(authority: Authority, server_tls: ssl.SSLContext) -> None:
    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = name_answer(await reader.readexactly(length))
        writer.write(struct.pack("!H", len(answer)) + answer)
        await writer.drain()

    async with serving(server) as port:
        soa = await probe("dns", "{query_name: example.com, query_type: SOA, transport_protocol: tcp}", f"127.0.0.1:{port}")
        assert success(soa) == 1 and soa["probe_dns_serial"] == 2026010101
    settings = f"{{query_name: example.com, dns_over_tls: true, tls_config: {{ca_file: {authority.ca_path}}}}}"
    async with serving(server, server_tls) as port:
        found = await probe("dns", settings, f"127.0.0.1:{port}")
    assert success(found) == 1 and "probe_ssl_earliest_cert_expiry" in found


async def test_echo_requests_are_answered_by_this_machine() -> None:
    found = await probe("icmp", "payload_size: 100\nttl: 5\ndont_fragment: true", "127.0.0.1")
    if "CAP_NET_RAW" in found["log"]:
        pytest.skip("needs ping sockets or CAP_NET_RAW")
    assert success(found) == 1, found["log"]
    assert found['probe_icmp_duration_seconds{phase="rtt"}'] > 0
    assert found["probe_icmp_reply_hop_limit"] == 64


async def test_health_is_asked_of_grpc_services() -> None:
    import grpc.aio

    def health(answer: bytes) -> Any:
        async def check(request: bytes, context: Any) -> bytes:
            if request != b"\n\x04shop":
                await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            return answer

        handler = grpc.unary_unary_rpc_method_handler(check)
        return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})

    for answer, succeeds in ((b"\x08\x01", 1), (b"\x08\x02", 0), (b"", 0)):
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((health(answer),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            found = await probe("grpc", "service: shop", f"127.0.0.1:{port}")
            other = await probe("grpc", "service: none", f"127.0.0.1:{port}")
        finally:
            await server.stop(None)
        assert success(found) == succeeds
    assert found['probe_grpc_healthcheck_response{serving_status="UNKNOWN"}'] == 1
    assert success(other) == 0 and other["probe_grpc_status_code"] == 5


def test_targets_have_a_host_and_a_port() -> None:
    assert split_target("a:1") == ("a", 1)
    assert split_target("[::1]:53") == ("::1", 53)
    assert split_target("::1", 53) == ("::1", 53)
    assert split_target("a", 853) == ("a", 853)


def request(path: str, method: str = "GET", headers: dict[str, str] | None = None, **query: str) -> HttpRequest:
    return HttpRequest(method, path, path, {k: [v] for k, v in query.items()}, headers or {}, b"", None)


async def test_the_exporter_answers_with_metrics_that_promtool_takes() -> None:
    async with serving(answering(http(body=b"x"))) as port:
        exporter = BlackboxExporter(RealWorld())
        answer = await exporter.handle(request("/probe", target=f"127.0.0.1:{port}", module="http_2xx"))
        debug = await exporter.handle(request("/probe", target=f"127.0.0.1:{port}", debug="true"))
    assert answer.status == 200 and b"probe_success 1\n" in answer.body
    assert [line for line in lint(answer.body) if not line.startswith("probe_http_") and "probe_ssl" not in line] == []
    assert b"Logs for the probe" in debug.body and b"status 200" in debug.body
    page = (await exporter.handle(request("/"))).body
    assert b"Success" in page and b"http_post_2xx" in page
    assert b"blackbox_exporter_config_last_reload_successful 1" in (await exporter.handle(request("/metrics"))).body


async def test_bad_requests_are_refused() -> None:
    exporter = BlackboxExporter(RealWorld())
    bad = {"x-prometheus-scrape-timeout-seconds": "soon"}
    for path, query, headers, status in (
        ("/probe", {"module": "none", "target": "x"}, {}, 400),
        ("/probe", {}, {}, 400),
        ("/probe", {"target": "a\nb"}, {}, 400),
        ("/probe", {"target": "x"}, bad, 500),
        ("/none", {}, {}, 404),
        ("/-/reload", {}, {}, 405),
        ("/-/healthy", {}, {}, 200),
    ):
        assert (await exporter.handle(request(path, headers=headers, **query))).status == status, path
    assert b"blackbox_module_unknown_total 1" in (await exporter.handle(request("/metrics"))).body


async def test_a_broken_configuration_is_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "blackbox.yml"
    path.write_text("modules: {a: {prober: tcp, tcp: {}}, b: {prober: http, http: {basic_auth: {username: u, password: hush}}}}\n")
    exporter = BlackboxExporter(RealWorld(), path)
    assert b"hush" not in (await exporter.handle(request("/config"))).body
    path.write_text("modules: {a: {prober: nonsense}}\n")
    answer = await exporter.handle(request("/-/reload", "POST"))
    assert answer.status == 500 and b"modules.a.prober" in answer.body
    assert b"blackbox_exporter_config_last_reload_successful 0" in (await exporter.handle(request("/metrics"))).body
    assert b"a, b" in (await exporter.handle(request("/"))).body
