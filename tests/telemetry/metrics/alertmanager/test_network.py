"""The real transport against fake servers on loopback: authentication, TLS, redirects, limits; and SMTP."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from podium.telemetry.metrics.alertmanager import network
from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.network import NetworkTransport
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Mail
from podium.telemetry.metrics.alertmanager.notifiers.posting import send
from podium.world.http_messages import HttpRequest, Response
from podium.world.real import RealWorld
from tests.telemetry.metrics.alertmanager.servers import FakeHttp, FakeSmtp, certificate


@pytest.fixture
async def http() -> AsyncIterator[FakeHttp]:
    fake = FakeHttp()
    server = await fake.start()
    yield fake
    await server.close()


@pytest.fixture
def transport() -> NetworkTransport:
    return NetworkTransport(RealWorld())


async def post(transport: NetworkTransport, url: str, settings: dict[str, Any] | None = None) -> HttpReply:
    return await transport.http(HttpMessage("POST", url, b"{}", {"content-type": "application/json"}), settings or {})


async def test_a_message_arrives_as_it_is(http: FakeHttp, transport: NetworkTransport) -> None:
    http.answer = lambda request: Response(418, b"short and stout", ((b"x-a", b"b"),))
    reply = await post(transport, f"{http.url}/a%20b?c=d e")
    assert (reply.status, reply.body, reply.headers["x-a"]) == (418, b"short and stout", "b")
    request = http.requests[0]
    assert (request.method, request.target, request.body, request.headers["content-type"]) == (
        "POST", "/a%20b?c=d%20e", b"{}", "application/json",
    )  # fmt: skip


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


AUTHORIZATIONS: list[tuple[dict[str, Any], str]] = [
    ({"basic_auth": {"username": "u", "password": "p"}}, basic("u:p")),
    ({"basic_auth": {"username": "u", "password_file": "FILE"}}, basic("u:from-file")),
    ({"authorization": {"type": "Bearer", "credentials": "t"}}, "Bearer t"),
    ({"authorization": {"type": "Token", "credentials_file": "FILE"}}, "Token from-file"),
]


@pytest.mark.parametrize(("settings", "expected"), AUTHORIZATIONS)
async def test_credentials_are_sent(
    http: FakeHttp, transport: NetworkTransport, tmp_path: Path, settings: dict[str, Any], expected: str
) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    await post(transport, http.url, orjson.loads(orjson.dumps(settings).replace(b"FILE", str(tmp_path / "secret").encode())))
    assert http.requests[0].headers["authorization"] == expected


async def test_credentials_in_the_url_and_headers_of_one_s_own_are_sent(http: FakeHttp, transport: NetworkTransport) -> None:
    url = http.url.replace("://", "://u:p@")
    await post(transport, url, {"http_headers": {"X-A": {"values": ["1", "2"], "secrets": ["3"]}}})
    assert (http.requests[0].headers["authorization"], http.requests[0].headers["x-a"]) == (basic("u:p"), "1, 2, 3")


async def test_oauth2_tokens_are_fetched_once(http: FakeHttp, transport: NetworkTransport) -> None:
    def answer(request: HttpRequest) -> Response:
        return Response(200, b'{"access_token":"tok","expires_in":3600}' if request.path == "/token" else b"")

    http.answer = answer
    oauth2 = {
        "client_id": "id",
        "client_secret": "s",
        "token_url": f"{http.url}/token",
        "scopes": ["a", "b"],
        "endpoint_params": {"x": "y"},
    }
    for _ in range(2):
        await post(transport, http.url, {"oauth2": oauth2})
    token, *others = http.requests
    assert token.body == b"grant_type=client_credentials&x=y&scope=a+b" and token.headers["authorization"] == basic("id:s")
    assert [r.headers["authorization"] for r in others] == ["Bearer tok", "Bearer tok"]


async def test_a_token_that_is_refused_is_an_error(http: FakeHttp, transport: NetworkTransport) -> None:
    http.answer = lambda request: Response(401, b"no")
    with pytest.raises(NotificationError, match="oauth2: cannot fetch token: 401 Unauthorized"):
        await post(transport, http.url, {"oauth2": {"client_id": "id", "client_secret": "s", "token_url": f"{http.url}/token"}})


async def test_redirects_are_followed_without_credentials_for_others(http: FakeHttp, transport: NetworkTransport) -> None:
    other = FakeHttp()
    server = await other.start()
    places = {"/a": (307, b"/b"), "/b": (302, f"http://localhost:{other.port}/c".encode())}

    def answer(request: HttpRequest) -> Response:
        status, place = places[request.path]
        return Response(status, b"", ((b"location", place),))

    http.answer = answer
    settings = {"authorization": {"type": "Bearer", "credentials": "t"}}
    assert (await post(transport, f"{http.url}/a", settings)).status == 200
    assert [(r.method, r.path, "authorization" in r.headers) for r in (*http.requests, *other.requests)] == [
        ("POST", "/a", True), ("POST", "/b", True), ("GET", "/c", False),
    ]  # fmt: skip
    assert (await post(transport, f"{http.url}/a", {**settings, "follow_redirects": False})).status == 307
    places["/a"] = (301, b"/a")
    with pytest.raises(NotificationError, match="stopped after 10 redirects"):
        await post(transport, f"{http.url}/a")
    await server.close()


async def test_an_endless_answer_is_cut(http: FakeHttp, transport: NetworkTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "RESPONSE_BYTES_MAX", 1_000)
    http.answer = lambda request: Response(500, b"x" * 100_000)
    reply = await post(transport, http.url)
    assert (reply.status, len(reply.body)) == (500, 1_000)


async def test_a_receiver_that_hangs_ends_at_its_timeout(http: FakeHttp, transport: NetworkTransport) -> None:
    http.answer = lambda request: None
    with pytest.raises(NotificationError, match=r"configured timeout reached \(0\.05s\)") as raised:
        await send(transport, HttpMessage("POST", http.url, b"", {}), {"timeout": 0.05})
    assert raised.value.is_retriable


UNREACHABLE = ["http://127.0.0.1:1/secret", "http://no.such.host.invalid/secret"]


@pytest.mark.parametrize("url", UNREACHABLE)
async def test_nobody_there_is_retriable_and_says_no_url(transport: NetworkTransport, url: str) -> None:
    with pytest.raises(NotificationError) as raised:
        await send(transport, HttpMessage("POST", url, b"", {}), {})
    assert raised.value.is_retriable and "secret" not in str(raised.value)


BAD_URLS = ["ftp://x/", "http://", "http://x:99999/", "nonsense"]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_a_bad_url_is_refused(transport: NetworkTransport, url: str) -> None:
    with pytest.raises(NotificationError) as raised:
        await post(transport, url)
    assert not raised.value.is_retriable


BAD_HEADERS = [{"x-a": "a\r\nx-b: c"}, {"x-a": "snowman ☃"}]


@pytest.mark.parametrize("headers", BAD_HEADERS)
async def test_a_header_that_cannot_be_sent_is_refused(http: FakeHttp, transport: NetworkTransport, headers: dict[str, str]) -> None:
    with pytest.raises(NotificationError) as raised:
        await transport.http(HttpMessage("POST", http.url, b"", headers), {})
    assert not raised.value.is_retriable and not http.requests


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, str(cert)


async def test_tls_trusts_what_it_is_told_to(transport: NetworkTransport, tls: tuple[ssl.SSLContext, str]) -> None:
    fake = FakeHttp()
    server = await fake.start(tls[0])
    with pytest.raises(ConnectionError, match="TLS with"):
        await post(transport, fake.url)
    pem = Path(tls[1]).read_text()
    for settings in (
        {"ca_file": tls[1], "server_name": "localhost"},
        {"ca": pem, "server_name": "localhost"},
        {"insecure_skip_verify": True},
    ):
        assert (await post(transport, fake.url, {"tls_config": settings})).status == 200
    with pytest.raises(ConnectionError):  # another name than the certificate's
        await post(transport, fake.url, {"tls_config": {"ca_file": tls[1], "server_name": "other"}})
    with pytest.raises(NotificationError, match="parse TLS configuration"):
        await post(transport, fake.url, {"tls_config": {"ca_file": "/no/such/file"}})
    await server.close()


MAIL = b"Subject: x\r\n\r\nhello\r\n.starts with a dot\r\n"


async def deliver(transport: NetworkTransport, smtp: FakeSmtp, host: str = "localhost", **settings: Any) -> None:
    settings = {"require_tls": False, "hello": "me", **settings}
    await transport.mail(Mail(host, smtp.port, "a@x.org", ("b@x.org", "c@x.org"), MAIL), settings)


async def test_a_mail_is_handed_over(transport: NetworkTransport) -> None:
    smtp = FakeSmtp()
    server = await smtp.start()
    await deliver(transport, smtp)
    assert smtp.messages == [b"Subject: x\r\n\r\nhello\r\n..starts with a dot\r\n"]
    assert smtp.lines == ["EHLO me", "MAIL FROM:<a@x.org> BODY=8BITMIME", "RCPT TO:<b@x.org>", "RCPT TO:<c@x.org>", "DATA", "QUIT"]
    server.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_starttls_then_authentication(transport: NetworkTransport, tls: tuple[ssl.SSLContext, str], mechanism: str) -> None:
    smtp = FakeSmtp(("STARTTLS", "AUTH PLAIN"), (f"AUTH XOAUTH2 {mechanism}",), tls[0], password="word")
    server = await smtp.start()
    secret = {"auth_secret" if mechanism == "CRAM-MD5" else "auth_password": "word"}
    await deliver(transport, smtp, require_tls=True, tls_config={"ca_file": tls[1]}, auth_username="me", **secret)
    assert smtp.users == ["me"] and len(smtp.messages) == 1
    assert smtp.lines[:3] == ["EHLO me", "STARTTLS", "EHLO me"]
    with pytest.raises(NotificationError, match=f"{mechanism} auth: 535 wrong") as raised:
        secret = dict.fromkeys(secret, "other")
        await deliver(transport, smtp, require_tls=True, tls_config={"ca_file": tls[1]}, auth_username="me", **secret)
    assert raised.value.reason == "authError"
    server.close()


async def test_tls_from_the_start(transport: NetworkTransport, tls: tuple[ssl.SSLContext, str]) -> None:
    smtp = FakeSmtp()
    server = await smtp.start(implicit=tls[0])
    await deliver(transport, smtp, require_tls=True, force_implicit_tls=True, tls_config={"ca_file": tls[1]})
    assert len(smtp.messages) == 1
    server.close()


REFUSALS: list[tuple[FakeSmtp, dict[str, Any], str]] = [
    (FakeSmtp(), {"require_tls": True}, "does not advertise the STARTTLS extension"),
    (FakeSmtp(refuse="MAIL"), {}, "send MAIL command: 550 no"),
    (FakeSmtp(refuse="RCPT TO:<c"), {}, "send RCPT command: 550 no"),
    (FakeSmtp(("AUTH GSSAPI",)), {"auth_username": "u", "auth_password": "p"}, "find auth mechanism: unknown auth mechanism: GSSAPI"),
    (FakeSmtp(("AUTH PLAIN",)), {"auth_username": "u"}, "missing password for PLAIN auth mechanism"),
]


@pytest.mark.parametrize(("smtp", "settings", "message"), REFUSALS, ids=range(len(REFUSALS)))
async def test_what_the_server_refuses_is_said(transport: NetworkTransport, smtp: FakeSmtp, settings: dict[str, Any], message: str) -> None:
    server = await smtp.start()
    with pytest.raises(NotificationError, match=message) as raised:
        await deliver(transport, smtp, **settings)
    assert raised.value.is_retriable and smtp.messages == []
    server.close()


async def test_garbage_instead_of_smtp_is_an_error(transport: NetworkTransport) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 100_000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    with pytest.raises((NotificationError, ConnectionError)):
        await deliver(transport, FakeSmtp(port=server.sockets[0].getsockname()[1]))
    server.close()
