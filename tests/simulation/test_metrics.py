"""A whole cluster with its monitoring under the virtual clock: what it measures, what objects ask for, what a lost zone sets off.

One run is shared by the tests that only look.
"""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from podium import testing
from podium.objects.resources import resource
from podium.simulation.errors import SimulationError
from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world import virtual
from podium.world.http_messages import HttpRequest, Response

MONITORING = "monitoring.coreos.com/v1"
TEXT = ((b"content-type", b"text/plain; version=0.0.4"),)
RESTS_S = 400.0


def deployment(replicas: int, *, cpu: str = "250m", annotations: dict[str, str] | None = None, name: str = "web") -> dict[str, Any]:
    container = {"name": "app", "image": "shop/web:1", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}
    metadata = {"labels": {"app": name}, "annotations": annotations or {}}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": metadata, "spec": {"containers": [container]}},
        },
    }  # fmt: skip


def monitoring_object(kind: str, name: str, spec: dict[str, Any], version: str = MONITORING) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


@dataclass
class Seen:
    """What the shared run found out."""

    values: dict[str, Any] = field(default_factory=dict)
    series: dict[str, Any] = field(default_factory=dict)
    targets: list[Any] = field(default_factory=list)
    notifications: list[Any] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    remote: list[HttpRequest] = field(default_factory=list)
    text: bytes = b""
    block_answer: Any = None
    took_s: float = 0.0


QUERIES = (
    'sum(kube_pod_status_phase{phase="Running"})',
    'sum(rate(container_cpu_usage_seconds_total{container="app"}[2m]))',
    'sum(container_memory_working_set_bytes{container="app"})',
    'count by (node) (container_memory_working_set_bytes{container="app"})',
    'sum(up{job="kubelet"})',
    'sum by (job) (up)',
    'app_requests_total',
    'app:requests:rate2m',
    'count(apiserver_request_total{verb="POST"}) > bool 0',
    'sum(apiserver_longrunning_requests{verb="WATCH", resource="pods"}) > bool 3',
    'scheduler_schedule_attempts_total{result="scheduled"} > bool 0',
    'count({__name__=~"process_.*|node_cpu.*"})',
    'sum(scrape_duration_seconds)',
    'time()',
)  # fmt: skip


async def look(cluster: testing.Cluster, seen: Seen, folder: Path) -> None:
    asked = 0

    def app(request: HttpRequest) -> Response:
        nonlocal asked
        asked += 1
        return Response(200, f"# TYPE app_requests_total counter\napp_requests_total {asked * 30}\n".encode(), TEXT)

    def remote(request: HttpRequest) -> Response:
        seen.remote.append(request)
        return Response(200)

    cluster.network.serve("app.test:8080", app)
    cluster.network.serve("far.test:80", remote)
    await cluster.create(
        deployment(6, annotations={"podium.dev/simulated-cpu": "500m"}),
        monitoring_object("ScrapeConfig", "app", {"staticConfigs": [{"targets": ["app.test:8080"]}], "scrapeInterval": "30s"}, f"{MONITORING}alpha1"),
        monitoring_object("ScrapeConfig", "dns", {"dnsSDConfigs": [{"names": ["x.test"]}]}, f"{MONITORING}alpha1"),
        monitoring_object("PrometheusRule", "app", {"groups": [{"name": "app", "interval": "30s", "rules": [
            {"record": "app:requests:rate2m", "expr": "rate(app_requests_total[2m])"},
            {"alert": "Busy", "expr": "app:requests:rate2m > 0.5", "for": "1m", "labels": {"severity": "page"}},
        ]}]}),
    )  # fmt: skip
    prometheuses = next(r for r in cluster.plane.server.core.catalog if r.kind == "Prometheus")
    await cluster.client.patch(prometheuses, "podium", {"spec": {"remoteWrite": [{"url": "http://far.test/write"}]}}, "monitoring")
    seen.took_s = await cluster.running(6)
    await cluster.pass_time(RESTS_S - cluster.now_s)
    metrics = cluster.metrics
    for text in QUERIES:
        seen.values[text] = [(p.labels, p.value) for p in await metrics.query(text)]
    for series in await metrics.query_range("app_requests_total", 120, 300, 60):
        seen.series[series.labels["instance"]] = (series.times_s.tolist(), series.values.tolist())
    seen.targets, seen.notifications = metrics.targets(), metrics.notifications("Busy")
    seen.events = [
        f"{e['involvedObject']['name']}: {e['message']}" for e in (await cluster.client.list(resource("events"), "default")).items
    ]
    metrics.export_openmetrics(folder / "samples.txt")
    seen.text = (folder / "samples.txt").read_bytes()
    await metrics.export_blocks(folder / "data")
    with pytest.raises(SimulationError, match="6 series, not one number"):
        await metrics.value("kube_pod_info")
    with pytest.raises(SimulationError, match="not an instant vector"):
        await metrics.query("up[5m]")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    found, folder = Seen(), tmp_path_factory.mktemp("export")
    testing.run(lambda cluster: look(cluster, found, folder), nodes=3, metrics=True, seed=7)

    async def again(world: Any) -> None:
        store = Tsdb.open(folder / "data", world, threads=False)
        at_ms = int(virtual.START.timestamp() * 1000 + RESTS_S * 1000)
        found.block_answer = [(await Engine(store, world).instant(text, at_ms)).value for text in QUERIES[:4]]
        await store.close()

    virtual.run(again)
    return found


pytestmark = pytest.mark.slow


def one(seen: Seen, text: str) -> float:
    ((_, value),) = seen.values[text]
    return float(value)


def test_pods_and_their_use_are_measured_as_their_annotations_say(seen: Seen) -> None:
    assert one(seen, 'sum(kube_pod_status_phase{phase="Running"})') == 6
    assert one(seen, 'sum(rate(container_cpu_usage_seconds_total{container="app"}[2m]))') == pytest.approx(3.0)
    assert one(seen, 'sum(container_memory_working_set_bytes{container="app"})') == 6 * 64 * 1024 * 1024
    by_node = seen.values['count by (node) (container_memory_working_set_bytes{container="app"})']
    assert by_node == [({"node": f"simulated-{i}"}, 2.0) for i in range(3)]


def test_every_component_and_each_node_is_a_target_that_is_up(seen: Seen) -> None:
    jobs = {labels["job"]: value for labels, value in seen.values["sum by (job) (up)"]}
    assert jobs == {
        "alertmanager": 1, "apiserver": 1, "kube-controller-manager": 1, "kube-scheduler": 1, "kube-state-metrics": 1, "kubelet": 4,
        "prometheus": 1, "scrapeConfig/default/app": 1,
    }  # fmt: skip
    assert {t["health"] for t in seen.targets} == {"up"}
    assert one(seen, 'count(apiserver_request_total{verb="POST"}) > bool 0') == 1
    assert one(seen, 'sum(apiserver_longrunning_requests{verb="WATCH", resource="pods"}) > bool 3') == 1
    assert one(seen, 'scheduler_schedule_attempts_total{result="scheduled"} > bool 0') == 1


def test_the_machine_that_computes_is_not_measured(seen: Seen) -> None:
    assert seen.values['count({__name__=~"process_.*|node_cpu.*"})'] == []
    assert one(seen, "sum(scrape_duration_seconds)") == 0


def test_objects_have_simulated_servers_scraped_recorded_and_written_on(seen: Seen) -> None:
    assert one(seen, "app:requests:rate2m") == pytest.approx(1.0)
    times, values = seen.series["app.test:8080"]
    assert times == [120.0, 180.0, 240.0, 300.0]
    assert [b - a for a, b in pairwise(values)] == [60.0] * 3
    assert {request.path for request in seen.remote} == {"/write"}


def test_what_a_simulated_cluster_cannot_have_is_refused_in_an_event(seen: Seen) -> None:
    assert any(event.startswith("dns: ") and "dns_sd_configs" in event for event in seen.events), seen.events


def test_an_alert_reaches_the_webhook_after_its_for_and_the_groups_wait(seen: Seen) -> None:
    (first, *_) = seen.notifications
    (alert,) = first.alerts()
    assert (alert["status"], alert["labels"]["alertname"], alert["labels"]["severity"]) == ("firing", "Busy", "page")
    assert first.to == "http://notifications.podium.test/"
    started = alert["startsAt"].removeprefix("2026-01-01T00:").removesuffix("Z")
    minutes, seconds = started.split(":")
    assert first.at_s == pytest.approx(int(minutes) * 60 + float(seconds) + 30.0, abs=0.01)


def test_time_is_the_virtual_clocks(seen: Seen) -> None:
    assert one(seen, "time()") == virtual.START.timestamp() + RESTS_S


def test_exported_blocks_answer_as_the_cluster_did(seen: Seen) -> None:
    for text, answer in zip(QUERIES[:4], seen.block_answer, strict=True):
        assert sorted(((dict(p.labels), p.value) for p in answer.points), key=str) == seen.values[text]


def test_exported_text_is_sorted_by_series_and_ends_as_openmetrics_does(seen: Seen) -> None:
    *lines, end, rest = seen.text.split(b"\n")
    assert (end, rest) == (b"# EOF", b"")
    heads = [line.partition(b"{")[0] for line in lines]
    assert heads == sorted(heads)
    assert sum(line.startswith(b"app_requests_total{") for line in lines) == 13
    assert not any(b"NaN" in line for line in lines if line.startswith(b"up{"))


def test_a_lost_zone_sets_off_the_alerts_at_their_times_and_its_return_resolves_them() -> None:
    async def scenario(cluster: testing.Cluster) -> None:
        await cluster.create(deployment(4, cpu="6"))
        await cluster.running(4)
        await cluster.pass_time(180 - cluster.now_s)
        cluster.lose_zone("simulated-a")
        await cluster.pass_time(23 * 60)
        metrics = cluster.metrics
        first = {name: metrics.notifications(name)[0].at_s for name in ("TargetDown", "KubeNodeNotReady", "KubePodNotReady")}
        # Seen within two intervals; for 10 minutes; told within the group's wait.
        assert 180 + 600 + 30 <= first["TargetDown"] <= 180 + 2 * 60 + 600 + 31
        # A lease of up to 20 s ago, lost after 40 s of silence; then as above with 15 minutes.
        assert 180 + 20 + 900 + 30 <= first["KubeNodeNotReady"] <= 180 + 40 + 10 + 2 * 60 + 900 + 31
        # Its pods are evicted after 300 s, and their successors find no room.
        assert first["KubeNodeNotReady"] + 240 <= first["KubePodNotReady"] <= first["KubeNodeNotReady"] + 420
        (alert,) = metrics.notifications("KubeNodeNotReady")[0].alerts("firing")
        assert alert["labels"]["node"] == "simulated-0"
        assert await metrics.value('up{node="simulated-0"}') == 0
        assert {a["labels"]["alertname"] for a in metrics.alerts("firing")} >= {"Watchdog", "KubeNodeNotReady", "KubePodNotReady"}
        cluster.return_zone("simulated-a")
        await cluster.pass_time(10 * 60)
        assert metrics.notifications("KubeNodeNotReady")[-1].alerts("resolved")
        assert await metrics.value('sum(kube_pod_status_phase{phase="Running"})') == 4
        assert await metrics.value("min(up)") == 1

    # Two nodes of 16 CPUs: each takes two of these pods.
    options = testing.MetricsOptions(interval="60s")
    testing.run(scenario, nodes=2, zones=2, metrics=options, seed=3)


def test_own_receivers_take_the_place_of_the_recorded_one() -> None:
    configuration = """
route: {receiver: team, group_wait: 10s, group_by: [alertname]}
receivers: [{name: team, slack_configs: [{api_url: "https://hooks.slack.test/x", channel: "#ops"}]}]
"""

    async def scenario(cluster: testing.Cluster) -> None:
        await cluster.pass_time(90)
        (told,) = cluster.metrics.notifications()
        assert told.to == "https://hooks.slack.test/x"
        assert told.json()["channel"] == "#ops"
        assert cluster.metrics.notifications("Watchdog") == []

    testing.run(scenario, nodes=1, metrics=testing.MetricsOptions(alertmanager=configuration))


def test_users_own_prometheus_finds_their_own_alertmanager_by_its_service() -> None:
    """And what it enforces on rules is what reaches their receiver, which a team has given in v1alpha1."""

    async def scenario(cluster: testing.Cluster) -> None:
        base = "{route: {receiver: base}, receivers: [{name: base}]}"
        everything = {"ruleSelector": {}, "ruleNamespaceSelector": {}, "enforcedNamespaceLabel": "namespace"}
        manager = {"name": "alertmanager-operated", "port": "web"}
        rule = {"alert": "Always", "expr": "vector(1)", "labels": {"namespace": "elsewhere"}}
        team = {
            "route": {"receiver": "team", "groupWait": "1s"}, "receivers": [{"name": "team", "webhookConfigs": [{"url": "http://team.test/"}]}],
        }  # fmt: skip
        cluster.network.serve("team.test:80", lambda request: Response(200))
        await cluster.create(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "alertmanager-own"}, "stringData": {"alertmanager.yaml": base}},
            monitoring_object("Alertmanager", "own", {"alertmanagerConfigSelector": {}}),
            monitoring_object("AlertmanagerConfig", "team", team, "monitoring.coreos.com/v1alpha1"),
            monitoring_object("Prometheus", "own", {**everything, "alerting": {"alertmanagers": [manager]}, "evaluationInterval": "5s"}),
            monitoring_object("PrometheusRule", "always", {"groups": [{"name": "g", "rules": [rule]}]}),
        )
        await cluster.pass_time(120)
        found = [n for n in cluster.metrics.notifications("Always") if n.to.startswith("http://team.test")]
        assert found, "the Service led there"
        assert found[0].alerts()[0]["labels"] == {"alertname": "Always", "namespace": "default", "prometheus": "default/own"}

    testing.run(scenario, nodes=1, metrics=True)


def test_a_cluster_that_ends_leaves_nothing_running() -> None:
    async def main(world: Any) -> list[str]:
        before = {task.get_name() for task in asyncio.all_tasks()}
        async with testing.cluster(world, nodes=1, metrics=True) as cluster:
            await cluster.pass_time(60)
        await asyncio.sleep(0)
        return sorted({task.get_name() for task in asyncio.all_tasks()} - before)

    assert virtual.run(main) == []


def test_pods_behind_a_service_are_scraped_where_the_test_serves_them_and_teams_hear_of_their_own_alerts() -> None:
    named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "metrics", "port": 8080}]},
    }  # fmt: skip
    monitor = monitoring_object("ServiceMonitor", "web", {"selector": {"matchLabels": {"app": "web"}}, "endpoints": [{"port": "metrics"}]})
    hook = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook", "namespace": "shop"}, "stringData": {"url": "http://team.test/x"},
    }  # fmt: skip
    receivers = [{"name": "team", "webhookConfigs": [{"urlSecret": {"name": "hook", "key": "url"}}]}]
    team = monitoring_object(
        "AlertmanagerConfig", "team", {"route": {"receiver": "team", "groupWait": "5s"}, "receivers": receivers}, f"{MONITORING}alpha1"
    )
    own = monitoring_object("Prometheus", "small", {"serviceMonitorSelector": {}, "scrapeInterval": "30s"})
    rules = [{"alert": "Loud", "expr": 'loudness{namespace="shop"} > 5'}]
    rule = monitoring_object("PrometheusRule", "loud", {"groups": [{"name": "g", "interval": "15s", "rules": rules}]})

    async def scenario(cluster: testing.Cluster) -> None:
        web = deployment(3)
        for value in (web, monitor, team, own, rule):
            value["metadata"]["namespace"] = "shop"
        await cluster.create(named, service, web, hook, monitor, team, own, rule)
        await cluster.running(3, "shop")
        pods = (await cluster.client.list(resource("pods"), "shop")).items
        for number, pod in enumerate(pods):
            page = f"loudness {3 * number}\n".encode()
            cluster.network.serve(f"{pod['status']['podIP']}:8080", lambda request, page=page: Response(200, page, TEXT))
        await cluster.pass_time(150)
        metrics = cluster.metrics
        assert await metrics.value('sum(up{job="web", namespace="shop", service="web"})') == 3
        assert await metrics.value("max(loudness) * count(loudness)") == 18
        (told,) = [n for n in metrics.notifications("Loud") if n.to == "http://team.test/x"]
        assert [a["labels"]["pod"] for a in told.alerts("firing")] == [pods[2]["metadata"]["name"]]
        answer = await cluster.network.ask(
            "GET", "http://podium.monitoring.svc:9090/prometheus/shop/small/api/v1/query?query=sum(loudness)", {}, b""
        )
        assert b'"9"' in answer.body
        cluster.network.close(f"{pods[0]['status']['podIP']}:8080")
        await cluster.pass_time(60)
        (down,) = [t for t in metrics.targets() if t["health"] == "down"]
        assert down["lastError"].endswith("connect: connection refused")

    testing.run(scenario, nodes=3, metrics=True)
