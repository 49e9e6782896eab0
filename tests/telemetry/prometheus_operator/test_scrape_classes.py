"""Scrape classes: which one a monitor has, and what of it goes behind what the monitor says itself."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from podium.telemetry.discovery.kinds import ALL_KINDS
from podium.telemetry.metrics.configuration.configuration import load
from podium.telemetry.prometheus_operator.admission import FIELDS_PATH
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.scrape_jobs import (
    Rendering,
    pod_monitor_jobs,
    probe_jobs,
    scrape_config_jobs,
    service_monitor_jobs,
)
from podium.telemetry.prometheus_operator.server_configuration import plan_server
from tests.telemetry.monitoring.test_admission import asked

Object = dict[str, Any]


def lookup(resource: str, namespace: str, name: str) -> Object | None:
    """Every Secret is there; what it has says whose it is."""
    return {"data": {"k": base64.b64encode(f"{namespace}-{name}".encode()).decode()}}


def given(text: str, name: str = "web") -> Object:
    return {"metadata": {"namespace": "shop", "name": name}, "spec": yaml.safe_load(text)}


CLASSES = yaml.safe_load("""
scrapeClasses:
- name: mesh
  default: true
  tlsConfig: {caFile: /mesh/ca, certFile: /mesh/cert, keyFile: /mesh/key, insecureSkipVerify: true}
  relabelings: [{targetLabel: class, replacement: mesh}]
  metricRelabelings: [{action: drop, sourceLabels: [__name__], regex: envoy_.*}]
  attachMetadata: {node: true}
  fallbackScrapeProtocol: PrometheusText0.0.4
- name: token
  authorization: {type: Token, credentials: {name: scraper, key: k}}
- name: file
  authorization: {credentialsFile: /run/token}
- name: plain
""")
RENDERING = Rendering(CLASSES, lookup, "monitoring")
MONITOR = "{selector: {}, namespaceSelector: {any: true}, endpoints: [{port: http%s}]%s}"


def job(endpoint: str = "", more: str = "") -> Object:
    [found] = service_monitor_jobs(RENDERING, given(MONITOR % (endpoint, more)))
    load(yaml.safe_dump({"scrape_configs": [found]}), ALL_KINDS)
    return found


def test_who_names_no_class_has_the_default_one() -> None:
    found = job(", relabelings: [{targetLabel: own}], metricRelabelings: [{action: keep, sourceLabels: [a]}]")
    mesh = {"ca_file": "/mesh/ca", "cert_file": "/mesh/cert", "key_file": "/mesh/key", "insecure_skip_verify": True}
    assert found["tls_config"] == mesh
    assert found["relabel_configs"][-2:] == [{"target_label": "class", "replacement": "mesh"}, {"target_label": "own"}]
    assert [c["action"] for c in found["metric_relabel_configs"]] == ["drop", "keep"]
    assert found["kubernetes_sd_configs"] == [{"role": "endpoints", "attach_metadata": {"node": True}}]
    assert found["fallback_scrape_protocol"] == "PrometheusText0.0.4"


def test_who_names_a_class_has_nothing_of_the_default_one() -> None:
    found = job(more=", scrapeClass: plain")
    assert not {"tls_config", "fallback_scrape_protocol", "metric_relabel_configs"} & found.keys()
    assert found["kubernetes_sd_configs"] == [{"role": "endpoints"}] and "class" not in str(found["relabel_configs"])


def test_what_a_monitor_says_itself_goes_before_its_class() -> None:
    found = job(
        ", tlsConfig: {serverName: web, ca: {secret: {name: own, key: k}}}",
        ", attachMetadata: {node: false}, fallbackScrapeProtocol: PrometheusProto",
    )
    assert found["tls_config"] == {"ca": "shop-own", "server_name": "web", "cert_file": "/mesh/cert", "key_file": "/mesh/key"}
    assert found["kubernetes_sd_configs"] == [{"role": "endpoints"}] and found["fallback_scrape_protocol"] == "PrometheusProto"


TOKEN = {"type": "Token", "credentials": "monitoring-scraper"}
ACCESS: list[tuple[str, str, Mapping[str, Any]]] = [
    ("token", "", {"authorization": TOKEN}),
    ("file", "", {"authorization": {"type": "Bearer", "credentials_file": "/run/token"}}),
    ("token", ", authorization: {type: Own}", {"authorization": {**TOKEN, "type": "Own"}}),
    ("token", ", authorization: {credentials: {name: own, key: k}}", {"authorization": {"type": "Bearer", "credentials": "shop-own"}}),
    ("token", ", basicAuth: {username: {name: u, key: k}}", {"basic_auth": {"username": "shop-u"}}),
    ("token", ", bearerTokenSecret: {name: b, key: k}", {"bearer_token": "shop-b"}),
    ("token", ", bearerTokenFile: /own", {"bearer_token_file": "/own"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "endpoint", "access"), ACCESS)
def test_a_class_authorizes_who_does_not_authenticate_itself(name: str, endpoint: str, access: Mapping[str, Any]) -> None:
    found = job(endpoint, f", scrapeClass: {name}")
    shown = ("authorization", "basic_auth", "bearer_token", "bearer_token_file")
    assert {field: found[field] for field in shown if field in found} == access


KINDS: list[tuple[Any, str]] = [
    (service_monitor_jobs, "{selector: {}, endpoints: [{}], scrapeClass: %s}"),
    (pod_monitor_jobs, "{selector: {}, podMetricsEndpoints: [{}], scrapeClass: %s}"),
    (probe_jobs, "{prober: {url: 'b:1'}, targets: {staticConfig: {static: [x]}}, scrapeClass: %s}"),
    (probe_jobs, "{prober: {url: 'b:1'}, targets: {ingress: {selector: {}}}, scrapeClass: %s}"),
    (scrape_config_jobs, "{staticConfigs: [{targets: [x]}], scrapeClass: %s}"),
]


@pytest.mark.parametrize(("make", "text"), KINDS)
def test_every_kind_of_monitor_has_a_class(make: Any, text: str) -> None:
    [found] = make(RENDERING, given(text % "mesh"))
    assert found["tls_config"]["ca_file"] == "/mesh/ca" and found["fallback_scrape_protocol"] == "PrometheusText0.0.4"
    assert {"target_label": "class", "replacement": "mesh"} in found["relabel_configs"] and len(found["metric_relabel_configs"]) == 1
    load(yaml.safe_dump({"scrape_configs": [found]}), ALL_KINDS)
    with pytest.raises(ResourceRefused, match=r'^scrapeClass "other" not found in Prometheus scrapeClasses$'):
        make(RENDERING, given(text % "other"))


def test_a_monitor_without_its_class_harms_no_other() -> None:
    found = {"namespaces": [{"metadata": {"name": "shop", "labels": {}}}]}
    selectors = {"serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": {}}
    prometheus = {"kind": "Prometheus", "metadata": {"namespace": "monitoring", "name": "p"}, "spec": {**CLASSES, **selectors}}
    found["servicemonitors"] = [given(MONITOR % ("", f", scrapeClass: {name}"), name) for name in ("token", "other")]
    plan = plan_server(prometheus, lambda resource: found.get(resource, []), lookup, ALL_KINDS)
    assert [j.job_name for j in plan.configuration.jobs] == ["serviceMonitor/shop/token/0"]
    assert [(p.name, p.reason) for p in plan.problems] == [("other", 'scrapeClass "other" not found in Prometheus scrapeClasses')]


REFUSED = [
    ("[{name: a, default: true}, {name: b, default: true}]", "spec.scrapeClasses: multiple default scrape classes defined"),
    ("[{name: a}, {name: a}]", "spec.scrapeClasses[1]: there is a class 'a' already"),
    ("[{name: a, relabelings: [{action: hashmod}]}]", "spec.scrapeClasses[0]: "),
    ("[{name: a, metricRelabelings: [{regex: '('}]}]", "spec.scrapeClasses[0]: "),
    ("[{name: a, fallbackScrapeProtocol: Morse}]", "spec.scrapeClasses[0]: "),
]


@pytest.mark.parametrize(("classes", "reason"), REFUSED)
def test_classes_that_cannot_be_are_refused_by_the_operator_and_when_they_are_written(classes: str, reason: str) -> None:
    spec = {"scrapeClasses": yaml.safe_load(classes)}
    with pytest.raises(ResourceRefused) as refusal:
        Rendering(spec, lookup)
    assert str(refusal.value).startswith(reason)
    assert reason in asked(FIELDS_PATH, spec, "prometheuses")["status"]["message"]
