"""Large answers are compressed for those who ask (Accept-Encoding: gzip), beside the event loop. Source: KEP-156 (the threshold)."""

import asyncio
import zlib

from podium.world.http_server import HttpRequest, Response

BYTES_MIN = 128 * 1024
LEVEL = 1
_GZIP_WINDOW = 31


def wanted(http: HttpRequest, response: Response) -> bool:
    return len(response.body) >= BYTES_MIN and "gzip" in http.headers.get("accept-encoding", "")


async def compressed(response: Response) -> Response:
    body = await asyncio.get_running_loop().run_in_executor(None, _gzip, response.body)
    return Response(response.status, body, (*response.headers, (b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")))


def _gzip(body: bytes) -> bytes:
    engine = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return engine.compress(body) + engine.flush()
