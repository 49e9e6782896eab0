"""The supervisor: order, crashes, and nothing left behind."""

import asyncio
import logging

import pytest

from podium.world import virtual
from podium.world.supervisor import STOP_PATIENCE_S, Supervisor
from podium.world.virtual import VirtualWorld


async def _forever(name: str, ended: list[str], ending_s: float = 0.0) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(ending_s)
        ended.append(name)


def test_stop_ends_the_newest_first_one_after_another():
    async def main(world: VirtualWorld) -> list[str]:
        supervisor, ended = Supervisor("s"), []
        for n, name in enumerate("abc"):
            supervisor.start(name, _forever(name, ended, ending_s=n + 1))
        await asyncio.sleep(0)
        await supervisor.stop()
        assert world.clock.monotonic() == 1 + 2 + 3
        assert supervisor.running() == []
        await supervisor.stop()
        return ended

    assert virtual.run(main) == ["c", "b", "a"]


def test_the_first_crash_is_raised_by_failed_and_logged(caplog):
    async def crash(after_s: float, message: str) -> None:
        await asyncio.sleep(after_s)
        raise ValueError(message)

    async def main(world: VirtualWorld) -> None:
        supervisor = Supervisor("s")
        supervisor.start("late", crash(2, "second"))
        supervisor.start("early", crash(1, "first"))
        supervisor.start("fine", asyncio.sleep(0.5))
        with pytest.raises(ValueError, match="first"):
            await supervisor.failed()
        await asyncio.sleep(5)
        with pytest.raises(ValueError, match="first"):
            await supervisor.failed()

    with caplog.at_level(logging.ERROR):
        virtual.run(main)
    assert [record.fields["task"] for record in caplog.records] == ["s/early", "s/late"]


def test_tasks_that_ended_are_forgotten():
    async def main(world: VirtualWorld) -> list[str]:
        supervisor = Supervisor("s")
        for n in range(100):
            supervisor.start(f"short-{n}", asyncio.sleep(1))
        supervisor.start("long", asyncio.sleep(10))
        await asyncio.sleep(2)
        return supervisor.running()

    assert virtual.run(main) == ["s/long"]


def test_a_task_that_ignores_cancellation_does_not_hold_up_the_others(caplog):
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(1000)
                return
            except asyncio.CancelledError:
                continue

    async def main(world: VirtualWorld) -> tuple[list[str], float]:
        supervisor, ended = Supervisor("s"), []
        supervisor.start("a", _forever("a", ended))
        supervisor.start("stubborn", stubborn())
        await asyncio.sleep(0)
        await supervisor.stop()
        return ended, world.clock.monotonic()

    assert virtual.run(main) == (["a"], STOP_PATIENCE_S)
    assert "ignores cancellation" in caplog.text


def test_a_stopping_supervisor_starts_nothing():
    async def main(world: VirtualWorld) -> None:
        supervisor = Supervisor("s")
        await supervisor.stop()
        coroutine = asyncio.sleep(1)
        with pytest.raises(RuntimeError, match="stopping"):
            supervisor.start("late", coroutine)

    virtual.run(main)


def test_stop_from_an_own_task_stops_the_others():
    async def main(world: VirtualWorld) -> list[str]:
        supervisor, ended = Supervisor("s"), []
        supervisor.start("a", _forever("a", ended))

        async def closer() -> None:
            await supervisor.stop()
            ended.append("closer")

        await supervisor.start("closer", closer())
        return ended

    assert virtual.run(main) == ["a", "closer"]


def test_until_returns_at_the_signal_or_raises_the_crash():
    async def crash() -> None:
        await asyncio.sleep(2)
        raise ValueError("crashed")

    async def main(world: VirtualWorld) -> float:
        calm, stopping = Supervisor("calm"), asyncio.Event()
        world.loop.call_later(1, stopping.set)
        await calm.until(stopping)
        assert world.clock.monotonic() == 1
        supervisor = Supervisor("s")
        supervisor.start("crash", crash())
        with pytest.raises(ValueError, match="crashed"):
            await supervisor.until(asyncio.Event())
        await asyncio.sleep(0)
        assert [task.get_name() for task in world.loop.tasks()] == ["main"]
        return world.clock.monotonic()

    assert virtual.run(main) == 3
