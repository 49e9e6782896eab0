"""A small rehearsal, for the determinism tests: `event_log(seed, strangers)`, or `python -m tests.world.rehearsed SEED STRANGERS` for its digest.

Producers, consumers with timeouts, a lock, a supervisor that restarts a crashing task, and watchers of a store, all writing one log.
Strangers do the same kinds of things beside them, with streams of randomness, timers and a store of their own, and write nothing.
"""

import asyncio
import hashlib
import sys

from podium.store.memory import MemoryStore
from podium.world import virtual
from podium.world.supervisor import Supervisor
from podium.world.virtual import VirtualWorld
from tests.store.samples import encode

PRODUCERS = 4
LENGTH_S = 20.0


class Troupe:
    """Tasks that only talk to one another. `log` is what they did, in order."""

    def __init__(self, world: VirtualWorld, name: str) -> None:
        self.world, self.name = world, name
        self.store = MemoryStore()
        self.queue: asyncio.Queue[str] = asyncio.Queue(maxsize=3)
        self.lock = asyncio.Lock()
        self.tasks = Supervisor(name)
        self.log: list[str] = []

    def note(self, text: str) -> None:
        self.log.append(f"{self.world.clock.monotonic():.6f} {text}")

    def start(self) -> None:
        for n in range(PRODUCERS):
            self.tasks.start(f"producer-{n}", self.produce(n))
            self.tasks.start(f"consumer-{n}", self.consume(n))
        for n in range(2):
            self.tasks.start(f"watcher-{n}", self.watch(n))
        self.tasks.start("reviver", self.revive())

    async def produce(self, n: int) -> None:
        draw = self.world.random(f"{self.name}/produce/{n}")
        for i in range(1_000_000):
            await asyncio.sleep(draw.choice((0.0, 0.1, 0.1, 0.25, 1.0)))  # many deadlines are equal on purpose
            await self.queue.put(f"{n}.{i}")
            self.note(f"producer {n} put {i}")

    async def consume(self, n: int) -> None:
        draw = self.world.random(f"{self.name}/consume/{n}")
        while True:
            try:
                async with asyncio.timeout(draw.choice((0.05, 0.1, 0.5))):
                    item = await self.queue.get()
            except TimeoutError:
                self.note(f"consumer {n} went hungry")
                continue
            async with self.lock:
                await asyncio.sleep(0.01)
                record = await self.store.put(f"/a/{self.name}/{item.partition('.')[0]}", encode(item), expected=None)
                self.note(f"consumer {n} stored {item} at {record.revision}")

    async def watch(self, n: int) -> None:
        watch = self.store.watch("/", 1)
        async for events in watch:
            self.note(f"watcher {n} saw {[e.revision for e in events]}")
            await asyncio.sleep(0.03 * n)

    async def revive(self) -> None:
        draw = self.world.random(f"{self.name}/revive")
        while True:
            inner = Supervisor(f"{self.name}/inner")
            for n in range(3):
                inner.start(f"fragile-{n}", self.fragile(n, draw.random()))
            try:
                await inner.failed()
            except ZeroDivisionError:
                self.note("revived")
            await inner.stop()

    async def fragile(self, n: int, age_s: float) -> None:
        try:
            await asyncio.sleep(age_s)
            self.note(f"fragile {n} broke")
            raise ZeroDivisionError
        except asyncio.CancelledError:
            self.note(f"fragile {n} stopped")
            raise


def event_log(seed: int, strangers: int = 0, *, eager: bool = False) -> tuple[list[str], str]:
    """The log of one troupe among `strangers` others, and the unseed of the whole."""

    async def main(world: VirtualWorld) -> tuple[list[str], str]:
        if eager:
            world.loop.set_task_factory(asyncio.eager_task_factory)  # from Python 3.12 on
        others = [Troupe(world, f"stranger-{n}") for n in range(strangers)]
        for other in others[::2]:
            other.start()
        own = Troupe(world, "own")
        own.start()
        for other in others[1::2]:
            other.start()
        await asyncio.sleep(LENGTH_S)
        await own.tasks.stop()
        for other in others:
            await other.tasks.stop()
        return own.log, world.unseed()

    return virtual.run(main, seed)


def digest(seed: int, strangers: int = 0, *, eager: bool = False) -> str:
    log, unseed = event_log(seed, strangers, eager=eager)
    return hashlib.sha256("\n".join(log).encode()).hexdigest() + " " + unseed


if __name__ == "__main__":
    import logging

    logging.disable()  # the crashes are part of the play
    print(digest(int(sys.argv[1]), int(sys.argv[2])))
