"""Services by which others find what Prometheus and Alertmanager objects run: made, kept right, taken away with the last object."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from podium.objects.resources import resource
from podium.objects.status import NotFound
from podium.telemetry.monitoring.bundled_objects import DEFINITIONS, bring_definitions
from podium.telemetry.monitoring.governing_services import ENDPOINTS, SERVICES, GoverningServices, Key
from podium.telemetry.monitoring.surroundings import Door
from podium.telemetry.prometheus_operator.reconcile import RESOURCES
from tests.controllers import api_cluster

Object = dict[str, Any]
HOST = "10.1.2.3"
SLICES = resource("endpointslices", "discovery.k8s.io")
SOON_S = 5.0


class Doors:
    """They lead nowhere."""

    def __init__(self) -> None:
        self.opened = self.closed = 0

    async def open(self, key: Key) -> Door:
        self.opened += 1
        return Door(HOST, 40_000 + self.opened, self.close)

    async def close(self) -> None:
        self.closed += 1


class Bench:
    def __init__(self, cluster: Any) -> None:
        self.client = cluster.client
        self.doors = Doors()
        self.services = GoverningServices(cluster.client, cluster.mirrors, self.doors.open)

    async def make(self, plural: str, name: str, spec: Object | None = None) -> Object:
        kind = RESOURCES[plural]
        value = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec or {}}
        found: Object = await self.client.create(kind, value)
        await self.publish(plural, found)
        return found

    async def publish(self, plural: str, found: Object) -> None:
        await self.services.publish((plural, "default", found["metadata"]["name"]), found)
        await asyncio.sleep(SOON_S)

    async def ports(self, service: str) -> list[tuple[str, int]]:
        subsets = (await self.client.get(ENDPOINTS, service, "default"))["subsets"]
        assert {a["ip"] for s in subsets for a in s["addresses"]} == {HOST}
        return [(p["name"], p["port"]) for s in subsets for p in s["ports"]]


def run(scenario: Callable[[Bench], Awaitable[None]]) -> None:
    async def main(cluster: Any) -> None:
        await bring_definitions(cluster.client, None)
        await asyncio.sleep(SOON_S)
        assert len((await cluster.client.list(DEFINITIONS)).items) == len(RESOURCES)
        await scenario(Bench(cluster))

    api_cluster.run(main)


def test_objects_of_a_namespace_share_a_headless_service_with_a_port_each() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.make("alertmanagers", "a")
        await bench.make("alertmanagers", "b")
        await bench.make("prometheuses", "a")
        await bench.make("prometheusagents", "a")
        service = await bench.client.get(SERVICES, "alertmanager-operated", "default")
        assert (service["spec"]["clusterIP"], service["spec"].get("selector")) == ("None", None)
        assert [(p["name"], p["port"]) for p in service["spec"]["ports"]] == [("web", 9093)]
        assert service["metadata"]["labels"]["operated-alertmanager"] == "true"
        assert [(o["kind"], o["name"]) for o in service["metadata"]["ownerReferences"]] == [("Alertmanager", "a"), ("Alertmanager", "b")]
        assert await bench.ports("alertmanager-operated") == [("web", 40_001), ("web", 40_002)]
        assert await bench.ports("prometheus-operated") == [("web", 40_003)]
        assert await bench.ports("prometheus-agent-operated") == [("web", 40_004)]
        slices = (await bench.client.list(SLICES, "default")).items
        found = {(s["metadata"]["labels"]["kubernetes.io/service-name"], p["port"]) for s in slices for p in s["ports"]}
        assert ("alertmanager-operated", 40_002) in found, "discovery by slices finds them, too"

    run(scenario)


def test_a_name_of_the_port_is_followed() -> None:
    async def scenario(bench: Bench) -> None:
        found = await bench.make("prometheuses", "a", {"portName": "metrics"})
        await bench.make("prometheuses", "b")
        assert await bench.ports("prometheus-operated") == [("metrics", 40_001), ("web", 40_002)]
        service = await bench.client.get(SERVICES, "prometheus-operated", "default")
        assert [(p["name"], p["port"]) for p in service["spec"]["ports"]] == [("metrics", 9090), ("web", 40_002)]
        await bench.publish("prometheuses", {**found, "spec": {}})
        assert await bench.ports("prometheus-operated") == [("web", 40_001), ("web", 40_002)]
        assert bench.doors.opened == 2

    run(scenario)


def test_what_is_as_it_should_be_is_not_written_and_what_is_gone_is_made_again() -> None:
    async def scenario(bench: Bench) -> None:
        found = await bench.make("alertmanagers", "a")
        before = await bench.client.get(SERVICES, "alertmanager-operated", "default")
        await bench.publish("alertmanagers", found)
        after = await bench.client.get(SERVICES, "alertmanager-operated", "default")
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        await bench.client.delete(SERVICES, "alertmanager-operated", "default")
        await asyncio.sleep(SOON_S)
        await bench.publish("alertmanagers", found)
        assert (await bench.client.get(SERVICES, "alertmanager-operated", "default"))["spec"]["clusterIP"] == "None"

    run(scenario)


def test_the_service_goes_with_its_last_object() -> None:
    async def scenario(bench: Bench) -> None:
        for name in ("a", "b"):
            await bench.make("alertmanagers", name)
        for name, left in (("a", [("web", 40_002)]), ("b", None)):
            await bench.services.withdraw(("alertmanagers", "default", name))
            await bench.client.delete(RESOURCES["alertmanagers"], name, "default")
            await asyncio.sleep(60)
            if left:
                assert await bench.ports("alertmanager-operated") == left
        for kind in (SERVICES, ENDPOINTS):
            try:
                await bench.client.get(kind, "alertmanager-operated", "default")
                raise AssertionError(f"{kind.plural} is still there")
            except NotFound:
                pass
        assert bench.doors.closed == 2

    run(scenario)


def test_somebody_elses_service_of_that_name_is_left_alone() -> None:
    async def scenario(bench: Bench) -> None:
        spec = {"clusterIP": "None", "selector": {"app": "mine"}, "ports": [{"name": "web", "port": 9093, "targetPort": 1234}]}
        await bench.client.create(SERVICES, {"metadata": {"name": "alertmanager-operated", "namespace": "default"}, "spec": spec})
        await asyncio.sleep(SOON_S)
        found = await bench.make("alertmanagers", "a")
        await bench.publish("alertmanagers", found)
        service = await bench.client.get(SERVICES, "alertmanager-operated", "default")
        assert (service["spec"]["selector"], service["metadata"].get("ownerReferences")) == ({"app": "mine"}, None)

    run(scenario)
