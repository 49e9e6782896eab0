"""Servers are functions; who asks gets an answer, a refusal, or none in time, as from sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from podium.simulation.errors import Unreachable
from podium.simulation.network import Network
from podium.simulation.notifications import NOTIFICATIONS_MAX, Notification, RecordingTransport
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, Mail
from podium.telemetry.metrics.configuration.http import Authorization, BasicAuth, Header, HttpConfig, OAuth2
from podium.telemetry.metrics.configuration.values import Secret
from podium.telemetry.metrics.outbound.interface import OutboundError, OutboundResponse, OutboundTimeout, ResponseTooLarge
from podium.world import virtual
from podium.world.http_messages import HttpRequest, Peer, Response
from podium.world.virtual import VirtualWorld

IDENTITY = Peer("podium:telemetry", ())


def run(scenario: Callable[[Network], Awaitable[Any]]) -> Any:
    async def main(world: VirtualWorld) -> Any:
        return await scenario(Network(IDENTITY))

    return virtual.run(main)


def ask(network: Network, url: str, config: HttpConfig | None = None, **more: Any) -> Awaitable[OutboundResponse]:
    return network.outbound(config or HttpConfig()).request("GET", url, timeout_s=more.pop("timeout_s", 10.0), **more)


def echo(request: HttpRequest) -> Response:
    said = f"{request.method} {request.path} {sorted(request.query.items())} {request.headers.get('authorization')} {request.peer}"
    return Response(200, said.encode(), ((b"Content-Type", b"text/plain"), (b"x-team", request.headers.get("x-team", "").encode())))


def test_a_request_is_what_a_server_would_get_over_sockets() -> None:
    async def scenario(network: Network) -> None:
        network.serve("app:8080", echo)
        network.serve("app:443", echo)
        answer = await ask(network, "http://app:8080/a%20b?node=n1&x=&x=2")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
        assert answer.body == b"GET /a b [('node', ['n1']), ('x', ['', '2'])] None None"
        assert (await ask(network, "https://app/")).body.endswith(f"None {IDENTITY}".encode())

    run(scenario)


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        (HttpConfig(basic_auth=BasicAuth("me", password=Secret("pw"))), b"Basic bWU6cHc="),
        (HttpConfig(authorization=Authorization("Bearer", Secret("t"))), b"Bearer t"),
    ],
)
def test_credentials_are_sent(config: HttpConfig, sent: bytes) -> None:
    async def scenario(network: Network) -> None:
        network.serve("app:80", echo)
        assert sent in (await ask(network, "http://app/", config)).body
        named = HttpConfig(http_headers={"X-Team": Header(values=("a", "b"))})
        assert (await ask(network, "http://app/", named)).headers["x-team"] == "a, b"

    run(scenario)


@pytest.mark.parametrize(
    ("url", "config", "error", "said"),
    [
        ("http://nobody/", None, OutboundError, "dial tcp nobody:80: connect: connection refused"),
        ("http://away:80/", None, OutboundError, "dial tcp away:80: connect: no route to host"),
        ("ftp://app/", None, OutboundError, 'unsupported protocol scheme "ftp"'),
        ("http:///x", None, OutboundError, "no Host in request URL"),
        ("http://app:x/", None, OutboundError, "invalid address"),
        ("http://slow/", None, OutboundTimeout, "context deadline exceeded"),
        ("http://large/", None, ResponseTooLarge, "the answer has 100 bytes"),
        ("http://large/", HttpConfig(oauth2=OAuth2()), OutboundError, "no OAuth2"),
    ],
)
def test_what_cannot_be_had_is_an_error_that_says_why(url: str, config: HttpConfig | None, error: type[Exception], said: str) -> None:
    def away(request: HttpRequest) -> Response:
        raise Unreachable

    async def slow(request: HttpRequest) -> Response:
        await asyncio.sleep(60)
        return Response(200)

    async def scenario(network: Network) -> None:
        network.serve("away:80", away)
        network.serve("slow:80", slow)
        network.serve("large:80", lambda request: Response(200, b"x" * 100))
        with pytest.raises(error, match=said.replace("(", r"\(")):
            await ask(network, url, config, response_bytes_max=100)

    run(scenario)


def test_a_server_whose_handler_fails_answers_500_and_one_that_was_closed_refuses() -> None:
    async def scenario(network: Network) -> None:
        network.serve("app:80", lambda request: 1 / 0)  # type: ignore[arg-type,return-value]
        assert (await ask(network, "http://app/")).status == 500
        network.close("app:80")
        with pytest.raises(OutboundError, match="refused"):
            await ask(network, "http://app/")

    run(scenario)


def test_notifications_are_written_down_and_answered_by_whoever_serves_the_address() -> None:
    async def scenario(world: VirtualWorld) -> RecordingTransport:
        network = Network()
        transport = RecordingTransport(world.clock, network)
        network.serve("broken.test:443", lambda request: Response(503, b"later"))

        def gone(request: HttpRequest) -> Response:
            raise Unreachable("connection refused")

        network.serve("gone.test:443", gone)
        assert (await transport.http(HttpMessage("POST", "https://free.test/x", b"{}", {}), {})).status == 200
        assert (await transport.http(HttpMessage("POST", "https://broken.test/x", b"{}", {}), {})).status == 503
        with pytest.raises(ConnectionError, match="refused"):
            await transport.http(HttpMessage("POST", "https://gone.test/x", b"{}", {}), {})
        await transport.mail(Mail("smtp.test", 25, "a@test", ("b@test", "c@test"), b"Subject: x\r\n"), {})
        return transport

    transport = virtual.run(scenario)
    assert [(n.to, n.status) for n in transport.received] == [
        ("https://free.test/x", 200), ("https://broken.test/x", 503), ("https://gone.test/x", 0), ("mailto:b@test,c@test", 200),
    ]  # fmt: skip
    assert transport.received.maxlen == NOTIFICATIONS_MAX


def test_the_alerts_of_a_message_that_is_no_webhooks_are_an_error() -> None:
    hook = Notification(0.0, "http://x/", b'{"alerts": [{"status": "firing"}, {"status": "resolved"}]}')
    assert (len(hook.alerts()), hook.alerts("resolved")) == (2, [{"status": "resolved"}])
    for body in (b"Subject: x", b"[]", b'{"text": "x"}'):
        with pytest.raises(ValueError, match=r"no alerts|unexpected character"):
            Notification(0.0, "http://x/", body).alerts()
