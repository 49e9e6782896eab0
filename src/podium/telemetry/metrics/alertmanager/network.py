"""How notifications leave for real: HTTP with an http_config's authentication and TLS, and SMTP.

A connection serves one request: receivers are many and messages few. OAuth2 tokens are kept until a minute before they expire. Redirects are
followed (REDIRECTS_MAX) unless `follow_redirects` is false; credentials are not sent on to another host.

Bounds: RESPONSE_BYTES_MAX read of an answer; the caller sets the time limit. Source: common/config's HTTP client.
"""

import asyncio
import base64
import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import orjson

from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Mail, read_secret
from podium.telemetry.metrics.alertmanager.smtp import LINE_BYTES_MAX, Smtp
from podium.world.http_client import HttpClient
from podium.world.interface import World
from podium.world.streams import open_stream

RESPONSE_BYTES_MAX = 1024 * 1024
REDIRECTS_MAX = 10
TOKENS_MAX = 1_000
TOKEN_MARGIN_S = 60.0
REQUEST_TIMEOUT_S = 24 * 3600.0
"""Of the client underneath: the flush's deadline comes first."""

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    until_s: float


class NetworkTransport:
    def __init__(self, world: World) -> None:
        self._world = world
        self._tokens: dict[str, _Token] = {}

    async def http(self, message: HttpMessage, settings: Settings) -> HttpReply:
        """Raises NotificationError, ConnectionError or TimeoutError."""
        method, url, body = message.method, message.url, message.body
        first_host = urlsplit(url).netloc
        for _ in range(REDIRECTS_MAX + 1):
            headers = {**message.headers, **_extra_headers(settings)}
            if urlsplit(url).netloc == first_host:
                headers |= await self._credentials(settings)
            else:
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            reply = await _request(method, url, body, headers, settings)
            location = reply.headers.get("location")
            if reply.status not in (301, 302, 303, 307, 308) or not location or settings.get("follow_redirects") is False:
                return reply
            url = urljoin(url, location)
            if reply.status in (301, 302, 303) and method not in ("GET", "HEAD"):
                method, body = "GET", b""
        raise NotificationError(f"stopped after {REDIRECTS_MAX} redirects", is_retriable=True)

    async def mail(self, mail: Mail, settings: Settings) -> None:
        """Raises NotificationError, ConnectionError or TimeoutError."""
        implicit = settings.get("force_implicit_tls")
        is_tls = bool(implicit) if implicit is not None else mail.port == 465
        tls_settings = settings.get("tls_config") or {}
        context = tls_context(tls_settings)
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

    async def _credentials(self, settings: Settings) -> dict[str, str]:
        basic, authorization, oauth2 = (settings.get(name) for name in ("basic_auth", "authorization", "oauth2"))
        if basic is not None:
            user = basic.get("username") or read_secret(basic.get("username_file", ""))
            password = basic.get("password") or read_secret(basic.get("password_file", ""))
            return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
        if authorization is not None:
            secret = authorization.get("credentials") or read_secret(authorization.get("credentials_file", ""))
            return {"authorization": f"{authorization.get('type') or 'Bearer'} {secret}"}
        if oauth2 is not None:
            return {"authorization": f"Bearer {await self._oauth2_token(oauth2)}"}
        return {}

    async def _oauth2_token(self, oauth2: Settings) -> str:
        """By the client credentials grant (RFC 6749, section 4.4)."""
        secret = oauth2.get("client_secret") or read_secret(oauth2.get("client_secret_file", ""))
        key = orjson.dumps([oauth2["token_url"], oauth2["client_id"], secret, oauth2.get("scopes")]).decode()
        now_s = self._world.clock.monotonic()
        token = self._tokens.get(key)
        if token is not None and token.until_s > now_s:
            return token.text
        form = {"grant_type": "client_credentials", **oauth2.get("endpoint_params", {})}
        if oauth2.get("scopes"):
            form["scope"] = " ".join(oauth2["scopes"])
        basic = base64.b64encode(f"{oauth2['client_id']}:{secret}".encode()).decode()
        headers = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Basic {basic}", "accept": "application/json"}
        reply = await _request("POST", oauth2["token_url"], urlencode(form).encode(), headers, {"tls_config": oauth2.get("tls_config")})
        try:
            answer = orjson.loads(reply.body) if reply.status // 100 == 2 else {}
            text, lifetime_s = str(answer["access_token"]), float(answer.get("expires_in") or 3600)
        except (ValueError, KeyError, TypeError) as error:
            raise NotificationError(f"oauth2: no token, status code {reply.status}", is_retriable=True, reason="authError") from error
        if len(self._tokens) >= TOKENS_MAX:
            self._tokens.clear()
        self._tokens[key] = _Token(text, now_s + max(0.0, lifetime_s - TOKEN_MARGIN_S))
        return text


def _extra_headers(settings: Settings) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, header in (settings.get("http_headers") or {}).items():
        values = [*header.get("values", ()), *header.get("secrets", ()), *(read_secret(path) for path in header.get("files", ()))]
        found[name.lower()] = ", ".join(values)
    return found


async def _request(method: str, url: str, body: bytes, headers: Mapping[str, str], settings: Settings) -> HttpReply:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotificationError(f"bad URL: {error}", is_retriable=False) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotificationError(f'unsupported scheme "{parts.scheme}" for URL', is_retriable=False)
    tls_settings = settings.get("tls_config") or {}
    tls = tls_context(tls_settings) if parts.scheme == "https" else None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.username is not None and "authorization" not in headers:
        user = base64.b64encode(f"{parts.username}:{parts.password or ''}".encode()).decode()
        headers = {**headers, "authorization": f"Basic {user}"}
    for text in (target, *headers, *headers.values()):
        if any(c in text for c in "\r\n\0") or not _is_latin(text):
            raise NotificationError("a URL or header with a line break or beyond Latin 1", is_retriable=False)
    if " " in target:
        target = target.replace(" ", "%20")
    client = HttpClient(
        parts.hostname, port or (443 if tls else 80), tls, server_hostname=tls_settings.get("server_name", ""), connections_max=1,
        timeout_s=REQUEST_TIMEOUT_S,
    )  # fmt: skip
    try:
        stream = await client.stream(method, target, body, {**headers, "connection": "close"})
        received = b""
        async for chunk in stream:
            received += chunk
            if len(received) > RESPONSE_BYTES_MAX:
                received = received[:RESPONSE_BYTES_MAX]
                break
        return HttpReply(stream.status, stream.headers, received)
    finally:
        await client.aclose()


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1, "TLS11": ssl.TLSVersion.TLSv1_1, "TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3,
}  # fmt: skip


_contexts: dict[bytes, ssl.SSLContext] = {}
CONTEXTS_MAX = 200


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Made once for the same settings and files: reading the trusted certificates takes milliseconds. Raises NotificationError for files that
    cannot be used."""
    paths = [path for name in ("ca_file", "cert_file", "key_file") if (path := settings.get(name))]
    try:
        key = orjson.dumps([dict(settings), [os.stat(path).st_mtime_ns for path in paths]], option=orjson.OPT_SORT_KEYS)
    except OSError as error:
        raise NotificationError(f"parse TLS configuration: {error}", is_retriable=False) from error
    context = _contexts.get(key)
    if context is None:
        if len(_contexts) >= CONTEXTS_MAX:
            _contexts.clear()
        context = _contexts[key] = _tls_context(settings)
    return context


def _tls_context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.get("ca_file") or None, cadata=settings.get("ca") or None)
        if settings.get("insecure_skip_verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.get("min_version"):
            context.minimum_version = _VERSIONS[settings["min_version"]]
        if settings.get("max_version"):
            context.maximum_version = _VERSIONS[settings["max_version"]]
        if settings.get("cert") or settings.get("cert_file"):
            with _file(settings, "cert") as certificate, _file(settings, "key") as key:
                context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        raise NotificationError(f"parse TLS configuration: {error}", is_retriable=False) from error
    return context


@contextlib.contextmanager
def _file(settings: Settings, name: str) -> Iterator[str]:
    """A file with what is given inline: ssl reads files only."""
    if settings.get(f"{name}_file"):
        yield settings[f"{name}_file"]
        return
    descriptor, path = tempfile.mkstemp(prefix="podium-tls-")
    try:
        os.write(descriptor, settings[name].encode())
        os.close(descriptor)
        yield path
    finally:
        Path(path).unlink(missing_ok=True)
