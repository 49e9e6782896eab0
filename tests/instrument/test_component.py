"""Counting for whichever component the running code belongs to."""

import asyncio

from podium.client.control_loop import ControlLoop
from podium.client.work_queue import WorkQueue
from podium.instrument import component
from podium.instrument.metrics import Registry
from podium.world import virtual
from podium.world.interface import World
from podium.world.supervisor import Supervisor


def test_tasks_count_in_the_registry_of_the_component_that_started_them() -> None:
    async def main(world: World) -> str:
        registry, owner = Registry(), Supervisor("test")
        queue, other = WorkQueue(world), WorkQueue(world)
        seen: list[str] = []

        async def reconcile(key: str) -> None:
            seen.append(key)
            await asyncio.sleep(5)
            if len(seen) == 1:
                raise RuntimeError("once")

        with component.counting_in(registry):
            owner.start("loop", ControlLoop("cron-jobs", queue, reconcile).run())
        owner.start("other", ControlLoop("others", other, reconcile).run())
        await asyncio.sleep(0)
        queue.add("a")
        queue.add("a")
        await asyncio.sleep(3)
        queue.add("b")
        during = registry.exposition().decode()
        assert 'workqueue_depth{name="cronjob"} 1' in during
        assert 'workqueue_unfinished_work_seconds{name="cronjob"} 3' in during
        assert 'workqueue_longest_running_processor_seconds{name="cronjob"} 3' in during
        await asyncio.sleep(30)
        after = registry.exposition().decode()
        await owner.stop()
        assert seen == ["a", "b", "a"]
        return after

    text = virtual.run(main)
    assert 'workqueue_adds_total{name="cronjob"} 3' in text
    assert 'workqueue_retries_total{name="cronjob"} 1' in text
    assert 'workqueue_depth{name="cronjob"} 0' in text
    assert 'workqueue_work_duration_seconds_count{name="cronjob"} 3' in text
    assert 'workqueue_work_duration_seconds_sum{name="cronjob"} 15' in text
    assert 'workqueue_queue_duration_seconds_bucket{name="cronjob",le="1"} 1' in text
    assert "others" not in text


def test_nobody_s_queue_counts_nowhere() -> None:
    assert component.current() is None
    with component.counting_in(registry := Registry()):
        assert component.current() is registry
    assert component.current() is None
