"""Requests over real sockets on loopback: credentials, TLS, redirects, proxies, compressed answers, limits."""

import asyncio
import base64
import gzip
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from podium.api.authority import Authority
from podium.telemetry.metrics.configuration.decoding import decode
from podium.telemetry.metrics.configuration.http import HttpConfig, ProxyConfig
from podium.telemetry.metrics.configuration.values import Url
from podium.telemetry.metrics.outbound.client import OutboundClient
from podium.telemetry.metrics.outbound.interface import OutboundError, OutboundTimeout, ResponseTooLarge
from podium.telemetry.metrics.outbound.proxies import proxy_for
from podium.telemetry.metrics.remote.messages import compress
from podium.world.http_server import Connection, HttpRequest, HttpServer, Response
from podium.world.real import RealWorld

Answer = Callable[[HttpRequest], Response]
TEXT = (b"content-type", b"text/plain")


@dataclass
class Site:
    """A server whose answers a test gives by path, and what it was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[HttpRequest] = field(default_factory=list)
    server: Any = None
    port: int = 0

    def handle(self, request: HttpRequest, connection: Connection) -> Response:
        self.asked.append(request)
        answer = self.answers.get(request.path)
        return answer(request) if answer else Response(404, b"no", (TEXT,))

    async def start(self, tls: ssl.SSLContext | None = None) -> "Site":
        self.server = HttpServer(self.handle, tls)
        self.port = await self.server.listen("127.0.0.1", 0)
        return self

    def url(self, path: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = await Site().start()
    yield site
    await site.server.close()


@pytest.fixture
async def other() -> AsyncIterator[Site]:
    site = await Site().start()
    yield site
    await site.server.close()


def says(body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> Answer:
    return lambda request: Response(status, body, (TEXT, *headers))


async def ask(config: str | HttpConfig, url: str, *, method: str = "GET", body: bytes = b"", timeout_s: float = 5, **options: Any) -> Any:
    http = decode(config, HttpConfig) if isinstance(config, str) else config
    client = OutboundClient(http, RealWorld(), compression=options.pop("compression", True))
    try:
        return await client.request(method, url, body=body, timeout_s=timeout_s, **options)
    finally:
        await client.aclose()


async def test_an_answer_is_status_headers_and_body(site: Site) -> None:
    site.answers["/a"] = says(b"hello")
    response = await ask("{}", site.url("/a?x=1"))
    assert (response.status, response.status_text, response.body, response.headers["content-type"]) == (
        200,
        "200 OK",
        b"hello",
        "text/plain",
    )
    assert site.asked[0].target == "/a?x=1"
    assert site.asked[0].headers["accept-encoding"] == "gzip"
    assert (await ask("{}", site.url("/none"), compression=False)).status_text == "404 Not Found"
    assert site.asked[1].headers["accept-encoding"] == "identity"


async def test_credentials_are_read_again_from_their_files(site: Site, tmp_path: Path) -> None:
    site.answers["/"] = says(b"")
    secret = tmp_path / "secret"
    client = OutboundClient(decode(f"authorization: {{type: Token, credentials_file: {secret}}}", HttpConfig), RealWorld())
    for text in ("one", "two\n"):
        secret.write_text(text)
        await client.request("GET", site.url("/"), timeout_s=5)
    secret.unlink()
    with pytest.raises(OutboundError, match=r"unable to read authorization credentials: unable to read file .*secret: no such file"):
        await client.request("GET", site.url("/"), timeout_s=5)
    await client.aclose()
    assert [request.headers["authorization"] for request in site.asked] == ["Token one", "Token two"]
    (tmp_path / "p").write_text("pä:ss")
    await ask(f"basic_auth: {{username: me, password_file: {tmp_path / 'p'}}}", site.url("/"))
    assert base64.b64decode(site.asked[-1].headers["authorization"].removeprefix("Basic ")).decode() == "me:pä:ss"


async def test_a_user_in_the_address_is_basic_authentication(site: Site) -> None:
    site.answers["/"] = says(b"")
    url = site.url("/").replace("//", "//me:p%40ss@")
    await ask("{}", url)
    await ask("bearer_token: t", url)
    assert base64.b64decode(site.asked[0].headers["authorization"].removeprefix("Basic ")) == b"me:p@ss"
    assert site.asked[1].headers["authorization"] == "Bearer t"
    assert "@" not in site.asked[0].headers["host"]


async def test_extra_headers_are_sent(site: Site, tmp_path: Path) -> None:
    site.answers["/"] = says(b"")
    (tmp_path / "f").write_text("from file\n")
    await ask(f"http_headers: {{X-A: {{values: [v], secrets: [s], files: [{tmp_path / 'f'}]}}}}", site.url("/"))
    assert site.asked[0].headers["x-a"] == "v, s, from file"
    with pytest.raises(OutboundError, match="invalid value of header"):
        await ask("{}", site.url("/"), headers={"x": "a\r\nb: c"})


async def test_compressed_bodies_are_unpacked_within_the_limit(site: Site) -> None:
    gzipped = (b"content-encoding", b"gzip")
    site.answers["/ok"] = says(gzip.compress(b"a" * 1000) + gzip.compress(b"b"), 200, gzipped)
    site.answers["/bomb"] = says(gzip.compress(b"\0" * 50_000_000), 200, gzipped)
    site.answers["/cut"] = says(gzip.compress(b"abc" * 1000)[:-20], 200, gzipped)
    site.answers["/head"] = says(gzip.compress(b"abc")[:10], 200, gzipped)
    site.answers["/wrong"] = says(b"not gzip at all", 200, gzipped)
    site.answers["/zip"] = says(b"x", 200, (b"content-encoding", b"br"))
    assert (await ask("{}", site.url("/ok"))).body == b"a" * 1000 + b"b"
    for path, error, message in [
        ("/bomb", ResponseTooLarge, "body size limit exceeded"),
        ("/cut", OutboundError, "gzip: unexpected EOF"),
        ("/head", OutboundError, "gzip: unexpected EOF"),
        ("/wrong", OutboundError, "gzip: invalid data"),
        ("/zip", OutboundError, "unsupported Content-Encoding 'br'"),
    ]:
        with pytest.raises(error, match=message):
            await ask("{}", site.url(path), response_bytes_max=1_000_000)


async def test_others_have_their_turn_while_a_bomb_is_unpacked(site: Site) -> None:
    site.answers["/bomb"] = says(gzip.compress(b"\0" * 100_000_000), 200, (b"content-encoding", b"gzip"))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    before = turns
    assert len((await ask("{}", site.url("/bomb"))).body) == 100_000_000
    task.cancel()
    assert turns - before > 100_000_000 // (8 * 1024 * 1024)


async def test_why_there_is_no_connection_is_told() -> None:
    async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(ends, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for url, message in [
        (f"https://127.0.0.1:{port}/", f"no connection to 127.0.0.1:{port}: the server ended the TLS handshake"),
        ("http://127.0.0.1:0/", "no connection to 127.0.0.1:0: "),
        ("http://[::1/", "invalid address: Invalid IPv6 URL"),
        ("http://127.0.0.1:99999/", "invalid address: Port out of range"),
    ]:
        with pytest.raises(OutboundError, match=re.escape(message)):
            await ask("{}", url)
    server.close()


async def test_a_redirect_to_no_address_is_told(site: Site) -> None:
    site.answers["/"] = says(b"", 302, (b"location", b"http://["))
    with pytest.raises(OutboundError, match="failed to parse Location header"):
        await ask("{}", site.url("/"))


async def test_snappy_s_blocks_are_unpacked_within_the_limit_and_errors_under_their_header_are_text(site: Site) -> None:
    packed = (b"content-encoding", b"snappy")
    site.answers["/ok"] = says(compress(b"a" * 1000), 200, packed)
    site.answers["/bomb"] = says(compress(b"\0" * 2_000_000), 200, packed)
    site.answers["/wrong"] = says(b"\x05not", 200, packed)
    site.answers["/empty"] = says(b"", 200, packed)
    site.answers["/error"] = says(b"exceeded sample limit", 400, packed)
    assert (await ask("{}", site.url("/ok"))).body == b"a" * 1000
    assert (await ask("{}", site.url("/error"))).body == b"exceeded sample limit"
    for path, error, message in [
        ("/bomb", ResponseTooLarge, "body size limit exceeded"),
        ("/wrong", OutboundError, "snappy: corrupt input"),
        ("/empty", OutboundError, "snappy: corrupt input"),
    ]:
        with pytest.raises(error, match=message):
            await ask("{}", site.url(path), response_bytes_max=1_000_000)


async def test_an_endless_body_is_cut_at_the_limit() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ResponseTooLarge):
        await ask("{}", f"http://127.0.0.1:{port}/", response_bytes_max=1_000_000)
    server.close()


async def test_redirects_are_followed_and_credentials_stay_at_home(site: Site, other: Site) -> None:
    site.answers["/a"] = says(b"", 302, (b"location", b"/b"))
    site.answers["/b"] = says(b"", 307, (b"location", other.url("/c").encode()))
    other.answers["/c"] = says(b"there")
    site.answers["/loop"] = says(b"", 302, (b"location", b"/loop"))
    assert (await ask("bearer_token: t", site.url("/a"))).body == b"there"
    assert [request.headers.get("authorization") for request in site.asked + other.asked] == ["Bearer t", "Bearer t", None]
    assert (await ask("follow_redirects: false", site.url("/a"))).status == 302
    with pytest.raises(OutboundError, match="stopped after 10 redirects"):
        await ask("{}", site.url("/loop"))


async def test_a_redirected_post_becomes_a_get_unless_it_must_not(site: Site) -> None:
    site.answers["/p"] = says(b"", 303, (b"location", b"/x"))
    site.answers["/q"] = says(b"", 307, (b"location", b"/x"))
    site.answers["/x"] = says(b"")
    await ask("{}", site.url("/p"), method="POST", body=b"data")
    await ask("{}", site.url("/q"), method="POST", body=b"data")
    assert [(r.method, r.body) for r in site.asked if r.path == "/x"] == [("GET", b""), ("POST", b"data")]


async def test_what_does_not_answer_is_said() -> None:
    silent = await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(OutboundTimeout, match="context deadline exceeded"):
        await ask("{}", f"http://127.0.0.1:{port}/", timeout_s=0.05)
    silent.close()
    for url, message in [
        (f"http://127.0.0.1:{port}/", "no connection to 127.0.0.1"),
        ("ftp://x/", 'unsupported protocol scheme "ftp"'),
        ("http:///x", "no Host in request URL"),
        ("http://x:99999/", "invalid address"),
    ]:
        with pytest.raises(OutboundError, match=message):
            await ask("{}", url)


async def test_a_closed_connection_is_made_again(site: Site) -> None:
    site.answers["/"] = says(b"x")
    client = OutboundClient(HttpConfig(), RealWorld())
    await client.request("GET", site.url("/"), timeout_s=5)
    port = site.port
    await site.server.close()
    site.server = HttpServer(site.handle)
    await site.server.listen("127.0.0.1", port)
    assert (await client.request("GET", site.url("/"), timeout_s=5)).body == b"x"
    await client.aclose()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.load_or_create(tmp_path / "authority")


def _tls(authority: Authority, directory: Path, name: str, *, clients: bool = False) -> ssl.SSLContext:
    certificate, key = authority.issue("server", hosts=[name])
    (directory / "s.crt").write_bytes(certificate)
    (directory / "s.key").write_bytes(key)
    (directory / "ca.crt").write_bytes(authority.ca_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "s.crt", directory / "s.key")
    if clients:
        context.load_verify_locations(directory / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tls_verifies_the_server_and_shows_our_certificate(authority: Authority, tmp_path: Path) -> None:
    secure = await Site({"/": says(b"ok")}).start(_tls(authority, tmp_path, "target.example", clients=True))
    certificate, key = authority.issue("client")
    (tmp_path / "c.crt").write_bytes(certificate)
    (tmp_path / "c.key").write_bytes(key)
    own = f"cert_file: {tmp_path / 'c.crt'}, key_file: {tmp_path / 'c.key'}"
    url = secure.url("/", "https")
    good = f"tls_config: {{ca_file: {tmp_path / 'ca.crt'}, server_name: target.example, {own}}}"
    assert (await ask(good, url)).body == b"ok"
    inline = decode(good, HttpConfig)
    text = f"tls_config: {{ca: {authority.ca_pem.decode()!r}, server_name: target.example, cert: {certificate.decode()!r}, key: {key.decode()!r}}}"
    assert (await ask(text.replace("'", '"'), url)).body == b"ok"
    assert inline.tls_config.server_name == "target.example"
    assert (await ask(f"tls_config: {{insecure_skip_verify: true, {own}}}", url)).body == b"ok"
    for config, message in [
        (f"tls_config: {{ca_file: {tmp_path / 'ca.crt'}, {own}}}", "IP address mismatch|not valid for"),
        (f"tls_config: {{server_name: target.example, {own}}}", "unable to get local issuer|self-signed"),
        (f"tls_config: {{ca_file: {tmp_path / 'none'}}}", "tls_config: unable to read file"),
        (good.replace("server_name", "min_version: TLS12, max_version: TLS12, server_name"), ""),
    ]:
        if message:
            with pytest.raises(OutboundError, match=message):
                await ask(config, url)
        else:
            assert (await ask(config, url)).status == 200
    await secure.server.close()


async def test_a_new_authority_on_disk_counts_at_once(authority: Authority, tmp_path: Path) -> None:
    secure = await Site({"/": says(b"ok")}).start(_tls(authority, tmp_path, "127.0.0.1"))
    stranger = Authority.load_or_create(tmp_path / "stranger")
    file = tmp_path / "trusted.crt"
    file.write_bytes(stranger.ca_pem)
    client = OutboundClient(decode(f"tls_config: {{ca_file: {file}}}", HttpConfig), RealWorld())
    with pytest.raises(OutboundError):
        await client.request("GET", secure.url("/", "https"), timeout_s=5)
    file.write_bytes(authority.ca_pem)
    assert (await client.request("GET", secure.url("/", "https"), timeout_s=5)).body == b"ok"
    await client.aclose()
    await secure.server.close()


async def _proxy(seen: list[bytes], refuse: bool = False) -> asyncio.Server:
    """CONNECT proxies by passing bytes on; other requests are answered by the proxy itself."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        method, target, _ = head.split(b" ", 2)
        if method != b"CONNECT" or refuse:
            status = b"407 Proxy Authentication Required" if refuse else b"200 OK"
            writer.write(b"HTTP/1.1 %b\r\ncontent-length: 2\r\n\r\nok" % status)
            return
        host, _, port = target.decode().rpartition(":")
        upstream_reader, upstream = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, upstream), pump(upstream_reader, writer))

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def test_plain_requests_and_tunnels_go_through_a_proxy(authority: Authority, tmp_path: Path) -> None:
    seen: list[bytes] = []
    proxy = await _proxy(seen)
    address = f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    secure = await Site({"/": says(b"inside")}).start(_tls(authority, tmp_path, "127.0.0.1"))
    config = f"proxy_url: http://me:pw@{address}\nproxy_connect_header: {{X-P: [v]}}\ntls_config: {{ca_file: {tmp_path / 'ca.crt'}}}"
    assert (await ask(config, "http://elsewhere.example/x?y=1")).body == b"ok"
    assert seen[0].startswith(b"GET http://elsewhere.example/x?y=1 HTTP/1.1\r\n")
    token = base64.b64encode(b"me:pw")
    assert b"proxy-authorization: Basic " + token in seen[0]
    assert (await ask(config, secure.url("/", "https"))).body == b"inside"
    assert seen[1].startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % secure.port)
    assert b"x-p: v" in seen[1]
    proxy.close()
    refusing = await _proxy(seen, refuse=True)
    address = f"127.0.0.1:{refusing.sockets[0].getsockname()[1]}"
    with pytest.raises(OutboundError, match=r"refuses a tunnel to 127\.0\.0\.1:.*: 407 Proxy Authentication Required"):
        await ask(f"proxy_url: http://{address}\ntls_config: {{ca_file: {tmp_path / 'ca.crt'}}}", secure.url("/", "https"))
    refusing.close()
    await secure.server.close()


@pytest.mark.parametrize(
    ("host", "port", "rules", "direct"),
    [
        ("a.example.com", 80, "example.com", True), ("example.com", 80, "example.com", True), ("example.com", 80, ".example.com", False),
        ("a.example.com", 80, ".example.com", True), ("a.example.com", 80, "*.example.com", True), ("badexample.com", 80, "example.com", False),
        ("a", 80, "*", True), ("a", 80, "b, a", True), ("a", 80, "a:81", False), ("a", 81, "a:81", True), ("10.1.2.3", 80, "10.0.0.0/8", True),
        ("11.1.2.3", 80, "10.0.0.0/8", False), ("fd00::1", 80, "fd00::/8", True), ("10.1.2.3", 80, "10.1.2.3", True), ("a", 80, "", False),
    ],
)  # fmt: skip
def test_no_proxy_names_hosts_domains_and_networks(host: str, port: int, rules: str, direct: bool) -> None:
    config = ProxyConfig(Url("http://proxy:3128"), rules)
    assert (proxy_for(config, "http", host, port) is None) is direct
    environment = {"HTTP_PROXY": "http://p:1", "no_proxy": rules}
    found = proxy_for(ProxyConfig(proxy_from_environment=True), "http", host, port, environment)
    assert (found is None) is direct
    assert proxy_for(ProxyConfig(proxy_from_environment=True), "https", host, port, environment) is None


async def test_oauth2_tokens_are_fetched_once_and_again_when_refused(site: Site) -> None:
    tokens = iter(range(1, 10))

    def token(request: HttpRequest) -> Response:
        return Response(200, b'{"access_token": "t%d", "token_type": "bearer", "expires_in": 3600}' % next(tokens), ())

    site.answers["/token"] = token
    site.answers["/"] = lambda request: Response(401 if request.headers["authorization"] == "Bearer t1" else 200, b"", ())
    config = (
        f"oauth2: {{client_id: me, client_secret: s/cret, token_url: '{site.url('/token')}', scopes: [a, b], endpoint_params: {{x: y}}}}"
    )
    client = OutboundClient(decode(config, HttpConfig), RealWorld())
    answers = [await client.request("GET", site.url("/"), timeout_s=5) for _ in range(3)]
    assert [answer.status for answer in answers] == [401, 200, 200]
    asked = [request for request in site.asked if request.path == "/token"]
    assert len(asked) == 2
    form = {"grant_type": ["client_credentials"], "scope": ["a b"], "x": ["y"]}
    assert parse_qs(asked[0].body.decode()) == form
    assert base64.b64decode(asked[0].headers["authorization"].removeprefix("Basic ")) == b"me:s%2Fcret"
    await asyncio.gather(*(client.request("GET", site.url("/"), timeout_s=5) for _ in range(20)))
    assert len([request for request in site.asked if request.path == "/token"]) == 2
    await client.aclose()


async def test_oauth2_says_who_it_is_in_the_form_where_the_header_is_refused(site: Site) -> None:
    def token(request: HttpRequest) -> Response:
        good = "client_id" in parse_qs(request.body.decode())
        return Response(200, b'{"access_token": "t"}', ()) if good else Response(401, b"", ())

    site.answers["/token"], site.answers["/"] = token, says(b"ok")
    config = f"oauth2: {{client_id: me, client_secret: s, token_url: '{site.url('/token')}'}}"
    assert (await ask(config, site.url("/"))).body == b"ok"
    for answer, message in [
        (says(b"", 500), "500 Internal Server Error"),
        (says(b"[]"), "has no access_token"),
        (says(b"x"), "has no access_token"),
    ]:
        site.answers["/token"] = answer
        with pytest.raises(OutboundError, match=message):
            await ask(config, site.url("/"))


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\na 1\n", b"a 1\n"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\na 1\n", b"a 1\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\na 1\n", None),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na 1\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\ncontent-ty", None),
        (b"SSH-2.0-OpenSSH\r\n", None),
    ],
)
async def test_a_body_without_a_length_ends_with_its_connection_and_others_must_not(answer: bytes, body: bytes | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    if body is not None:
        assert (await ask("{}", url)).body == body
    else:
        with pytest.raises(OutboundError):
            await ask("{}", url)
    server.close()


@pytest.mark.parametrize("line", [b"x-%d: " + b"y" * 1000 + b"\r\n", b"x%d" + b"y" * 1000])
async def test_endless_headers_are_cut(line: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            for number in range(1_000_000):
                writer.write(line % number)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    with pytest.raises(OutboundError, match="the head of the response is larger than"):
        await ask("{}", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", timeout_s=1)
    server.close()
