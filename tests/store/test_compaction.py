"""The compaction policy, under the virtual clock."""

import asyncio

from podium.store.compaction import compact_regularly
from podium.store.errors import StoreError
from podium.store.memory import MemoryStore
from podium.world import virtual
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld
from tests.store.samples import encode


def oldest_by_minute(store: MemoryStore, minutes: int) -> list[int]:
    """`store` is written to once a second; its oldest revision at the end of each minute."""

    async def main(world: VirtualWorld) -> list[int]:
        async def write() -> None:
            await asyncio.sleep(0.5)
            while True:
                await store.put("/core/pods/a", encode("x"), expected=None)
                await asyncio.sleep(1)

        supervisor = Supervisor("test")
        supervisor.start("write", write())
        supervisor.start("compact", compact_regularly(store))
        seen = []
        for _ in range(minutes):
            await asyncio.sleep(60)
            seen.append(store.oldest_revision)
        await supervisor.stop()
        return seen

    return virtual.run(main)


def test_history_of_the_last_five_to_ten_minutes_is_kept():
    seen = oldest_by_minute(MemoryStore(), 16)
    at = {minute: seen[minute - 1] for minute in (4, 6, 9, 11, 14, 16)}
    assert at == {4: 1, 6: 1, 9: 1, 11: 301, 14: 301, 16: 601}


def test_a_bound_on_history_that_cut_deeper_is_no_obstacle():
    seen = oldest_by_minute(MemoryStore(history_events_max=50), 11)
    assert seen[-1] == 1 + 660 - 50


def test_a_failed_compaction_is_tried_again():
    class Refusing(MemoryStore):
        attempts = 0

        async def compact(self, revision: int) -> None:
            self.attempts += 1
            if self.attempts == 2:
                raise StoreError("disk full")
            await super().compact(revision)

    store = Refusing()
    assert oldest_by_minute(store, 16)[-1] == 601 and store.attempts == 3
