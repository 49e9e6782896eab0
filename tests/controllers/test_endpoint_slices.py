import asyncio
import time

import pytest

from podium.controllers.endpoint_slices import EndpointSliceController
from podium.controllers.endpoints import EndpointsController
from podium.objects.values import copy
from tests.controllers import cluster
from tests.controllers.cluster import ENDPOINTS, PODS, SERVICES, SLICES, pod


def service(**spec):
    spec = {
        "clusterIP": "10.96.0.9",
        "ipFamilies": ["IPv4"],
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 8080}],
        **spec,
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}


def served(scenario, **options):
    async def main(c):
        c.start(EndpointSliceController)
        c.start(EndpointsController)
        await scenario(c)

    cluster.run(main, **options)


def run_pod(c, number, ready=True):
    value = c.get(PODS, f"p{number}") or c.client.put(pod(f"p{number}"))
    return c.set_ready(value, ready=ready, ip=f"10.0.{number // 250}.{number % 250 + 1}")


def ready_addresses(c):
    return sorted(e["addresses"][0] for s in c.client.all(SLICES) for e in s["endpoints"] if e["conditions"]["ready"])


def test_endpoints_follow_the_pods():
    async def scenario(c):
        c.client.put(service())
        await asyncio.sleep(1)
        (empty,) = c.client.all(SLICES)
        assert empty["endpoints"] == []
        for number in range(3):
            run_pod(c, number)
        await asyncio.sleep(1)
        assert ready_addresses(c) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        assert [a["ip"] for a in c.get(ENDPOINTS, "web")["subsets"][0]["addresses"]] == ready_addresses(c)
        run_pod(c, 1, ready=False)
        c.client.remove(PODS, "p2", "default")
        await asyncio.sleep(1)
        assert ready_addresses(c) == ["10.0.0.1"]
        assert len(c.client.all(SLICES)) == 1
        relabelled = copy(c.get(PODS, "p0"))
        relabelled["metadata"]["labels"] = {"app": "db"}
        c.client.put(relabelled)
        await asyncio.sleep(1)
        assert ready_addresses(c) == []

    served(scenario)


def test_services_without_selector_or_by_name_are_left_alone():
    async def scenario(c):
        c.client.put(service(selector=None))
        c.client.put({**service(type="ExternalName"), "metadata": {"name": "other", "namespace": "default"}})
        run_pod(c, 1)
        await asyncio.sleep(5)
        assert c.client.all(SLICES) == c.client.all(ENDPOINTS) == []

    served(scenario)


def test_foreign_change_is_put_right_and_foreign_slices_are_left_alone():
    async def scenario(c):
        c.client.put(service())
        run_pod(c, 1)
        await asyncio.sleep(5)
        (mine,) = c.client.all(SLICES)
        c.client.put({**mine, "endpoints": []})
        foreign = copy(mine)
        foreign["metadata"] = {"name": "foreign", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}}
        c.client.put(foreign)
        await asyncio.sleep(5)
        assert c.get(SLICES, "foreign")["endpoints"] == mine["endpoints"]
        assert c.get(SLICES, mine["metadata"]["name"])["endpoints"] == mine["endpoints"]
        c.client.remove(SLICES, mine["metadata"]["name"], "default")
        await asyncio.sleep(5)
        assert len(c.client.all(SLICES)) == 2

    served(scenario)


def test_endpoints_go_with_their_service_but_not_those_of_others():
    async def scenario(c):
        c.client.put({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "manual", "namespace": "default"}})
        c.client.put(service())
        await asyncio.sleep(1)
        c.client.remove(SERVICES, "web", "default")
        await asyncio.sleep(1)
        assert [e["metadata"]["name"] for e in c.client.all(ENDPOINTS)] == ["manual"]

    served(scenario)


@pytest.mark.parametrize("lag_s", [0.0, 0.02, 1.0])
def test_lagging_mirror_never_doubles_an_endpoint(lag_s):
    async def scenario(c):
        c.client.lags_s["endpointslices"] = lag_s
        c.client.put(service())
        for number in range(250):
            run_pod(c, number)
            await asyncio.sleep(0.01)
            held = [e["addresses"][0] for s in c.client.all(SLICES) for e in s["endpoints"]]
            assert len(held) == len(set(held))
        await asyncio.sleep(10)
        assert len(ready_addresses(c)) == 250
        assert len(c.client.all(SLICES)) == 3

    served(scenario)


def test_zone_of_the_node_is_shown_when_it_becomes_known():
    async def scenario(c):
        c.client.put(service())
        run_pod(c, 1)
        await asyncio.sleep(1)
        c.client.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}}})
        await asyncio.sleep(1)
        assert c.client.all(SLICES)[0]["endpoints"][0]["zone"] == "a"

    served(scenario)


@pytest.mark.slow
def test_five_thousand_pods_cause_few_writes():
    """200 pods become ready each 0.1 s. Both controllers with the fake client and the mirrors: 0.12 ms of CPU a pod."""

    async def scenario(c):
        c.client.put(service())
        for number in range(5000):
            run_pod(c, number, ready=False)
        await asyncio.sleep(5)
        before = c.client.calls["update", "endpointslices"]
        for number in range(5000):
            run_pod(c, number)
            if number % 200 == 0:
                await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        assert len(ready_addresses(c)) == 5000
        assert len(c.client.all(SLICES)) == 50
        assert c.client.calls["update", "endpointslices"] - before < 400
        assert len(c.get(ENDPOINTS, "web")["subsets"][0]["addresses"]) == 1000

    started = time.process_time()
    served(scenario)
    assert time.process_time() - started < 5000 * 0.0005
