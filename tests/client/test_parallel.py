import asyncio

import pytest

from podium.client.parallel import in_parallel
from podium.world import virtual
from podium.world.supervisor import Supervisor


async def after(seconds, result):
    await asyncio.sleep(seconds)
    if isinstance(result, Exception):
        raise result
    return result


def test_answers_come_in_the_order_of_the_questions_with_errors_among_them():
    async def main(world):
        error = ValueError("x")
        assert await in_parallel([after(3, "a"), after(1, error), after(2, "c")]) == ["a", error, "c"]
        assert world.clock.monotonic() == pytest.approx(3)
        assert await in_parallel([]) == []

    virtual.run(main)


def test_cancelled_caller_takes_its_requests_with_it():
    async def main(world):
        ended = []

        async def request():
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("request")

        supervisor = Supervisor("test")
        supervisor.start("caller", in_parallel([request(), request()]))
        await asyncio.sleep(1)
        await supervisor.stop()
        await asyncio.sleep(0)
        assert ended == ["request", "request"]

    virtual.run(main)
