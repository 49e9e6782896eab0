"""/api/v1/targets, scrape_pools, rules, alerts, alertmanagers, status/* and the administration of the store.

Source: Prometheus' HTTP API, "Targets", "Rules", "Alerts", "Alertmanagers", "Status", "TSDB Admin APIs".
"""

import hashlib

import orjson

from podium.telemetry.metrics.configuration.printing import print_section, to_plain
from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.errors import MetricsError
from podium.telemetry.metrics.labels import compile_anchored
from podium.telemetry.metrics.relabel import Relabeling
from podium.telemetry.metrics.server.answers import success
from podium.telemetry.metrics.server.errors import ApiError, bad_parameter
from podium.telemetry.metrics.server.features import features as all_features
from podium.telemetry.metrics.server.parameters import TIME_MS_MAX, TIME_MS_MIN, Parameters
from podium.telemetry.metrics.server.self_metrics_json import families_json
from podium.telemetry.metrics.server.sources import Administration, Control, Json, Sources
from podium.world.http_messages import Response

STATUS_LIMIT, STATUS_LIMIT_MAX = 10, 10_000
SERVED_VERSION = "3.14.0"
"""What clients that look for features are told: the newest release all of whose query language and API is here (3.15 has start timestamps)."""


async def targets(sources: Sources, parameters: Parameters) -> Response:
    state, pool = parameters.text("state").lower(), parameters.text("scrapePool")
    shown: Json = {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}
    if (known := sources.targets) is not None:
        if state in ("", "any", "active"):
            shown["activeTargets"] = [t for t in known.active() if not pool or t["scrapePool"] == pool]
        if state in ("", "any", "dropped"):
            shown["droppedTargets"] = [t for t in known.dropped() if not pool or t.get("scrapePool") == pool]
            shown["droppedTargetCounts"] = known.dropped_counts()
    return success(shown)


async def scrape_pools(sources: Sources, parameters: Parameters) -> Response:
    return success({"scrapePools": sorted(sources.targets.pools()) if sources.targets else []})


async def scrape_pool_config(sources: Sources, parameters: Parameters) -> Response:
    return success({"yaml": print_section(_pool(sources, parameters))})


async def relabel_steps(sources: Sources, parameters: Parameters) -> Response:
    """What each relabelling rule of a pool makes of the labels of a target."""
    if not parameters.text("scrapePool"):
        raise ApiError("bad_data", "no scrapePool parameter provided")
    if not parameters.text("labels"):
        raise ApiError("bad_data", "no labels parameter provided")
    try:
        labels = orjson.loads(parameters.text("labels"))
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise ValueError("labels are an object of strings")
    except ValueError as error:
        raise ApiError("bad_data", f"error parsing labels: {error}") from error
    steps, kept = [], True
    for rule in _pool(sources, parameters).relabel_configs:
        kept = kept and Relabeling((rule,)).apply(labels)
        steps.append({"rule": to_plain(rule), "output": dict(sorted(labels.items())) if kept else {}, "keep": kept})
    return success({"steps": steps})


def _pool(sources: Sources, parameters: Parameters) -> ScrapeConfig:
    name = parameters.text("scrapePool")
    if not name:
        raise ApiError("bad_data", "no scrapePool parameter provided")
    config = sources.targets.config(name) if sources.targets else None
    if config is None:
        raise ApiError("bad_data", f'error retrieving scrape config: scrape pool not found: "{name}"')
    return config


async def rules(sources: Sources, parameters: Parameters) -> Response:
    """A group of which no rule is left is not shown."""
    kind = parameters.text("type").lower()
    if kind not in ("", "alert", "record"):
        raise bad_parameter("type", f'not supported value "{kind}"')
    shown = sources.rules.groups(parameters.selectors()) if sources.rules else []
    names, without_alerts = parameters.texts("rule_name[]"), parameters.boolean("exclude_alerts")
    limit, token = _page_asked_for(parameters)
    shown = _named(shown, "name", parameters.texts("rule_group[]"))
    shown = _named(shown, "file", parameters.texts("file[]"))
    wanted = {"alert": "alerting", "record": "recording"}.get(kind, "")
    groups = []
    for group in sorted(shown, key=_place):
        chosen = [r for r in _named(group["rules"], "name", names) if not wanted or r["type"] == wanted]
        if without_alerts:
            chosen = [{**r, "alerts": None} if "alerts" in r else r for r in chosen]
        if chosen:
            groups.append({**group, "rules": chosen})
    return success(_paged(groups, limit, token) if limit else {"groups": groups})


def _named(entries: list[Json], field: str, names: list[str]) -> list[Json]:
    return [e for e in entries if e[field] in names] if names else entries


def _page_asked_for(parameters: Parameters) -> tuple[int, str]:
    """(group_limit, group_next_token); 0: all."""
    text, token = parameters.text("group_limit"), parameters.text("group_next_token")
    if not text:
        if token:
            raise bad_parameter("group_next_token", "group_limit needs to be present in order to paginate over the groups")
        return 0, ""
    if not text.isascii() or not text.removeprefix("-").isdigit():
        reason = f'group_limit needs to be a valid number: strconv.ParseInt: parsing "{text}": invalid syntax'
        raise bad_parameter("group_limit", reason)
    if int(text) <= 0:
        raise bad_parameter("group_limit", "group_limit needs to be greater than 0")
    return int(text), token


def _paged(groups: list[Json], limit: int, token: str) -> Json:
    """`token` names the first group of the page."""
    tokens = [_token(group) for group in groups]
    if token and token not in tokens:
        raise bad_parameter("group_next_token", f"invalid group_next_token '{token}'. were rule groups changed?")
    start = tokens.index(token) if token else 0
    page = groups[start : start + limit]
    return {"groups": page, "groupNextToken": tokens[start + limit]} if start + limit < len(groups) else {"groups": page}


def _place(group: Json) -> tuple[str, str]:
    return group["file"], group["name"]


def _token(group: Json) -> str:
    return hashlib.sha256(f"{group['file']};{group['name']}".encode()).hexdigest()


async def alerts(sources: Sources, parameters: Parameters) -> Response:
    return success({"alerts": sources.rules.alerts() if sources.rules else []})


async def alertmanagers(sources: Sources, parameters: Parameters) -> Response:
    active = sources.alertmanagers.active() if sources.alertmanagers else []
    dropped = sources.alertmanagers.dropped() if sources.alertmanagers else []
    return success({"activeAlertmanagers": [{"url": u} for u in active], "droppedAlertmanagers": [{"url": u} for u in dropped]})


async def buildinfo(sources: Sources, parameters: Parameters) -> Response:
    return success(build(sources))


def build(sources: Sources) -> Json:
    return {
        "version": SERVED_VERSION,
        "revision": f"podium-{sources.version}",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }


async def runtimeinfo(sources: Sources, parameters: Parameters) -> Response:
    return success(_control(sources).runtime())


async def config(sources: Sources, parameters: Parameters) -> Response:
    return success({"yaml": _control(sources).configuration()})


async def flags(sources: Sources, parameters: Parameters) -> Response:
    return success(_control(sources).flags())


async def tsdb(sources: Sources, parameters: Parameters) -> Response:
    text = parameters.text("limit")
    if text and (not text.isascii() or not text.isdigit() or int(text) < 1):
        raise ApiError("bad_data", "limit must be a positive number")
    limit = int(text or STATUS_LIMIT)
    if limit > STATUS_LIMIT_MAX:
        raise ApiError("bad_data", f"limit must not exceed {STATUS_LIMIT_MAX}")
    return success(_store(sources).status(limit))


async def tsdb_blocks(sources: Sources, parameters: Parameters) -> Response:
    return success({"blocks": _store(sources).block_metadata()})


async def self_metrics(sources: Sources, parameters: Parameters) -> Response:
    families, pattern = families_json(_control(sources).self_metrics()), parameters.text("metric_name_pattern")
    if pattern:
        try:
            compiled = compile_anchored(pattern)
        except ValueError as error:
            raise ApiError("bad_data", f"invalid metric_name_pattern: {error}") from error
        families = [family for family in families if compiled.fullmatch(family["name"])]
    return success(families)


async def features(sources: Sources, parameters: Parameters) -> Response:
    return success(all_features(sources))


async def notifications(sources: Sources, parameters: Parameters) -> Response:
    return success(sources.notifications.standing() if sources.notifications else [])


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
