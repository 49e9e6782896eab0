"""podium.testing: the cluster that tests and rehearsals get, and what it refuses."""

from typing import Any

import pytest

from podium import testing
from podium.node.config import FleetConfig
from podium.objects.resources import resource
from podium.objects.status import Forbidden
from podium.simulation.errors import SimulationError
from podium.world import virtual

POD: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"containers": [{"name": "app", "image": "shop/web:1"}]},
}  # fmt: skip
pytestmark = pytest.mark.slow


def test_a_pod_runs_and_a_seed_repeats_the_time_it_takes() -> None:
    async def scenario(cluster: testing.Cluster) -> float:
        (made,) = await cluster.create(POD)
        assert made["metadata"]["namespace"] == "default"
        return await cluster.running(1)

    assert testing.run(scenario, seed=5) == testing.run(scenario, seed=5) > 0


def test_users_are_bound_by_their_roles() -> None:
    async def scenario(cluster: testing.Cluster) -> None:
        with pytest.raises(Forbidden):
            await cluster.client_as("guest").list(resource("pods"), "default")
        assert (await cluster.client_as("root", ["system:masters"]).list(resource("pods"), "default")).items == []

    testing.run(scenario, nodes=1)


def test_what_is_not_there_is_an_error_that_says_what_is() -> None:
    async def scenario(cluster: testing.Cluster) -> None:
        with pytest.raises(SimulationError, match="make it with metrics=True"):
            _ = cluster.metrics
        with pytest.raises(SimulationError, match="serves no Unicorn of v1"):
            await cluster.create({"apiVersion": "v1", "kind": "Unicorn", "metadata": {"name": "x"}})
        with pytest.raises(SimulationError, match="no node is in zone 'moon'; there are simulated-a, simulated-b"):
            cluster.lose_zone("moon")
        with pytest.raises(SimulationError, match="no such node: nobody"):
            cluster.return_nodes(["small-0", "nobody"])
        with pytest.raises(TimeoutError):
            await cluster.running(1, timeout_s=5)
        assert cluster.now_s >= 5

    testing.run(scenario, fleet=FleetConfig(2, prefix="small", zones=2))


def test_lost_nodes_are_not_ready_after_their_grace_and_ready_again_on_return() -> None:
    async def scenario(cluster: testing.Cluster) -> None:
        async def ready(wanted: str) -> bool:
            node = await cluster.client.get(resource("nodes"), "simulated-1")
            return {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == wanted

        await cluster.pass_time(30)
        cluster.lose_nodes(["simulated-1"])
        assert 20 <= await cluster.until(lambda: ready("Unknown")) <= 50
        cluster.return_nodes(["simulated-1"])
        assert await cluster.until(lambda: ready("True")) <= 21

    testing.run(scenario, nodes=2)


def test_a_scenario_that_fails_ends_the_cluster_and_says_why() -> None:
    async def scenario(cluster: testing.Cluster) -> None:
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        testing.run(scenario, nodes=1, metrics=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (testing.MetricsOptions(alertmanager="route: nonsense"), "the configuration of Alertmanager is not right"),
        (testing.MetricsOptions(interval="often"), "the interval 'often' is not right"),
        (testing.MetricsOptions(interval="0s"), "the interval '0s' is not right"),
    ],
)
def test_options_that_are_not_right_are_refused(options: testing.MetricsOptions, said: str) -> None:
    async def main(world: Any) -> None:
        async with testing.cluster(world, nodes=1, metrics=options):
            raise AssertionError("it must not start")

    with pytest.raises(SimulationError, match=said):
        virtual.run(main)


def test_a_crash_of_a_part_is_no_success() -> None:
    async def scenario(cluster: testing.Cluster) -> None:
        async def crash() -> None:
            raise RuntimeError("a mistake of ours")

        cluster.plane.controllers.start("mistaken", crash())
        await cluster.pass_time(1)

    with pytest.raises(SimulationError, match="a mistake of ours"):
        testing.run(scenario, nodes=1)
