"""Nodes that fall silent and come back, on the virtual clock."""

import asyncio

import pytest

from podium.controllers.node_health import Zone, plan_taints, unknown_conditions, zone_rate, zone_state
from podium.controllers.node_lifecycle import NodeLifecycleController
from podium.controllers.taint_eviction import stay_of
from podium.objects.resources import resource
from podium.objects.status import ServerError
from podium.objects.values import copy
from tests.controllers.cluster import PODS, pod, run

NODES, LEASES = resource("nodes"), resource("leases", "coordination.k8s.io")
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
STAYS_300_S = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300} for key in (NOT_READY, UNREACHABLE)]


class Agents:
    """What node agents would do: renew leases, report status; those in `silent` do nothing."""

    def __init__(self, cluster, names, zones=("a",)):
        self.cluster = cluster
        self.silent = {}
        self.zone = {name: zones[i % len(zones)] for i, name in enumerate(names)}
        for name in names:
            self.report(name)
            self.renew(name)
        cluster.supervisor.start("agents", self._run())

    def report(self, name, ready="True", **conditions):
        old = next((n for n in self.cluster.client.all(NODES) if n["metadata"]["name"] == name), None)
        now = self.cluster.world.clock.timestamp()
        reported = {"Ready": ready, "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", **conditions}
        value = copy(old) if old else {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}}
        value["metadata"]["labels"] = {"topology.kubernetes.io/zone": self.zone[name]}
        value["status"] = {
            "conditions": [
                {"type": kind, "status": status, "reason": "Kubelet", "lastHeartbeatTime": now, "lastTransitionTime": now}
                for kind, status in reported.items()
            ]
        }
        self.cluster.client.put(value)

    def renew(self, name):
        spec = {"renewTime": self.cluster.world.clock.micro_timestamp()}
        self.cluster.client.put(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name, "namespace": "kube-node-lease"},
                "spec": spec,
            }
        )

    async def _run(self):
        while True:
            await asyncio.sleep(10)
            for name in self.zone:
                if name not in self.silent:
                    self.renew(name)

    def silence(self, *names):
        self.silent |= dict.fromkeys(names)

    def wake(self, *names):
        for name in names:
            del self.silent[name]
            self.renew(name)
            self.report(name)


async def started(cluster, names, zones=("a",)):
    agents = Agents(cluster, names, zones)
    controller = cluster.start(NodeLifecycleController)
    await asyncio.sleep(1)
    return agents, controller


def node(cluster, name):
    return next(n for n in cluster.client.all(NODES) if n["metadata"]["name"] == name)


def taints(cluster, name):
    found = node(cluster, name)["spec"].get("taints") or []
    return [f"{t['key'].removeprefix('node.kubernetes.io/')}:{t['effect']}" for t in found]


def ready(cluster, name):
    return next(c for c in node(cluster, name)["status"]["conditions"] if c["type"] == "Ready")


def bound(cluster, name, on, tolerations=None):
    value = pod(name)
    value["spec"] |= {"nodeName": on, "tolerations": STAYS_300_S if tolerations is None else tolerations}
    value["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return cluster.client.put(value)


def pod_state(cluster, name):
    value = next(p for p in cluster.client.all(PODS) if p["metadata"]["name"] == name)
    condition = next(c for c in value["status"]["conditions"] if c["type"] == "Ready")
    return condition["status"], "deletionTimestamp" in value["metadata"]


def test_a_silent_node_becomes_unknown_its_pods_unready_and_then_evicted_and_it_recovers():
    async def scenario(cluster):
        agents, _ = await started(cluster, ["n1", "n2"])
        bound(cluster, "stays", "n1")
        bound(cluster, "forever", "n1", [{"operator": "Exists"}])
        agents.silence("n1")
        await asyncio.sleep(35)
        assert ready(cluster, "n1")["status"] == "True"
        await asyncio.sleep(15)
        condition = ready(cluster, "n1")
        assert (condition["status"], condition["reason"]) == ("Unknown", "NodeStatusUnknown")
        assert condition["message"] == "Kubelet stopped posting node status."
        assert taints(cluster, "n1") == ["unreachable:NoSchedule", "unreachable:NoExecute"]
        assert taints(cluster, "n2") == []
        assert pod_state(cluster, "stays") == ("False", False)
        assert cluster.messages("NodeNotReady").count("Node n1 status is now: NodeNotReady") == 1
        await asyncio.sleep(280)
        assert pod_state(cluster, "stays") == ("False", False)
        await asyncio.sleep(25)
        assert pod_state(cluster, "stays") == ("False", True)
        assert pod_state(cluster, "forever") == ("False", False)
        agents.wake("n1")
        await asyncio.sleep(1)
        assert ready(cluster, "n1")["status"] == "True"
        assert taints(cluster, "n1") == []

    run(scenario)


def test_a_node_that_returns_in_time_keeps_its_pods():
    async def scenario(cluster):
        agents, _ = await started(cluster, ["n1", "n2"])
        bound(cluster, "p", "n1")
        agents.silence("n1")
        await asyncio.sleep(200)
        agents.wake("n1")
        await asyncio.sleep(400)
        assert pod_state(cluster, "p") == ("False", False)
        assert "Cancelling deletion of Pod default/p" in cluster.messages("TaintManagerEviction")

    run(scenario)


def test_renewed_leases_alone_keep_a_node_alive():
    async def scenario(cluster):
        _, controller = await started(cluster, ["n1"])
        cluster.client.calls.clear()
        await asyncio.sleep(600)
        assert ready(cluster, "n1")["status"] == "True"
        assert not any(verb in ("patch", "update") for verb, _ in cluster.client.calls)
        assert len(controller._expiries) == 1

    run(scenario)


def test_a_node_that_never_reports_is_given_longer():
    async def scenario(cluster):
        await started(cluster, ["n1"])
        value = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "new"}, "spec": {}}
        cluster.client.put(value)
        await asyncio.sleep(55)
        assert "status" not in node(cluster, "new")
        await asyncio.sleep(15)
        assert ready(cluster, "new")["reason"] == "NodeStatusNeverUpdated"
        assert "unreachable:NoSchedule" in taints(cluster, "new")

    run(scenario)


class PausingClock:
    """The world's clock, ahead of it by the pauses that this process has slept through."""

    def __init__(self, clock):
        self._clock = clock
        self.paused_s = 0.0

    def monotonic(self):
        return self._clock.monotonic() + self.paused_s

    def __getattr__(self, name):
        return getattr(self._clock, name)


def test_a_pause_of_this_process_is_not_taken_for_silence_of_the_nodes():
    async def scenario(cluster):
        names = ["n1", "n2", "n3"]
        agents, controller = await started(cluster, names)
        clock = controller._clock = PausingClock(controller._clock)
        await asyncio.sleep(30)
        for _ in range(5):
            clock.paused_s += 300
            await asyncio.sleep(25)
        assert [ready(cluster, name)["status"] for name in names] == ["True"] * 3
        agents.silence("n1")
        await asyncio.sleep(60)
        assert [ready(cluster, name)["status"] for name in names] == ["Unknown", "True", "True"]

    run(scenario)


def test_the_longer_grace_ends_with_the_first_report():
    async def scenario(cluster):
        agents, _ = await started(cluster, ["n1", "n2"])
        cluster.client.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "new"}, "spec": {}})
        agents.zone["new"] = "a"
        agents.silence("new")
        await asyncio.sleep(1)
        agents.report("new")
        await asyncio.sleep(48)
        assert ready(cluster, "new")["status"] == "Unknown"

    run(scenario)


def test_conditions_become_taints_and_go_with_them():
    async def scenario(cluster):
        agents, _ = await started(cluster, ["n1", "n2"])
        agents.report("n1", ready="False", MemoryPressure="True", NetworkUnavailable="True")
        await asyncio.sleep(1)
        assert taints(cluster, "n1") == [
            "not-ready:NoSchedule", "memory-pressure:NoSchedule", "network-unavailable:NoSchedule", "not-ready:NoExecute",
        ]  # fmt: skip
        agents.report("n1")
        await asyncio.sleep(1)
        assert taints(cluster, "n1") == []
        value = copy(node(cluster, "n1"))
        value["spec"] = {"unschedulable": True, "taints": [{"key": "mine", "effect": "NoExecute"}]}
        cluster.client.put(value)
        await asyncio.sleep(1)
        assert taints(cluster, "n1") == ["mine:NoExecute", "unschedulable:NoSchedule"]

    run(scenario)


def test_not_ready_and_unreachable_swap_at_once():
    async def scenario(cluster):
        agents, _ = await started(cluster, ["n1", "n2"])
        agents.report("n1", ready="False")
        await asyncio.sleep(1)
        agents.silence("n1")
        await asyncio.sleep(60)
        assert taints(cluster, "n1") == ["unreachable:NoSchedule", "unreachable:NoExecute"]

    run(scenario)


def executed(cluster, names):
    return [name for name in names if any(t.endswith(":NoExecute") for t in taints(cluster, name))]


def test_evictions_are_limited_per_zone():
    async def scenario(cluster):
        names = [f"n{i:02}" for i in range(20)]
        agents, _ = await started(cluster, names, zones=("a", "b"))
        agents.silence(*names[:8])  # four of ten in each zone
        await asyncio.sleep(46)
        assert all("unreachable:NoSchedule" in taints(cluster, name) for name in names[:8])
        assert 2 <= len(executed(cluster, names)) <= 4
        await asyncio.sleep(40)
        assert len(executed(cluster, names)) == 8

    run(scenario)


def test_small_zone_that_is_mostly_down_evicts_nobody():
    async def scenario(cluster):
        names = [f"n{i}" for i in range(6)]
        agents, _ = await started(cluster, names)
        agents.silence(*names[:4])
        await asyncio.sleep(200)
        assert len(executed(cluster, names)) <= 1  # the one due before the zone's state was known

    run(scenario)


def test_nobody_is_evicted_when_all_nodes_fall_silent():
    async def scenario(cluster):
        names = ["n1", "n2", "n3"]
        agents, _ = await started(cluster, names, zones=("a", "b"))
        bound(cluster, "p", "n1")
        agents.silence(*names)
        await asyncio.sleep(600)
        assert executed(cluster, names) == []
        assert pod_state(cluster, "p") == ("False", False)
        agents.wake("n2", "n3")
        await asyncio.sleep(30)
        assert taints(cluster, "n2") == taints(cluster, "n3") == []
        await asyncio.sleep(60)
        assert executed(cluster, names) == ["n1"]

    run(scenario)


def test_a_node_that_is_removed_is_forgotten():
    async def scenario(cluster):
        _, controller = await started(cluster, ["n1", "n2"])
        cluster.client.remove(NODES, "n1")
        await asyncio.sleep(100)
        assert list(controller._health) == ["n2"]
        assert controller._zones["\x00".join((":", ":a"))].ready == 1

    run(scenario)


def test_refused_writes_are_tried_again():
    async def scenario(cluster):
        agents, _ = await started(cluster, ["n1", "n2"])
        cluster.client.refuse("patch", ServerError("no"), times=5)
        agents.silence("n1")
        await asyncio.sleep(70)
        assert taints(cluster, "n1") == ["unreachable:NoSchedule", "unreachable:NoExecute"]

    run(scenario)


@pytest.mark.slow
def test_a_thousand_quiet_nodes_cost_nothing_per_tick():
    async def scenario(cluster):
        names = [f"n{i:04}" for i in range(1000)]
        _, controller = await started(cluster, names)
        looked_at = 0
        original = controller.reconcile

        async def counting(name):
            nonlocal looked_at
            looked_at += 1
            await original(name)

        controller.reconcile = counting
        for _ in range(6):
            await asyncio.sleep(10)
        assert looked_at == 0
        assert len(controller._expiries) == 1000

    run(scenario)


@pytest.mark.parametrize(
    ("tolerations", "keys", "stay_s"),
    [
        ([], [], None),
        ([], [NOT_READY], 0.0),
        (STAYS_300_S, [NOT_READY], 300.0),
        ([{"operator": "Exists"}], [NOT_READY], None),
        ([{"operator": "Exists"}, *STAYS_300_S], [NOT_READY], 300.0),
        (STAYS_300_S, [NOT_READY, "other"], 0.0),
        ([{"key": "k", "operator": "Exists", "tolerationSeconds": -5}], ["k"], 0.0),
        ([{"key": "k", "operator": "Exists", "effect": "NoSchedule"}], ["k"], 0.0),
    ],
)
def test_how_long_pods_stay(tolerations, keys, stay_s):
    assert stay_of(tolerations, [{"key": key, "value": "", "effect": "NoExecute"} for key in keys]) == stay_s


@pytest.mark.parametrize(
    ("ready_nodes", "others", "state", "rate"),
    [
        (5, 0, "normal", 0.1),
        (5, 5, "normal", 0.1),
        (4, 5, "partial", 0.0),
        (1, 2, "normal", 0.1),
        (40, 60, "partial", 0.01),
        (0, 1, "full", 0.1),
    ],
)
def test_zone_states(ready_nodes, others, state, rate):
    assert zone_state(ready_nodes, others) == state
    assert zone_rate(state, ready_nodes + others) == rate


def test_zone_hands_out_nodes_at_its_rate():
    zone = Zone(waiting=dict.fromkeys("abc"))
    assert [zone.take(t) for t in (0, 5, 10)] == ["a", None, "b"]
    zone.set_rate(0.0, 10)
    assert zone.take(100) is None
    zone.set_rate(0.1, 100)
    assert zone.take(100) == "c"


def test_conditions_of_others_stay():
    value = {"metadata": {"creationTimestamp": "t"}, "status": {"conditions": [{"type": "NetworkUnavailable", "status": "False"}]}}
    found = {c["type"]: c["status"] for c in unknown_conditions(value, "now")}
    assert found == {
        "NetworkUnavailable": "False",
        "Ready": "Unknown",
        "MemoryPressure": "Unknown",
        "DiskPressure": "Unknown",
        "PIDPressure": "Unknown",
    }
    assert plan_taints(value, "now") is None
