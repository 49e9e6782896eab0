"""Every decision of the vectorised filters, compared with the plain ones of `oracle.py` on random clusters."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.objects.values import Object
from podium.scheduler.decision import Decider
from podium.scheduler.demand import Demands
from tests.scheduler import oracle
from tests.scheduler.building import cluster_of, node, pod

KEYS = ["zone", "rack", "kubernetes.io/hostname"]
APPS = ["web", "db"]


@st.composite
def some_nodes(draw: st.DrawFn) -> list[Object]:
    return [
        node(
            f"n{number}",
            str(draw(st.integers(1, 3))),
            pods=str(draw(st.integers(2, 6))),
            labels={key: draw(st.sampled_from("123")) for key in ("zone", "rack") if draw(st.integers(0, 2))},
            taints=draw(st.sampled_from(["", "", "", "k=v:NoSchedule", "j:NoExecute", "k:PreferNoSchedule"])),
            unschedulable=not draw(st.integers(0, 8)),
        )
        for number in range(draw(st.integers(3, 7)))
    ]


expressions = st.builds(
    lambda key, operator, value: {"key": key, "operator": operator, **({} if "xist" in operator else {"values": [value]})},
    st.sampled_from(["zone", "rack"]), st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]), st.sampled_from("0123"),
)  # fmt: skip
node_terms = st.lists(st.builds(lambda e: {"matchExpressions": e}, st.lists(expressions, min_size=1, max_size=2)), min_size=1, max_size=2)
selectors = st.builds(lambda app: {"matchLabels": {"app": app}}, st.sampled_from(APPS))
pod_terms = st.lists(
    st.builds(lambda key, s: {"topologyKey": key, "labelSelector": s}, st.sampled_from(KEYS), selectors), min_size=1, max_size=2
)
spreads = st.lists(
    st.builds(
        lambda key, skew, s: {"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": s},
        st.sampled_from(KEYS), st.integers(1, 2), selectors,
    ),
    min_size=1, max_size=2, unique_by=lambda c: c["topologyKey"],
)  # fmt: skip


@st.composite
def some_pods(draw: st.DrawFn) -> list[Object]:
    templates = []
    for number in range(draw(st.integers(2, 5))):
        spec: Object = {"affinity": {}}
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        if not draw(st.integers(0, 3)):
            spec["tolerations"] = [{"key": "k", "operator": "Exists"}]
        if not draw(st.integers(0, 5)):
            spec["nodeSelector"] = {"zone": draw(st.sampled_from("123"))}
        if not draw(st.integers(0, 4)):
            spec["affinity"]["nodeAffinity"] = {required: {"nodeSelectorTerms": draw(node_terms)}}
        if not draw(st.integers(0, 2)):
            spec["affinity"][draw(st.sampled_from(["podAffinity", "podAntiAffinity"]))] = {required: draw(pod_terms)}
        if not draw(st.integers(0, 2)):
            spec["topologySpreadConstraints"] = draw(spreads)
        app, cpu, namespace = draw(st.sampled_from(APPS)), draw(st.integers(0, 4)), draw(st.sampled_from(["ns", "ns", "other"]))
        templates.append((number, f"{cpu}00m" if cpu else "", {"app": app}, namespace, spec))
    picks = draw(st.lists(st.sampled_from(templates), min_size=12, max_size=20))
    return [pod(f"p{i}", cpu, labels=labels, namespace=ns, **spec) for i, (_, cpu, labels, ns, spec) in enumerate(picks)]


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(some_nodes(), some_pods(), st.integers(0, 1000), st.data())
def test_filters_agree_with_the_oracle(nodes: list[Object], pods: list[Object], seed: int, data: st.DataObject) -> None:
    by_name = {n["metadata"]["name"]: n for n in nodes}
    cluster, demands = cluster_of(nodes), Demands()
    decider = Decider(cluster, random.Random(seed))
    placed: oracle.Placed = []
    for each in pods:
        demand = demands.of(each)
        expected = oracle.feasible(by_name, placed, each)
        chosen = decider.decide(demand)
        mask, _ = decider.feasible(demand)
        assert [cluster.nodes.names[i] for i in mask.nonzero()[0]] == expected
        if isinstance(chosen, str):
            assert chosen in expected
            cluster.pods.place(f"{each['metadata']['namespace']}/{each['metadata']['name']}", chosen, demand)
            placed.append((each, chosen))
        else:
            assert not expected
            assert chosen.hopeless <= chosen.nodes == len(nodes)
        if placed and data.draw(st.integers(0, 5)) == 0:
            gone, _ = placed.pop(data.draw(st.integers(0, len(placed) - 1)))
            cluster.pods.remove(f"{gone['metadata']['namespace']}/{gone['metadata']['name']}")
