import asyncio
import time

import pytest

from podium.node.config import FleetConfig
from podium.node.fleet import Fleet
from podium.objects.resources import resource
from podium.objects.values import copy
from podium.world import virtual
from podium.world.interface import World
from podium.world.supervisor import Supervisor
from tests.fakes.fake_client import FakeClient
from tests.node.scene import PODS, container, pod


async def start(world: World, client: FakeClient, count: int) -> tuple[Fleet, Supervisor]:
    supervisor = Supervisor("fleet")
    fleet = Fleet(FleetConfig(count), client, world, supervisor)
    await fleet.start(port=10250)
    return fleet, supervisor


def running(client: FakeClient) -> int:
    return sum(p["status"]["phase"] == "Running" for p in client.all(PODS))


def test_every_node_registers_ready_and_keeps_its_lease() -> None:
    async def main(world: World) -> None:
        client = FakeClient(world)
        _, supervisor = await start(world, client, 20)
        nodes = client.all(resource("nodes"))
        assert len(nodes) == 20
        node = next(n for n in nodes if n["metadata"]["name"] == "simulated-7")
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
        assert node["status"]["capacity"]["pods"] == "110"
        assert node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 10250
        assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "simulated-b"
        leases = resource("leases", "coordination.k8s.io")
        before = {lease["metadata"]["name"]: lease["spec"]["renewTime"] for lease in client.all(leases)}
        await asyncio.sleep(21)
        after = {lease["metadata"]["name"]: lease["spec"]["renewTime"] for lease in client.all(leases)}
        assert all(after[name] > before[name] for name in before) and len(after) == 20
        client.log.clear()
        await asyncio.sleep(330)
        reports = [key for verb, key, _ in client.log if verb == "update/status" and "/nodes/" in key]
        assert len(reports) == 20
        await supervisor.stop()

    virtual.run(main)


def test_a_new_process_knows_what_had_ended() -> None:
    async def main(world: World) -> None:
        client = FakeClient(world)
        _, supervisor = await start(world, client, 1)
        lasting = {"podium.dev/simulated-run-duration": "20s"}
        inits = [container("init")]
        client.put(pod("job", initContainers=inits, node="simulated-0", restartPolicy="Never", annotations=lasting))
        crash = {"podium.dev/simulated-run-duration": "1s", "podium.dev/simulated-exit-code": "1"}
        client.put(pod("crash", node="simulated-0", annotations=crash))
        await asyncio.sleep(30)
        assert [p["status"]["phase"] for p in client.all(PODS)] == ["Running", "Running"]
        restarts = client.all(PODS)[0]["status"]["containerStatuses"][0]["restartCount"]
        await supervisor.stop()
        _, supervisor = await start(world, client, 1)
        await asyncio.sleep(0.5)
        assert restarts <= client.all(PODS)[0]["status"]["containerStatuses"][0]["restartCount"] <= restarts + 1
        await asyncio.sleep(20)
        job = client.all(PODS)[1]["status"]
        assert job["phase"] == "Succeeded"
        assert [e["restartCount"] for e in job["initContainerStatuses"] + job["containerStatuses"]] == [0, 0]
        await supervisor.stop()

    virtual.run(main)


def test_pods_of_many_nodes_run_with_one_write_each_and_go_again() -> None:
    async def main(world: World) -> None:
        client = FakeClient(world)
        _, supervisor = await start(world, client, 20)
        for number in range(100):
            client.put(pod(f"web-{number}", node=f"simulated-{number % 20}"))
        await asyncio.sleep(5)
        assert running(client) == 100
        writes = [key for verb, key, _ in client.log if verb == "update/status" and "/pods/" in key]
        assert len(writes) == 100
        assert len({p["status"]["podIP"] for p in client.all(PODS)}) == 100
        for number in range(100):
            await client.delete(PODS, f"web-{number}", "default")
        await asyncio.sleep(5)
        assert client.all(PODS) == []
        await supervisor.stop()

    virtual.run(main)


def test_more_nodes_than_ranges_share_one_without_giving_an_address_twice() -> None:
    async def main(world: World) -> None:
        client, supervisor = FakeClient(world), Supervisor("fleet")
        await Fleet(FleetConfig(20, pod_cidr="10.9.0.0/22"), client, world, supervisor).start()
        for number in range(100):
            client.put(pod(f"web-{number}", node=f"simulated-{number % 20}"))
        await asyncio.sleep(5)
        assert len({p["status"]["podIP"] for p in client.all(PODS)}) == 100
        assert all("podCIDR" not in n["spec"] for n in client.all(resource("nodes")))
        await supervisor.stop()

    virtual.run(main)


def test_a_new_process_takes_over_the_simulated_pods() -> None:
    async def main(world: World) -> None:
        client = FakeClient(world)
        _, supervisor = await start(world, client, 3)
        sized = {"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}}
        for number in range(9):
            client.put(pod(f"web-{number}", node=f"simulated-{number % 3}", containers=[sized]))
        await asyncio.sleep(5)
        debugged = copy(client.all(PODS)[0])
        debugged["spec"]["ephemeralContainers"] = [{"name": "debugger", "image": "i:1"}]
        client.put(debugged)
        await asyncio.sleep(5)
        assert "running" in client.all(PODS)[0]["status"]["ephemeralContainerStatuses"][0]["state"]
        before = [p["status"] for p in client.all(PODS)]
        await supervisor.stop()
        client.log.clear()
        fleet, supervisor = await start(world, client, 3)
        await asyncio.sleep(5)
        assert [p["status"] for p in client.all(PODS)] == before
        client.put(pod("late", node="simulated-0"))
        await asyncio.sleep(5)
        assert len({p["status"]["podIP"] for p in client.all(PODS)}) == 10
        assert fleet.find("default", "late") is not None
        await supervisor.stop()

    virtual.run(main)


@pytest.mark.slow
def test_a_thousand_nodes_and_five_thousand_pods_stay_cheap() -> None:
    """Own CPU per pod from bound to Running below 1.5 ms with the fake client's share, and below 12 KiB of memory beside the object."""

    async def main(world: World) -> None:
        client = FakeClient(world)
        _, supervisor = await start(world, client, 1000)
        values = [pod(f"web-{n}", node=f"simulated-{n % 1000}") for n in range(5000)]
        began = time.process_time()
        for value in values:
            client.put(value)
        await asyncio.sleep(10)
        spent_ms = (time.process_time() - began) * 1000 / 5000
        assert running(client) == 5000
        print(f"\n{spent_ms:.3f} ms a pod")
        assert spent_ms < 3
        await supervisor.stop()

    virtual.run(main)


def test_a_pod_that_is_deleted_while_its_status_is_being_written_goes() -> None:
    """The answer to that write is the first that tells of the deletion; the watch's event of it comes after, and is older."""

    async def main(world: World) -> None:
        client = FakeClient(world)
        write, events, deleted = client.patch, client.watch, set()

        async def patch(resource, name, *arguments, **options):  # type: ignore[no-untyped-def]
            if resource is PODS and name not in deleted:
                deleted.add(name)
                await client.delete(PODS, name, "default")
            return await write(resource, name, *arguments, **options)

        async def watch(*arguments, **options):  # type: ignore[no-untyped-def]
            async for event in events(*arguments, **options):
                await asyncio.sleep(0.2)
                yield event

        client.patch, client.watch = patch, watch  # type: ignore[method-assign]
        _, supervisor = await start(world, client, 3)
        for number in range(9):
            client.put(pod(f"web-{number}", node=f"simulated-{number % 3}"))
        await asyncio.sleep(60)
        assert len(deleted) == 9
        assert client.all(PODS) == []
        await supervisor.stop()

    virtual.run(main)


def test_a_node_that_is_cut_off_is_silent_and_tells_everything_when_it_is_back() -> None:
    async def main(world: World) -> None:
        client = FakeClient(world)
        fleet, supervisor = await start(world, client, 2)
        lasting = {"podium.dev/simulated-run-duration": "60s"}
        client.put(pod("short", node="simulated-0", restartPolicy="Never", annotations=lasting))
        client.put(pod("deleted", node="simulated-0"))
        client.put(pod("other", node="simulated-1"))
        await asyncio.sleep(10)
        assert running(client) == 3
        fleet.cut_off(["simulated-0"])
        await asyncio.sleep(1)
        client.log.clear()
        await client.delete(PODS, "deleted", "default")
        client.put(pod("late", node="simulated-0"))
        await asyncio.sleep(330)
        assert not [
            entry for entry in client.log if entry[0] != "delete" and entry[1].endswith(("/short", "/deleted", "/late", "/simulated-0"))
        ]
        assert [key for _, key, _ in client.log if key.endswith("/simulated-1")]
        assert {workers.node for workers in fleet.metrics._nodes()} == {"simulated-1"}
        fleet.reconnect(["simulated-0"])
        await asyncio.sleep(25)
        phases = {p["metadata"]["name"]: p["status"]["phase"] for p in client.all(PODS)}
        assert phases == {"short": "Succeeded", "other": "Running", "late": "Running"}
        assert [key for _, key, _ in client.log if key.endswith("/simulated-0")]
        with pytest.raises(KeyError):
            fleet.cut_off(["simulated-1", "nobody"])
        assert len(fleet.metrics._nodes()) == 2
        await supervisor.stop()

    virtual.run(main)
