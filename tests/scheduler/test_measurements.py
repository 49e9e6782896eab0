"""What the scheduler counts."""

import asyncio

from podium.instrument import component
from podium.instrument.metrics import Registry
from podium.scheduler.scheduler import Scheduler
from tests.controllers.cluster import run
from tests.scheduler.test_scheduler import put_node, put_pod


def test_attempts_are_counted_by_result_and_waiting_pods_by_queue() -> None:
    async def scenario(cluster):
        registry = Registry()
        put_node(cluster, "a", "1")
        put_pod(cluster, "fits", "500m")
        put_pod(cluster, "large", "8")
        with component.counting_in(registry):
            cluster.start(Scheduler)
        await asyncio.sleep(0.5)
        text = registry.exposition().decode()
        assert 'scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 1' in text
        assert 'scheduler_schedule_attempts_total{profile="default-scheduler",result="unschedulable"} 1' in text
        assert 'scheduler_schedule_attempts_total{profile="default-scheduler",result="error"} 0' in text
        assert 'scheduler_pending_pods{queue="unschedulable"} 1' in text
        assert 'scheduler_pending_pods{queue="active"} 0' in text
        assert "scheduler_pod_scheduling_attempts_count 1" in text
        assert 'scheduler_scheduling_attempt_duration_seconds_count{profile="default-scheduler",result="scheduled"} 1' in text

    run(scenario)
