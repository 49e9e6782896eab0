"""The HTTP application: which path is whose, CORS, and errors as answers.

A handler takes the sources and the request's parameters. What takes samples takes the request itself: its body is no form.

Source: Prometheus' HTTP API and management API.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

import orjson

from podium.instrument.exposition import respond
from podium.instrument.log import logger
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.server import queries, series, state
from podium.telemetry.metrics.server.answers import JSON, failure, text
from podium.telemetry.metrics.server.errors import ApiError
from podium.telemetry.metrics.server.federation import federate
from podium.telemetry.metrics.server.pages import page
from podium.telemetry.metrics.server.parameters import Parameters
from podium.telemetry.metrics.server.sources import Sources
from podium.world.http_messages import Headers, HttpRequest, Response, frame
from podium.world.http_server import Connection, Stream

Handler = Callable[[Sources, Parameters], Awaitable[Response]]
Raw = Callable[[HttpRequest], Awaitable[Response]]
Streaming = Callable[[HttpRequest, object], Awaitable[Response | None]]
"""With the connection, which it may take: None then."""

QUERIES: dict[str, Handler] = {
    "query": queries.query, "query_range": queries.query_range, "query_exemplars": queries.query_exemplars,
    "format_query": queries.format_query, "parse_query": queries.parse_query, "labels": series.labels, "series": series.series,
    "podium/explain": queries.explain,
}  # fmt: skip
"""GET and POST."""

VIEWS: dict[str, Handler] = {
    "metadata": series.metadata, "targets": state.targets, "targets/metadata": series.targets_metadata, "scrape_pools": state.scrape_pools,
    "rules": state.rules, "alerts": state.alerts, "alertmanagers": state.alertmanagers, "status/config": state.config,
    "status/flags": state.flags, "status/runtimeinfo": state.runtimeinfo, "status/buildinfo": state.buildinfo, "status/tsdb": state.tsdb,
    "status/walreplay": state.walreplay, "status/tsdb/blocks": state.tsdb_blocks, "status/self_metrics": state.self_metrics,
    "scrape_pools/config": state.scrape_pool_config, "targets/relabel_steps": state.relabel_steps, "features": state.features,
    "notifications": state.notifications,
}  # fmt: skip
"""GET."""

ADMINISTRATION: dict[str, Handler] = {
    "admin/tsdb/delete_series": state.delete_series, "admin/tsdb/clean_tombstones": state.clean_tombstones,
    "admin/tsdb/snapshot": state.snapshot,
}  # fmt: skip
"""POST and PUT."""

NOT_ENABLED = {
    "write": "remote write receiver needs to be enabled with --web.enable-remote-write-receiver",
    "otlp/v1/metrics": "otlp write receiver needs to be enabled with --web.enable-otlp-receiver",
}
"""404, in plain text, as upstream's."""
REQUEST_BYTES_MAX = 32 * 1024 * 1024
"""Of a body: what senders of remote write may put together."""
LISTENER_LAG_BYTES_MAX = 64 * 1024
"""Of notifications that a listener has not taken yet."""

PREFIX = "/api/v1/"
LIVE, READ = f"{PREFIX}notifications/live", f"{PREFIX}read"
_LABEL_VALUES = re.compile(r"label/([^/]+)/values")
_log = logger("metrics.server")


class Application:
    """`await application(request)` answers; `writers` are what takes samples: path -> handler of the request. `reader` answers remote reads."""

    def __init__(self, sources: Sources, writers: Mapping[str, Raw] | None = None, reader: Streaming | None = None) -> None:
        self._sources = sources
        self._writers = dict(writers or {})
        self._reader = reader
        self._cors = re.compile(f"(?:{sources.cors_origin})")

    async def serve(self, request: HttpRequest, connection: object) -> Response | None:
        """With streams, which take the connection (when it is one): None then."""
        if request.path == LIVE and request.method == "GET" and isinstance(connection, Connection):
            return await self._live(request, connection)
        if request.path == READ and request.method == "POST" and self._reader is not None:
            answer = await self._reader(request, connection)
            return self._with_cors(request, answer) if answer is not None else None
        return await self(request)

    async def __call__(self, request: HttpRequest) -> Response:
        """Nothing is streamed: notifications end at once (204), and a remote read's chunks are a body."""
        if request.method == "OPTIONS":
            return self._with_cors(request, Response(204, b"", ()))
        try:
            response = await self._route(request)
        except ApiError as error:
            response = failure(error)
        except Exception as error:
            _log.error("request failed", error=error, path=request.path)
            response = failure(ApiError("internal", "internal error: see the server's log"))
        return self._with_cors(request, response)

    async def _route(self, request: HttpRequest) -> Response:
        path, method = request.path, "GET" if request.method == "HEAD" else request.method
        if path.startswith(PREFIX):
            return await self._api(request, path.removeprefix(PREFIX), method)
        if path == "/federate" and method == "GET":
            return await federate(self._sources, Parameters.of(request), request.headers)
        control = self._sources.control
        if control is None:
            return text("404 page not found\n", 404)
        if path == "/metrics" and method == "GET":
            return respond(control.self_metrics(), request.headers)
        if path == "/-/healthy" and method == "GET":
            return text("Prometheus Server is Healthy.\n")
        if path == "/-/ready" and method == "GET":
            return text("Prometheus Server is Ready.\n") if control.ready() else text("Service Unavailable", 503)
        if path == "/version" and method == "GET":
            return Response(200, orjson.dumps(state.build(self._sources)), JSON)
        if path in ("/-/reload", "/-/quit"):
            return await self._lifecycle(path, method)
        if method == "GET" and (shown := page(request)) is not None:
            return shown
        return text("404 page not found\n", 404)

    async def _api(self, request: HttpRequest, name: str, method: str) -> Response:
        if writer := self._writers.get(request.path):
            return await writer(request) if method == "POST" else text("Method Not Allowed\n", 405)
        if self._reader is not None and request.path == READ:
            answer = await self._reader(request, None) if method == "POST" else None
            return answer or text("Method Not Allowed\n", 405)
        for handlers, methods in ((QUERIES, ("GET", "POST")), (VIEWS, ("GET",)), (ADMINISTRATION, ("POST", "PUT"))):
            if handler := handlers.get(name):
                if method not in methods:
                    return Response(405, b"Method Not Allowed\n", ((b"allow", ", ".join(methods).encode()),))
                return await handler(self._sources, Parameters.of(request))
        if request.path == LIVE and method == "GET":  # without a connection to stream to
            return Response(204, b"", ())
        if (found := _LABEL_VALUES.fullmatch(name)) and method == "GET":
            raw = _LABEL_VALUES.search(request.target.partition("?")[0])
            return await series.label_values(self._sources, Parameters.of(request), unquote(raw[1]) if raw else found[1])
        if name in NOT_ENABLED:
            return text(f"{NOT_ENABLED[name]}\n", 404)
        raise ApiError("not_found", f"no such endpoint: {PREFIX}{name}")

    async def _live(self, request: HttpRequest, connection: Connection) -> Response | None:
        """Notifications as they come, as server-sent events, until the other end leaves. 204: there are enough listeners."""
        notifications = self._sources.notifications
        waiting: list[bytes] = []
        streams: list[Stream] = []

        def listener(event: bytes) -> bool:
            if not streams:
                waiting.append(event)
                return True
            return streams[0].push(frame(event), LISTENER_LAG_BYTES_MAX)

        if notifications is None or not notifications.listen(listener):
            return self._with_cors(request, Response(204, b"", ()))
        headers = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))
        try:
            stream = connection.start_stream(200, self._with_cors(request, Response(200, b"", headers)).headers)
            streams.append(stream)
            for event in waiting:
                stream.write(event)
            await stream.wait_closed()
        finally:
            notifications.leave(listener)
        return None

    async def _lifecycle(self, path: str, method: str) -> Response:
        control = self._sources.control
        assert control is not None
        if method not in ("POST", "PUT"):
            return text("Only POST or PUT requests allowed", 405)
        if not self._sources.switches.lifecycle:
            return text("Lifecycle API is not enabled.", 403)
        if path == "/-/quit":
            control.stop()
            return text("Requesting termination... Goodbye!")
        try:
            await control.reload()
        except ConfigurationError as error:
            return text(f"failed to reload config: {error}\n", 500)
        return text("")

    def _with_cors(self, request: HttpRequest, response: Response) -> Response:
        origin = request.headers.get("origin", "")
        if not origin or not self._cors.fullmatch(origin):
            return response
        allowed: Headers = (
            (b"access-control-allow-headers", b"Accept, Authorization, Content-Type, Origin"),
            (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
            (b"access-control-allow-origin", b"*" if self._cors.pattern == "(?:.*)" else origin.encode()),
            (b"access-control-expose-headers", b"Date"),
            (b"vary", b"Origin"),
        )
        return Response(response.status, response.body, (*response.headers, *allowed))
