"""What a change of a node is called, and that the columns stay small."""

import pytest

from podium.objects.values import Object
from podium.scheduler.columns import Columns
from tests.scheduler.building import node


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (None, node("a"), ["added"]),
        (None, node("a", pods="0"), []),
        (node("a", pods="0"), node("a", pods="0", zone="z"), []),
        (node("a", pods="0"), node("a"), ["added"]),
        (node("a"), node("a"), []),
        (node("a"), node("a", "8"), ["allocatable"]),
        (node("a"), node("a", zone="z"), ["labels"]),
        (node("a"), node("a", taints="k:NoSchedule"), ["taints"]),
        (node("a"), node("a", unschedulable=True), []),
        (node("a", unschedulable=True), node("a", taints="k:NoSchedule"), ["taints", "schedulable"]),
        (node("a"), node("a", extended={"x.io/gpu": "2"}), ["allocatable"]),
    ],
)
def test_changes_of_a_node(before: Object | None, after: Object, changes: list[str]) -> None:
    columns = Columns()
    if before is not None:
        columns.set_node(before)
    assert columns.set_node(after) == changes


def test_reports_that_change_nothing_touch_nothing() -> None:
    columns = Columns()
    columns.set_node(node("a"))
    versions = columns.static_version, columns.version
    heartbeat = node("a")
    heartbeat["status"]["conditions"] = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "now"}]
    columns.set_node(heartbeat)
    assert (columns.static_version, columns.version) == versions


def test_allocatable_defaults_to_capacity() -> None:
    columns = Columns()
    value = node("a")
    value["status"] = {"capacity": {"cpu": "2"}}
    columns.set_node(value)
    assert columns.allocatable[0, 0] == 2000


def test_slots_are_reused_and_values_forgotten() -> None:
    columns = Columns()
    column = columns.label("kubernetes.io/hostname")
    for number in range(3000):
        columns.set_node(node(f"n{number}"))
        columns.remove_node(f"n{number}")
    assert columns.size == 1 and columns.capacity == 64
    assert len(column.values) <= 1100
