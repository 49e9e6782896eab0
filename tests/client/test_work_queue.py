import asyncio

import pytest

from podium.client.control_loop import ControlLoop
from podium.client.work_queue import WorkQueue
from podium.objects.status import Conflict, ServiceUnavailable
from podium.world import virtual
from podium.world.supervisor import Supervisor


def test_key_added_twice_is_handed_out_once():
    async def main(world):
        queue = WorkQueue(world)
        for key in ("a", "b", "a"):
            queue.add(key)
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert len(queue) == 0

    virtual.run(main)


def test_key_added_while_processed_waits_until_done_and_runs_once_more():
    async def main(world):
        queue = WorkQueue(world)
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert len(queue) == 1
        await queue.get()
        queue.done("a")
        assert len(queue) == 0

    virtual.run(main)


def test_earliest_of_several_delays_counts():
    async def main(world):
        queue = WorkQueue(world)
        queue.add_after("a", 10)
        queue.add_after("a", 3)
        queue.add_after("a", 5)
        assert await queue.get() == "a"
        assert world.clock.monotonic() == pytest.approx(3)
        queue.done("a")
        await asyncio.sleep(20)
        assert len(queue) == 0

    virtual.run(main)


def test_retries_double_from_5_ms_to_1000_s_until_forgotten():
    async def main(world):
        queue = WorkQueue(world)
        delays = []
        for _ in range(20):
            before = world.clock.monotonic()
            queue.retry("a")
            await queue.get()
            queue.done("a")
            delays.append(world.clock.monotonic() - before)
        assert delays[:3] == pytest.approx([0.005, 0.01, 0.02])
        assert delays[-1] == pytest.approx(1000)
        queue.forget("a")
        queue.retry("a")
        before = world.clock.monotonic()
        await queue.get()
        assert world.clock.monotonic() - before == pytest.approx(0.005)

    virtual.run(main)


def test_cancelled_waiter_passes_its_key_on():
    async def main(world):
        queue = WorkQueue(world)
        supervisor = Supervisor("test")
        first = supervisor.start("first", queue.get())
        second = supervisor.start("second", queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await second == "a"

    virtual.run(main)


def looped(reconcile, workers, scenario):
    async def main(world):
        queue = WorkQueue(world)
        supervisor = Supervisor("test")
        supervisor.start("loop", ControlLoop("test", queue, reconcile, workers).run())
        await scenario(world, queue)
        await supervisor.stop()

    virtual.run(main)


def test_one_key_is_never_reconciled_twice_at_once():
    running, most = [], []

    async def reconcile(key):
        assert key not in running
        running.append(key)
        most.append(len(running))
        await asyncio.sleep(1)
        running.remove(key)

    async def scenario(world, queue):
        for _ in range(5):
            for key in ("a", "b", "c"):
                queue.add(key)
            await asyncio.sleep(0.7)
        await asyncio.sleep(10)

    looped(reconcile, 2, scenario)
    assert max(most) == 2
    assert len(most) > 6


@pytest.mark.parametrize("error", [Conflict("x"), ServiceUnavailable("x"), ConnectionResetError(), ValueError("x")])
def test_failed_reconciliation_is_retried_until_it_succeeds(error):
    attempts = []

    async def reconcile(key):
        attempts.append(key)
        if len(attempts) < 4:
            raise error

    async def scenario(world, queue):
        queue.add("a")
        await asyncio.sleep(10)
        assert queue.failures("a") == 0

    looped(reconcile, 1, scenario)
    assert attempts == ["a"] * 4
