"""An Alertmanager and the AlertmanagerConfigs that it selects, as the text of an alertmanager.yml.

The base is a Secret's (or one AlertmanagerConfig's, `alertmanagerConfiguration`). In front of its routes comes one route of each selected
object, which sees only alerts of its namespace (unless the strategy says otherwise) and always continues, so that no object takes alerts
from another or from the base. Names of receivers and time intervals become NAMESPACE/NAME/theirs.

Invariant: each object is read by the strict loader alone with the base before it is taken in: one that is wrong is left out and told of.

Source: the Prometheus operator's API reference, and what its alertmanager/amcfg.go makes of it.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from podium.objects.status import BadRequest
from podium.telemetry.metrics.alertmanager.configuration import Configuration, load
from podium.telemetry.metrics.alertmanager.errors import ConfigurationError
from podium.telemetry.metrics.alertmanager.fields import parse_duration
from podium.telemetry.prometheus_operator.alertmanager_schemas import ALERTMANAGER_CONFIG, ROUTE_FIELDS
from podium.telemetry.prometheus_operator.credentials import Credentials, Lookup
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.field_effects import unsupported, without_effect
from podium.telemetry.prometheus_operator.receiver_fields import INTEGRATIONS, UNSUPPORTED, render_fields, without_files
from podium.telemetry.prometheus_operator.schemas import ALERTMANAGER
from podium.telemetry.prometheus_operator.selection import chosen
from podium.telemetry.prometheus_operator.server_configuration import Listing, Problem

Object = dict[str, Any]
Config = dict[str, Any]
KEY = "alertmanager.yaml"
DEFAULT = """
route: {receiver: "null", group_by: [namespace, alertname]}
receivers: [{name: "null"}]
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity=~"warning|info"]
    equal: [namespace, alertname]
"""
"""Without a Secret alerts are grouped and shown, and nobody is told."""
ROUTES_DEPTH_MAX = 40
_ROUTE = {
    "groupBy": "group_by", "groupWait": "group_wait", "groupInterval": "group_interval", "repeatInterval": "repeat_interval",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AlertmanagerPlan:
    """What an Alertmanager is to be. `external_url` is '' for its address here, `retention_s` None for the default."""

    namespace: str
    name: str
    configuration: Configuration
    text: str
    external_url: str = ""
    retention_s: float | None = None
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Two plans are the same when this is."""
        return f"{self.external_url}\n{self.retention_s}\n{self.text}"


@dataclass(slots=True)
class _Part:
    """What one AlertmanagerConfig adds."""

    routes: list[Config] = field(default_factory=list)
    receivers: list[Config] = field(default_factory=list)
    inhibit_rules: list[Config] = field(default_factory=list)
    intervals: list[Config] = field(default_factory=list)


def plan_alertmanager(alertmanager: Object, listing: Listing, lookup: Lookup) -> AlertmanagerPlan:
    """Pure. Raises ResourceRefused when the Alertmanager itself cannot be."""
    spec, metadata = alertmanager["spec"], alertmanager["metadata"]
    _check(spec)
    base = _base(alertmanager, listing, lookup)
    strategy = (spec.get("alertmanagerConfigMatcherStrategy") or {}).get("type") or "OnNamespace"
    namespaces = {n["metadata"]["name"]: n for n in listing("namespaces")}
    try:
        selected = chosen(spec, "alertmanagerConfig", metadata["namespace"], listing("alertmanagerconfigs"), namespaces)
    except BadRequest as error:
        raise ResourceRefused(f"spec.alertmanagerConfigSelector: {error.message}") from error
    problems: list[Problem] = []
    parts: list[_Part] = []
    for given in selected:
        enforced = strategy == "OnNamespace" or (
            strategy == "OnNamespaceExceptForAlertmanagerNamespace" and given["metadata"]["namespace"] != metadata["namespace"]
        )
        try:
            part = _part(given, Credentials(lookup, given["metadata"]["namespace"]), enforced=enforced)
            load(_text(base, [part]))
        except (ResourceRefused, ConfigurationError) as error:
            problems.append(Problem("alertmanagerconfigs", given["metadata"]["namespace"], given["metadata"]["name"], str(error)))
        else:
            parts.append(part)
    text = _text(base, parts)
    try:
        configuration, retention_s = load(text), parse_duration(spec["retention"]) if spec.get("retention") else None
    except ConfigurationError as error:
        raise ResourceRefused(str(error)) from error
    return AlertmanagerPlan(
        metadata["namespace"], metadata["name"], configuration, text, spec.get("externalUrl") or "", retention_s, tuple(problems),
        tuple(without_effect("Alertmanager", spec)),
    )  # fmt: skip


def check_config(given: Object) -> None:
    """Whether an AlertmanagerConfig could be acted on, with whatever its Secrets hold. Raises ResourceRefused."""

    def any_secret(kind: str, namespace: str, name: str) -> Object:
        return {"data": _AnyKey()}

    try:
        load(_text(yaml.safe_load(DEFAULT) | {"global": _GENEROUS}, [_part(given, Credentials(any_secret, ""), enforced=True)]))
    except ConfigurationError as error:
        raise ResourceRefused(str(error)) from error


_GENEROUS = {
    "smtp_smarthost": "localhost:25", "smtp_from": "nobody@localhost", "slack_api_url": "http://localhost", "opsgenie_api_key": "any",
    "victorops_api_key": "any", "telegram_bot_token": "any",
}  # fmt: skip
"""What a base may give: unknown where an object is checked alone."""


class _AnyKey(dict[str, str]):
    """A Secret's data in which each key is there, a URL."""

    def __bool__(self) -> bool:
        return True

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return base64.b64encode(b"http://localhost/").decode()


def _check(spec: Mapping[str, Any]) -> None:
    if refused := unsupported(spec, ALERTMANAGER):
        raise ResourceRefused("; ".join(refused))
    if spec.get("replicas", 1) != 1:
        raise ResourceRefused(f"spec.replicas: there is one telemetry process, so 1 is all there can be, not {spec['replicas']}")


def _base(alertmanager: Object, listing: Listing, lookup: Lookup) -> Config:
    """Raises ResourceRefused."""
    spec, metadata = alertmanager["spec"], alertmanager["metadata"]
    if wanted := (spec.get("alertmanagerConfiguration") or {}).get("name"):
        return _base_of_config(wanted, metadata["namespace"], listing, lookup)
    name = spec.get("configSecret") or f"alertmanager-{metadata['name']}"
    secret = lookup("secrets", metadata["namespace"], name)
    try:
        data = (secret or {}).get("data") or {}
        if secret is not None and KEY not in data:
            raise ResourceRefused(f"Secret {metadata['namespace']}/{name} has no key {KEY!r}")
        text = base64.b64decode(data[KEY], validate=True).decode() if secret is not None else DEFAULT
        load(text)
        base: Config = yaml.safe_load(text)
    except (ConfigurationError, binascii.Error, UnicodeDecodeError) as error:
        raise ResourceRefused(f"Secret {metadata['namespace']}/{name}, {KEY}: {error}") from error
    return base


def _base_of_config(name: str, namespace: str, listing: Listing, lookup: Lookup) -> Config:
    """Raises ResourceRefused."""
    where = f"spec.alertmanagerConfiguration: AlertmanagerConfig {namespace}/{name}"
    found = next(
        (o for o in listing("alertmanagerconfigs") if (o["metadata"]["namespace"], o["metadata"]["name"]) == (namespace, name)), None
    )
    if found is None:
        raise ResourceRefused(f"{where} is not there")
    part = _part(found, Credentials(lookup, namespace), enforced=False)
    if not part.routes:
        raise ResourceRefused(f"{where} has no route")
    if found["spec"]["route"].get("continue"):
        raise ResourceRefused(f"{where}: spec.route.continue: the root route has no siblings")
    route = part.routes[0]
    del route["continue"]
    base: Config = {
        "route": route, "receivers": part.receivers, "inhibit_rules": part.inhibit_rules, "mute_time_intervals": part.intervals
    }  # fmt: skip
    try:
        load(yaml.safe_dump(base, sort_keys=False))
    except ConfigurationError as error:
        raise ResourceRefused(f"{where}: {error}") from error
    return base


def _text(base: Config, parts: Sequence[_Part]) -> str:
    """The base with the routes of all parts before its own."""
    route: Config = base["route"]
    whole = {**base, "route": {**route, "routes": [r for p in parts for r in p.routes] + list(route.get("routes") or ())}}
    for section, added in (
        ("receivers", [r for p in parts for r in p.receivers]),
        ("inhibit_rules", [r for p in parts for r in p.inhibit_rules]),
        ("mute_time_intervals", [i for p in parts for i in p.intervals]),
    ):
        if added or base.get(section):
            whole[section] = [*(base.get(section) or ()), *added]
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=200)


def _part(given: Object, credentials: Credentials, *, enforced: bool) -> _Part:
    """Raises ResourceRefused."""
    spec, metadata = given["spec"], given["metadata"]
    if unknown := unsupported(spec, ALERTMANAGER_CONFIG):
        raise ResourceRefused("; ".join(unknown))
    prefix = f"{metadata['namespace']}/{metadata['name']}/"
    only = f'namespace="{metadata["namespace"]}"' if enforced else ""
    part = _Part(
        inhibit_rules=[_inhibition(rule, only, f"spec.inhibitRules[{i}]") for i, rule in enumerate(spec.get("inhibitRules") or ())]
    )
    receivers = [_receiver(r, prefix, credentials, f"spec.receivers[{i}]") for i, r in enumerate(spec.get("receivers") or ())]
    if not spec.get("route"):
        return part  # nobody is told by it, as upstream has it: only what it inhibits counts
    known = {receiver["name"] for receiver in spec.get("receivers") or ()}
    intervals = {interval["name"] for interval in spec.get("muteTimeIntervals") or ()}
    if not spec["route"].get("receiver"):
        raise ResourceRefused("spec.route.receiver: a root route must have a receiver")
    route = _Routes(prefix, known, intervals).render(spec["route"], "spec.route", 0)
    route["continue"] = True
    if only:
        route["matchers"] = [*route.get("matchers", ()), only]
    part.routes.append(route)
    part.receivers += receivers
    part.intervals += [
        {"name": prefix + interval["name"], "time_intervals": [_interval(i) for i in interval.get("timeIntervals") or ()]}
        for interval in spec.get("muteTimeIntervals") or ()
    ]
    return part


@dataclass(frozen=True, slots=True)
class _Routes:
    """Renders the routes of one object."""

    prefix: str
    receivers: set[str]
    intervals: set[str]

    def render(self, given: Any, where: str, depth: int) -> Config:
        """Raises ResourceRefused. `given` of depth 1 and more has not been checked by any schema."""
        if not isinstance(given, dict):
            raise ResourceRefused(f"{where}: a route is an object")
        if depth > ROUTES_DEPTH_MAX:
            raise ResourceRefused(f"{where}: routes are nested deeper than {ROUTES_DEPTH_MAX}")
        for name in given:
            if name not in ROUTE_FIELDS:
                raise ResourceRefused(f'{where}: unknown field "{name}"')
        route: Config = {}
        if receiver := given.get("receiver"):
            if receiver not in self.receivers:
                raise ResourceRefused(f'{where}.receiver: receiver "{receiver}" not found')
            route["receiver"] = f"{self.prefix}{receiver}"
        route |= {ours: given[theirs] for theirs, ours in _ROUTE.items() if given.get(theirs)}
        if given.get("matchers"):
            route["matchers"] = matchers(given["matchers"], f"{where}.matchers")
        if given.get("continue"):
            route["continue"] = True
        for theirs, ours in (("muteTimeIntervals", "mute_time_intervals"), ("activeTimeIntervals", "active_time_intervals")):
            for name in given.get(theirs) or ():
                if name not in self.intervals:
                    raise ResourceRefused(f'{where}.{theirs}: time interval "{name}" not found')
            if given.get(theirs):
                route[ours] = [f"{self.prefix}{name}" for name in given[theirs]]
        if given.get("routes"):
            route["routes"] = [self.render(child, f"{where}.routes[{i}]", depth + 1) for i, child in enumerate(given["routes"])]
        return route


def matchers(given: Any, where: str) -> list[str]:
    """In the notation of alertmanager.yml. Raises ResourceRefused."""
    if not isinstance(given, list) or not all(isinstance(m, dict) and isinstance(m.get("name"), str) for m in given):
        raise ResourceRefused(f"{where}: a list of matchers with names is wanted")
    return [_matcher(m["name"], m.get("matchType") or ("=~" if m.get("regex") else "="), str(m.get("value") or "")) for m in given]


def _matcher(name: str, kind: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}{kind}"{quoted}"'


def _inhibition(given: Mapping[str, Any], only: str, where: str) -> Config:
    """Source and target are of the namespace; what the rule says of a namespace without saying how is dropped, as upstream does."""
    rule: Config = {}
    for theirs, ours in (("sourceMatch", "source_matchers"), ("targetMatch", "target_matchers")):
        kept = [m for m in given.get(theirs) or () if not (only and m["name"] == "namespace" and not m.get("matchType"))]
        found = matchers(kept, f"{where}.{theirs}")
        rule[ours] = found if not only or only in found else [*found, only]
    if given.get("equal"):
        rule["equal"] = given["equal"]
    return rule


def _receiver(given: Mapping[str, Any], prefix: str, credentials: Credentials, where: str) -> Config:
    receiver: Config = {"name": prefix + given["name"]}
    for name in UNSUPPORTED:
        if given.get(name):
            raise ResourceRefused(f"{where}.{name} is not supported: use webhookConfigs")
    without_files(given, where)
    for integration in INTEGRATIONS:
        if entries := given.get(integration.name):
            path = f"{where}.{integration.name}"
            receiver[integration.ours] = [
                render_fields(integration.fields, credentials, entry, f"{path}[{i}]") for i, entry in enumerate(entries)
            ]
    return receiver


def _interval(given: Mapping[str, Any]) -> Config:
    config: Config = {}
    if given.get("times"):
        config["times"] = [{"start_time": t.get("startTime", ""), "end_time": t.get("endTime", "")} for t in given["times"]]
    if given.get("daysOfMonth"):
        config["days_of_month"] = [f"{d.get('start', 0)}:{d.get('end') or d.get('start', 0)}" for d in given["daysOfMonth"]]
    for name in ("weekdays", "months", "years"):
        if given.get(name):
            config[name] = [str(v).lower() for v in given[name]]
    return config
