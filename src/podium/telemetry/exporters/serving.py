"""How exporters are served: plain HTTP, an error's text as the answer, their pages.

Source: what Prometheus' exporters have in common (/metrics, /-/healthy, /).
"""

import asyncio
import html
from collections.abc import Awaitable, Callable, Mapping

from podium.world.http_messages import HttpRequest, Response
from podium.world.http_server import HttpServer

Answer = Callable[[HttpRequest], "Response | Awaitable[Response | None]"]
TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)
HTML = ((b"content-type", b"text/html; charset=utf-8"),)
TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"


def text(status: int, message: str) -> Response:
    return Response(status, message.encode() + b"\n", TEXT)


def page(title: str, body: str) -> Response:
    """`body` is HTML already."""
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title></head>'
    return Response(200, f"{head}<body><h1>{html.escape(title)}</h1>{body}</body></html>\n".encode(), HTML)


def links(targets: Mapping[str, str]) -> str:
    return "<ul>" + "".join(f'<li><a href="{html.escape(url)}">{html.escape(name)}</a></li>' for name, url in targets.items()) + "</ul>"


def parameter(request: HttpRequest, name: str) -> str:
    """Of the query; the last one when there are several."""
    return request.query.get(name, [""])[-1]


async def serve(answer: Answer, host: str, port: int, stopping: asyncio.Event, started: Callable[[int], None] | None = None) -> None:
    """Answers until `stopping` is set; `started` is told the port. Raises OSError when the port is taken."""
    server = HttpServer(lambda request, connection: answer(request))
    try:
        bound = await server.listen(host, port)
        if started is not None:
            started(bound)
        await stopping.wait()
    finally:
        await server.close()
