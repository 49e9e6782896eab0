"""The metrics of a live cluster, as a user has them: everything is scraped, objects change what is done, alerts arrive, samples survive.

Figures are asserted with PATIENCE times what they should be, and printed (`-s`): a busy machine is no failure.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

from podium.cli import processes
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.remote.frames import frames
from podium.telemetry.metrics.remote.messages import compress, encode_version_1, message
from tests.e2e.conftest import KUBECTL_PROGRAMS, PODIUM, Kubectl, LiveCluster, end_cluster, start_cluster

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.skipif(not KUBECTL_PROGRAMS, reason="needs kubectl")]

PATIENCE = 3.0
START_S = 90.0
INTERVAL_S, FOR_S, GROUP_WAIT_S, SLACK_S = 1.0, 2.0, 1.0, 2.0
SERVER = """
import http.server, os
class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"shop_orders_total 7\\\\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer((os.environ["POD_IP"], 18080), Metrics).serve_forever()
"""
SHOP = f"""
apiVersion: v1
kind: Pod
metadata: {{name: shop, labels: {{app: shop}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: shop
    image: any
    command: [{sys.executable}, -c, {json.dumps(SERVER.replace(chr(92) * 2, chr(92)))}]
    env: [{{name: POD_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}]
    ports: [{{name: http, containerPort: 18080}}]
    readinessProbe: {{httpGet: {{port: 18080, path: /}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop, labels: {{app: shop}}}}
spec: {{selector: {{app: shop}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
"""
MONITOR = """
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: shop}
spec: {selector: {matchLabels: {app: shop}}, endpoints: [{port: http, interval: 1s}]}
"""
ALERTING = """
apiVersion: monitoring.coreos.com/v1alpha1
kind: AlertmanagerConfig
metadata: {name: shop}
spec:
  route: {receiver: hook, groupBy: [alertname], groupWait: 1s, groupInterval: 1s}
  receivers: [{name: hook, webhookConfigs: [{url: "URL"}]}]
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: shop}
spec:
  groups:
  - name: shop
    interval: 1s
    rules: [{alert: ShopOpen, expr: "shop_orders_total > 1", for: 2s, labels: {namespace: NAMESPACE}}]
"""


class Receiver:
    """A webhook that remembers what it was told, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[float, dict[str, Any]]] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append((time.monotonic(), json.loads(self.rfile.read(int(self.headers["content-length"])))))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    made = start_cluster("process", tmp_path_factory.mktemp("metrics"), "--metrics")
    yield made
    end_cluster(made)


@pytest.fixture(scope="module")
def kubectl(live: LiveCluster, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    made = live.kubectl(sorted(KUBECTL_PROGRAMS)[-1], "shop", tmp_path_factory.mktemp("kubectl") / "work")
    until(lambda: ask(live, "/api/v1/targets") or None, START_S)
    return made


def ask(live: LiveCluster, path: str, **query: str) -> Any:
    """None when nothing answers yet."""
    url = f"{live.cluster.metrics_url}{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]
    except OSError:
        return None


def value_of(live: LiveCluster, query: str) -> float | None:
    found = (ask(live, "/api/v1/query", query=query) or {}).get("result")
    return float(found[0]["value"][1]) if found else None


def until(found: Callable[[], Any], patience_s: float) -> Any:
    """What `found` gives, once it is not None."""
    deadline = time.monotonic() + patience_s
    while (value := found()) is None:
        assert time.monotonic() < deadline, f"not within {patience_s} s"
        time.sleep(0.05)
    return value


def test_a_bad_rule_is_refused_when_it_is_written(live: LiveCluster, kubectl: Kubectl) -> None:
    bad = ALERTING.replace("shop_orders_total > 1", "shop_orders_total >")
    until(lambda: kubectl("get", "validatingwebhookconfigurations", "-o", "name") or None, START_S)
    said = kubectl("create", "-f", "-", stdin=bad[bad.index("---") :], code=1)
    assert 'The PrometheusRule "shop" is invalid: spec: ' in said
    assert "could not parse expression" in said


def test_a_new_monitor_is_scraped_within_an_interval_and_two_seconds(live: LiveCluster, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=SHOP)
    kubectl("wait", "--for=condition=Ready", "pod/shop", "--timeout=60s", timeout=90)
    kubectl("apply", "-f", "-", stdin=MONITOR)
    began = time.monotonic()
    until(lambda: value_of(live, 'shop_orders_total{service="shop"}'), PATIENCE * (INTERVAL_S + SLACK_S))
    print(f"a new ServiceMonitor was scraped after {time.monotonic() - began:.2f} s (aim: {INTERVAL_S + SLACK_S:g} s)")


def test_an_alert_reaches_a_webhook_within_its_for_and_group_wait_and_two_seconds(live: LiveCluster, kubectl: Kubectl) -> None:
    receiver = Receiver()
    try:
        kubectl("apply", "-f", "-", stdin=ALERTING.replace("URL", receiver.url).replace("NAMESPACE", kubectl.namespace))
        began, aim_s = time.monotonic(), FOR_S + GROUP_WAIT_S + SLACK_S
        until(lambda: receiver.told or None, PATIENCE * aim_s)
        at, message = receiver.told[0]
        assert (message["receiver"], message["status"]) == (f"{kubectl.namespace}/shop/hook", "firing")
        assert {a["labels"]["alertname"] for a in message["alerts"]} == {"ShopOpen"}
        print(f"an alert arrived {at - began:.2f} s after its rule was made (aim: {aim_s:g} s)")
    finally:
        kubectl("delete", "prometheusrule,alertmanagerconfig", "shop", "--ignore-not-found")
        receiver.close()


def test_every_target_comes_up(live: LiveCluster, kubectl: Kubectl) -> None:
    """Last but for the kill: a target is first asked within its interval, which passes meanwhile."""

    def all_up() -> Any:
        targets = (ask(live, "/api/v1/targets") or {}).get("activeTargets") or []
        down = {f"{t['scrapePool']} {t['health']} {t['lastError']}" for t in targets if t["health"] != "up"}
        found[:] = sorted(down)
        return len(targets) if targets and not down else None

    found: list[str] = []
    try:
        count = until(all_up, START_S)
    except AssertionError:
        raise AssertionError("\n".join(found)) from None
    assert count >= 8
    print(f"{count} targets are up")


def test_the_server_takes_large_bodies_and_streams_as_the_stand_alone_one_does(live: LiveCluster, kubectl: Kubectl) -> None:
    url, now_ms = live.cluster.metrics_url, int(time.time() * 1000)
    random = Random(1)
    rows = [(labels_of({"__name__": "large", "i": str(i), "text": random.randbytes(50).hex()}), [(now_ms, 1.0)]) for i in range(40_000)]
    body = encode_version_1(rows)
    assert len(body) > 3 * 1024 * 1024
    headers = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", body, headers), timeout=60).close()
    assert value_of(live, "count(large)") == len(rows)
    asked = message("ReadRequest")(accepted_response_types=[1])
    asked.queries.add(end_timestamp_ms=now_ms).matchers.add(name="__name__", value="large")
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/read", compress(asked.SerializeToString())), timeout=60) as answer:
        assert answer.headers["transfer-encoding"] == "chunked" and answer.headers["content-type"].startswith(
            "application/x-streamed-protobuf"
        )
        assert sum(1 for _ in frames(answer.read(), 1 << 21)) == len(rows)
    with urllib.request.urlopen(f"{url}/api/v1/notifications/live", timeout=5) as events:
        assert events.headers["content-type"] == "text/event-stream"
    point = {"timeUnixNano": str(now_ms * 1_000_000), "asDouble": 7.0}
    exported = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "pushed.by.sdk", "gauge": {"dataPoints": [point]}}]}]}]}
    given = urllib.request.Request(f"{url}/api/v1/otlp/v1/metrics", json.dumps(exported).encode(), {"content-type": "application/json"})
    urllib.request.urlopen(given, timeout=60).close()
    assert value_of(live, "pushed_by_sdk") == 7.0
    assert ask(live, "/api/v1/status/flags")["web.enable-remote-write-receiver"] == "true"


def test_status_shows_where_metrics_are(live: LiveCluster, kubectl: Kubectl) -> None:
    command = [PODIUM, "status", "--data-dir", live.cluster.data_dir]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert f"metrics    {live.cluster.metrics_url}" in said


@pytest.mark.parametrize(
    ("path", "arrives", "shows"),
    [
        ("/", "/", "Metrics of this cluster"),
        ("/graph?g0.expr=up", "/query?g0.expr=up", "<main>"),
        ("/alertmanager", "/alertmanager/", "<title>"),
    ],
)
def test_a_browser_finds_pages(live: LiveCluster, kubectl: Kubectl, path: str, arrives: str, shows: str) -> None:
    with urllib.request.urlopen(f"{live.cluster.metrics_url}{path}", timeout=5) as answer:
        assert answer.url == f"{live.cluster.metrics_url}{arrives}"
        assert shows in answer.read().decode()


def test_killed_it_comes_back_with_its_samples(live: LiveCluster, kubectl: Kubectl) -> None:
    until(lambda: value_of(live, "up{job='apiserver'} offset 6s"), START_S)
    at = time.time() - 5  # nothing of then is still on its way
    before = ask(live, "/api/v1/query", query="count({__name__!=''})", time=str(at))["result"][0]["value"][1]
    process = processes.find(live.cluster, processes.TELEMETRY)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    began = time.monotonic()

    def again() -> Any:
        now = processes.find(live.cluster, processes.TELEMETRY)
        return value_of(live, "up") if now is not None and now.pid != process.pid else None

    until(again, START_S)
    assert ask(live, "/api/v1/query", query="count({__name__!=''})", time=str(at))["result"][0]["value"][1] == before
    print(f"killed, it answered again after {time.monotonic() - began:.2f} s, with all {before} series")
    assert Path(live.cluster.metrics_dir).is_dir()


OWN = """
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: own}
spec:
  serviceAccountName: prometheus
  retention: 2h
  enforcedNamespaceLabel: namespace
  ruleSelector: {}
  alerting: {alertmanagers: [{name: alertmanager-operated, port: web}]}
  rules: {alert: {resendDelay: 2s}}
---
apiVersion: monitoring.coreos.com/v1
kind: Alertmanager
metadata: {name: own}
spec: {replicas: 1}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: own}
spec: {groups: [{name: own, interval: 1s, rules: [{alert: Always, expr: vector(1), labels: {namespace: elsewhere}}]}]}
"""


def test_users_own_prometheus_finds_their_own_alertmanager_by_its_service(live: LiveCluster, kubectl: Kubectl) -> None:
    said = kubectl("apply", "-f", "-", stdin=OWN)
    try:
        kubectl("wait", "--for=condition=Available", "prometheus/own", "alertmanager/own", "--timeout=30s", timeout=60)
        assert "prometheus.monitoring.coreos.com/own created" in said
        url = kubectl("get", "alertmanager", "own", "-o", "jsonpath={.status.url}")

        def told() -> Any:
            with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
                return json.load(answer) or None

        (alert,) = until(told, START_S)
        assert alert["labels"] == {"alertname": "Always", "namespace": kubectl.namespace, "prometheus": f"{kubectl.namespace}/own"}
        service = json.loads(kubectl("get", "service", "alertmanager-operated", "-o", "json"))
        assert (service["spec"]["clusterIP"], service["metadata"]["ownerReferences"][0]["name"]) == ("None", "own")
        process = processes.find(live.cluster, processes.TELEMETRY)
        assert process is not None
        before = kubectl("get", "endpoints", "alertmanager-operated", "-o", "jsonpath={.subsets[0].ports[0].port}")
        os.kill(process.pid, signal.SIGKILL)

        def moved() -> Any:
            now = kubectl("get", "endpoints", "alertmanager-operated", "-o", "jsonpath={.subsets[0].ports[0].port}")
            return now if now != before else None

        until(moved, START_S)
        until(lambda: _quiet(told), START_S)
    finally:
        kubectl("delete", "prometheus,alertmanager,prometheusrule", "own")
    until(lambda: "gone" if "alertmanager-operated" not in kubectl("get", "services", "-o", "name") else None, START_S)


def _quiet(told: Callable[[], Any]) -> Any:
    try:
        return told()
    except OSError:
        return None


BETA = """
apiVersion: monitoring.coreos.com/v1beta1
kind: AlertmanagerConfig
metadata: {name: beta}
spec:
  route: {receiver: hook, matchers: [{name: severity, value: "p.*", matchType: "=~"}]}
  receivers: [{name: hook, webhookConfigs: [{url: "http://127.0.0.1:9/"}]}]
  timeIntervals: [{name: nights, timeIntervals: [{times: [{startTime: "22:00", endTime: "24:00"}]}]}]
"""


def test_an_alertmanager_config_is_written_and_read_in_both_versions(live: LiveCluster, kubectl: Kubectl) -> None:
    until(lambda: kubectl("api-resources", "--api-group", "monitoring.coreos.com", "-o", "name") or None, START_S)
    kubectl("apply", "-f", "-", stdin=BETA)
    try:
        assert "unchanged" in kubectl("apply", "-f", "-", stdin=BETA)
        alpha = json.loads(kubectl("get", "alertmanagerconfigs.v1alpha1.monitoring.coreos.com", "beta", "-o", "json"))
        assert (alpha["apiVersion"], alpha["spec"]["muteTimeIntervals"][0]["name"]) == ("monitoring.coreos.com/v1alpha1", "nights")
        bad = BETA.replace("receiver: hook,", "receiver: nobody,")
        assert 'receiver "nobody" not found' in kubectl("apply", "-f", "-", stdin=bad, code=1)
    finally:
        kubectl("delete", "alertmanagerconfig", "beta")


def test_what_a_prometheus_asks_for_and_cannot_have_is_refused_by_name(live: LiveCluster, kubectl: Kubectl) -> None:
    asked = "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: unwanted}\nspec: "
    for spec, refusal in (
        ('{thanos: {version: "1"}}', 'unknown field "spec.thanos"'),
        ("{replicas: 2}", "spec.replicas: there is one telemetry process, so 1 is all there can be, not 2"),
        ("{retention: soon}", "spec.retention"),
    ):
        assert refusal in kubectl("create", "-f", "-", stdin=asked + spec, code=1)
