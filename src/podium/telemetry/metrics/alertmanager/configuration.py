"""alertmanager.yml: the whole file, read strictly, as values.

    configuration = load(text)           raises ConfigurationError, in upstream's words with the line
    configuration = load_file(path)      relative file names in it count from its folder

Accepted: everything that upstream 0.34 accepts, but receivers of chat_settings.UNSUPPORTED, `tracing` and `event_recorder`, which are refused
by name. Source: upstream's config/config.go.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from podium.telemetry.metrics.alertmanager.alerts import is_label_name
from podium.telemetry.metrics.alertmanager.chat_settings import KINDS, TYPE_NAMES, UNSUPPORTED
from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.fields import (
    Decoder,
    Reader,
    boolean,
    duration,
    line,
    list_of,
    map_of,
    parsed,
    refused,
    secret,
    secret_url,
    string,
    struct,
    url,
)  # fmt: skip
from podium.telemetry.metrics.alertmanager.http_settings import HTTP, TLS
from podium.telemetry.metrics.alertmanager.matchers import Matcher, Matchers, MatchType, parse_matchers, sorted_matchers
from podium.telemetry.metrics.alertmanager.receiver_settings import host_port
from podium.telemetry.metrics.alertmanager.time_intervals import (
    TimeInterval,
    parse_days_of_month,
    parse_location,
    parse_months,
    parse_times,
    parse_weekdays,
    parse_years,
)  # fmt: skip
from podium.telemetry.metrics.templates.quoting import quote

RECEIVERS_MAX = 10_000
ROUTES_DEPTH_MAX = 50


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """A route as written: None is inherited. `group_by` holds "..." for all labels."""

    receiver: str = ""
    group_by: tuple[str, ...] | None = None
    group_wait_s: float | None = None
    group_interval_s: float | None = None
    repeat_interval_s: float | None = None
    matchers: Matchers = ()
    continues: bool = False
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    routes: "tuple[RouteSettings, ...]" = ()


@dataclass(frozen=True, slots=True)
class InhibitRule:
    name: str
    source: Matchers
    target: Matchers
    equal: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IntegrationSettings:
    """`index` counts the receiver's integrations of this kind from 0."""

    kind: str
    index: int
    settings: Mapping[str, Any]

    @property
    def http(self) -> Mapping[str, Any]:
        return self.settings.get("http_config") or {}


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    name: str
    labels: Mapping[str, str]
    integrations: tuple[IntegrationSettings, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    route: RouteSettings
    receivers: Mapping[str, ReceiverSettings]
    inhibit_rules: tuple[InhibitRule, ...]
    time_intervals: Mapping[str, tuple[TimeInterval, ...]]
    templates: tuple[str, ...]
    resolve_timeout_s: float
    shown: str
    """The file without its secrets."""
    digest: int
    """Of the file: 48 bits."""


def load_file(path: Path) -> Configuration:
    """Raises ConfigurationError, also when the file cannot be read."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(getattr(error, "strerror", None) or error)) from error
    return load(text, path.resolve().parent)


def load(text: str, folder: Path | None = None) -> Configuration:
    """`folder` is what relative file names count from. Raises ConfigurationError."""
    reader = Reader(text)
    if reader.root is None:
        raise ConfigurationError("no route provided in config")
    try:
        raw = _FILE(reader, reader.root)
    except RecursionError as error:
        raise ConfigurationError("nested too deeply") from error
    general = {**_GLOBAL_DEFAULTS, **raw.get("global", {})}
    _check_global(general)
    receivers = _receivers(raw.get("receivers", []), general)
    if "route" not in raw:
        raise ConfigurationError("no routes provided")
    intervals = _time_intervals(raw)
    _check_routes(raw["route"], receivers, intervals)
    if folder is not None:
        receivers = {name: _resolved(receiver, folder) for name, receiver in receivers.items()}
    templates = tuple(str(folder / t) if folder and t and not os.path.isabs(t) else t for t in raw.get("templates", []))
    return Configuration(
        route=raw["route"],
        receivers=receivers,
        inhibit_rules=tuple(raw.get("inhibit_rules", [])),
        time_intervals=intervals,
        templates=templates,
        resolve_timeout_s=general["resolve_timeout"],
        shown=reader.shown(),
        digest=int.from_bytes(sha256(text.encode()).digest()[:6], "big"),
    )


# The global section

_GLOBAL_DEFAULTS: dict[str, Any] = {
    "resolve_timeout": 300.0, "http_config": {}, "smtp_hello": "localhost", "smtp_require_tls": True, "smtp_tls_config": {},
    "pagerduty_url": "https://events.pagerduty.com/v2/enqueue", "opsgenie_api_url": "https://api.opsgenie.com/",
    "victorops_api_url": "https://alert.victorops.com/integrations/generic/20131114/alert/",
    "telegram_api_url": "https://api.telegram.org", "webex_api_url": "https://webexapis.com/v1/messages",
    "slack_app_url": "https://slack.com/api/chat.postMessage",
}  # fmt: skip
_UNSUPPORTED_GLOBALS = (
    "jira_api_url", "wechat_api_url", "wechat_api_secret", "wechat_api_secret_file", "wechat_api_corp_id", "rocketchat_api_url",
    "rocketchat_token", "rocketchat_token_file", "rocketchat_token_id", "rocketchat_token_id_file", "mattermost_webhook_url",
    "mattermost_webhook_url_file",
)  # fmt: skip
_GLOBAL = struct(
    "config.GlobalConfig",
    {
        "resolve_timeout": duration, "http_config": HTTP, "smtp_from": string, "smtp_hello": string, "smtp_smarthost": parsed(host_port),
        "smtp_auth_username": string, "smtp_auth_password": secret, "smtp_auth_password_file": string, "smtp_auth_secret": secret,
        "smtp_auth_secret_file": string, "smtp_auth_identity": string, "smtp_require_tls": boolean, "smtp_tls_config": TLS,
        "smtp_force_implicit_tls": boolean, "slack_api_url": secret_url, "slack_api_url_file": string, "slack_app_token": secret,
        "slack_app_token_file": string, "slack_app_url": url, "pagerduty_url": url, "opsgenie_api_url": url, "opsgenie_api_key": secret,
        "opsgenie_api_key_file": string, "victorops_api_url": url, "victorops_api_key": secret, "victorops_api_key_file": string,
        "telegram_api_url": url, "telegram_bot_token": secret, "telegram_bot_token_file": string, "webex_api_url": url,
        **{name: refused(f"{name} is not supported: Podium does not send to {name.partition('_')[0]}") for name in _UNSUPPORTED_GLOBALS},
    },
)  # fmt: skip
_EITHER_VALUE_OR_FILE = (
    "slack_app_token", "slack_api_url", "opsgenie_api_key", "victorops_api_key", "telegram_bot_token", "smtp_auth_password", "smtp_auth_secret",
)  # fmt: skip


def _check_global(general: dict[str, Any]) -> None:
    for name in _EITHER_VALUE_OR_FILE:
        if general.get(name) and general.get(f"{name}_file"):
            raise ConfigurationError(f"at most one of {name} & {name}_file must be configured")
    has_token, has_url = (general.get(n) or general.get(f"{n}_file") for n in ("slack_app_token", "slack_api_url"))
    if has_token and has_url and general.get("slack_api_url") != general["slack_app_url"]:
        raise ConfigurationError(
            "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file must be configured"
        )


# Routes and inhibition


def _regexps(reader: Reader, node: yaml.Node) -> dict[str, str]:
    values = map_of(string)(reader, node)
    try:
        for name, value in values.items():
            Matcher(MatchType.REGEXP, name, value)
    except ValueError as error:
        raise ConfigurationError(str(error), line(node)) from error
    return values


def _matchers(reader: Reader, node: yaml.Node) -> Matchers:
    return tuple(matcher for found in list_of(parsed(parse_matchers))(reader, node) for matcher in found)


def _joined(raw: dict[str, Any], equal: str, regexp: str, modern: str) -> Matchers:
    for name in (*raw.get(equal, ()), *raw.get(regexp, ())):
        if not name.isascii() or not name.replace("_", "a").isalnum() or name[0].isdecimal():
            raise ConfigurationError(f"invalid label name {quote(name)}")
    found = [Matcher(MatchType.EQUAL, n, v) for n, v in raw.get(equal, {}).items()]
    found += [Matcher(MatchType.REGEXP, n, v) for n, v in raw.get(regexp, {}).items()]
    return sorted_matchers((*found, *raw.get(modern, ())))


def _check_route(raw: dict[str, Any]) -> None:
    group_by = raw.get("group_by")
    for name in group_by or ():
        if not is_label_name(name):
            raise ConfigurationError(f"invalid label name {quote(name)} in group_by list")
        if name != "..." and group_by is not None and group_by.count(name) > 1:
            raise ConfigurationError(f"duplicated label {quote(name)} in group_by")
    if group_by and "..." in group_by and len(set(group_by)) > 1:
        raise ConfigurationError("cannot have wildcard group_by (`...`) and other labels at the same time")
    for name in raw.get("labels", ()):
        if not is_label_name(name):
            raise ConfigurationError(f"invalid label name {quote(name)} in route labels")
    for name in ("group_interval", "repeat_interval"):
        if raw.get(name) == 0:
            raise ConfigurationError(f"{name} cannot be zero")
    raw["all_matchers"] = _joined(raw, "match", "match_re", "matchers")


def _route(reader: Reader, node: yaml.Node) -> RouteSettings:
    raw = _ROUTE(reader, node)
    group_by = raw.get("group_by")
    return RouteSettings(
        receiver=raw.get("receiver", ""),
        group_by=tuple(group_by) if group_by else None,  # an empty list says nothing, as upstream
        group_wait_s=raw.get("group_wait"),
        group_interval_s=raw.get("group_interval"),
        repeat_interval_s=raw.get("repeat_interval"),
        matchers=raw["all_matchers"],
        continues=raw.get("continue", False),
        mute_time_intervals=tuple(raw.get("mute_time_intervals", ())),
        active_time_intervals=tuple(raw.get("active_time_intervals", ())),
        labels=raw.get("labels", {}),
        routes=tuple(raw.get("routes", ())),
    )


_ROUTE = struct(
    "config.Route",
    {
        "receiver": string, "group_by": list_of(string), "match": map_of(string), "match_re": _regexps, "matchers": _matchers,
        "mute_time_intervals": list_of(string), "active_time_intervals": list_of(string), "continue": boolean, "routes": list_of(_route),
        "group_wait": duration, "group_interval": duration, "repeat_interval": duration, "labels": map_of(string),
    },
    _check_route,
)  # fmt: skip


def _check_routes(root: RouteSettings, receivers: Mapping[str, ReceiverSettings], intervals: Mapping[str, Any]) -> None:
    if not root.receiver:
        raise ConfigurationError("root route must specify a default receiver")
    if root.matchers:
        raise ConfigurationError("root route must not have any matchers")
    if root.mute_time_intervals:
        raise ConfigurationError("root route must not have any mute time intervals")
    if root.active_time_intervals:
        raise ConfigurationError("root route must not have any active time intervals")
    if root.continues:
        raise ConfigurationError("cannot have continue in root route")
    waiting = [(root, 0)]
    while waiting:
        route, depth = waiting.pop()
        if depth > ROUTES_DEPTH_MAX:
            raise ConfigurationError(f"routes are nested deeper than {ROUTES_DEPTH_MAX}")
        if route.receiver and route.receiver not in receivers:
            raise ConfigurationError(f"undefined receiver {quote(route.receiver)} used in route")
        for name in (*route.active_time_intervals, *route.mute_time_intervals):
            if name not in intervals:
                raise ConfigurationError(f"undefined time interval {quote(name)} used in route")
        waiting += [(child, depth + 1) for child in route.routes]


def _check_inhibition(raw: dict[str, Any]) -> None:
    for name in raw.get("equal", ()):
        if not is_label_name(name):
            raise ConfigurationError(f"invalid label name {quote(name)} in equal list")
    raw["source"] = _joined(raw, "source_match", "source_match_re", "source_matchers")
    raw["target"] = _joined(raw, "target_match", "target_match_re", "target_matchers")


_INHIBIT = struct(
    "common.InhibitRule",
    {
        "name": string, "source_match": map_of(string), "source_match_re": _regexps, "source_matchers": _matchers,
        "target_match": map_of(string), "target_match_re": _regexps, "target_matchers": _matchers, "equal": list_of(string),
    },
    _check_inhibition,
)  # fmt: skip


def _inhibit_rule(reader: Reader, node: yaml.Node) -> InhibitRule:
    raw = _INHIBIT(reader, node)
    return InhibitRule(raw.get("name", ""), raw["source"], raw["target"], tuple(dict.fromkeys(raw.get("equal", ()))))


# Time intervals


def _times(reader: Reader, node: yaml.Node) -> tuple[int, int]:
    raw = struct("timeinterval.yamlTimeRange", {"start_time": string, "end_time": string})(reader, node)
    try:
        return parse_times(raw.get("start_time", ""), raw.get("end_time", ""))
    except ConfigurationError as error:
        raise ConfigurationError(str(error), line(node)) from error


_INTERVAL = struct(
    "timeinterval.TimeInterval",
    {
        "times": list_of(_times), "weekdays": list_of(parsed(parse_weekdays)), "days_of_month": list_of(parsed(parse_days_of_month)),
        "months": list_of(parsed(parse_months)), "years": list_of(parsed(parse_years)), "location": parsed(parse_location),
    },
)  # fmt: skip


def _interval(reader: Reader, node: yaml.Node) -> TimeInterval:
    raw = _INTERVAL(reader, node)
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
    return TimeInterval(**values)


def _named_intervals(type_name: str, what: str) -> Decoder:
    def check(raw: dict[str, Any]) -> None:
        if not raw.get("name"):
            raise ConfigurationError(f"missing name in {what}")

    return list_of(struct(type_name, {"name": string, "time_intervals": list_of(_interval)}, check))


def _time_intervals(raw: dict[str, Any]) -> dict[str, tuple[TimeInterval, ...]]:
    found: dict[str, tuple[TimeInterval, ...]] = {}
    for section, what in (("mute_time_intervals", "mute time interval"), ("time_intervals", "time interval")):
        for named in raw.get(section, []):
            if named["name"] in found:
                raise ConfigurationError(f"{what} {quote(named['name'])} is not unique")
            found[named["name"]] = tuple(named.get("time_intervals", []))
    return found


# Receivers


def _check_receiver(raw: dict[str, Any]) -> None:
    if not raw.get("name"):
        raise ConfigurationError("missing name in receiver")
    label = raw.get("labels", {}).get("name", raw["name"])
    if label != raw["name"]:
        raise ConfigurationError(f'receiver label "name" must match receiver name {quote(raw["name"])}, got {quote(label)}')


_RECEIVER = struct(
    "config.Receiver",
    {
        "name": string, "labels": map_of(string),
        **{f"{kind.name}_configs": list_of(kind.decoder(f"config.{TYPE_NAMES[kind.name]}")) for kind in KINDS.values()},
        **{f"{name}_configs": refused(f"{name}_configs is not supported: use webhook_configs") for name in UNSUPPORTED},
    },
    _check_receiver,
)  # fmt: skip


def _receivers(raw: list[Any], general: dict[str, Any]) -> dict[str, ReceiverSettings]:
    if len(raw) > RECEIVERS_MAX:
        raise ConfigurationError(f"more than {RECEIVERS_MAX} receivers")
    found: dict[str, ReceiverSettings] = {}
    for receiver in raw:
        name = receiver["name"]
        if name in found:
            raise ConfigurationError(f"notification config name {quote(name)} is not unique")
        integrations: list[IntegrationSettings] = []
        for kind in KINDS.values():
            for index, settings in enumerate(receiver.get(f"{kind.name}_configs", [])):
                kind.complete(settings, general)
                if settings.get("http_config") is None:
                    settings["http_config"] = general["http_config"]
                integrations.append(IntegrationSettings(kind.name, index, settings))
        found[name] = ReceiverSettings(name, {**receiver.get("labels", {}), "name": name}, tuple(integrations))
    return found


def _resolved(receiver: ReceiverSettings, folder: Path) -> ReceiverSettings:
    """File names of TLS and authentication made absolute, as upstream does."""
    integrations = tuple(
        IntegrationSettings(
            i.kind, i.index, {n: _absolute(v, folder) if n in ("http_config", "tls_config") else v for n, v in i.settings.items()}
        )
        for i in receiver.integrations
    )
    return ReceiverSettings(receiver.name, receiver.labels, integrations)


def _absolute(value: Any, folder: Path) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: str(folder / item) if name.endswith("_file") and item and not os.path.isabs(item) else _absolute(item, folder)
        for name, item in value.items()
    }


_FILE = struct(
    "config.Config",
    {
        "global": _GLOBAL, "route": _route, "inhibit_rules": list_of(_inhibit_rule), "receivers": list_of(_RECEIVER),
        "templates": list_of(string), "mute_time_intervals": _named_intervals("config.MuteTimeInterval", "mute time interval"),
        "time_intervals": _named_intervals("config.TimeInterval", "time interval"),
        "tracing": refused("tracing is not supported"), "event_recorder": refused("event_recorder is not supported"),
    },
)  # fmt: skip
