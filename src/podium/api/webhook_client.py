"""Calls to webhooks, of admission and of conversion: by URL or by Service, over TLS that the configuration's CA bundle verifies.

Connections are kept and used again, one client per place, name and bundle. What goes wrong is a `CallFailed` with upstream's words (those of
Go's HTTP client, which people search for).

Source: k8s.io/apiserver pkg/util/webhook/client.go, authentication.go; k8s.io/client-go rest/request.go (messages of bad answers).
"""

import base64
import binascii
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from podium.api.core import Core
from podium.api.service_endpoints import endpoint_of
from podium.objects.status import StatusError
from podium.objects.values import Object
from podium.world.http_client import HttpClient, HttpResponse

CLIENTS_MAX = 256
CONNECTIONS_MAX = 32
RESPONSE_BYTES_MAX = 8 * 1024 * 1024
SHOWN_BYTES_MAX = 2048


class CallFailed(Exception):
    """No usable answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a webhook is. Either `url`, or `service` (namespace, name, port, path); `ca` is PEM, empty for the system's authorities."""

    url: str
    service: tuple[str, str, int, str] | None
    ca: bytes

    def shown(self, timeout_s: int) -> str:
        """The URL as it is told in messages."""
        return f"{self._plain()}?timeout={timeout_s}s"

    def _plain(self) -> str:
        if self.service is None:
            return self.url
        namespace, name, port, path = self.service
        return f"https://{name}.{namespace}.svc:{port}{path}"


def compile_place(config: Object) -> Place:
    """From a WebhookClientConfig. Raises ValueError for a CA bundle that is no base64."""
    try:
        ca = base64.b64decode(config.get("caBundle") or "", validate=True)
    except binascii.Error as error:
        raise ValueError(f"caBundle: {error}") from error
    if service := config.get("service"):
        path = service.get("path") or ""
        return Place("", (service["namespace"], service["name"], service.get("port") or 443, path if path != "/" else "/"), ca)
    return Place(config.get("url") or "", None, ca)


class WebhookClient:
    """One per API server."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._clients: dict[tuple[str, int, str, bytes], HttpClient] = {}

    async def post(self, place: Place, body: Object, timeout_s: int) -> Any:
        """The decoded JSON of a good answer. Raises CallFailed."""
        client, target, host = await self._client(place)
        headers = {"content-type": "application/json", "accept": "application/json, */*", "user-agent": "kube-apiserver-admission"}
        head = f'Post "{place.shown(timeout_s)}": '
        data, target = orjson.dumps(body), f"{target}?timeout={timeout_s}s"
        try:
            answer = await _request_again(client, target, data, headers, timeout_s)
        except TimeoutError as error:
            raise CallFailed(f"{head}context deadline exceeded") from error
        except ConnectionRefusedError as error:
            if type(error.__cause__).__name__ == "gaierror":
                raise CallFailed(f"{head}dial tcp: lookup {client.host}: no such host") from error
            raise CallFailed(f"{head}dial tcp {host}: connect: connection refused") from error
        except ConnectionAbortedError as error:
            raise CallFailed(f"{head}{_of_tls(error)}") from error
        except OSError as error:
            raise CallFailed(f"{head}EOF") from error
        return _decoded(answer)

    async def _client(self, place: Place) -> tuple[HttpClient, str, str]:
        if place.service is not None:
            namespace, name, port, path = place.service
            try:
                host, number = await endpoint_of(self._core, namespace, name, port)
            except StatusError as error:
                text = error.message if error.code != 404 else f'service "{name}" not found'
                raise CallFailed(text) from error
            server_name, target = f"{name}.{namespace}.svc", path or "/"
        else:
            parts = urlsplit(place.url)
            host, number, target = parts.hostname or "", parts.port or 443, parts.path or "/"
            server_name = host
        key = (host, number, server_name, place.ca)
        client = self._clients.get(key)
        if client is None:
            if len(self._clients) >= CLIENTS_MAX:
                await self._clients.pop(next(iter(self._clients))).aclose()
            tls = _context(place.ca)
            client = self._clients[key] = HttpClient(host, number, tls, server_hostname=server_name, connections_max=CONNECTIONS_MAX)
        return client, target, f"{host}:{number}"

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


async def _request_again(client: HttpClient, target: str, body: bytes, headers: dict[str, str], timeout_s: int) -> HttpResponse:
    """Once more when the connection was cut off: it may have been a kept one that the server was just closing."""
    try:
        return await client.request("POST", target, body, headers, timeout_s=timeout_s)
    except ConnectionResetError:
        return await client.request("POST", target, body, headers, timeout_s=timeout_s)


def _context(ca: bytes) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=ca.decode("ascii") if ca else None)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise CallFailed("unable to load root certificates: unable to parse bytes as PEM block") from error


def _of_tls(error: ConnectionAbortedError) -> str:
    """In Go's words, where it is the certificate."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        if "self" in (cause.verify_message or "") or "local issuer" in (cause.verify_message or ""):
            return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        return f"tls: failed to verify certificate: x509: {cause.verify_message}"
    return "context deadline exceeded" if isinstance(cause, TimeoutError) else str(error)


def _decoded(answer: HttpResponse) -> Any:
    text = answer.body[:SHOWN_BYTES_MAX].decode("utf-8", "replace")
    if answer.status == 404:
        raise CallFailed("the server could not find the requested resource")
    if not 200 <= answer.status < 300:
        if answer.status >= 500:
            raise CallFailed(f"an error on the server ({orjson.dumps(text).decode()}) has prevented the request from succeeding")
        raise CallFailed(f"the server rejected our request for an unknown reason: {answer.status}")
    if len(answer.body) > RESPONSE_BYTES_MAX:
        raise CallFailed(f"the response is larger than {RESPONSE_BYTES_MAX} bytes")
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise CallFailed(f"couldn't get version/kind; json parse error: {error}") from error
