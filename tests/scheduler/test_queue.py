"""The order in which pods are tried, and what brings refused ones back; on the virtual clock."""

import asyncio
from collections.abc import Awaitable, Callable

from podium.scheduler.queue import SchedulingQueue, backoff_s
from podium.world import virtual


def run(scenario: Callable[[SchedulingQueue], Awaitable[None]], waiting_max: int = 100) -> None:
    async def main(world: virtual.VirtualWorld) -> None:
        await scenario(SchedulingQueue(world.clock, waiting_max))

    virtual.run(main)


def popped(queue: SchedulingQueue) -> list[str]:
    found = []
    while (entry := queue.pop()) is not None:
        found.append(entry.key)
    return found


def refuse(queue: SchedulingQueue, *filters: str) -> None:
    entry = queue.pop()
    assert entry is not None
    queue.refused(entry, filters)


def test_priority_then_arrival() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        for key, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
            queue.add(key, priority)
        queue.add("c", 9)
        assert popped(queue) == ["c", "b", "d", "a"]

    run(scenario)


def test_removed_pods_are_not_handed_out() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        queue.add("a", 0)
        queue.remove("a")
        assert popped(queue) == []
        queue.add("a", 0)
        assert popped(queue) == ["a"]

    run(scenario)


def test_refused_pods_come_back_by_the_events_that_can_help() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        for key, filters in (("cpu", ("NodeResourcesFit",)), ("taint", ("TaintToleration",)), ("none", ())):
            queue.add(key, 0)
            refuse(queue, *filters)
        await asyncio.sleep(20)
        queue.happened("node labels")
        assert popped(queue) == []
        queue.happened("pod gone")
        assert popped(queue) == ["cpu"]
        queue.happened("node taints")
        assert popped(queue) == ["taint"]
        queue.happened("node added")
        assert popped(queue) == ["none"]

    run(scenario)


def test_events_too_soon_wait_for_the_backoff() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        queue.add("a", 0)
        refuse(queue, "NodeResourcesFit")
        queue.happened("pod gone")
        assert queue.place("a") == "backoff"
        await queue.ready()
        assert asyncio.get_running_loop().time() == 1.0
        refuse(queue, "NodeResourcesFit")
        queue.happened("pod gone")
        await queue.ready()
        assert asyncio.get_running_loop().time() == 3.0

    run(scenario)


def test_refused_pods_are_tried_again_after_five_minutes_without_events() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        queue.add("a", 0)
        refuse(queue, "TaintToleration")
        await queue.ready()
        assert asyncio.get_running_loop().time() == 300.0
        assert popped(queue) == ["a"]

    run(scenario)


def test_failures_back_off() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        queue.add("a", 0)
        entry = queue.pop()
        assert entry is not None
        queue.failed(entry)
        assert popped(queue) == []
        await queue.ready()
        assert popped(queue) == ["a"]

    run(scenario)
    assert [backoff_s(n) for n in (1, 2, 3, 4, 5, 500)] == [1, 2, 4, 8, 10, 10]


def test_what_was_removed_while_it_was_decided_stays_away() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        queue.add("a", 0)
        entry = queue.pop()
        assert entry is not None
        queue.remove("a")
        queue.refused(entry, ("NodeResourcesFit",))
        queue.happened("node added")
        queue.failed(entry)
        await asyncio.sleep(1000)
        assert popped(queue) == [] and len(queue) == 0

    run(scenario)


def test_a_change_of_the_pod_brings_it_back() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        queue.add("a", 0)
        refuse(queue, "TaintToleration")
        await asyncio.sleep(5)
        queue.changed("a", 0)
        assert popped(queue) == ["a"]

    run(scenario)


def test_a_full_queue_says_so() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        assert queue.add("a", 0) and queue.add("b", 0)
        assert not queue.add("c", 0)
        assert queue.overflowed and len(queue) == 2
        assert queue.add("a", 7)

    run(scenario, waiting_max=2)


def test_waiting_ends_with_the_first_arrival() -> None:
    async def scenario(queue: SchedulingQueue) -> None:
        asyncio.get_running_loop().call_later(7, queue.add, "a", 0)
        await queue.ready()
        assert asyncio.get_running_loop().time() == 7.0

    run(scenario)
