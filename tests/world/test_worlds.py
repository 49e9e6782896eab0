"""Clocks, streams of randomness and identifiers of both worlds."""

import asyncio
import re
import uuid
from datetime import UTC, datetime

import pytest

from podium.world import virtual
from podium.world.real import SAFE_ALPHABET, RealWorld
from podium.world.virtual import VirtualWorld

WORLDS = [RealWorld, lambda: VirtualWorld(1)]


@pytest.mark.parametrize("make", WORLDS)
def test_timestamps_have_the_wire_forms(make):
    clock = make().clock
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", clock.timestamp())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", clock.micro_timestamp())
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize("make", WORLDS)
def test_identifiers(make):
    world = make()
    uids = [world.uid() for _ in range(100)]
    assert len(set(uids)) == 100 and all(uuid.UUID(uid).version == 4 and str(uuid.UUID(uid)) == uid for uid in uids)
    assert len(world.token(5)) == 5 and set(world.token(1000)) <= set(SAFE_ALPHABET)
    assert world.random("a") is world.random("a")


def test_the_real_timestamp_is_now():
    written = datetime.strptime(RealWorld().clock.timestamp(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - written).total_seconds()) < 2


def test_the_virtual_wall_clock_moves_with_the_loop():
    async def main(world: VirtualWorld) -> tuple[str, str, float]:
        await asyncio.sleep(90.25)
        return world.clock.timestamp(), world.clock.micro_timestamp(), world.clock.monotonic()

    assert virtual.run(main) == ("2026-01-01T00:01:30Z", "2026-01-01T00:01:30.250000Z", 90.25)


async def test_a_virtual_clock_in_a_real_loop_is_refused():
    with pytest.raises(RuntimeError, match="stands still"):
        VirtualWorld(1).clock.monotonic()


def test_a_stream_depends_on_seed_and_name_alone():
    alone, beside = VirtualWorld(7), VirtualWorld(7)
    beside.random("other").random()
    assert alone.random("mine").random() == beside.random("mine").random()
    assert VirtualWorld(7).random("mine").random() != VirtualWorld(8).random("mine").random()
    assert VirtualWorld(7).random("mine").random() != VirtualWorld(7).random("yours").random()


def test_the_first_draw_of_seed_7_never_changes():
    assert VirtualWorld(7).random("mine").getrandbits(32) == 0x9ADA8AB0


def test_the_unseed_tells_runs_apart():
    def unseed(seed: int, sleeps: int, draws: int) -> str:
        async def main(world: VirtualWorld) -> str:
            for _ in range(sleeps):
                await asyncio.sleep(1 / sleeps)
            for _ in range(draws):
                world.random("a").random()
            return world.unseed()

        return virtual.run(main, seed)

    base = unseed(1, 2, 3)
    assert base == unseed(1, 2, 3)
    assert len({base, unseed(2, 2, 3), unseed(1, 4, 3), unseed(1, 2, 4)}) == 4
