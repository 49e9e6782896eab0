"""What flow control counts: seats given, requests refused and why, who waits."""

import asyncio

import pytest

from podium.api.flow_control import FlowControl
from podium.control_plane import ControlPlane
from podium.instrument.metrics import Registry
from podium.objects.status import TooManyRequests
from tests.api.test_flow_control import _greedy, _taken, asked, seats


async def _flows(plane: ControlPlane, **more: object) -> tuple[FlowControl, Registry]:
    registry = Registry()
    flows = seats(plane, 1, registry=registry, **more)
    await flows.start()
    return flows, registry


def shown(registry: Registry) -> set[str]:
    return {line for line in registry.exposition().decode().splitlines() if "greedy" in line and "_bucket" not in line}


LABELS = 'priority_level="greedy",flow_schema="greedy"'


async def test_refusals_are_counted_with_their_reason(plane: ControlPlane) -> None:
    await _greedy(plane.client())
    flows, registry = await _flows(plane)
    class_ = await _taken(flows, "greedy", 1)
    with pytest.raises(TooManyRequests):
        await _taken(flows, "greedy", 1)
    lines = shown(registry)
    assert f"apiserver_flowcontrol_dispatched_requests_total{{{LABELS}}} 1" in lines
    assert f'apiserver_flowcontrol_rejected_requests_total{{{LABELS},reason="concurrency-limit"}} 1' in lines
    assert f"apiserver_flowcontrol_current_executing_requests{{{LABELS}}} 1" in lines
    assert 'apiserver_flowcontrol_nominal_limit_seats{priority_level="greedy"} 1' in lines
    flows.release(class_)
    assert f"apiserver_flowcontrol_current_executing_requests{{{LABELS}}} 0" in shown(registry)


async def test_waits_are_counted_and_end_in_a_seat_or_none(plane: ControlPlane) -> None:
    queuing = {"queues": 1, "handSize": 1, "queueLengthLimit": 1}
    await _greedy(plane.client(), type="Queue", queuing=queuing)
    flows, registry = await _flows(plane, wait_s_max=0.05)
    class_ = await _taken(flows, "greedy", 1)
    waiting = flows.classify(asked("greedy"))
    assert waiting is not None
    first = asyncio.ensure_future(flows.acquire(waiting))
    await asyncio.sleep(0)
    assert f"apiserver_flowcontrol_current_inqueue_requests{{{LABELS}}} 1" in shown(registry)
    with pytest.raises(TooManyRequests):
        await flows.acquire(waiting)
    flows.release(class_)
    await first
    with pytest.raises(TooManyRequests):
        await flows.acquire(waiting)
    lines = shown(registry)
    assert f'apiserver_flowcontrol_rejected_requests_total{{{LABELS},reason="queue-full"}} 1' in lines
    assert f'apiserver_flowcontrol_rejected_requests_total{{{LABELS},reason="time-out"}} 1' in lines
    assert f"apiserver_flowcontrol_dispatched_requests_total{{{LABELS}}} 2" in lines
    assert f'apiserver_flowcontrol_request_wait_duration_seconds_count{{{LABELS},execute="true"}} 2' in lines
    assert f'apiserver_flowcontrol_request_wait_duration_seconds_count{{{LABELS},execute="false"}} 2' in lines
    assert f"apiserver_flowcontrol_current_inqueue_requests{{{LABELS}}} 0" in lines
