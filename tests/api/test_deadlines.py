"""Many deadlines, one timer. Under the virtual clock."""

import asyncio
import random

from podium.api import deadlines
from podium.api.deadlines import Deadlines
from podium.api.sharing import SHARED_MAX, shared
from podium.world import virtual
from podium.world.virtual import VirtualWorld


class Watch:
    def __init__(self, deadline_s: float, told: list["Watch"]) -> None:
        self.deadline_s, self.waiting, self.told = deadline_s, False, told

    def __lt__(self, other: "Watch") -> bool:
        return self.deadline_s < other.deadline_s

    def time_out(self) -> None:
        self.told.append(self)
        self.told_s = asyncio.get_running_loop().time()


def test_each_is_told_once_at_its_time_and_those_that_were_removed_never() -> None:
    async def main(world: VirtualWorld) -> None:
        chance, told = random.Random(1), []
        heap = Deadlines()
        loop = asyncio.get_running_loop()
        watches = [Watch(loop.time() + chance.choice([1, 2.5, 3, 1800 * chance.random()]), told) for _ in range(500)]
        for watch in watches:
            heap.add(watch)
        gone = chance.sample(watches, 300)
        for watch in gone:
            heap.remove(watch)
            heap.remove(watch)
        assert len(heap) == 200
        await asyncio.sleep(1800)
        assert sorted(told, key=id) == sorted(set(watches) - set(gone), key=id)
        assert all(abs(watch.told_s - watch.deadline_s) <= deadlines.EARLY_S for watch in told)
        heap.remove(told[0])
        assert len(heap) == 0

    virtual.run(main)


def test_an_earlier_deadline_that_comes_later_is_kept() -> None:
    async def main(world: VirtualWorld) -> list[float]:
        heap, told, now = Deadlines(), [], asyncio.get_running_loop().time()
        for after_s in (100, 5, 50):
            heap.add(Watch(now + after_s, told))
        await asyncio.sleep(60)
        return [round(w.deadline_s - now) for w in told]

    assert virtual.run(main) == [5, 50]


def test_what_has_ended_does_not_pile_up() -> None:
    async def main(world: VirtualWorld) -> None:
        heap, told = Deadlines(), []
        stays = Watch(5.0, told)
        heap.add(stays)
        for n in range(10_000):
            watch = Watch(1800.0 + n, told)
            heap.add(watch)
            heap.remove(watch)
            assert len(heap._heap) <= 2 * (deadlines.DEAD_MIN + 1)
        await asyncio.sleep(6)
        assert told == [stays]

    virtual.run(main)


def test_a_watch_that_fails_at_its_end_takes_no_other_along() -> None:
    async def main(world: VirtualWorld) -> None:
        heap, told = Deadlines(), []
        broken = Watch(1.0, told)
        broken.time_out = lambda: 1 / 0  # type: ignore[assignment, return-value]
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        heap.add(broken)
        heap.add(Watch(2.0, told))
        await asyncio.sleep(3)
        assert len(told) == 1

    virtual.run(main)


def test_nothing_is_told_after_the_close() -> None:
    async def main(world: VirtualWorld) -> list[Watch]:
        heap, told = Deadlines(), []
        heap.add(Watch(1.0, told))
        heap.close()
        await asyncio.sleep(2)
        return told

    assert virtual.run(main) == []


def test_equal_values_are_one_object() -> None:
    first = ("WATCH", "pods" * 2)
    assert shared(first) is first
    assert shared(("WATCH", "".join(["pods", "pods"]))) is first
    for n in range(SHARED_MAX):
        shared((n,))
    other = ("WATCH", "pods" * 2)
    assert shared(other) is other
