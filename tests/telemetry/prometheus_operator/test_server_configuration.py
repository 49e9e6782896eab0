"""A Prometheus becomes the prometheus.yml, the rules and the settings that upstream's operator would give it."""

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.telemetry.discovery.kinds import ALL_KINDS
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.server_configuration import ServerPlan, plan_server
from podium.telemetry.prometheus_operator.server_settings import settings_of

Object = dict[str, Any]
HOUR_MS = 3_600_000
SECRETS = {
    "jobs": "[{job_name: mine, static_configs: [{targets: ['a:1']}]}]", "bad": "{a: b}", "worse": "[", "empty": "",
    "relabel": "[{action: labeldrop, regex: pod}]", "managers": "[{static_configs: [{targets: ['am:9093']}]}]",
}  # fmt: skip
MONITOR = {"selector": {}, "endpoints": [{"port": "http"}]}
RULES = {
    "groups": [
        {"name": "g", "labels": {"team": "x"}, "rules": [
            {"alert": "Down", "expr": 'up{ns="other"} == 0', "labels": {"ns": "other"}}, {"record": "a:b", "expr": "sum by (x) (rate(y[5m]))"},
        ]},
    ]
}  # fmt: skip


def lookup(kind: str, namespace: str, name: str) -> Object | None:
    return {"data": {"k": base64.b64encode(SECRETS[name].encode()).decode()}} if name in SECRETS and namespace == "mon" else None


def made(kind: str, spec: Object, name: str = "m", namespace: str = "shop") -> Object:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, "uid": "u"}, "spec": spec}


def plan(spec: Object, *others: Object, kind: str = "Prometheus") -> ServerPlan:
    plurals = {
        "ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors", "Probe": "probes", "ScrapeConfig": "scrapeconfigs",
        "PrometheusRule": "prometheusrules",
    }  # fmt: skip
    found: dict[str, list[Object]] = {plural: [] for plural in plurals.values()}
    found["namespaces"] = [{"metadata": {"name": n}} for n in ("shop", "bank", "mon")]
    for other in others:
        found[plurals[other["kind"]]].append(other)
    prefixes = ("serviceMonitor", "podMonitor", "probe", "scrapeConfig", *(["rule"] if kind == "Prometheus" else []))
    everything = {f"{prefix}{suffix}": {} for prefix in prefixes for suffix in ("Selector", "NamespaceSelector")}
    return plan_server(made(kind, {**everything, **spec}, "main", "mon"), lambda name: found[name], lookup, ALL_KINDS)


def document(spec: Object, *others: Object) -> Object:
    found: Object = yaml.safe_load(plan(spec, *others).text)
    return found


# -- the label of a namespace


def test_rules_see_their_namespace_alone_and_what_they_make_carries_it() -> None:
    (group,) = plan({"enforcedNamespaceLabel": "ns"}, made("PrometheusRule", RULES)).groups
    alert, record = group.rules
    assert (alert.text, alert.labels) == ('up{ns="shop"} == 0', {"team": "x", "ns": "shop"})
    assert (record.text, record.labels) == ('sum by (x) (rate(y{ns="shop"}[5m]))', {"team": "x", "ns": "shop"})


@pytest.mark.parametrize(
    ("excluding", "confined"),
    [
        ({"excludedFromEnforcement": [{"resource": "prometheusrules", "namespace": "shop", "name": "m"}]}, False),
        ({"excludedFromEnforcement": [{"resource": "prometheusrules", "namespace": "shop"}]}, False),
        ({"excludedFromEnforcement": [{"resource": "prometheusrules", "namespace": "bank", "name": "m"}]}, True),
        ({"excludedFromEnforcement": [{"resource": "servicemonitors", "namespace": "shop", "name": "m"}]}, True),
        ({"prometheusRulesExcludedFromEnforce": [{"ruleNamespace": "shop", "ruleName": "m"}]}, False),
        ({"prometheusRulesExcludedFromEnforce": [{"ruleNamespace": "shop", "ruleName": ""}]}, True),
        ({"enforcedNamespaceLabel": ""}, False),
    ],
)
def test_what_is_excluded_stays_as_it_is(excluding: Object, confined: bool) -> None:
    (group,) = plan({"enforcedNamespaceLabel": "ns", **excluding}, made("PrometheusRule", RULES)).groups
    assert (group.rules[0].labels["ns"] == "shop") is confined
    assert ('ns="shop"' in group.rules[0].text) is confined


@pytest.mark.parametrize(
    ("kind", "resource", "spec"),
    [
        ("ServiceMonitor", "servicemonitors", MONITOR),
        ("PodMonitor", "podmonitors", {"selector": {}, "podMetricsEndpoints": [{"port": "http"}]}),
        ("Probe", "probes", {"prober": {"url": "b:1"}, "targets": {"staticConfig": {"static": ["x"]}}}),
        ("ScrapeConfig", "scrapeconfigs", {"staticConfigs": [{"targets": ["a:1"]}]}),
    ],
)
def test_targets_and_samples_of_every_kind_of_monitor_get_the_label_last(kind: str, resource: str, spec: Object) -> None:
    given = made(
        kind, {**spec, "metricRelabelings": [{"targetLabel": "ns", "replacement": "x"}]} if kind in ("Probe", "ScrapeConfig") else spec
    )
    label = {"target_label": "ns", "replacement": "shop"}
    (job,) = document({"enforcedNamespaceLabel": "ns"}, given)["scrape_configs"]
    assert (job["relabel_configs"][-1], job["metric_relabel_configs"][-1]) == (label, label)
    excluded = {"enforcedNamespaceLabel": "ns", "excludedFromEnforcement": [{"resource": resource, "namespace": "shop"}]}
    (job,) = document(excluded, given)["scrape_configs"]
    assert label not in [*job.get("relabel_configs", ()), *job.get("metric_relabel_configs", ())]


def test_the_name_of_a_series_cannot_be_the_label() -> None:
    with pytest.raises(ResourceRefused, match="enforcedNamespaceLabel"):
        plan({"enforcedNamespaceLabel": "__name__"})


# -- limits


@pytest.mark.parametrize(
    ("enforced", "own", "given", "job", "of_all"),
    [
        (None, None, 5, 5, None),
        (10, None, 5, 5, 10),
        (10, None, 50, 10, 10),
        (10, None, None, None, 10),
        (10, None, 0, 10, 10),
        (None, 7, None, None, 7),
        (None, 7, 50, 50, 7),
        (10, 7, None, None, 10),
        (0, 7, 50, 50, 7),
    ],
)
def test_an_enforced_limit_is_the_highest(
    enforced: int | None, own: int | None, given: int | None, job: int | None, of_all: int | None
) -> None:
    spec = {k: v for k, v in (("enforcedSampleLimit", enforced), ("sampleLimit", own)) if v is not None}
    monitor = {**MONITOR, **({} if given is None else {"sampleLimit": given})}
    found = document(spec, made("ServiceMonitor", monitor))
    assert (found["scrape_configs"][0].get("sample_limit"), found["global"].get("sample_limit")) == (job, of_all)


@pytest.mark.parametrize(("given", "job"), [("1MB", "1MB"), ("3MB", "2MB"), ("0", "2MB")])
def test_sizes_are_compared_as_sizes(given: str, job: str) -> None:
    found = document({"enforcedBodySizeLimit": "2MB"}, made("ServiceMonitor", {**MONITOR, "bodySizeLimit": given}))
    assert found["scrape_configs"][0]["body_size_limit"] == job


def test_a_size_that_is_none_is_a_problem_of_the_monitor() -> None:
    (problem,) = plan({"enforcedBodySizeLimit": "2MB"}, made("ServiceMonitor", {**MONITOR, "bodySizeLimit": "big"})).problems
    assert (problem.resource, problem.reason) == ("servicemonitors", "bodySizeLimit: units: invalid big")


# -- what Secrets add


def test_secrets_add_jobs_relabelings_and_alertmanagers() -> None:
    found = document({
        "additionalScrapeConfigs": {"name": "jobs", "key": "k"}, "additionalAlertRelabelConfigs": {"name": "relabel", "key": "k"},
        "additionalAlertManagerConfigs": {"name": "managers", "key": "k"},
    })  # fmt: skip
    assert found["scrape_configs"] == [{"job_name": "mine", "static_configs": [{"targets": ["a:1"]}]}]
    assert found["alerting"] == {
        "alert_relabel_configs": [{"action": "labeldrop", "regex": "prometheus_replica"}, {"action": "labeldrop", "regex": "pod"}],
        "alertmanagers": [{"static_configs": [{"targets": ["am:9093"]}]}],
    }


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("bad", "a list of sections is wanted"),
        ("worse", "while parsing"),
        ("gone", "no Secret mon/gone"),
        ("relabel", "field action not found"),
    ],
)
def test_a_secret_that_does_not_do_is_told_of(name: str, refusal: str) -> None:
    with pytest.raises(ResourceRefused, match=refusal):
        plan({"additionalScrapeConfigs": {"name": name, "key": "k"}})
    if name == "gone":
        assert document({"additionalScrapeConfigs": {"name": name, "key": "k", "optional": True}})["scrape_configs"] == []


def test_an_empty_secret_adds_nothing() -> None:
    assert document({"additionalScrapeConfigs": {"name": "empty", "key": "k"}})["scrape_configs"] == []


# -- alerts


@pytest.mark.parametrize(
    ("port", "role", "source"),
    [
        ("web", "Endpoints", "__meta_kubernetes_endpoint_port_name"),
        ("web", "EndpointSlice", "__meta_kubernetes_endpointslice_port_name"),
        (9093, "Endpoints", "__meta_kubernetes_pod_container_port_number"),
    ],
)
def test_alertmanagers_are_found_by_service_and_port(port: Any, role: str, source: str) -> None:
    found = document({"alerting": {"alertmanagers": [{"name": "am", "port": port}]}, "serviceDiscoveryRole": role})["alerting"]
    (entry,) = found["alertmanagers"]
    assert entry["kubernetes_sd_configs"] == [{"role": role.lower(), "namespaces": {"names": ["mon"]}}]
    assert entry["relabel_configs"] == [
        {"action": "keep", "source_labels": ["__meta_kubernetes_service_name"], "regex": "am"},
        {"action": "keep", "source_labels": [source], "regex": str(port)},
    ]


def test_without_a_replica_label_none_is_dropped_from_alerts() -> None:
    found = document({"replicaExternalLabelName": "", "alerting": {"alertmanagers": []}})["alerting"]
    assert found == {"alert_relabel_configs": [], "alertmanagers": []}
    assert "alerting" not in document({})


def test_the_operators_external_labels_win_and_that_is_told() -> None:
    found = plan({"externalLabels": {"prometheus": "mine", "region": "x"}})
    assert yaml.safe_load(found.text)["global"]["external_labels"] == {
        "region": "x", "prometheus": "mon/main", "prometheus_replica": "prometheus-main-0"
    }  # fmt: skip
    assert found.notices == ("spec.externalLabels: prometheus is reserved: its value is mon/main",)


def test_an_agent_has_no_rules() -> None:
    assert plan({}, made("PrometheusRule", RULES), kind="PrometheusAgent").groups == ()


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")
def test_stock_promtool_accepts_what_is_written(tmp_path: Path) -> None:
    found = plan(
        {
            "enforcedNamespaceLabel": "ns", "externalLabels": {"a": "b"}, "scrapeTimeout": "5s",
            "alerting": {"alertmanagers": [{"name": "am", "port": "web", "timeout": "3s", "relabelings": [{"action": "LabelDrop", "regex": "x"}]}]},
            "additionalScrapeConfigs": {"name": "jobs", "key": "k"}, "additionalAlertRelabelConfigs": {"name": "relabel", "key": "k"},
            "additionalAlertManagerConfigs": {"name": "managers", "key": "k"}, "enforcedSampleLimit": 0,
            "remoteWrite": [{
                "url": "http://a/", "basicAuth": {"username": {"name": "jobs", "key": "k"}}, "headers": {"X-A": "b"},
                "queueConfig": {"capacity": 9, "maxShards": 2, "batchSendDeadline": "3s"}, "metadataConfig": {"send": False},
                "writeRelabelConfigs": [{"sourceLabels": ["a"], "targetLabel": "b"}],
            }],
            "remoteRead": [{
                "url": "http://b/", "name": "b", "requiredMatchers": {"team": "x"}, "readRecent": True, "filterExternalLabels": False,
                "remoteTimeout": "5s", "basicAuth": {"username": {"name": "jobs", "key": "k"}},
            }],
        },
        made("ServiceMonitor", {**MONITOR, "sampleLimit": 5}),
        made("Probe", {"prober": {"url": "b:1"}, "targets": {"ingress": {"selector": {"matchLabels": {"a": "b"}}}}}),
    )  # fmt: skip
    assert found.problems == ()
    document = yaml.safe_load(found.text)
    for section in (*document["scrape_configs"], *document["alerting"]["alertmanagers"]):
        section.pop("kubernetes_sd_configs", None)  # Debian's is built without
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(document))
    command = ["promtool", "check", "config", "--syntax-only", tmp_path / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# -- settings


@pytest.mark.parametrize(
    ("spec", "retention"),
    [
        ({}, (24 * HOUR_MS, 0)),
        ({"retention": "2d"}, (48 * HOUR_MS, 0)),
        ({"retentionSize": "1GB"}, (0, 2**30)),
        ({"retention": "1h", "retentionSize": "512MiB"}, (HOUR_MS, 2**29)),
    ],
)
def test_retention_is_by_time_by_size_or_by_both(spec: Object, retention: tuple[int, int]) -> None:
    store = settings_of(spec).store
    assert (store.retention_ms, store.retention_bytes) == retention


def test_settings_of_queries_the_store_and_alerts() -> None:
    found = settings_of({
        "query": {"lookbackDelta": "1m", "maxConcurrency": 2, "maxSamples": 100, "timeout": "30s"}, "exemplars": {"maxSize": 0},
        "tsdb": {"outOfOrderTimeWindow": "10m"}, "rules": {"alert": {"resendDelay": "5s", "forGracePeriod": "1m"}}, "enableAdminAPI": True,
        "enableFeatures": ["promql-experimental-functions", "promql-delayed-name-removal"], "externalUrl": "https://x/",
    })  # fmt: skip
    engine, store = found.engine, found.store
    assert (engine.lookback_ms, engine.concurrency, engine.samples_max, engine.timeout_s) == (60_000, 2, 100, 30.0)
    assert (engine.features.functions, engine.features.extended_ranges, engine.delayed_name_removal) == (True, False, True)
    assert (store.out_of_order_window_ms, store.exemplars_max) == (600_000, 0)
    assert (found.timing.resend_delay_ms, found.timing.for_grace_period_ms, found.timing.outage_tolerance_ms) == (5000, 60_000, HOUR_MS)
    assert (found.admin_api, found.remote_write_receiver, found.external_url) == (True, False, "https://x/")


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"replicas": 0}, "spec.replicas"),
        ({"retention": "soon"}, "spec.retention: not a valid duration"),
        ({"retentionSize": "1 elephant"}, "spec.retentionSize: units"),
        ({"query": {"timeout": "x"}}, "spec.query.timeout"),
        ({"query": {"maxConcurrency": -1}}, "spec.query.maxConcurrency: at least 1"),
        ({"exemplars": {"maxSize": -1}}, "spec.exemplars.maxSize"),
        ({"rules": {"alert": {"resendDelay": "-1s"}}}, "spec.rules.alert.resendDelay"),
        ({"enableFeatures": ["agent"]}, "spec.enableFeatures: 'agent' is not supported; there are promql-experimental-functions"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(spec: Object, refusal: str) -> None:
    with pytest.raises(ResourceRefused, match=refusal.replace(".", r"\.")):
        settings_of(spec)


@pytest.mark.parametrize(
    ("spec", "receives"),
    [
        ({}, False),
        ({"otlp": {}}, True),
        ({"otlp": {}, "enableOTLPReceiver": None}, True),
        ({"otlp": {}, "enableOTLPReceiver": False}, False),
        ({"enableOTLPReceiver": True}, True),
    ],
)
def test_metrics_of_opentelemetry_are_received_where_that_is_said(spec: dict[str, Any], receives: bool) -> None:
    assert settings_of(spec).otlp_receiver is receives
