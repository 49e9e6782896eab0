"""How notifications leave for real: HTTP as a receiver's http_config says, by the client that scrapes and remote storage use, and SMTP.

A connection serves one request: receivers are many and messages few. Credentials and headers of a section go to the host that was configured,
never along a redirect to another one.

Bounds: CLIENTS_MAX sections with a client (and its OAuth2 token), the one unused longest makes room; RESPONSE_BYTES_MAX read of an answer, what
is beyond is left; the caller sets the time limit.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Mail
from podium.telemetry.metrics.alertmanager.smtp import LINE_BYTES_MAX, Smtp
from podium.telemetry.metrics.configuration.http import Authorization, BasicAuth, Header, HttpConfig, OAuth2, TlsConfig
from podium.telemetry.metrics.configuration.values import Secret, Url
from podium.telemetry.metrics.outbound.client import OutboundClient
from podium.telemetry.metrics.outbound.interface import OutboundError, OutboundTimeout, RequestInvalid, TlsFilesWrong, TokenRefused
from podium.telemetry.metrics.outbound.tls import TlsContexts
from podium.world.interface import World
from podium.world.streams import open_stream

RESPONSE_BYTES_MAX = 1024 * 1024
CLIENTS_MAX = 200
REQUEST_TIMEOUT_S = 24 * 3600.0
"""Of the client underneath: the flush's deadline comes first."""

Settings = Mapping[str, Any]


class NetworkTransport:
    def __init__(self, world: World) -> None:
        self._world = world
        self._clients: OrderedDict[bytes, OutboundClient] = OrderedDict()
        self._contexts: OrderedDict[bytes, TlsContexts] = OrderedDict()

    async def http(self, message: HttpMessage, settings: Settings) -> HttpReply:
        """Raises NotificationError, ConnectionError or TimeoutError."""
        headers = {**message.headers, "connection": "close"}
        url, client = message.url.replace(" ", "%20"), self._client(settings)
        try:
            answer = await client.request(
                message.method, url, headers=headers, body=message.body, timeout_s=REQUEST_TIMEOUT_S,
                response_bytes_max=RESPONSE_BYTES_MAX, cut=True,
            )  # fmt: skip
        except OutboundError as error:
            raise _told(error) from error
        return HttpReply(answer.status, answer.headers, answer.body)

    def _client(self, settings: Settings) -> OutboundClient:
        def make() -> OutboundClient:
            return OutboundClient(http_config(settings), self._world, compression=False, user_agent="Podium")

        return _kept(self._clients, settings, make)

    async def mail(self, mail: Mail, settings: Settings) -> None:
        """Raises NotificationError, ConnectionError or TimeoutError."""
        implicit = settings.get("force_implicit_tls")
        is_tls = bool(implicit) if implicit is not None else mail.port == 465
        tls_settings = settings.get("tls_config") or {}
        try:
            context, _ = _kept(self._contexts, tls_settings, lambda: TlsContexts(tls_config(tls_settings))).current()
        except OutboundError as error:
            raise _told(error) from error
        name = tls_settings.get("server_name") or mail.host
        reader, writer = await open_stream(
            mail.host, mail.port, tls=context if is_tls else None, server_hostname=name, limit_bytes=LINE_BYTES_MAX
        )
        try:
            await Smtp(reader, writer, is_tls=is_tls).deliver(mail, settings, context)
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()


def _kept(known: "OrderedDict[bytes, Any]", settings: Settings, make: Any) -> Any:
    """What was made for these settings."""
    key = orjson.dumps(dict(settings), option=orjson.OPT_SORT_KEYS)
    found = known.get(key)
    if found is None:
        found = known[key] = make()
        while len(known) > CLIENTS_MAX:
            known.popitem(last=False)
    known.move_to_end(key)
    return found


def _told(error: OutboundError) -> Exception:
    """As the pipeline knows it: what is worth another try, and why."""
    match error:
        case OutboundTimeout():
            return TimeoutError(str(error))
        case RequestInvalid():
            return NotificationError(str(error), is_retriable=False)
        case TlsFilesWrong():
            return NotificationError(f"parse TLS configuration: {error}", is_retriable=False)
        case TokenRefused():
            return NotificationError(str(error), is_retriable=True, reason="authError")
    if isinstance(error.__cause__, OSError):
        return ConnectionError(str(error))
    return NotificationError(str(error), is_retriable=True)


def http_config(settings: Settings) -> HttpConfig:
    """From a section as http_settings.py checked it."""
    basic, authorization, oauth2 = (settings.get(name) for name in ("basic_auth", "authorization", "oauth2"))
    headers = {
        name: Header(tuple(one.get("values", ())), tuple(map(Secret, one.get("secrets", ()))), tuple(one.get("files", ())))
        for name, one in (settings.get("http_headers") or {}).items()
    }
    return HttpConfig(
        basic_auth=BasicAuth(**_with_secrets(basic, "password")) if basic is not None else None,
        authorization=Authorization(**_with_secrets(authorization, "credentials")) if authorization is not None else None,
        oauth2=_oauth2(oauth2) if oauth2 is not None else None,
        tls_config=tls_config(settings.get("tls_config") or {}),
        follow_redirects=settings.get("follow_redirects") is not False,
        http_headers=headers,
    )


def tls_config(settings: Settings) -> TlsConfig:
    return TlsConfig(**_with_secrets(settings, "key"))


def _oauth2(settings: Settings) -> OAuth2:
    return OAuth2(
        client_id=settings["client_id"],
        client_secret=Secret(settings.get("client_secret", "")),
        client_secret_file=settings.get("client_secret_file", ""),
        scopes=tuple(settings.get("scopes") or ()),
        token_url=Url(settings["token_url"]),
        endpoint_params=settings.get("endpoint_params") or {},
        tls_config=tls_config(settings.get("tls_config") or {}),
    )


def _with_secrets(settings: Settings, *names: str) -> dict[str, Any]:
    return {name: Secret(value) if name in names else value for name, value in settings.items() if value}
