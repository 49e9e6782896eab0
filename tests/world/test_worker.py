"""Workers and parallel maps do the same as doing it in place."""

import asyncio
import threading

import pytest

from podium.world.parallel import ParallelMap, one_by_one
from podium.world.worker import InlineWorker, ThreadWorker, Worker


@pytest.mark.parametrize("worker", [ThreadWorker("test"), InlineWorker()], ids=["thread", "inline"])
async def test_jobs_run_one_after_another_and_give_their_results(worker: Worker) -> None:
    done: list[int] = []

    def job(n: int) -> int:
        done.append(n)
        return n * n

    assert await asyncio.gather(*(worker.run(lambda n=n: job(n)) for n in range(20))) == [n * n for n in range(20)]
    assert done == list(range(20))
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(lambda: "still there") == "still there"
    worker.stop()


async def test_a_job_that_nobody_waits_for_any_more_is_done_all_the_same() -> None:
    worker = ThreadWorker("test")
    begin, done = threading.Event(), threading.Event()

    def job() -> None:
        begin.wait(5)
        done.set()

    waiting = asyncio.get_running_loop().create_task(worker.run(job))
    await asyncio.sleep(0)
    waiting.cancel()
    begin.set()
    await worker.run(lambda: None)
    assert done.is_set() and waiting.cancelled()
    worker.stop()


def test_a_parallel_map_keeps_the_order_and_raises_the_first_error() -> None:
    each = ParallelMap("test")
    assert each(lambda n: n * n, range(100)) == one_by_one(lambda n: n * n, range(100))
    with pytest.raises(ValueError, match="30"):
        each(_refuse, range(100))
    each.stop()
    assert each(abs, [-1, -2]) == [1, 2]
    each.stop()


def _refuse(n: int) -> int:
    if n in (30, 60):
        raise ValueError(n)
    return n
