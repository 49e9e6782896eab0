"""The handler of POST /api/v1/otlp/v1/metrics: what OpenTelemetry's SDKs and collectors export, into the store.

Acknowledged with 200 when it is on disk. As with remote write, a request is taken as far as it can be: what will never be taken (a delta, a sample
out of order) is told of with 400, which exporters do not repeat, and what cannot be taken now with 503, which they do. Upstream keeps nothing of
a request with a mistake in it.

Source: OTLP/HTTP; upstream's write_otlp_handler.go.
"""

from podium.telemetry.metrics.exposition.steps import between_others
from podium.telemetry.metrics.otlp.errors import RequestTooLarge
from podium.telemetry.metrics.otlp.messages import decode
from podium.telemetry.metrics.otlp.translation import Translating, translate
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.receiving import WriteReceiver
from podium.world.http_messages import HttpRequest, Response

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)


class OtlpReceiver:
    """`await receiver(request)`."""

    def __init__(self, receiver: WriteReceiver, settings: Translating) -> None:
        self._receiver, self._settings = receiver, settings

    async def __call__(self, request: HttpRequest) -> Response:
        kind = request.headers.get("content-type", "")
        try:
            asked = decode(request.body, kind, request.headers.get("content-encoding", ""))
            batch = await between_others(translate(asked, self._settings))
        except MessageRefused as error:
            return Response(400, f"{error}\n".encode(), _TEXT)
        except RequestTooLarge as error:
            return Response(413, f"{error}\n".encode(), _TEXT)
        answer = await self._receiver.take(batch)
        return Response(200, b"", ((b"content-type", kind.encode()),)) if answer.status == 204 else answer
