"""The virtual loop: time jumps, order holds, doors to the real world are shut."""

import asyncio
import time

import pytest

from podium.world import virtual
from podium.world.virtual import VirtualWorld
from podium.world.virtual_loop import NotVirtual, VirtualDeadlock, VirtualLivelock, VirtualLoop


def test_an_hour_passes_without_waiting():
    async def main(world: VirtualWorld) -> str:
        await asyncio.sleep(3600)
        return world.clock.timestamp()

    began = time.monotonic()
    assert virtual.run(main) == "2026-01-01T01:00:00Z"
    assert time.monotonic() - began < 1


def test_equal_deadlines_fire_in_the_order_they_were_scheduled():
    async def main(world: VirtualWorld) -> list[int]:
        fired: list[int] = []
        for n in range(100):
            world.loop.call_at(5.0, fired.append, n)
        world.loop.call_at(4.0, fired.append, -1)
        await asyncio.sleep(6)
        return fired

    assert virtual.run(main) == [-1, *range(100)]


def test_a_timer_that_is_due_does_not_starve_behind_ready_callbacks():
    async def main(world: VirtualWorld) -> bool:
        reached = []
        world.loop.call_later(0, reached.append, True)
        for _ in range(3):
            await asyncio.sleep(0)
        return bool(reached)

    assert virtual.run(main)


def test_cancelled_timers_do_not_pile_up():
    async def main(world: VirtualWorld) -> int:
        for _ in range(10_000):
            world.loop.call_later(1000, print).cancel()
        await asyncio.sleep(1)
        return len(world.loop._timers)

    assert virtual.run(main) <= 2001


def test_cancelled_timers_never_fire_and_survivors_keep_their_order():
    async def main(world: VirtualWorld) -> list[int]:
        fired: list[int] = []
        timers = [world.loop.call_later(1 + n % 7, fired.append, n) for n in range(5000)]
        for n, timer in enumerate(timers):
            if n % 5:
                timer.cancel()
        await asyncio.sleep(10)
        return fired

    assert virtual.run(main) == sorted(range(0, 5000, 5), key=lambda n: (n % 7, n))


def test_asyncio_timeouts_and_queues_work():
    async def main(world: VirtualWorld) -> float:
        queue: asyncio.Queue[int] = asyncio.Queue()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 7.5)
        return world.clock.monotonic()

    assert virtual.run(main) == 7.5


def test_a_deadlock_lists_who_waits_where():
    async def consumer() -> None:
        await asyncio.Queue().get()

    async def main(world: VirtualWorld) -> None:
        waiting = world.loop.create_task(consumer(), name="consumer-of-nothing")
        await asyncio.sleep(3)
        await waiting

    with pytest.raises(VirtualDeadlock) as raised:
        virtual.run(main)
    text = str(raised.value)
    assert "deadlock at 3.0 s" in text
    assert "consumer-of-nothing: consumer (world/test_virtual_loop.py:" in text
    assert "get (asyncio/queues.py:" in text


def test_polling_for_ever_at_one_instant_is_reported(monkeypatch):
    monkeypatch.setattr("podium.world.virtual_loop.ROUNDS_AT_ONE_INSTANT_MAX", 1000)

    async def main(world: VirtualWorld) -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(VirtualLivelock, match="1000 rounds"):
        virtual.run(main)


DOORS = {
    "thread": lambda loop: asyncio.to_thread(print),
    "executor": lambda loop: loop.run_in_executor(None, print),
    "connect": lambda loop: asyncio.open_connection("127.0.0.1", 1),
    "listen": lambda loop: asyncio.start_server(print, "127.0.0.1", 0),
    "process": lambda loop: asyncio.create_subprocess_exec("true"),
    "shell": lambda loop: asyncio.create_subprocess_shell("true"),
    "names": lambda loop: loop.getaddrinfo("localhost", 1),
}


@pytest.mark.parametrize("door", DOORS)
def test_doors_to_the_real_world_are_refused_by_name(door):
    async def main(world: VirtualWorld) -> None:
        await DOORS[door](world.loop)

    with pytest.raises(NotVirtual, match="refused under a virtual clock"):
        virtual.run(main)


def test_every_refused_method_is_one_of_asyncios():
    from podium.world.virtual_loop import _REFUSED

    assert [name for name in _REFUSED if not hasattr(asyncio.AbstractEventLoop, name)] == []
    assert all(getattr(VirtualLoop, name) is not getattr(asyncio.BaseEventLoop, name, None) for name in _REFUSED)


def test_what_is_left_running_is_cancelled_newest_first():
    ended: list[str] = []

    async def forever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            ended.append(name)

    async def main(world: VirtualWorld) -> list[object]:
        tasks: list[object] = [world.loop.create_task(forever(name)) for name in "abcdef"]
        await asyncio.sleep(0)
        return tasks

    virtual.run(main)
    assert ended == list("fedcba")


def test_a_task_that_ignores_cancellation_does_not_keep_the_run_from_ending():
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                pass

    async def main(world: VirtualWorld) -> str:
        world.loop.create_task(stubborn())
        await asyncio.sleep(0.5)
        return "done"

    assert virtual.run(main) == "done"


def test_an_exception_of_main_comes_out():
    async def main(world: VirtualWorld) -> None:
        await asyncio.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        virtual.run(main)
