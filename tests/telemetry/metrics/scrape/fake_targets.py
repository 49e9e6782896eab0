"""Targets without sockets: pages by address, and what was asked for."""

import asyncio
from collections.abc import Callable, Mapping

from podium.telemetry.metrics.outbound.interface import (
    RESPONSE_BYTES_MAX,
    OutboundError,
    OutboundResponse,
    OutboundTimeout,
    ResponseTooLarge,
)

TEXT = {"content-type": "text/plain; version=0.0.4"}


class FakeTargets:
    """`pages[url]` is a page, a response, an error to raise, or a function that gives one of these. Unknown addresses refuse the connection."""

    def __init__(self) -> None:
        self.pages: dict[str, str | OutboundResponse | Exception | Callable[[], str]] = {}
        self.asked: list[tuple[float, str]] = []
        self.headers: Mapping[str, str] = {}
        self.delay_s = 0.0
        self.closed = 0

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
        self.asked.append((asyncio.get_running_loop().time(), url))
        self.headers = headers or {}
        await asyncio.sleep(min(self.delay_s, timeout_s))
        if self.delay_s >= timeout_s:
            raise OutboundTimeout("context deadline exceeded")
        page = self.pages.get(url, OutboundError("connection refused"))
        page = page() if callable(page) else page
        if isinstance(page, Exception):
            raise page
        response = page if isinstance(page, OutboundResponse) else OutboundResponse(200, TEXT, page.encode())
        if len(response.body) >= response_bytes_max:
            raise ResponseTooLarge("body size limit exceeded")
        return response

    async def aclose(self) -> None:
        self.closed += 1
