"""Which pods have to leave for which: tables, and random clusters compared with the plain filters of `oracle.py`."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.objects import selectors
from podium.objects.values import Object
from podium.scheduler.cluster import Cluster
from podium.scheduler.decision import Decider, Refusal
from podium.scheduler.preemption import Budget, Fruitless, Looks, Preemptor, Victims, plan_preemption
from tests.scheduler import oracle
from tests.scheduler.building import DEMANDS, cluster_of, node, place, pod
from tests.scheduler.test_oracle import some_nodes, some_pods
from tests.scheduler.test_placements import facts


def plan(cluster: Cluster, wanted: Object, budgets: list[Budget] | None = None, started: dict[str, str] | None = None) -> Any:
    metadata, priority = wanted["metadata"], wanted["spec"].get("priority", 0)
    key, demand = f"{metadata['namespace']}/{metadata['name']}", DEMANDS.of(wanted)
    refusal = Decider(cluster, random.Random(1)).decide(demand, priority, key)
    assert isinstance(refusal, Refusal), "it has a node already"
    ages = started or {}
    return plan_preemption(cluster, Preemptor(key, demand, priority), refusal, budgets or [], lambda k: ages.get(k, ""), random.Random(2))


def victims(found: Any) -> tuple[str, str]:
    assert isinstance(found, Victims), found
    return found.node, " ".join(key.partition("/")[2] for key in found.keys)


def low(name: str, cpu: str = "1", at: str = "a", priority: int = 0, **more: Any) -> Object:
    return pod(name, cpu, node=at, priority=priority, **more)


HIGH = pod("high", "2", priority=10)
CASES: list[tuple[str, list[Object], list[Object], Object, tuple[str, str]]] = [
    ("as few as needed, the least important first", [node("a", "4")],
     [low("p1", priority=1), low("p2", priority=2), low("p3", priority=3), low("p4", priority=4)], HIGH, ("a", "p2 p1")),
    ("a big one that must go saves the small ones", [node("a", "4")], [low("big", "3", priority=5), low("small", "1")],
     pod("high", "3", priority=10), ("a", "big")),
    ("those of equal priority stay", [node("a", "2"), node("b", "2")], [low("equal", "2", "a", 10), low("less", "2", "b", 9)], HIGH,
     ("b", "less")),
    ("the node whose most important victim is least important", [node("a", "2"), node("b", "2")],
     [low("a1", "1", "a", 5), low("a2", "1", "a", 0), low("b1", "1", "b", 4), low("b2", "1", "b", 4)], HIGH, ("b", "b1 b2")),
    ("then the least sum of priorities", [node("a", "2"), node("b", "2")],
     [low("a1", "1", "a", 5), low("a2", "1", "a", 4), low("b1", "1", "b", 5), low("b2", "1", "b", 1)], HIGH, ("b", "b1 b2")),
    ("negative priorities count as victims, too", [node("a", "2"), node("b", "2")],
     [low("a1", "2", "a", -5), low("b1", "1", "b", -5), low("b2", "1", "b", -5)], HIGH, ("a", "a1")),
    ("a node with fewer victims", [node("a", "2"), node("b", "2")], [low("a1", "1", "a"), low("a2", "1", "a"), low("b1", "2", "b")], HIGH,
     ("b", "b1")),
    ("a full node by number of pods", [node("a", "8", pods="2")], [low("p1"), low("p2", priority=1)], HIGH, ("a", "p1")),
    ("a host port", [node("a")], [low("other"), low("holder", priority=3, ports=[{"containerPort": 1, "hostPort": 80}])],
     pod("high", "1", priority=10, ports=[{"containerPort": 1, "hostPort": 80}]), ("a", "holder")),
    ("extended resources", [node("a", extended={"example.com/gpu": "1"})],
     [low("gpu", requests={"example.com/gpu": "1"}), low("none", "3")], pod("high", priority=10, requests={"example.com/gpu": "1"}),
     ("a", "gpu")),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "pods", "wanted", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_victims(nodes: list[Object], pods: list[Object], wanted: Object, expected: tuple[str, str]) -> None:
    assert victims(plan(cluster_of(nodes, pods), wanted)) == expected


def test_of_equal_nodes_the_one_whose_victims_started_last() -> None:
    cluster = cluster_of([node("a", "2"), node("b", "2")], [low("old", "2", "a"), low("new", "2", "b")])
    assert victims(plan(cluster, HIGH, started={"ns/old": "2026-01-01T00:00:00Z", "ns/new": "2026-01-02T00:00:00Z"})) == ("b", "new")
    assert victims(plan(cluster, HIGH, started={"ns/new": "2026-01-02T00:00:00Z"})) == ("a", "old")


def test_on_a_node_the_youngest_goes() -> None:
    cluster = cluster_of([node("a", "3")], [low("p1"), low("p2"), low("p3")])
    ages = {f"ns/p{n}": f"2026-01-0{n}T00:00:00Z" for n in (1, 2, 3)}
    assert victims(plan(cluster, pod("high", "1", priority=10), started=ages)) == ("a", "p3")


def budget(allowed: int, *disrupted: str) -> Budget:
    return Budget("ns", selectors.from_labels({"app": "web"}), allowed, frozenset(disrupted))


BUDGETS = [
    ("a budget is kept where another can go", budget(0), "free", 0),
    ("one that allows a disruption does not matter", budget(1), "web", 0),
    ("one that is disrupted already does not count", budget(0, "web"), "web", 0),
]


@pytest.mark.parametrize(("given", "expected", "violations"), [c[1:] for c in BUDGETS], ids=[c[0] for c in BUDGETS])
def test_budgets(given: Budget, expected: str, violations: int) -> None:
    labels = {"app": "web"}
    cluster = cluster_of([node("a", "2"), node("b", "2")], [low("web", "2", "a", labels=labels), low("free", "2", "b", 1)])
    found = plan(cluster, HIGH, [given])
    assert victims(found)[1] == expected and found.violations == violations


def test_a_budget_is_broken_when_there_is_no_other_way() -> None:
    cluster = cluster_of([node("a", "2")], [low("web", labels={"app": "web"}), low("free", priority=5)])
    found = plan(cluster, pod("high", "1", priority=10), [budget(0)])
    assert victims(found) == ("a", "free")
    found = plan(cluster, HIGH, [budget(0)])
    assert victims(found) == ("a", "free web") and found.violations == 1


def test_a_budget_allows_only_so_many_on_one_node() -> None:
    pods = [low(f"w{n}", labels={"app": "web"}, priority=n) for n in range(3)]
    found = plan(cluster_of([node("a", "3")], pods), pod("high", "3", priority=10), [budget(2)])
    assert victims(found) == ("a", "w2 w1 w0") and found.violations == 1


FRUITLESS: list[tuple[str, list[Object], list[Object], Object, dict[str, int]]] = [
    ("nobody is less important", [node("a", "2")], [low("p", "2", priority=10)], HIGH, {"No preemption victims found for incoming pod": 1}),
    ("all of them are not enough", [node("a", "2")], [low("p", "1", priority=10), low("q")], HIGH, {"Insufficient cpu": 1}),
    ("the node is too small or not allowed", [node("a", "1"), node("b", taints="k:NoSchedule")], [low("p")], HIGH,
     {"Preemption is not helpful for scheduling": 2}),
    ("each node has its own reason", [node("a", "2"), node("b", "1")], [low("p", "2", priority=10)], HIGH,
     {"No preemption victims found for incoming pod": 1, "Preemption is not helpful for scheduling": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "pods", "wanted", "reasons"), [c[1:] for c in FRUITLESS], ids=[c[0] for c in FRUITLESS])
def test_nobody_has_to_leave_in_vain(nodes: list[Object], pods: list[Object], wanted: Object, reasons: dict[str, int]) -> None:
    found = plan(cluster_of(nodes, pods), wanted)
    assert isinstance(found, Fruitless) and found.reasons == reasons


ZONE = "topology.kubernetes.io/zone"


def apart(app: str) -> Any:
    term = {"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": app}}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_an_objecting_pod_goes_and_its_neighbours_stay() -> None:
    pods = [low("shy", affinity=apart("web")), low("calm")]
    found = plan(cluster_of([node("a", zone="z")], pods), pod("high", "1", priority=10, labels={"app": "web"}))
    assert victims(found) == ("a", "shy")


def test_a_pod_that_keeps_its_distance_makes_the_others_go() -> None:
    pods = [low("web", labels={"app": "web"}), low("db", labels={"app": "db"})]
    found = plan(cluster_of([node("a", zone="z")], pods), pod("high", "1", priority=10, affinity=apart("web")))
    assert victims(found) == ("a", "web")


def test_those_on_another_node_are_not_victims() -> None:
    cluster = cluster_of([node("a", zone="z"), node("b", "1", zone="z")], [low("web", at="b", labels={"app": "web"}), low("calm")])
    found = plan(cluster, pod("high", "2", priority=10, affinity=apart("web")))
    assert isinstance(found, Fruitless) and found.reasons == {
        "node(s) didn't match pod anti-affinity rules": 1,
        "Preemption is not helpful for scheduling": 1,
    }


def test_what_is_promised_is_not_given_away() -> None:
    cluster = cluster_of([node("a", "2")])
    cluster.nominations.set("ns/first", "a", DEMANDS.of(pod("first", "2")), 10)
    decider = Decider(cluster, random.Random(1))
    later = DEMANDS.of(pod("later", "1"))
    refusal = decider.decide(later, 10, "ns/later")
    assert isinstance(refusal, Refusal) and refusal.reasons == {"Insufficient cpu": 1} and refusal.filters == ("NodeResourcesFit",)
    assert decider.decide(later, 11, "ns/more important") == "a"
    assert decider.decide(DEMANDS.of(pod("first", "2")), 10, "ns/first") == "a"
    cluster.nominations.remove("ns/first")
    assert decider.decide(later, 10, "ns/later") == "a"


def test_a_promised_port_is_not_given_away() -> None:
    ported = DEMANDS.of(pod("first", ports=[{"containerPort": 1, "hostPort": 80}]))
    cluster = cluster_of([node("a")])
    cluster.nominations.set("ns/first", "a", ported, 5)
    decider = Decider(cluster, random.Random(1))
    assert isinstance(decider.decide(ported, 5, "ns/second"), Refusal)
    assert decider.decide(ported, 5, "ns/first") == "a"


def test_a_promise_outlives_its_node() -> None:
    cluster = cluster_of([node("a", "2"), node("b", "2")])
    cluster.nominations.set("ns/first", "a", DEMANDS.of(pod("first", "2")), 5)
    decider, other = Decider(cluster, random.Random(1)), DEMANDS.of(pod("other", "2"))
    assert decider.decide(other, 5, "ns/other") == "b"
    cluster.pods.remove_node("a")
    cluster.pods.set_node(node("c", "2"))  # takes the slot of the old one
    assert {decider.decide(other, 5, f"ns/{n}") for n in range(20)} == {"b", "c"}
    cluster.pods.set_node(node("a", "2"))
    assert {decider.decide(other, 5, f"ns/{n}") for n in range(20)} == {"b", "c"}


def test_a_look_is_repeated_when_the_node_or_a_budget_changed() -> None:
    cluster = cluster_of([node("a", "2"), node("b", "2")], [low("web", "2", "a", labels={"app": "web"}), low("free", "2", "b", 1)])
    looks, demand = Looks(), DEMANDS.of(HIGH)

    def victim(*budgets: Budget) -> str:
        refusal = Decider(cluster, random.Random(1)).decide(demand, 10, "ns/high")
        assert isinstance(refusal, Refusal)
        preemptor = Preemptor("ns/high", demand, 10)
        return victims(plan_preemption(cluster, preemptor, refusal, list(budgets), lambda _: "", random.Random(2), looks))[1]

    assert victim() == "web"
    assert victim(budget(0)) == "free"
    assert victim() == "web"
    place(cluster, pod("web", "2", labels={"app": "web"}, priority=5), "a")
    assert victim() == "free"


nomination_steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 5), st.integers(0, 3), st.integers(1, 4), st.integers(0, 3)),
        st.tuples(st.sampled_from(["remove", "+node", "-node", "ask"]), st.integers(0, 5)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(nomination_steps)
def test_promises_equal_their_sum(steps: list[Any]) -> None:
    cluster = cluster_of([node(f"n{i}") for i in range(4)])
    promised: dict[str, tuple[str, int, int]] = {}
    for what, number, *more in steps:
        key, name = f"ns/p{number}", f"n{number % 4}"
        if what == "set":
            where, cpu, priority = more
            cluster.nominations.set(key, f"n{where}", DEMANDS.of(pod("p", str(cpu))), priority)
            promised[key] = (f"n{where}", cpu, priority)
        elif what == "remove":
            cluster.nominations.remove(key)
            promised.pop(key, None)
        elif what == "+node":
            cluster.pods.set_node(node(name))
        elif what == "-node":
            cluster.pods.remove_node(name)
        for asked in range(4):
            sums = cluster.nominations.reserved(asked, key)
            for node_name, slot in cluster.nodes.slots.items():
                others = [cpu for k, (at, cpu, p) in promised.items() if k != key and p >= asked and at == node_name]
                column = None if sums is None else sums.requested.get("cpu")
                assert (0 if column is None else column[slot]) == 1000 * sum(others)
                assert (0 if sums is None else sums.pods[slot]) == len(others)


@st.composite
def important(draw: st.DrawFn) -> list[Object]:
    return [{**p, "spec": {**p["spec"], "priority": draw(st.integers(0, 3))}} for p in draw(some_pods())]


def _spec(value: Object, *fields: str) -> bool:
    return any(f in value["spec"] or f in (value["spec"].get("affinity") or {}) for f in fields)


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(some_nodes(), important(), st.integers(0, 1000))
def test_plans_agree_with_the_oracle(nodes: list[Object], pods: list[Object], seed: int) -> None:
    """Without the victims the node takes the pod; with any one of them it does not; a fruitless plan means that no node would."""
    by_name = {n["metadata"]["name"]: n for n in nodes}
    cluster, placed = cluster_of(nodes), []
    decider, looks = Decider(cluster, random.Random(seed)), Looks()
    for each in pods:
        demand, priority = DEMANDS.of(each), each["spec"]["priority"]
        key = f"{each['metadata']['namespace']}/{each['metadata']['name']}"
        chosen = decider.decide(demand, priority, key)
        if isinstance(chosen, str):
            cluster.pods.place(key, chosen, demand, priority=priority)
            placed.append((each, chosen))
            continue
        before = facts(cluster)
        found = plan_preemption(cluster, Preemptor(key, demand, priority), chosen, [], lambda _: "", random.Random(seed))
        remembered = plan_preemption(cluster, Preemptor(key, demand, priority), chosen, [], lambda _: "", random.Random(seed), looks)
        assert facts(cluster) == before and found == remembered
        if isinstance(found, Victims):
            leaving = [(p, n) for p, n in placed if f"{p['metadata']['namespace']}/{p['metadata']['name']}" in found.keys]
            assert len(leaving) == len(found.keys) and all(p["spec"]["priority"] < priority and n == found.node for p, n in leaving)
            left = [entry for entry in placed if entry not in leaving]
            assert found.node in oracle.feasible(by_name, left, each)
            if not _spec(each, "podAffinity", "topologySpreadConstraints"):  # there, one more pod may help
                assert not any(found.node in oracle.feasible(by_name, [*left, one], each) for one in leaving)
        elif not _spec(each, "podAffinity"):  # the end of a friend is never planned
            for name in by_name:
                left = [(p, n) for p, n in placed if n != name or p["spec"]["priority"] >= priority]
                assert len(left) == len(placed) or name not in oracle.feasible(by_name, left, each)
