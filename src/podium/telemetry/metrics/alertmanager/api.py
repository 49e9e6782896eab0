"""The HTTP side: API v2 as upstream's, health, reload, metrics, the gossip of replicas and a page for people.

    GET  /api/v2/status  /receivers  /alerts  /alerts/groups  /silences  /silence/{id}
    POST /api/v2/alerts  /silences                                DELETE /api/v2/silence/{id}
    GET  /-/healthy  /-/ready  /metrics  /                        POST /-/reload
    POST /-/cluster                                               (replicas, with --peer)

Stock amtool works with it. Everything is decided here synchronously but alerts and reloads. Source: upstream's api/v2.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from podium.instrument.log import logger
from podium.instrument.metrics import CONTENT_TYPE
from podium.telemetry.metrics.alertmanager import api_documents as documents
from podium.telemetry.metrics.alertmanager.alertmanager import Alertmanager
from podium.telemetry.metrics.alertmanager.alerts import Alert, ordered
from podium.telemetry.metrics.alertmanager.api_documents import ApiError
from podium.telemetry.metrics.alertmanager.errors import (
    AlertmanagerError,
    BadAlert,
    BadMatcher,
    BadSilence,
    ConfigurationError,
    SilenceNotFound,
    StorageError,
    TooMany,
)  # fmt: skip
from podium.telemetry.metrics.alertmanager.groups import sorted_groups
from podium.telemetry.metrics.alertmanager.matchers import Matchers, compile_regexp, parse_matcher
from podium.telemetry.metrics.alertmanager.page import page
from podium.world.http_messages import HttpRequest, Response

_log = logger("alertmanager.api")

_JSON = (
    (b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"access-control-allow-origin", b"*"),
)  # fmt: skip
_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)
_HTML = (
    (b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"), (b"x-frame-options", b"DENY"),
)  # fmt: skip
_CORS = (
    (b"access-control-allow-origin", b"*"), (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"accept, authorization, content-type, origin"),
)  # fmt: skip
FILTERS_MAX = 100
_TRUE = ("1", "yes", "ok", "y", "on", "selected", "checked", "t", "true", "enabled")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
PREFIX = "/api/v2"

Query = dict[str, list[str]]
Answer = Response | Awaitable[Response]


class AlertmanagerApi:
    """`handle` is for a world.http_server.HttpServer. `reload` reads the configuration again; it raises ConfigurationError."""

    def __init__(self, manager: Alertmanager, reload: Callable[[], Awaitable[None]]) -> None:
        self._manager, self._reload = manager, reload
        self._routes: dict[tuple[str, str], Callable[[HttpRequest], Answer]] = {
            ("GET", f"{PREFIX}/status"): self._status,
            ("GET", f"{PREFIX}/receivers"): self._receivers,
            ("GET", f"{PREFIX}/alerts"): self._alerts,
            ("POST", f"{PREFIX}/alerts"): self._post_alerts,
            ("GET", f"{PREFIX}/alerts/groups"): self._groups,
            ("GET", f"{PREFIX}/silences"): self._silences,
            ("POST", f"{PREFIX}/silences"): self._post_silence,
            ("GET", "/-/healthy"): lambda request: Response(200, b"OK", _TEXT),
            ("GET", "/-/ready"): lambda request: Response(200, b"OK", _TEXT),
            ("POST", "/-/reload"): self._reload_now,
            ("PUT", "/-/reload"): self._reload_now,
            ("POST", "/-/cluster"): self._cluster,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/"): self._page,
        }

    def handle(self, request: HttpRequest, connection: object = None) -> Answer:
        try:
            answer = self._route(request)
        except Exception as error:
            return self._failure(error)
        return answer if isinstance(answer, Response) else self._guarded(answer)

    async def _guarded(self, answer: Awaitable[Response]) -> Response:
        try:
            return await answer
        except Exception as error:
            return self._failure(error)

    def _failure(self, error: Exception) -> Response:
        match error:
            case ApiError():
                return _json(error.body, error.status)
            case SilenceNotFound():
                return Response(404, b"", _JSON)
            case BadMatcher() | BadSilence() | BadAlert() | ConfigurationError():
                return _json(str(error), 400)
            case TooMany():
                return _json(str(error), 400)
            case StorageError() | AlertmanagerError():
                return _json(str(error), 500)
        _log.error("request crashed", error=error)
        return _json("internal error", 500)

    def _route(self, request: HttpRequest) -> Answer:
        path = request.path.rstrip("/") or "/"
        if request.method == "OPTIONS":
            return Response(200, b"", _CORS)
        method = "GET" if request.method == "HEAD" else request.method
        handler = self._routes.get((method, path))
        if handler is not None:
            return handler(request)
        if path.startswith(f"{PREFIX}/silence/"):
            return self._silence(method, path.removeprefix(f"{PREFIX}/silence/"))
        if any(known == path for _, known in self._routes):
            raise ApiError(405, {"code": 405, "message": f"method {request.method} is not allowed"})
        raise ApiError(404, {"code": 404, "message": f"path {path} was not found"})

    # -- status

    def _status(self, request: HttpRequest) -> Response:
        manager = self._manager
        version = manager.measurements.version
        cluster: dict[str, Any] = {"status": manager.cluster.status}
        if manager.cluster.name:
            cluster["name"] = manager.cluster.name
        cluster["peers"] = [{"address": address, "name": name} for name, address in manager.cluster.members()]
        return _json({
            "cluster": cluster,
            "config": {"original": manager.configuration.shown},
            "uptime": documents.shown_time(manager.started_at),
            "versionInfo": {
                "branch": "", "buildDate": "", "buildUser": "", "goVersion": "", "revision": "podium", "version": version,
            },
        })  # fmt: skip

    def _receivers(self, request: HttpRequest) -> Response:
        matchers = _filters(request.query, "receiver_matchers")
        receivers = self._manager.configuration.receivers.values()
        return _json([{"name": r.name, "labels": dict(r.labels)} for r in receivers if documents.filter_matches(matchers, r.labels)])

    def _metrics(self, request: HttpRequest) -> Response:
        return Response(200, self._manager.measurements.registry.exposition(), ((b"content-type", CONTENT_TYPE.encode()),))

    async def _reload_now(self, request: HttpRequest) -> Response:
        try:
            await self._reload()
        except ConfigurationError as error:
            return Response(500, f"failed to reload config: {error}\n".encode(), _TEXT)
        return Response(200, b"", _TEXT)

    def _cluster(self, request: HttpRequest) -> Response:
        try:
            return _json(self._manager.cluster.receive(orjson.loads(request.body)))
        except ValueError as error:
            raise ApiError(400, str(error)) from error

    def _page(self, request: HttpRequest) -> Response:
        text = (request.query.get("filter") or [""])[-1]
        return Response(200, page(self._manager, text).encode(), _HTML)

    # -- alerts

    def _wanted_receivers(self, query: Query) -> Callable[[str], bool]:
        texts = query.get("receiver")
        matchers = _filters(query, "receiver_matchers")
        try:
            pattern = compile_regexp(texts[-1]) if texts else None
        except BadMatcher as error:
            raise ApiError(400, f"failed to parse receiver param: {error}") from error
        receivers = self._manager.configuration.receivers

        def wanted(name: str) -> bool:
            if pattern is not None and pattern.fullmatch(name) is None:
                return False
            return not matchers or (name in receivers and documents.filter_matches(matchers, receivers[name].labels))

        return wanted

    def _alert_filter(self, query: Query) -> Callable[[Alert], bool]:
        matchers = _filters(query, "filter")
        active, silenced, inhibited = (_flag(query, name) for name in ("active", "silenced", "inhibited"))

        def passes(alert: Alert) -> bool:
            if not documents.filter_matches(matchers, alert.labels):
                return False
            if active and silenced and inhibited:
                return True
            status = self._manager.status_of(alert)
            return (active or status.state != "active") and (silenced or not status.silenced_by) and (inhibited or not status.inhibited_by)

        return passes

    def _alerts(self, request: HttpRequest) -> Response:
        wanted, passes = self._wanted_receivers(request.query), self._alert_filter(request.query)
        found = []
        for alert in self._manager.alerts():
            receivers = self._manager.receivers_of(alert.labels)
            if any(map(wanted, receivers)) and passes(alert):
                found.append((alert.fingerprint, documents.shown_alert(alert, self._manager.status_of(alert), receivers)))
        return _json([shown for _, shown in sorted(found, key=lambda pair: pair[0])])

    async def _post_alerts(self, request: HttpRequest) -> Response:
        await self._manager.put_alerts(documents.posted_alerts(request.body))
        return Response(200, b"", _JSON)

    def _groups(self, request: HttpRequest) -> Response:
        wanted, passes = self._wanted_receivers(request.query), self._alert_filter(request.query)
        shows_muted = _flag(request.query, "muted")
        now = self._manager.world.clock.now()
        listed = []
        receivers: dict[str, list[str]] = {}
        for group in sorted_groups(self._manager.groups()):
            if not wanted(group.route.receiver):
                continue
            alerts = [a for a in ordered(group.alerts.values()) if not a.resolved_at(now) and passes(a)]
            for alert in alerts:
                receivers.setdefault(alert.fingerprint, []).append(group.route.receiver)
            if alerts and (shows_muted or not group.muted_by):
                listed.append((group, alerts))
        return _json([
            {
                "alerts": [
                    documents.shown_alert(a, self._manager.status_of(a), sorted(receivers[a.fingerprint]), group.muted_by) for a in alerts
                ],
                "labels": group.labels,
                "receiver": {"name": group.route.receiver},
                "routeLabels": self._manager.route_labels_of(group),
            }
            for group, alerts in listed
        ])  # fmt: skip

    # -- silences

    def _silences(self, request: HttpRequest) -> Response:
        matchers = _filters(request.query, "filter")
        states = [state for state in ("active", "pending", "expired") if _flag(request.query, state)]
        now = self._manager.world.clock.now()
        wanted = [
            silence
            for silence in self._manager.silences.all()
            if silence.state(now) in states and all(matcher in silence.matchers for matcher in matchers)
        ]
        return _json([documents.shown_silence(silence, now) for silence in documents.ordered_silences(wanted, now)])

    def _silence(self, method: str, identity: str) -> Response:
        if not _UUID.fullmatch(identity):
            raise documents.invalid(601, f'silenceID in path must be of type uuid: "{identity}"')
        if method == "GET":
            return _json(documents.shown_silence(self._manager.silences.get(identity), self._manager.world.clock.now()))
        if method == "DELETE":
            self._manager.silences.expire(identity)
            return Response(200, b"", _JSON)
        raise ApiError(405, {"code": 405, "message": f"method {method} is not allowed"})

    def _post_silence(self, request: HttpRequest) -> Response:
        silence = documents.posted_silence(request.body)
        if silence.starts_at >= silence.ends_at:
            raise BadSilence("Failed to create silence: start time must be before end time")
        if silence.ends_at < self._manager.world.clock.now():
            raise BadSilence("Failed to create silence: end time can't be in the past")
        try:
            return _json({"silenceID": self._manager.silences.put(silence)})
        except SilenceNotFound as error:
            return _json(str(error), 404)


def _json(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value) + b"\n", _JSON)


def _flag(query: Query, name: str) -> bool:
    """True without one."""
    values = query.get(name)
    if not values:
        return True
    return values[-1].lower() in _TRUE


def _filters(query: Query, name: str) -> Matchers:
    texts = query.get(name, [])
    if len(texts) > FILTERS_MAX:
        raise ApiError(400, f"more than {FILTERS_MAX} filters")
    try:
        return tuple(parse_matcher(text) for text in texts)
    except BadMatcher as error:
        raise ApiError(400, f"failed to parse receiver_matchers param: {error}" if name != "filter" else str(error)) from error
