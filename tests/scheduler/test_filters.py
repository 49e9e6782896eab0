"""Which nodes take a pod, and the reasons given for those that do not: (nodes, pod, placed pods) -> (feasible names, reasons)."""

import random
from typing import Any

import pytest

from podium.objects.values import Object
from podium.scheduler.decision import Decider
from tests.scheduler.building import DEMANDS, cluster_of, node, place, pod

AFFINITY = "node(s) didn't match Pod's node affinity/selector"
TAINT = "node(s) had untolerated taint(s)"
SKEW = "node(s) didn't match pod topology spread constraints"


def required(*expressions: Object, fields: Any = ()) -> Object:
    term = {"matchExpressions": list(expressions), **({"matchFields": list(fields)} if fields else {})}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def rule(key: str, operator: str, *values: str) -> Object:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def spread(key: str, skew: int = 1, **more: Any) -> Object:
    selector = {"matchLabels": {"app": "web"}}
    return {"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector, **more}


def near(kind: str, key: str = "zone", **more: Any) -> Object:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}, **more}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


WEB = {"app": "web"}
ZONED = [node("a1", labels={"zone": "a"}), node("a2", labels={"zone": "a"}), node("b1", labels={"zone": "b"}), node("c1")]
SIZED = [node("s", labels={"size": "1"}), node("m", labels={"size": "5"}), node("x", labels={"size": "big"}), node("none")]

CASES: dict[str, tuple[list[Object], Object, list[Object], str, dict[str, int]]] = {
    "room for cpu": ([node("a", "1"), node("b", "2")], pod("p", "1500m"), [], "b", {"Insufficient cpu": 1}),
    "room is what others leave": ([node("a", "2")], pod("p", "1"), [pod("o", "1500m", node="a")], "", {"Insufficient cpu": 1}),
    "exactly full": ([node("a", "2")], pod("p", "500m"), [pod("o", "1500m", node="a")], "a", {}),
    "all that is missing is named":
        ([node("a", "1", "1Gi")], pod("p", "2", "2Gi"), [], "", {"Insufficient cpu": 1, "Insufficient memory": 1}),
    "too many pods": ([node("a", pods="1")], pod("p"), [pod("o", node="a")], "", {"Too many pods": 1}),
    "no request fits an overcommitted node": ([node("a", "1")], pod("p"), [pod("o", "2", node="a")], "a", {}),
    "extended":
        ([node("a", extended={"x.io/gpu": "1"}), node("b")], pod("p", requests={"x.io/gpu": "1"}), [], "a", {"Insufficient x.io/gpu": 1}),
    "unschedulable": ([node("a", unschedulable=True), node("b")], pod("p"), [], "b", {"node(s) were unschedulable": 1}),
    "unschedulable tolerated": (
        [node("a", unschedulable=True)],
        pod("p", tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]),
        [],
        "a",
        {},
    ),
    "taints": (
        [node("a", taints="k=v:NoSchedule"), node("b", taints="k=v:NoExecute"), node("c", taints="k:PreferNoSchedule")],
        pod("p"), [], "c", {TAINT: 2}),
    "tolerations": (
        [node("a", taints="k=v:NoSchedule"), node("b", taints="k=w:NoSchedule"), node("c", taints="k=v:NoExecute")],
        pod("p", tolerations=[{"key": "k", "value": "v", "effect": "NoSchedule"}]),
        [],
        "a",
        {TAINT: 2},
    ),
    "toleration of everything": ([node("a", taints="k=v:NoSchedule")], pod("p", tolerations=[{"operator": "Exists"}]), [], "a", {}),
    "node selector": (ZONED, pod("p", nodeSelector={"zone": "a"}), [], "a1 a2", {AFFINITY: 2}),
    "affinity In": (ZONED, pod("p", affinity=required(rule("zone", "In", "b", "x"))), [], "b1", {AFFINITY: 3}),
    "affinity NotIn takes nodes without the label":
        (ZONED, pod("p", affinity=required(rule("zone", "NotIn", "a"))), [], "b1 c1", {AFFINITY: 2}),
    "affinity Exists": (ZONED, pod("p", affinity=required(rule("zone", "Exists"))), [], "a1 a2 b1", {AFFINITY: 1}),
    "affinity DoesNotExist": (ZONED, pod("p", affinity=required(rule("zone", "DoesNotExist"))), [], "c1", {AFFINITY: 3}),
    "affinity Gt": (SIZED, pod("p", affinity=required(rule("size", "Gt", "1"))), [], "m", {AFFINITY: 3}),
    "affinity Lt": (SIZED, pod("p", affinity=required(rule("size", "Lt", "5"))), [], "s", {AFFINITY: 3}),
    "affinity to a name": (ZONED, pod("p", affinity=required(fields=[rule("metadata.name", "In", "c1")])), [], "c1", {AFFINITY: 3}),
    "empty term matches nothing": ([node("a")], pod("p", affinity=required()), [], "", {AFFINITY: 1}),
    "host port": (
        [node("a"), node("b")],
        pod("p", ports=[{"hostPort": 80}]),
        [pod("o", ports=[{"hostPort": 80, "hostIP": "10.0.0.1"}], node="a")],
        "b",
        {"node(s) didn't have free ports for the requested pod ports": 1},
    ),
    "host port on another address or protocol": (
        [node("a")],
        pod("p", ports=[{"hostPort": 80, "hostIP": "10.0.0.2"}]),
        [pod("o", ports=[{"hostPort": 80, "hostIP": "10.0.0.1"}, {"hostPort": 80, "hostIP": "10.0.0.2", "protocol": "UDP"}], node="a")],
        "a",
        {},
    ),
    "zone spread": (
        ZONED,
        pod("p", labels=WEB, topologySpreadConstraints=[spread("zone")]),
        [pod("o", labels=WEB, node="a1")],
        "b1",
        {SKEW: 2, SKEW + " (missing required label)": 1},
    ),
    "zone spread with room": (
        ZONED,
        pod("p", labels=WEB, topologySpreadConstraints=[spread("zone", 2)]),
        [pod("o", labels=WEB, node="a1")],
        "a1 a2 b1",
        {SKEW + " (missing required label)": 1},
    ),
    "spread does not count the terminating": (
        ZONED[:3],
        pod("p", labels=WEB, topologySpreadConstraints=[spread("zone")]),
        [{**(o := pod("o", labels=WEB, node="a1")), "metadata": {**o["metadata"], "deletionTimestamp": "x"}}],
        "a1 a2 b1",
        {},
    ),
    "spread only over the nodes the pod may use": (
        ZONED[:3],
        pod("p", labels=WEB, nodeSelector={"zone": "a"}, topologySpreadConstraints=[spread("zone")]),
        [pod("o", labels=WEB, node="a1")],
        "a1 a2",
        {AFFINITY: 1},
    ),
    "too few domains count as an empty one": (
        ZONED[:3],
        pod("p", labels=WEB, topologySpreadConstraints=[spread("zone", minDomains=3)]),
        [pod("o", labels=WEB, node="a1"), pod("o2", labels=WEB, node="b1")],
        "",
        {SKEW: 3},
    ),
    "pod affinity": (
        ZONED,
        pod("p", affinity=near("podAffinity")),
        [pod("o", labels=WEB, node="a1")],
        "a1 a2",
        {"node(s) didn't match pod affinity rules": 2},
    ),
    "first pod of a group goes anywhere": (
        ZONED,
        pod("p", labels=WEB, affinity=near("podAffinity")),
        [],
        "a1 a2 b1",
        {"node(s) didn't match pod affinity rules": 1},
    ),
    "pod affinity stays in its namespace": (
        ZONED,
        pod("p", affinity=near("podAffinity")),
        [pod("o", labels=WEB, namespace="other", node="a1")],
        "",
        {"node(s) didn't match pod affinity rules": 4},
    ),
    "pod affinity to another namespace": (
        ZONED,
        pod("p", affinity=near("podAffinity", namespaces=["other"])),
        [pod("o", labels=WEB, namespace="other", node="a1")],
        "a1 a2",
        {"node(s) didn't match pod affinity rules": 2},
    ),
    "pod anti-affinity": (
        ZONED,
        pod("p", affinity=near("podAntiAffinity")),
        [pod("o", labels=WEB, node="a1")],
        "b1 c1",
        {"node(s) didn't match pod anti-affinity rules": 2},
    ),
    "placed pods object": (
        ZONED,
        pod("p", labels=WEB),
        [pod("o", affinity=near("podAntiAffinity"), node="a1")],
        "b1 c1",
        {"node(s) didn't satisfy existing pods anti-affinity rules": 2},
    ),
    "the first filter that rejects says why": (
        [node("a", "1", taints="k:NoSchedule"), node("b", "1")],
        pod("p", "2"),
        [],
        "",
        {TAINT: 1, "Insufficient cpu": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_nodes_and_reasons(name: str) -> None:
    nodes, wanted, placed, feasible, reasons = CASES[name]
    cluster = cluster_of(nodes, placed)
    decider = Decider(cluster, random.Random(0))
    mask, _ = decider.feasible(DEMANDS.of(wanted))
    assert " ".join(cluster.nodes.names[i] for i in mask.nonzero()[0]) == feasible
    assert decider.explain(DEMANDS.of(wanted)).reasons == reasons


def test_namespace_selector_follows_labels() -> None:
    cluster = cluster_of(ZONED, [pod("o", labels=WEB, namespace="other", node="a1")])
    decider = Decider(cluster, random.Random(0))
    wanted = DEMANDS.of(pod("p", affinity=near("podAffinity", namespaceSelector={"matchLabels": {"team": "x"}})))
    assert not decider.feasible(wanted)[0].any()
    cluster.pods.set_namespace("other", {"team": "x"})
    assert decider.feasible(wanted)[0].sum() == 2
    cluster.pods.set_namespace("other", {"team": "y"})
    assert not decider.feasible(wanted)[0].any()


def test_a_filter_sees_changes_of_nodes() -> None:
    cluster = cluster_of([node("a", taints="k:NoSchedule")])
    decider = Decider(cluster, random.Random(0))
    wanted = DEMANDS.of(pod("p", "2"))
    assert not isinstance(decider.decide(wanted), str)
    cluster.pods.set_node(node("a"))
    assert decider.decide(wanted) == "a"
    place(cluster, pod("o", "3"), "a")
    assert not isinstance(decider.decide(wanted), str)
    cluster.pods.set_node(node("a", "8"))
    assert decider.decide(wanted) == "a"
    cluster.pods.remove_node("a")
    assert not isinstance(decider.decide(wanted), str)
