"""Requests to other servers: what scrapes, discovery, remote storage and notifications need of HTTP, and no more.

`OutboundClient` of client.py does it over sockets; a test or a rehearsal gives another `Requester`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from podium.telemetry.metrics.errors import MetricsError

RESPONSE_BYTES_MAX = 256 * 1024 * 1024
"""Of a response's body after decompression, when the caller sets no smaller limit."""


class OutboundError(MetricsError):
    """The request did not get its answer; later may be better. The text says why, without credentials."""


class OutboundTimeout(OutboundError):
    """Not in time."""


class RequestInvalid(OutboundError):
    """What was asked can be no request: another address or header is needed."""


class TlsFilesWrong(OutboundError):
    """A certificate or key of the section cannot be used: it has to be mended."""


class TokenRefused(OutboundError):
    """The server of OAuth2 tokens gave none."""


class ResponseTooLarge(OutboundError):
    """The body is larger than the caller's limit; what was read is thrown away."""


@dataclass(frozen=True, slots=True)
class OutboundResponse:
    """Header names are lower-case; the body is decompressed."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def status_text(self) -> str:
        """`404 Not Found`."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


class Requester(Protocol):
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
    ) -> OutboundResponse:
        """Any status is a response. Raises OutboundError; ResponseTooLarge when the body has `response_bytes_max` bytes or more."""
        ...

    async def aclose(self) -> None: ...
