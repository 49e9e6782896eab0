"""Points per node: upstream's arithmetic on small cases."""

import random
from typing import Any

import pytest

from podium.objects.values import Object
from podium.scheduler import scores
from podium.scheduler.decision import Decider
from tests.scheduler.building import DEMANDS, cluster_of, node, pod

WEB = {"app": "web"}
ALL = slice(0, 3)


def own(function: Any, nodes: list[Object], wanted: Object, placed: list[Object]) -> list[int]:
    cluster = cluster_of(nodes, placed)
    return function(cluster, DEMANDS.of(wanted), slice(0, cluster.nodes.size)).tolist()


def relative(function: Any, nodes: list[Object], wanted: Object, placed: list[Object], services: list[Object] = ()) -> list[int] | None:  # type: ignore[assignment]
    cluster = cluster_of(nodes, placed)
    for service in services:
        cluster.workloads.set_service(service)
    points = function(cluster, DEMANDS.of(wanted), cluster.nodes.present[: cluster.nodes.size])
    return None if points is None else points.tolist()


@pytest.mark.parametrize(
    ("nodes", "wanted", "placed", "points"),
    [
        # (4000-1000)/4000 = 75; (10000-1000)/10000 = 90 -> (75+90)/2
        ([node("a", "4", "10000")], pod("p", "1", "1000"), [], [82]),
        ([node("a", "4", "10000"), node("b", "4", "10000")], pod("p", "1", "1000"), [pod("o", "3", "5000", node="b")], [82, 20]),
        # without requests a container counts as 100m and 200 MiB
        ([node("a", "1", str(400 * 2**20))], pod("p"), [], [(90 + 50) // 2]),
        # nothing left: no points for that resource
        ([node("a", "1", "1000")], pod("p", "2", "500"), [], [25]),
    ],
)
def test_least_allocated(nodes: list[Object], wanted: Object, placed: list[Object], points: list[int]) -> None:
    assert own(scores.least_allocated, nodes, wanted, placed) == points


@pytest.mark.parametrize(
    ("nodes", "wanted", "placed", "points"),
    [
        ([node("a", "4", "10000")], pod("p", "2", "5000"), [], [100]),
        # |0.75 - 0.25| / 2 = 0.25
        ([node("a", "4", "10000")], pod("p", "3", "2500"), [], [75]),
        ([node("a", "4", "10000")], pod("p"), [], [0]),
        ([node("a", "1", "10000")], pod("p", "5", "10000"), [], [100]),
    ],
)
def test_balanced_allocation(nodes: list[Object], wanted: Object, placed: list[Object], points: list[int]) -> None:
    assert own(scores.balanced_allocation, nodes, wanted, placed) == points


def test_fewer_soft_taints_are_better() -> None:
    nodes = [node("a"), node("b", taints="x:PreferNoSchedule"), node("c", taints="x:PreferNoSchedule,y:PreferNoSchedule")]
    assert relative(scores.taint_toleration, nodes, pod("p"), []) == [100, 50, 0]
    tolerant = pod("p", tolerations=[{"operator": "Exists", "effect": "PreferNoSchedule"}])
    assert relative(scores.taint_toleration, nodes, tolerant, []) is None


def test_preferred_node_affinity_sums_weights() -> None:
    def preferred(weight: int, value: str) -> Object:
        return {"weight": weight, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": [value, "any"]}]}}

    nodes = [node("a", labels={"disk": "ssd"}), node("b", labels={"disk": "hdd"}), node("c", labels={"disk": "any"}), node("d")]
    terms = [preferred(80, "ssd"), preferred(20, "hdd")]
    wanted = pod("p", affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}})
    assert relative(scores.node_affinity, nodes, wanted, []) == [80, 20, 100, 0]


def test_soft_spread_prefers_the_emptier_zone() -> None:
    nodes = [node("a1", zone="a"), node("a2", zone="a"), node("b1", zone="b")]
    soft = {
        "topologyKey": "topology.kubernetes.io/zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": WEB},
    }
    wanted = pod("p", labels=WEB, topologySpreadConstraints=[soft])
    placed = [pod("o1", labels=WEB, node="a1"), pod("o2", labels=WEB, node="a1"), pod("o3", labels=WEB, node="b1")]
    # two zones: weight ln(4); costs round(2*1.386)=3, 3, 1; 100*(3+1-3)/3, 100*(3+1-1)/3
    assert relative(scores.pod_topology_spread, nodes, wanted, placed) == [33, 33, 100]
    assert relative(scores.pod_topology_spread, [*nodes, node("bare")], wanted, placed) == [33, 33, 100, 0]


def test_pods_of_a_service_spread_by_default() -> None:
    nodes = [node("a1", zone="a"), node("a2", zone="a"), node("b1", zone="b")]
    service = {"metadata": {"name": "web", "namespace": "ns"}, "spec": {"selector": WEB}}
    placed = [pod("o1", labels=WEB, node="a1")]
    points = relative(scores.pod_topology_spread, nodes, pod("p", labels=WEB), placed, [service])
    assert points is not None
    assert points[2] > points[1] > points[0]
    assert relative(scores.pod_topology_spread, nodes, pod("p", labels={"app": "other"}), placed, [service]) is None


def test_preferred_pod_affinity_in_both_directions() -> None:
    def preferred(kind: str) -> Object:
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": WEB}}
        return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "podAffinityTerm": term}]}}

    nodes = [node("a"), node("b"), node("c")]
    placed = [pod("o", labels=WEB, node="b")]
    assert relative(scores.inter_pod_affinity, nodes, pod("p", affinity=preferred("podAffinity")), placed) == [0, 100, 0]
    assert relative(scores.inter_pod_affinity, nodes, pod("p", affinity=preferred("podAntiAffinity")), placed) == [100, 0, 100]
    wishing = [pod("o", affinity=preferred("podAntiAffinity"), node="c")]
    assert relative(scores.inter_pod_affinity, nodes, pod("p", labels=WEB), wishing) == [100, 100, 0]


def test_ties_are_broken_by_the_random_source() -> None:
    nodes = [node(name) for name in "abcdef"]

    def chosen(seed: int) -> list[str]:
        decider = Decider(cluster_of(nodes), random.Random(seed))
        return [str(decider.decide(DEMANDS.of(pod("p", "1")))) for _ in range(20)]

    assert chosen(1) == chosen(1)
    assert len(set(chosen(1))) > 3
    assert chosen(1) != chosen(2)
