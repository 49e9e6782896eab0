"""The envelope of every answer: `{"status":"success","data":...}` or an error, with warnings and infos.

Source: Prometheus' HTTP API, "Format overview".
"""

from collections.abc import Sequence
from typing import Any

import orjson

from podium.telemetry.metrics.server.errors import ApiError
from podium.world.http_messages import Headers, Response

SUCCESS = b'{"status":"success","data":'
JSON: Headers = ((b"content-type", b"application/json"),)
ANNOTATIONS_MAX = 10
"""Of a kind in one answer; the last then says how many more there are, as upstream's."""


def success(data: Any, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Response:
    return success_text(orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS), warnings, infos)


def success_text(data: bytes | bytearray, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Response:
    """`data` is JSON already."""
    body = bytearray(SUCCESS)
    body += data
    return ended(body, warnings, infos)


def ended(body: bytearray, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Response:
    """What began with SUCCESS and has its data. `body` is taken."""
    if warnings:
        body += b',"warnings":' + orjson.dumps(limited(warnings, "warning"))
    if infos:
        body += b',"infos":' + orjson.dumps(limited(infos, "info"))
    body += b"}"
    sent = bytes(body)
    body.clear()
    return Response(200, sent, JSON)


def limited(texts: Sequence[str], what: str) -> list[str]:
    if len(texts) <= ANNOTATIONS_MAX:
        return list(texts)
    return [*texts[:ANNOTATIONS_MAX], f"{len(texts) - ANNOTATIONS_MAX} more {what} annotations omitted"]


def failure(error: ApiError) -> Response:
    return Response(error.status, orjson.dumps({"status": "error", "errorType": error.type, "error": str(error)}), JSON)


def text(body: str, status: int = 200) -> Response:
    return Response(status, body.encode(), ((b"content-type", b"text/plain; charset=utf-8"),))
