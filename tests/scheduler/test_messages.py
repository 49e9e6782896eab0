from podium.scheduler import messages
from podium.scheduler.decision import Refusal
from tests.scheduler.building import pod

REFUSAL = Refusal(3, {"Insufficient cpu": 1, "node(s) had untolerated taint(s)": 2}, 2, ("TaintToleration", "NodeResourcesFit"))


def test_refusal_counts_nodes_by_reason() -> None:
    preemption = messages.fruitless(3, {"No preemption victims found for incoming pod": 1, messages.NOT_HELPFUL: 2})
    assert messages.refused(REFUSAL, preemption) == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: 0/3 nodes are available: "
        "1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    )


def test_refusal_of_a_pod_that_never_preempts() -> None:
    said = messages.refused(REFUSAL, messages.NEVER_PREEMPTS)
    assert said.endswith("taint(s). preemption: not eligible due to preemptionPolicy=Never.")


def test_refusal_of_a_pod_that_room_is_being_made_for() -> None:
    assert messages.refused(REFUSAL, "") == "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s)."


def test_no_nodes() -> None:
    assert messages.refused(Refusal(0, {}, 0, ()), "") == "no nodes available to schedule pods"


def test_condition_is_written_once_and_keeps_its_transition() -> None:
    value = pod("p")
    first = messages.condition(value, "Unschedulable", "why", "t1")
    assert first is not None
    value["status"] = {"conditions": [first]}
    assert messages.condition(value, "Unschedulable", "why", "t2") is None
    second = messages.condition(value, "Unschedulable", "other", "t2")
    assert second is not None and second["lastTransitionTime"] == "t1"
