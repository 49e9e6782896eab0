"""Objects become running configuration: against the real API server, in process, on the virtual loop."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import yaml

from podium.client.events import EventRecorder
from podium.objects.resources import resource
from podium.objects.status import Forbidden, StatusError
from podium.telemetry.discovery.kinds import ALL_KINDS
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.prometheus_operator.alertmanager_configuration import AlertmanagerPlan
from podium.telemetry.prometheus_operator.definitions import definitions
from podium.telemetry.prometheus_operator.reconcile import QUIET_S, RESOURCES, SECRETS_PERIOD_S, Key, PrometheusOperator
from podium.telemetry.prometheus_operator.server_configuration import ServerPlan
from tests.controllers import api_cluster

SOON_S = QUIET_S + 1.0
Object = dict[str, Any]


class Servers:
    """Remembers what is to run."""

    def __init__(self) -> None:
        self.plans: dict[str, ServerPlan] = {}
        self.alertmanagers: dict[str, AlertmanagerPlan] = {}
        self.published: dict[Key, str] = {}
        self.starts = 0
        self.refused = self.forbidden = ""

    async def run_server(self, key: Key, plan: ServerPlan) -> None:
        if self.refused == plan.name:
            raise ConfigurationError("its disk is full")
        self.starts += 1
        self.plans[plan.name] = plan

    async def run_alertmanager(self, key: Key, plan: AlertmanagerPlan) -> None:
        self.alertmanagers[plan.name] = plan

    async def end(self, key: Key) -> None:
        (self.alertmanagers if key[0] == "alertmanagers" else self.plans).pop(key[2], None)

    async def publish(self, key: Key, found: Object) -> None:
        if self.forbidden:
            raise Forbidden(self.forbidden)
        self.published[key] = found["metadata"]["resourceVersion"]

    def url(self, key: Key) -> str:
        running = self.alertmanagers if key[0] == "alertmanagers" else self.plans
        return f"http://here/{'/'.join(key)}" if key[2] in running else ""

    def jobs(self, name: str = "main") -> list[str]:
        return [job["job_name"] for job in yaml.safe_load(self.plans[name].text)["scrape_configs"]]

    def receivers(self, name: str = "main") -> list[str]:
        return list(self.alertmanagers[name].configuration.receivers)


class Bench:
    def __init__(self, cluster: Any, servers: Servers) -> None:
        self.client, self.servers = cluster.client, servers

    async def make(self, kind: str, name: str, spec: Object, namespace: str = "default") -> None:
        found = RESOURCES[kind]
        value = {"apiVersion": f"{found.group}/{found.version}", "kind": found.kind, "metadata": {"name": name, "namespace": namespace}}
        await self.client.create(found, {**value, "spec": spec})

    async def change(self, kind: str, name: str, spec: Object) -> None:
        await self.client.patch(RESOURCES[kind], name, {"spec": spec}, "default")
        await soon()

    async def remove(self, kind: str, name: str) -> None:
        await self.client.delete(RESOURCES[kind], name, "default")
        await soon()

    async def status(self, kind: str, name: str) -> Object:
        found: Object = (await self.client.get(RESOURCES[kind], name, "default")).get("status") or {}
        return found

    async def conditions(self, kind: str, name: str) -> dict[str, tuple[str, str, str]]:
        found = (await self.status(kind, name)).get("conditions", ())
        return {c["type"]: (c["status"], c["reason"], c["message"]) for c in found}

    async def secret(self, name: str, **data: str) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        await self.client.create(resource("secrets"), {"metadata": {"name": name, "namespace": "default"}, "data": encoded})

    async def events(self) -> dict[str, str]:
        items = (await self.client.list(resource("events"), "default")).items
        about = [(e["involvedObject"], e["message"]) for e in items]
        return {f"{o['kind']}/{o['name']}": message for o, message in about if o["kind"] != "Node"}


async def soon() -> None:
    await asyncio.sleep(SOON_S)


def run(scenario: Callable[[Bench, PrometheusOperator], Awaitable[None]]) -> None:
    async def main(cluster: Any) -> None:
        for definition in definitions():
            await cluster.client.create(resource("customresourcedefinitions", "apiextensions.k8s.io"), definition)
        for kind in RESOURCES.values():
            while True:
                try:
                    await cluster.client.list(kind, limit=1)
                    break
                except StatusError:
                    await asyncio.sleep(0.1)
        events = EventRecorder(cluster.client, cluster.world, "test")
        servers = Servers()
        operator = PrometheusOperator(cluster.client, cluster.mirrors, events, cluster.world, servers, ALL_KINDS)
        cluster.plane.controllers.start("test-events", events.run())
        cluster.plane.controllers.start("test-operator", operator.run())
        await scenario(Bench(cluster, servers), operator)

    api_cluster.run(main)


ALL: Object = {"serviceMonitorSelector": {}, "ruleSelector": {}}
MONITOR: Object = {"selector": {"matchLabels": {"app": "web"}}, "endpoints": [{"port": "http"}]}
RULES: Object = {"groups": [{"name": "g", "rules": [{"alert": "Down", "expr": "up == 0"}]}]}
CONFIG: Object = {"route": {"receiver": "r"}, "receivers": [{"name": "r", "webhookConfigs": [{"url": "http://a/"}]}]}


def test_a_monitor_made_changed_and_deleted_changes_the_running_configuration() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make("prometheuses", "main", ALL)
        await soon()
        assert bench.servers.jobs() == []
        await bench.make("servicemonitors", "web", MONITOR)
        await soon()
        assert bench.servers.jobs() == ["serviceMonitor/default/web/0"]
        await bench.change("servicemonitors", "web", {"endpoints": [{"port": "http"}, {"port": "admin"}]})
        assert bench.servers.jobs() == ["serviceMonitor/default/web/0", "serviceMonitor/default/web/1"]
        starts = bench.servers.starts
        await asyncio.sleep(3 * SECRETS_PERIOD_S)
        assert bench.servers.starts == starts, "what has not changed is not run again"
        await bench.remove("servicemonitors", "web")
        assert bench.servers.jobs() == []
        await bench.remove("prometheuses", "main")
        assert bench.servers.plans == {}

    run(scenario)


def test_a_secret_that_comes_later_is_found() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make("prometheuses", "main", ALL)
        reference = {"username": {"name": "login", "key": "user"}}
        await bench.make("servicemonitors", "web", {**MONITOR, "endpoints": [{"port": "http", "basicAuth": reference}]})
        await bench.make("servicemonitors", "other", MONITOR)
        await soon()
        assert bench.servers.jobs() == ["serviceMonitor/default/other/0"]
        assert "no Secret default/login" in (await bench.events())["ServiceMonitor/web"]
        await bench.secret("login", user="alice")
        await asyncio.sleep(SECRETS_PERIOD_S + SOON_S)
        assert bench.servers.jobs() == ["serviceMonitor/default/other/0", "serviceMonitor/default/web/0"]
        await bench.client.delete(resource("secrets"), "login", "default")
        operator.secrets_changed()
        await soon()
        assert bench.servers.jobs() == ["serviceMonitor/default/other/0"]

    run(scenario)


def test_secrets_are_read_again_while_other_things_keep_changing() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make(
            "prometheuses", "main", {**ALL, "remoteWrite": [{"url": "http://a/", "basicAuth": {"username": {"name": "u", "key": "k"}}}]}
        )
        await soon()
        assert (await bench.conditions("prometheuses", "main"))["Available"][:2] == ("False", "NotRunning")
        await bench.secret("u", k="alice")
        for number in range(round(SECRETS_PERIOD_S / 10) + 1):
            await bench.client.create(resource("namespaces"), {"metadata": {"name": f"n{number}"}})
            await asyncio.sleep(10)
        assert (await bench.conditions("prometheuses", "main"))["Available"][:2] == ("True", "")

    run(scenario)


def test_a_bad_rule_next_to_a_good_one_is_told_of_alone() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make("prometheuses", "main", ALL)
        await bench.make("prometheusrules", "good", RULES)
        await bench.make("prometheusrules", "bad", {"groups": [{"name": "g", "rules": [{"alert": "Down", "expr": "up ="}]}]})
        await soon()
        (group,) = bench.servers.plans["main"].groups
        assert group.file.startswith("default-good-")
        events = await bench.events()
        assert list(events) == ["PrometheusRule/bad"]
        assert "could not parse expression" in events["PrometheusRule/bad"]

    run(scenario)


def test_conditions_say_what_came_of_it_and_when() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        bench.servers.refused = "main"
        await bench.make("prometheuses", "main", ALL)
        await bench.make("prometheuses", "other", ALL)
        await soon()
        said = "its disk is full"
        assert await bench.conditions("prometheuses", "main") == {
            "Available": ("False", "NotRunning", said), "Reconciled": ("False", "ReconciliationFailed", said)
        }  # fmt: skip
        assert (await bench.conditions("prometheuses", "other"))["Available"] == ("True", "", "")
        before = (await bench.status("prometheuses", "main"))["conditions"]
        await asyncio.sleep(100)
        assert (await bench.status("prometheuses", "main"))["conditions"] == before
        bench.servers.refused = ""
        await asyncio.sleep(SECRETS_PERIOD_S)
        assert (await bench.conditions("prometheuses", "main"))["Available"] == ("True", "", ""), "it is tried again"
        await bench.change("prometheuses", "main", {"scrapeInterval": "5s"})
        (available, _) = (await bench.status("prometheuses", "main"))["conditions"]
        assert (available["status"], available["observedGeneration"]) == ("True", 2)
        assert available["lastTransitionTime"] > before[0]["lastTransitionTime"]

    run(scenario)


def test_what_is_refused_later_leaves_the_server_of_before_available() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make("prometheuses", "main", ALL)
        await soon()
        assert (await bench.status("prometheuses", "main"))["url"] == "http://here/prometheuses/default/main"
        await bench.change("prometheuses", "main", {"replicas": 3})
        refusal = "spec.replicas: there is one telemetry process, so 1 is all there can be, not 3"
        status = await bench.status("prometheuses", "main")
        assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"], status["unavailableReplicas"]) == (1, 0, 1, 0)
        assert await bench.conditions("prometheuses", "main") == {
            "Available": ("True", "", ""), "Reconciled": ("False", "ReconciliationFailed", refusal)
        }  # fmt: skip
        assert (await bench.events())["Prometheus/main"] == refusal

    run(scenario)


def test_what_has_no_effect_is_an_event_once_and_the_object_is_reconciled() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make("prometheuses", "main", {**ALL, "image": "prom/prometheus:v3", "resources": {"requests": {"memory": "1Gi"}}})
        await bench.make("servicemonitors", "web", MONITOR)
        await soon()
        await bench.change("servicemonitors", "web", {"endpoints": [{"port": "admin"}]})
        items = (await bench.client.list(resource("events"), "default")).items
        told = [(e["reason"], e["message"], e.get("count", 1)) for e in items if e["involvedObject"]["kind"] == "Prometheus"]
        assert sorted(told) == [
            ("NoEffect", "spec.image has no effect: Podium brings one version", 1),
            ("NoEffect", "spec.resources has no effect: no pods run it: it is part of Podium's telemetry", 1),
        ]
        assert (await bench.conditions("prometheuses", "main"))["Reconciled"] == ("True", "", "")

    run(scenario)


def test_a_prometheus_and_an_agent_of_one_name_are_two() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make("prometheuses", "main", ALL)
        await bench.make("prometheusagents", "main", {"serviceMonitorSelector": {}})
        await soon()
        assert sorted(bench.servers.published) == [(plural, "default", "main") for plural in ("prometheusagents", "prometheuses")]

    run(scenario)


def test_without_the_right_to_a_service_it_runs_and_that_is_told() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        bench.servers.forbidden = "exceeded quota"
        await bench.make("prometheuses", "main", ALL)
        await soon()
        assert (await bench.conditions("prometheuses", "main"))["Reconciled"] == ("True", "", "")
        assert await bench.events() == {"Prometheus/main": "others do not find it by its Service: exceeded quota"}
        bench.servers.forbidden = ""
        await bench.change("prometheuses", "main", {"scrapeInterval": "5s"})
        assert list(bench.servers.published) == [("prometheuses", "default", "main")]

    run(scenario)


def test_a_bad_selector_is_a_condition() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        wrong = {"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}
        await bench.make("prometheuses", "main", {"serviceMonitorSelector": wrong})
        await bench.make("alertmanagers", "main", {"alertmanagerConfigSelector": wrong})
        await soon()
        for kind in ("prometheuses", "alertmanagers"):
            status, reason, message = (await bench.conditions(kind, "main"))["Available"]
            assert (status, reason) == ("False", "NotRunning")
            assert "is not a valid label selector operator" in message

    run(scenario)


def test_paused_leaves_what_runs_as_it_is() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make("prometheuses", "main", ALL)
        await soon()
        await bench.change("prometheuses", "main", {"paused": True})
        await bench.make("servicemonitors", "web", MONITOR)
        await soon()
        assert bench.servers.jobs() == []
        assert (await bench.status("prometheuses", "main"))["paused"] is True
        await bench.change("prometheuses", "main", {"paused": False})
        assert bench.servers.jobs() == ["serviceMonitor/default/web/0"]
        assert (await bench.status("prometheuses", "main"))["paused"] is False

    run(scenario)


def test_alertmanager_configs_become_routes_and_a_bad_one_harms_no_other() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make("alertmanagers", "main", {"alertmanagerConfigSelector": {}})
        await bench.make("alertmanagerconfigs", "good", CONFIG)
        later = {"name": "r", "webhookConfigs": [{"urlSecret": {"name": "hook", "key": "url"}}]}
        await bench.make("alertmanagerconfigs", "later", {**CONFIG, "receivers": [later]})
        await soon()
        assert bench.servers.receivers() == ["null", "default/good/r"]
        assert (await bench.conditions("alertmanagers", "main"))["Available"] == ("True", "", "")
        events = await bench.events()
        assert list(events) == ["AlertmanagerConfig/later"]
        assert events["AlertmanagerConfig/later"].endswith("no Secret default/hook")
        await bench.secret("hook", url="http://b/")
        await asyncio.sleep(SECRETS_PERIOD_S + SOON_S)
        assert bench.servers.receivers() == ["null", "default/good/r", "default/later/r"]
        await bench.remove("alertmanagerconfigs", "good")
        assert bench.servers.receivers() == ["null", "default/later/r"]
        await bench.remove("alertmanagers", "main")
        assert bench.servers.alertmanagers == {}

    run(scenario)


def test_the_base_is_a_secret_and_a_bad_one_leaves_the_one_of_before() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        await bench.make("alertmanagers", "main", {})
        await bench.secret("alertmanager-main", **{"alertmanager.yaml": "{route: {receiver: a}, receivers: [{name: a}]}"})
        operator.secrets_changed()
        await soon()
        assert bench.servers.receivers() == ["a"]
        data = {"data": {"alertmanager.yaml": base64.b64encode(b"{route: {receiver: b}}").decode()}}
        await bench.client.patch(resource("secrets"), "alertmanager-main", data, "default")
        operator.secrets_changed()
        await soon()
        assert bench.servers.receivers() == ["a"]
        status, _, message = (await bench.conditions("alertmanagers", "main"))["Reconciled"]
        assert (status, message) == (
            "False", 'Secret default/alertmanager-main, alertmanager.yaml: undefined receiver "b" used in route'
        )  # fmt: skip
        assert (await bench.events())["Alertmanager/main"] == message

    run(scenario)


def test_fields_that_no_schema_knows_are_refused_with_strict_validation() -> None:
    async def scenario(bench: Bench, operator: PrometheusOperator) -> None:
        wrong = {"route": {"receiver": "r"}, "receivers": [{"name": "r", "webhookConfigs": [{"url": "http://a/", "maxAlerts": "three"}]}]}
        try:
            await bench.make("alertmanagerconfigs", "wrong", wrong)
        except StatusError as error:
            assert "spec.receivers[0].webhookConfigs[0].maxAlerts" in error.message
        else:
            raise AssertionError("it was taken")

    run(scenario)
