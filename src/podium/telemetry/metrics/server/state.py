"""/api/v1/targets, scrape_pools, rules, alerts, alertmanagers, status/* and the administration of the store.

Source: Prometheus' HTTP API, "Targets", "Rules", "Alerts", "Alertmanagers", "Status", "TSDB Admin APIs".
"""

from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.server.answers import success
from podium.telemetry.metrics.server.errors import ApiError, bad_parameter
from podium.telemetry.metrics.server.parameters import TIME_MS_MAX, TIME_MS_MIN, Parameters
from podium.telemetry.metrics.server.sources import Administration, Control, Json, Sources
from podium.world.http_messages import Response

STATUS_LIMIT, STATUS_LIMIT_MAX = 10, 10_000
SERVED_VERSION = "3.5.0"
"""What clients that look for features are told: Prometheus' long-term release whose API this is."""


async def targets(sources: Sources, parameters: Parameters) -> Response:
    state, pool = parameters.text("state").lower(), parameters.text("scrapePool")
    shown: Json = {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}
    if (known := sources.targets) is not None:
        if state not in ("dropped",):
            shown["activeTargets"] = [t for t in known.active() if not pool or t["scrapePool"] == pool]
        if state != "active":
            shown["droppedTargets"] = [t for t in known.dropped() if not pool or t.get("scrapePool") == pool]
            shown["droppedTargetCounts"] = known.dropped_counts()
    return success(shown)


async def scrape_pools(sources: Sources, parameters: Parameters) -> Response:
    return success({"scrapePools": sorted(sources.targets.pools()) if sources.targets else []})


async def rules(sources: Sources, parameters: Parameters) -> Response:
    kind = parameters.text("type")
    if kind not in ("", "alert", "record"):
        raise bad_parameter("type", f'not supported value "{kind}"')
    shown = sources.rules.groups(parameters.selectors()) if sources.rules else []
    names = parameters.texts("rule_name[]", "rule_name")
    without_alerts = parameters.text("exclude_alerts") in ("true", "1")
    shown = _named(shown, "name", parameters.texts("rule_group[]", "rule_group"))
    shown = _named(shown, "file", parameters.texts("file[]", "file"))
    wanted = {"alert": "alerting", "record": "recording"}.get(kind, "")
    groups = []
    for group in shown:
        chosen = [r for r in _named(group["rules"], "name", names) if not wanted or r["type"] == wanted]
        if without_alerts:
            chosen = [{k: v for k, v in r.items() if k != "alerts"} for r in chosen]
        if chosen or not (names or parameters.texts("match[]")):
            groups.append({**group, "rules": chosen})
    return success(_paged(groups, parameters))


def _named(entries: list[Json], field: str, names: list[str]) -> list[Json]:
    return [e for e in entries if e[field] in names] if names else entries


def _paged(groups: list[Json], parameters: Parameters) -> Json:
    """By `group_limit` and `group_next_token`, which names the last group of the page before."""
    text, token = parameters.text("group_limit"), parameters.text("group_next_token")
    if not text:
        if token:
            raise ApiError("bad_data", "group_limit needs to be present in order to paginate over the groups")
        return {"groups": groups}
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise bad_parameter("group_limit", "group_limit must be a positive number")
    ordered = sorted(groups, key=_place)
    if token:
        places = [_place(g) for g in ordered]
        if token not in places:
            raise bad_parameter("group_next_token", "invalid group_next_token. were rule groups changed?")
        ordered = ordered[places.index(token) + 1 :]
    page = ordered[: int(text)]
    return {"groups": page, "groupNextToken": _place(page[-1])} if len(page) < len(ordered) else {"groups": page}


def _place(group: Json) -> str:
    return f"{group['file']};{group['name']}"


async def alerts(sources: Sources, parameters: Parameters) -> Response:
    return success({"alerts": sources.rules.alerts() if sources.rules else []})


async def alertmanagers(sources: Sources, parameters: Parameters) -> Response:
    active = sources.alertmanagers.active() if sources.alertmanagers else []
    dropped = sources.alertmanagers.dropped() if sources.alertmanagers else []
    return success({"activeAlertmanagers": [{"url": u} for u in active], "droppedAlertmanagers": [{"url": u} for u in dropped]})


async def buildinfo(sources: Sources, parameters: Parameters) -> Response:
    shown = {
        "version": SERVED_VERSION,
        "revision": f"podium-{sources.version}",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
    }
    return success({**shown, "goVersion": ""})


async def runtimeinfo(sources: Sources, parameters: Parameters) -> Response:
    return success(_control(sources).runtime())


async def config(sources: Sources, parameters: Parameters) -> Response:
    return success({"yaml": _control(sources).configuration()})


async def flags(sources: Sources, parameters: Parameters) -> Response:
    return success(_control(sources).flags())


async def tsdb(sources: Sources, parameters: Parameters) -> Response:
    limit = parameters.limit() or STATUS_LIMIT
    if limit > STATUS_LIMIT_MAX:
        raise ApiError("bad_data", f"limit must not exceed {STATUS_LIMIT_MAX}")
    return success(_store(sources).status(limit))


async def walreplay(sources: Sources, parameters: Parameters) -> Response:
    """A server that answers has read its log already."""
    return success({"min": 0, "max": 0, "current": 0, "state": "done"})


def _control(sources: Sources) -> Control:
    if sources.control is None:
        raise ApiError("not_found", "this server has no configuration of its own")
    return sources.control


def _store(sources: Sources) -> Administration:
    if sources.administration is None:
        raise ApiError("unavailable", "this store cannot be administered")
    return sources.administration


def _allowed_store(sources: Sources) -> Administration:
    if not sources.switches.admin_api:
        raise ApiError("unavailable", "admin APIs disabled")
    return _store(sources)


async def delete_series(sources: Sources, parameters: Parameters) -> Response:
    store = _allowed_store(sources)
    if not parameters.texts("match[]"):
        raise ApiError("bad_data", "no match[] parameter provided")
    start_ms, end_ms = parameters.time_ms("start", TIME_MS_MIN), parameters.time_ms("end", TIME_MS_MAX)
    try:
        for matchers in parameters.selectors():
            store.delete_series(matchers, start_ms, end_ms)
        await sources.storage.synced()
    except MetricsError as error:
        raise ApiError("internal", str(error)) from error
    return Response(204, b"", ())


async def clean_tombstones(sources: Sources, parameters: Parameters) -> Response:
    store = _allowed_store(sources)
    try:
        await store.clean_tombstones()
    except MetricsError as error:
        raise ApiError("internal", str(error)) from error
    return Response(204, b"", ())


async def snapshot(sources: Sources, parameters: Parameters) -> Response:
    store = _allowed_store(sources)
    text = parameters.text("skip_head")
    if text not in ("", "true", "false", "1", "0"):
        raise bad_parameter("skip_head", f'unable to parse boolean "{text}"')
    try:
        name = await store.snapshot(skip_head=text in ("true", "1"))
    except MetricsError as error:
        raise ApiError("internal", f"create snapshot: {error}") from error
    return success({"name": name})
