"""Monitors become the jobs that upstream's operator would write; stock promtool reads them."""

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from podium.telemetry.prometheus_operator.errors import ResourceRefused, SecretMissing
from podium.telemetry.prometheus_operator.scrape_jobs import (
    Rendering,
    pod_monitor_jobs,
    probe_jobs,
    scrape_config_jobs,
    service_monitor_jobs,
)
from podium.telemetry.prometheus_operator.selection import chosen

CREDENTIALS = {"user": "alice", "word": "a generated one"}


def lookup(resource: str, namespace: str, name: str) -> dict[str, Any] | None:
    data = {"user": CREDENTIALS["user"], "word": CREDENTIALS["word"]}
    if (resource, namespace, name) == ("secrets", "shop", "login"):
        return {"data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}
    return {"data": {"ca.crt": "---"}} if (resource, namespace, name) == ("configmaps", "shop", "ca") else None


def given(text: str) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(text)
    return {"metadata": {"namespace": "shop", "name": "web"}, "spec": value}


RENDERING = Rendering({}, lookup)
SERVICE = given("""
jobLabel: app.kubernetes.io/name
targetLabels: [tier]
podTargetLabels: [version]
sampleLimit: 1000
selector: {matchLabels: {app: web}, matchExpressions: [{key: env, operator: NotIn, values: [test]}, {key: x/y, operator: Exists}]}
namespaceSelector: {any: true}
endpoints:
- port: http
  interval: 15s
  path: /m
  basicAuth: {username: {name: login, key: user}, password: {name: login, key: word}}
  relabelings: [{sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node}]
  metricRelabelings: [{action: Drop, sourceLabels: [__name__], regex: go_.*}]
- targetPort: 8080
""")


def test_a_service_monitor_makes_a_job_an_endpoint() -> None:
    first, second = service_monitor_jobs(RENDERING, SERVICE)
    assert (first["job_name"], second["job_name"]) == ("serviceMonitor/shop/web/0", "serviceMonitor/shop/web/1")
    assert (first["scrape_interval"], first["metrics_path"], first["sample_limit"]) == ("15s", "/m", 1000)
    assert first["kubernetes_sd_configs"] == [{"role": "endpoints"}]
    assert first["basic_auth"] == {"username": CREDENTIALS["user"], "password": CREDENTIALS["word"]}
    relabelings = first["relabel_configs"]
    assert relabelings[1] == {
        "action": "keep", "regex": "(web);true",
        "source_labels": ["__meta_kubernetes_service_label_app", "__meta_kubernetes_service_labelpresent_app"],
    }  # fmt: skip
    assert {"action": "keep", "source_labels": ["__meta_kubernetes_service_labelpresent_x_y"], "regex": "true"} in relabelings
    assert {"action": "keep", "source_labels": ["__meta_kubernetes_endpoint_port_name"], "regex": "http"} in relabelings
    assert relabelings[-1] == {"source_labels": ["__meta_kubernetes_pod_node_name"], "target_label": "node"}
    assert first["metric_relabel_configs"] == [{"source_labels": ["__name__"], "regex": "go_.*", "action": "drop"}]
    assert {"action": "keep", "source_labels": ["__meta_kubernetes_pod_container_port_number"], "regex": "8080"} in second[
        "relabel_configs"
    ]


def test_a_pod_monitor_names_its_job_after_itself() -> None:
    monitor = given("{selector: {matchLabels: {app: web}}, podMetricsEndpoints: [{port: http, honorLabels: true}]}")
    [job] = pod_monitor_jobs(RENDERING, monitor)
    assert (job["job_name"], job["honor_labels"]) == ("podMonitor/shop/web/0", True)
    assert {"target_label": "job", "replacement": "shop/web"} in job["relabel_configs"]
    assert job["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": ["shop"]}}]


def test_a_probe_asks_its_prober_about_the_targets() -> None:
    probe = given("{module: http_2xx, prober: {url: 'blackbox:9115'}, targets: {staticConfig: {static: ['https://x'], labels: {a: b}}}}")
    [job] = probe_jobs(RENDERING, probe)
    assert (job["metrics_path"], job["params"]) == ("/probe", {"module": ["http_2xx"]})
    assert job["static_configs"] == [{"targets": ["https://x"], "labels": {"namespace": "shop", "a": "b"}}]
    assert job["relabel_configs"][-1] == {"target_label": "__address__", "replacement": "blackbox:9115"}


REFUSED = [
    (service_monitor_jobs, "{endpoints: [{basicAuth: {username: {name: nope, key: a}}}]}", SecretMissing, "no Secret shop/nope"),
    (service_monitor_jobs, "{endpoints: [{basicAuth: {username: {name: login, key: a}}}]}", SecretMissing, "has no key 'a'"),
    (service_monitor_jobs, "{selector: {matchExpressions: [{key: a, operator: Gt}]}, endpoints: [{}]}", ResourceRefused, "operator 'Gt'"),
    (probe_jobs, "{targets: {}}", ResourceRefused, "prober.url"),
    (probe_jobs, "{prober: {url: x}}", ResourceRefused, "staticConfig or ingress"),
    (scrape_config_jobs, "{consulSDConfigs: [{}]}", ResourceRefused, "consulSDConfigs: this discovery is not supported"),
]


@pytest.mark.parametrize(("make", "text", "error", "reason"), REFUSED)
def test_what_cannot_be_done_is_refused_by_name(make: Any, text: str, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        make(RENDERING, given(text))


def test_files_of_the_server_are_denied_where_it_says_so() -> None:
    rendering = Rendering({"arbitraryFSAccessThroughSMs": {"deny": True}}, lookup)
    with pytest.raises(ResourceRefused, match="bearerTokenFile"):
        service_monitor_jobs(rendering, given("{endpoints: [{bearerTokenFile: /etc/shadow}]}"))


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here: python3 tools/setup_system.py --tests fetches it")
def test_promtool_reads_the_jobs(tmp_path: Path) -> None:
    """Debian's is built without Kubernetes discovery: that part is left out."""
    jobs = service_monitor_jobs(RENDERING, SERVICE)
    jobs += pod_monitor_jobs(RENDERING, given("{selector: {}, podMetricsEndpoints: [{port: http}]}"))
    jobs += probe_jobs(RENDERING, given("{prober: {url: 'b:1'}, targets: {ingress: {selector: {matchLabels: {a: b}}}}}"))
    jobs += scrape_config_jobs(RENDERING, given("{staticConfigs: [{targets: ['a:1']}], scrapeInterval: 10s, scheme: HTTPS}"))
    path = tmp_path / "prometheus.yml"
    jobs = [{name: value for name, value in job.items() if name != "kubernetes_sd_configs"} for job in jobs]
    path.write_text(yaml.safe_dump({"scrape_configs": jobs}, sort_keys=False))
    done = subprocess.run(["promtool", "check", "config", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


MONITORS = [{"metadata": {"namespace": ns, "name": name, "labels": labels}} for ns, name, labels in (
    ("a", "one", {"t": "x"}), ("b", "two", {}), ("c", "three", {"t": "x"}),
)]  # fmt: skip
NAMESPACES = {ns: {"metadata": {"name": ns, "labels": {"ns": ns}}} for ns in "abc"}
SELECTIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"serviceMonitorSelector": {}}, ["one"]),
    ({"serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": {}}, ["one", "two", "three"]),
    ({"serviceMonitorSelector": {"matchLabels": {"t": "x"}}, "serviceMonitorNamespaceSelector": {}}, ["one", "three"]),
    ({"serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": {"matchLabels": {"ns": "b"}}}, ["two"]),
    ({"serviceMonitorNamespaceSelector": {}}, []),
]


@pytest.mark.parametrize(("spec", "names"), SELECTIONS)
def test_an_absent_selector_chooses_none_and_an_empty_one_all(spec: dict[str, Any], names: list[str]) -> None:
    assert [o["metadata"]["name"] for o in chosen(spec, "serviceMonitor", "a", MONITORS, NAMESPACES)] == names
