"""Whatever happened before, the columns say what a rebuild from the final objects says; and nothing is ever given away twice."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.objects import selectors
from podium.objects.values import Object
from podium.scheduler.cluster import Cluster
from podium.scheduler.decision import Decider
from podium.scheduler.demand import Demands
from tests.scheduler.building import DEMANDS, cluster_of, node, place, pod

ZONES = ["", "a", "b"]
TAINTS = ["", "k=v:NoSchedule", "k:PreferNoSchedule", "j:NoExecute"]
SELECTOR = selectors.from_value({"matchLabels": {"app": "web"}})
NODE_NAMES = [f"n{i}" for i in range(70)]  # more than the first capacity


def apart(key: str = "topology.kubernetes.io/zone") -> Object:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


nodes = st.builds(
    lambda name, cpu, zone, taints, off: node(name, str(cpu), zone=zone, taints=taints, unschedulable=off),
    st.sampled_from(NODE_NAMES), st.integers(1, 4), st.sampled_from(ZONES), st.sampled_from(TAINTS), st.booleans(),
)  # fmt: skip
pods = st.builds(
    lambda name, cpu, app, special, where, priority: pod(
        name, f"{cpu}00m" if cpu else "", labels={"app": app}, node=where, priority=priority,
        **({"affinity": apart()} if special == 1 else {}), **({"ports": [{"hostPort": 80}]} if special == 2 else {}),
    ),
    st.sampled_from([f"p{i}" for i in range(30)]), st.integers(0, 20), st.sampled_from(["web", "db"]),
    st.integers(0, 3), st.sampled_from(NODE_NAMES), st.integers(0, 3),
)  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.just("node"), nodes),
        st.tuples(st.just("pod"), pods),
        st.tuples(st.sampled_from(["-node", "-pod"]), st.integers(0, 69)),
    ),
    max_size=120,
)


def facts(cluster: Cluster) -> dict[str, Any]:
    """Everything the columns say, by node name."""
    columns, placements = cluster.nodes, cluster.pods
    tally = placements.tally("ns", SELECTOR, str(SELECTOR)).counts
    below = placements.below(2)
    zone, hosts = columns.label("topology.kubernetes.io/zone"), columns.label("kubernetes.io/hostname")
    found: dict[str, Any] = {}
    for name, slot in columns.slots.items():
        taints = columns.taints
        found[name] = {
            "present": bool(columns.present[slot]),
            "off": bool(columns.unschedulable[slot]),
            "zone": zone.values[zone.ids[slot]] if zone.ids[slot] >= 0 else None,
            "host": hosts.values[hosts.ids[slot]],
            "taints": taints.values[taints.ids[slot]],
            "allocatable": columns.allocatable[:, slot].tolist(),
            "requested": columns.requested[:, slot].tolist(),
            "scored": columns.scored[:, slot].tolist(),
            "web": int(tally[slot]),
            "unimportant": (int(below.pods[slot]), {name: int(c[slot]) for name, c in sorted(below.requested.items()) if c[slot]}),
            "objections": {key: int(use.weights[slot]) for key, use in sorted(placements.objections.items()) if use.weights[slot]},
            "ports": {
                k: {a: int(c[slot]) for a, c in v.items() if c[slot]} for k, v in columns._ports.items() if any(c[slot] for c in v.values())
            },
        }
    assert columns.count == len(columns.slots) == int(np.count_nonzero(columns.present))
    return found


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(steps, st.integers(0, 100))
def test_incremental_columns_equal_a_rebuild(history: list[tuple[str, Any]], ask_at: int) -> None:
    cluster = Cluster()
    known_nodes: dict[str, Object] = {}
    known_pods: dict[str, Object] = {}
    for number, (what, value) in enumerate(history):
        if number == ask_at:
            facts(cluster)  # tallies and label columns then exist and are kept
        if what == "node":
            known_nodes[value["metadata"]["name"]] = value
            cluster.pods.set_node(value)
        elif what == "pod":
            known_pods[value["metadata"]["name"]] = value
            place(cluster, value)
        elif what == "-node":
            known_nodes.pop(NODE_NAMES[value], None)
            cluster.pods.remove_node(NODE_NAMES[value])
        else:
            known_pods.pop(f"p{value}", None)
            cluster.pods.remove(f"ns/p{value}")
    assert facts(cluster) == facts(cluster_of(list(known_nodes.values()), list(known_pods.values())))


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.lists(nodes, min_size=1, max_size=12), st.lists(pods, max_size=60), st.integers(0, 2**32))
def test_never_overcommits_and_never_breaks_a_requirement(some_nodes: list[Object], some_pods: list[Object], seed: int) -> None:
    by_name = {n["metadata"]["name"]: n for n in some_nodes}
    cluster = cluster_of(list(by_name.values()))
    decider, demands = Decider(cluster, random.Random(seed)), Demands()
    placed: dict[str, tuple[Object, str]] = {}
    for value in some_pods:
        name = value["metadata"]["name"]
        if name in placed:
            continue
        wanted = {**value, "spec": {k: v for k, v in value["spec"].items() if k != "nodeName"}}
        where = decider.decide(demands.of(wanted))
        if isinstance(where, str):
            cluster.pods.place(f"ns/{name}", where, demands.of(wanted))
            placed[name] = (wanted, where)
    for name, value in by_name.items():
        here = [p for p, where in placed.values() if where == name]
        cpu = sum(int(p["spec"]["containers"][0]["resources"]["requests"].get("cpu", "0m")[:-1]) for p in here)
        assert cpu <= 1000 * int(value["status"]["allocatable"]["cpu"])
        assert sum("ports" in p["spec"]["containers"][0] for p in here) <= 1
        assert not here or not value["spec"].get("unschedulable")
        assert not here or all(t["effect"] == "PreferNoSchedule" for t in value["spec"]["taints"])
    for name, (value, where) in placed.items():
        if "affinity" in value["spec"]:
            zone = by_name[where]["metadata"]["labels"].get("topology.kubernetes.io/zone")
            others = [
                p for other, (p, w) in placed.items()
                if other != name and zone and by_name[w]["metadata"]["labels"].get("topology.kubernetes.io/zone") == zone
            ]  # fmt: skip
            assert not any(p["metadata"]["labels"]["app"] == "web" for p in others)


def test_pods_are_counted_when_their_node_appears_again() -> None:
    cluster = cluster_of([], [pod("p", "1", node="a")])
    cluster.pods.set_node(node("a", "2"))
    assert cluster.nodes.requested[0, cluster.nodes.slots["a"]] == 1000
    cluster.pods.remove_node("a")
    cluster.pods.set_node(node("a", "2"))
    assert cluster.nodes.requested[0, cluster.nodes.slots["a"]] == 1000
    cluster.pods.remove("ns/p")
    assert cluster.nodes.requested[0, cluster.nodes.slots["a"]] == 0


def test_forgotten_tallies_are_counted_again(monkeypatch: Any) -> None:
    monkeypatch.setattr("podium.scheduler.placements.TALLIES_MAX", 2)
    cluster = cluster_of([node("a")], [pod("p", labels={"app": "web"}, node="a")])
    for name in ("x", "y", "z"):
        cluster.pods.tally(name, SELECTOR, str(SELECTOR))
    place(cluster, pod("q", labels={"app": "web"}), "a")
    assert cluster.pods.tally("ns", SELECTOR, str(SELECTOR)).counts[0] == 2


def test_equal_templates_share_a_demand() -> None:
    assert DEMANDS.of(pod("a", "1", labels={"x": "y"})) is DEMANDS.of(pod("b", "1", labels={"x": "y"}))
    assert DEMANDS.of(pod("a", "1")) is not DEMANDS.of(pod("a", "2"))
