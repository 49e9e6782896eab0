"""No field is accepted and ignored: each one that a definition has is set to one value and to another, and what is planned differs, or the field
is refused by name. The fields are read from the definitions themselves.

Those that are told of instead (field_effects.py) are set, too, and the notice is looked for.
"""

import base64
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from podium.objects.status import BadRequest
from podium.telemetry.discovery.kinds import ALL_KINDS
from podium.telemetry.prometheus_operator.alertmanager_configuration import plan_alertmanager
from podium.telemetry.prometheus_operator.alertmanager_conversion import to_v1alpha1
from podium.telemetry.prometheus_operator.definitions import BY_NAME, KINDS
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.field_effects import REASONS, WITHOUT_EFFECT
from podium.telemetry.prometheus_operator.schemas import KEY, SELECTOR
from podium.telemetry.prometheus_operator.server_configuration import plan_server

Object = dict[str, Any]
Path = tuple[str, ...]
"""Names of fields; `[]` is an item of a list, `{}` a value of a map."""

SOLE = "receivers.[].webexConfigs.[].httpConfig."
"""Webex takes `authorization` and nothing beside it."""
ELSEWHERE = {
    "paused": "test_reconcile.py",
    "portName": "monitoring/test_governing_services.py",
    "optional": "test_credentials_that_may_be_missing",
    "excludedFromEnforcement.[].group": "there is one value",
    "receivers.[].name": "test_alertmanager_configuration.py",
    "scrapeClasses.[].name": "test_scrape_classes.py",
    "route.continue": "it is true, as upstream's operator sets it",
    "partial_response_strategy": "Thanos alone knows it: upstream's operator leaves it out for a Prometheus, too",
}
"""Fields that no plan shows -> where they are tested."""
HINTS: dict[str, tuple[Any, Any]] = {
    "role": ("Pod", "Node"), "resource": ("servicemonitors", "podmonitors"), "operator": ("Exists", "DoesNotExist"),
    "key": ("a", "b"), "url": ("http://a/", "http://b/"),
    "tokenUrl": ("http://a/", "http://b/"), "proxyUrl": ("http://a/", "http://b/"), "proxyURL": ("http://a/", "http://b/"),
    "apiURL": ("http://a/", "http://b/"), "apiUrl": ("http://a/", "http://b/"), "apiServer": ("https://a/", "https://b/"),
    "externalUrl": ("http://a/", "http://b/"), "name": ("m1", "m2"), "namespace": ("n1", "n2"), "ruleName": ("m1", "m2"),
    "ruleNamespace": ("n1", "n2"), "action": ("keep", "drop"), "scrapeProtocols": (["OpenMetricsText1.0.0"], ["PrometheusText0.0.4"]),
    "fallbackScrapeProtocol": ("OpenMetricsText1.0.0", "PrometheusText0.0.4"), "label": ("a=b", "a=c"), "field": ("a=b", "a=c"),
    "expr": ("up == 1", "up == 2"), "weekdays": (["monday"], ["sunday"]), "months": (["may"], ["june"]), "years": (["2026"], ["2027"]),
    "startTime": ("01:00", "02:00"), "endTime": ("23:00", "24:00"), "start": (1, 2), "end": (8, 9), "smarthost": ("a:25", "b:25"),
    "priority": ("P1", "P2"), "regex": ("a.*", "b.*"), "to": ("a@example.org", "b@example.org"), "from": ("a@example.org", "b@example.org"),
    "files": (["a.json"], ["b.json"]), "groupBy": (["a"], ["b"]), "clientURL": ("http://a/", "http://b/"), "interval": ("20s", "25s"),
    "apiVersion": ("v1", "v2"), "lookbackDelta": ("7m", "9m"), "forOutageTolerance": ("7m", "9m"), "forGracePeriod": ("7m", "9m"),
    "resendDelay": ("7m", "9m"), "iconURL": ("http://a/", "http://b/"), "imageURL": ("http://a/", "http://b/"),
    "thumbURL": ("http://a/", "http://b/"), "titleLink": ("http://a/", "http://b/"), "avatarURL": ("http://a/", "http://b/"),
    "minVersion": ("TLS10", "TLS11"), "maxVersion": ("TLS12", "TLS13"), "muteTimeIntervals": (["t1"], ["t2"]),
    "activeTimeIntervals": (["t1"], ["t2"]),
}  # fmt: skip
REFERENCE = {"name": "s", "key": "k"}
URL = {"name": "url-of-it", "key": "k"}
SIBLINGS: dict[str, Object] = {
    "ignoreResourceAttributes": {"promoteAllResourceAttributes": True},
    "cert": {"keySecret": REFERENCE}, "keySecret": {"cert": {"secret": REFERENCE}}, "certFile": {"keyFile": "k"}, "keyFile": {"certFile": "c"},
    "noProxy": {"proxyUrl": "http://a/"}, "modulus": {"action": "hashmod"}, "accessKey": {"secretKey": REFERENCE},
    "secretKey": {"accessKey": REFERENCE}, "startTime": {"endTime": "24:00"}, "endTime": {"startTime": "00:30"}, "end": {"start": 1},
    "phoneNumber": {"topicARN": None}, "targetARN": {"topicARN": None},
}  # fmt: skip
"""Field -> what it needs beside it, or cannot have (None)."""
ENTRIES: dict[str, Object] = {
    **{
        name: {"targetLabel": "t"}
        for name in ("relabelings", "metricRelabelings", "writeRelabelConfigs", "alertRelabelings", "relabelingConfigs")
    },
    "slackConfigs": {"apiURL": URL}, "pagerdutyConfigs": {"routingKey": REFERENCE}, "webhookConfigs": {"url": "http://a/"},
    "emailConfigs": {"to": "a@example.org"}, "pushoverConfigs": {"userKey": REFERENCE, "token": REFERENCE},
    "telegramConfigs": {"chatID": 1, "botToken": REFERENCE}, "snsConfigs": {"topicARN": "arn:aws:sns:us-east-1:1:t", "sigv4": {"region": "x"}},
    "webexConfigs": {"roomID": "r", "httpConfig": {"authorization": {"credentials": REFERENCE}}}, "discordConfigs": {"apiURL": URL},
    "msteamsConfigs": {"webhookUrl": URL}, "msteamsv2Configs": {"webhookURL": URL}, "opsgenieConfigs": {"apiKey": REFERENCE},
    "actions": {"type": "button", "text": "t", "url": "http://a/"}, "dnsSDConfigs": {"names": ["a"], "type": "A", "port": 1},
    "kubernetesSDConfigs": {"role": "Pod", "apiServer": "https://a/"},
    "victoropsConfigs": {"apiKey": REFERENCE, "routingKey": "r"},
    "scrapeClasses": {"name": "m1", "default": True, "metricRelabelings": [{"targetLabel": "t"}]},
}  # fmt: skip
_SELECTED = ("serviceMonitor", "podMonitor", "probe", "scrapeConfig")
_ALL: Object = {f"{prefix}{suffix}": {} for prefix in _SELECTED for suffix in ("Selector", "NamespaceSelector")}
BASES: dict[str, Object] = {
    "Prometheus": {**_ALL, "ruleSelector": {}, "ruleNamespaceSelector": {}, "enforcedNamespaceLabel": "team"},
    "PrometheusAgent": {**_ALL, "enforcedNamespaceLabel": "team"},
    "Alertmanager": {"alertmanagerConfigSelector": {}, "alertmanagerConfigNamespaceSelector": {}},
    "AlertmanagerConfig": {
        "route": {"receiver": "r"}, "receivers": [{"name": "r"}],
        "muteTimeIntervals": [{"name": n, "timeIntervals": [{"years": ["2026"]}]} for n in ("t1", "t2")],
    },
    "ServiceMonitor": {"selector": {}, "endpoints": [{}]},
    "PodMonitor": {"selector": {}, "podMetricsEndpoints": [{}]},
    "Probe": {"prober": {"url": "b:1"}, "targets": {"staticConfig": {"static": ["x"]}}},
    "ScrapeConfig": {},
    "PrometheusRule": {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "up"}]}]},
}  # fmt: skip


# -- what there is to plan from


class _Data(dict[str, str]):
    """Every key is there, and says whose it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __bool__(self) -> bool:
        return True

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> str:
        text = f"http://{self.name}.example/{key}" if self.name.startswith("url") else f"{self.name}-{key}"
        if key == "alertmanager.yaml":
            text = f"{{global: {{smtp_smarthost: 'h:25', smtp_from: 'x@example.org'}}, route: {{receiver: {self.name}}}, "
            text += f"receivers: [{{name: {self.name}}}]}}"
        return base64.b64encode(text.encode()).decode()


def lookup(kind: str, namespace: str, name: str) -> Object:
    return {"data": _Data(name)}


def made(kind: str, spec: Object, name: str = "m1", namespace: str = "n1") -> Object:
    labels = {"a": "v1" if name == "m1" else "v2"}
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, "labels": labels, "uid": name}, "spec": spec}


FEW = ("remoteWrite", "alerting", "query", "exemplars", "tsdb", "rules", "enableFeatures", "otlp")
"""Fields that have nothing to do with what a Prometheus selects: there need be nothing to select."""


def listing(whole: bool, **replaced: list[Object]) -> Any:
    """Two of each, in two namespaces, with different labels."""
    specs: dict[str, Object] = {
        **{kind.kind: BASES[kind.kind] for kind in KINDS},
        "ServiceMonitor": {"selector": {}, "endpoints": [{"bearerTokenFile": "/x"}], "namespaceSelector": {"any": True}},
    }
    found = {kind.plural: [made(kind.kind, specs[kind.kind], f"m{n}", f"n{n}") for n in (1, 2)] if whole else [] for kind in KINDS}
    found["namespaces"] = [{"metadata": {"name": f"n{n}", "labels": {"a": f"v{n}"}}} for n in (1, 2)]
    return lambda name: {**found, **replaced}[name]


def outcome(kind: str, spec: Object) -> tuple[str, str]:
    """(what is planned, what is refused)."""
    plural, given = BY_NAME[kind].plural, made(kind, spec)
    few = any(field in spec for field in FEW)
    try:
        if kind == "Alertmanager":
            plan: Any = plan_alertmanager(given, listing(True), lookup)
        elif kind == "AlertmanagerConfig":
            server = made("Alertmanager", {**BASES["Alertmanager"], "configSecret": "base"})
            plan = plan_alertmanager(server, listing(False, alertmanagerconfigs=[given]), lookup)
        elif kind in ("Prometheus", "PrometheusAgent"):
            plan = plan_server(given, listing(not few), lookup, ALL_KINDS)
        else:
            plan = plan_server(made("Prometheus", BASES["Prometheus"]), listing(False, **{plural: [given]}), lookup, ALL_KINDS)
    except (ResourceRefused, BadRequest) as error:
        return "", str(error)
    return plan.shown, "; ".join(p.reason for p in plan.problems)


# -- fields and values


@dataclass(frozen=True)
class Case:
    path: Path
    one: Any
    other: Any

    @property
    def text(self) -> str:
        return ".".join(self.path)


def cases(schema: Object, path: Path = (), seen: set[int] | None = None) -> Iterator[Case]:
    """A part that is the same in several places (an HTTP client's settings) is gone through once, and then tried by its first field."""
    seen = set() if seen is None else seen
    name = next((part for part in reversed(path) if part not in ("[]", "{}")), "")
    if schema.get("properties") == SELECTOR["properties"]:
        yield Case((*path, "matchLabels"), {"a": "v1"}, {"a": "v2"})
        expression = {"key": "a", "operator": "In"}
        yield Case((*path, "matchExpressions"), [{**expression, "values": ["v1"]}], [{**expression, "values": ["v2"]}])
    elif set(schema.get("properties", ())) == set(KEY["properties"]) or set(schema.get("properties", ())) == {"key", "name"}:
        yield Case(path, {"name": "url-a", "key": "k"}, {"name": "url-b", "key": "k"})
        yield Case(path, {"name": "url-a", "key": "one"}, {"name": "url-a", "key": "other"})
    elif "properties" in schema:
        fields = list(schema["properties"].items())
        for field, inner in fields[:1] if id(schema) in seen else fields:
            yield from cases(inner, (*path, field), seen)
        seen.add(id(schema))
    elif name in HINTS and schema.get("type") != "boolean" and schema.get("items", {}).get("type", "string") == "string":
        yield Case(path, *HINTS[name])
    elif "items" in schema:
        yield from cases(schema["items"], (*path, "[]"), seen)
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from cases(schema["additionalProperties"], (*path, "{}"), seen)
    else:
        yield Case(path, *_pair(schema))


def _pair(schema: Object) -> tuple[Any, Any]:
    if "enum" in schema:
        return schema["enum"][0], schema["enum"][-1]
    match schema.get("type"):
        case "boolean":
            return True, False
        case "integer":
            return 3, 4
        case "string":
            pattern = schema.get("pattern", "")
            return ("7s", "9s") if "ms" in pattern else ("7MB", "9MB") if "KB" in pattern or "K|M" in pattern else ("v1", "v2")
        case _ if "x-kubernetes-int-or-string" in schema:
            return "p1", "p2"
    return ({"x": 1}, {"x": 2}) if schema.get("type") == "object" else ("x", "y")


def filled(schema: Object, path: Path, value: Any, given: Any) -> Any:
    """`given` with `value` at `path`, and whatever is required on the way."""
    if not path:
        return value
    name, rest = path[0], path[1:]
    if name == "[]":
        first = given[0] if given else None
        return [filled(schema["items"], rest, value, first if first is not None else _least(schema["items"])), *(given or [])[1:]]
    if name == "{}":
        return {"a": filled(schema["additionalProperties"], rest, value, None)}
    start = given if isinstance(given, dict) else _least(schema)
    start = {**SIBLINGS.get(name, {}), **start}
    start = {n: v for n, v in start.items() if n not in SIBLINGS.get(name, {}) or SIBLINGS[name][n] is not None}
    inner = schema["properties"].get(name, {}) if "properties" in schema else {}
    within = start.get(name)
    if name in ENTRIES and within is None:
        within = [copy.deepcopy(ENTRIES[name])]
    return {**start, name: filled(inner, rest, value, within)}


def _least(schema: Object) -> Any:
    """A value with what is required."""
    if "properties" in schema:
        names = schema.get("required", ())
        return {
            n: HINTS[n][0] if n in HINTS and "properties" not in schema["properties"][n] else _least(schema["properties"][n]) for n in names
        }
    if "items" in schema:
        return []
    return _pair(schema)[0]


def ignored(kind: str, schema: Object) -> list[str]:
    """Fields whose value makes no difference."""
    found = []
    plain = outcome(kind, BASES[kind])
    bare = outcome(kind, {**BASES[kind], **dict.fromkeys(FEW)}) if kind in ("Prometheus", "PrometheusAgent") else plain
    for case in cases(schema):
        if (
            case.text in ELSEWHERE
            or case.path[-1] in ELSEWHERE
            or case.path[0] in WITHOUT_EFFECT.get(kind, ())
            or case.text.startswith(SOLE)
        ):
            continue
        base = copy.deepcopy(BASES[kind])
        if case.path[:2] == ("targets", "ingress"):
            del base["targets"]
        results = [outcome(kind, _stored(kind, schema, filled(schema, case.path, v, base))) for v in (case.one, case.other)]
        if results[0] == results[1] and (results[0] in (plain, bare) or not _names(case.path, results[0][1])):
            found.append(f"{case.text}: {results[0][1]}")
    return found


def _stored(kind: str, schema: Object, spec: Object) -> Object:
    if schema is BY_NAME[kind].spec:
        return spec
    if "muteTimeIntervals" in spec:
        spec = {**spec, "timeIntervals": spec.get("timeIntervals") or spec["muteTimeIntervals"]}
        del spec["muteTimeIntervals"]
    converted: Object = to_v1alpha1({"kind": kind, "spec": spec})["spec"]
    return converted


def _names(path: Path, refusal: str) -> bool:
    """Whether the refusal says which field it is, in the operator's words or those of the configuration that is made of it."""
    field = next(part for part in reversed(path) if part not in ("[]", "{}"))
    snake = re.sub(r"(?<=[a-z])([A-Z]+)", r"_\1", field).lower()
    return field in refusal or snake in refusal or ("roxy" in field and "proxies are not supported" in refusal)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "version"), [(kind.kind, name) for kind in KINDS for name, _ in kind.versions])
def test_each_field_of_a_definition_changes_what_is_planned_or_is_refused_by_name(kind: str, version: str) -> None:
    schema = dict(BY_NAME[kind].versions)[version]
    assert outcome(kind, BASES[kind])[1] == "", "the base is fine"
    assert ignored(kind, schema) == []


def test_a_field_that_nobody_reads_would_be_found() -> None:
    schema = copy.deepcopy(BY_NAME["PodMonitor"].spec)
    schema["properties"]["podMetricsEndpoints"]["items"]["properties"]["colour"] = {"type": "string"}
    few = {**schema, "properties": {"podMetricsEndpoints": schema["properties"]["podMetricsEndpoints"]}}
    found = [line.split(":")[0] for line in ignored("PodMonitor", few)]
    assert found == [], "the operator refuses what its own schema does not have"
    BY_NAME["PodMonitor"].spec["properties"]["podMetricsEndpoints"]["items"]["properties"]["colour"] = {"type": "string"}
    try:
        assert [line.split(":")[0] for line in ignored("PodMonitor", few)] == ["podMetricsEndpoints.[].colour"]
    finally:
        del BY_NAME["PodMonitor"].spec["properties"]["podMetricsEndpoints"]["items"]["properties"]["colour"]


@pytest.mark.parametrize("kind", sorted(WITHOUT_EFFECT))
def test_what_has_no_effect_is_accepted_and_told_of(kind: str) -> None:
    spec = {**BASES[kind], **dict.fromkeys(WITHOUT_EFFECT[kind], "anything")}
    assert outcome(kind, spec) == outcome(kind, BASES[kind])
    given = made(kind, spec)
    if kind == "Alertmanager":
        notices: Any = plan_alertmanager(given, listing(False), lookup).notices
    else:
        notices = plan_server(given, listing(False), lookup, ALL_KINDS).notices
    assert [n.partition(" has no effect: ")[0] for n in notices] == [f"spec.{name}" for name in sorted(WITHOUT_EFFECT[kind])]


def test_nothing_is_both_known_and_refused() -> None:
    for kind in KINDS:
        assert not set(REASONS) & set(kind.spec["properties"]) - {"mode"}, kind.kind


@pytest.mark.parametrize(
    ("kind", "spec", "refusal"),
    [
        ("PrometheusAgent", {"remoteRead": [{"url": "http://a/"}]}, "spec.remoteRead is not supported"),
        ("Prometheus", {"thanos": {"version": "1"}}, "spec.thanos is not supported: write to Thanos Receive"),
        ("Prometheus", {"scrapeClasses": [{"name": "x", "colour": "c"}]}, "spec.scrapeClasses[0].colour is not supported"),
        ("Prometheus", {"remoteWrite": [{"url": "http://a/", "sigv4": {"region": "x"}}]}, r"spec.remoteWrite[0].sigv4 is not supported"),
        ("Prometheus", {"replicas": 2}, "spec.replicas: there is one telemetry process"),
        ("Prometheus", {"shards": 2}, "spec.shards: there is one telemetry process"),
        ("PrometheusAgent", {"ruleSelector": {"matchLabels": {"a": "b"}}}, "spec.ruleSelector is not supported"),
        ("PrometheusAgent", {"mode": "DaemonSet"}, "spec.mode is not supported: there is one telemetry process"),
        ("Alertmanager", {"web": {"tlsConfig": {"a": 1}}}, "spec.web is not supported: it is served on this machine"),
        ("Alertmanager", {"alertmanagerConfiguration": {"name": "m1", "global": {"a": 1}}}, "global is not supported: use a configSecret"),
        ("Alertmanager", {"replicas": 3}, "spec.replicas: there is one telemetry process"),
        ("ServiceMonitor", {"selector": {}, "endpoints": [{"enableHTTPTwo": True}]}, "spec.endpoints[0].enableHTTPTwo is not supported"),
        ("ScrapeConfig", {"consulSDConfigs": [{"server": "a"}]}, "spec.consulSDConfigs is not supported: use httpSDConfigs"),
        ("PrometheusRule", {"groups": [{"name": "g", "rules": [{"record": "a", "expr": "b", "colour": "c"}]}]}, "rules[0].colour is not supported"),
        ("AlertmanagerConfig", {"receivers": [{"name": "r", "jiraConfigs": [{"project": "x"}]}]}, "spec.receivers[0].jiraConfigs is not"),
    ],
)  # fmt: skip
def test_under_upstreams_definitions_what_is_not_there_is_refused_by_name(kind: str, spec: Object, refusal: str) -> None:
    assert refusal in outcome(kind, spec)[1]


def test_what_upstreams_definitions_fill_in_is_not_held_against_anybody() -> None:
    filled_in = {"thanos": {}, "web": None, "listenLocal": False, "remoteRead": [], "enforcedNamespaceLabel": ""}
    assert outcome("Prometheus", {**_ALL, **filled_in})[1] == ""
