"""Queries that compute at the same time: whose turn it is, who waits, who goes on."""

import asyncio

import pytest

from podium.telemetry.metrics.promql.errors import QueryTimeout
from podium.telemetry.metrics.promql.turns import LONG_AFTER_S, LONG_MAX, LONG_SAMPLES, Turn, Turns
from podium.world import virtual
from podium.world.virtual import VirtualWorld

DEADLINE_S = 1000.0


async def computing(turn: Turn, name: str, done: list[str], pieces: int = 3, used_s: float = 0.0) -> None:
    async with turn:
        for _ in range(pieces):
            done.append(name)
            await turn.passed(used_s)


def test_a_round_of_the_loop_has_one_piece_of_work_and_every_query_its_turn() -> None:
    async def main(world: VirtualWorld) -> None:
        turns, done = Turns(), list[str]()
        queries = [asyncio.ensure_future(computing(Turn(turns, world.clock, DEADLINE_S), name, done)) for name in "abc"]
        rounds = []
        while not all(query.done() for query in queries):
            before = len(done)
            await asyncio.sleep(0)
            rounds.append(len(done) - before)
        assert max(rounds) == 1
        assert sorted(done) == list("aaabbbccc") and "".join(done[:3]) == "abc" and "aa" not in "".join(done)

    virtual.run(main)


def test_few_long_queries_compute_at_a_time_and_short_ones_do_not_wait_for_them() -> None:
    async def main(world: VirtualWorld) -> None:
        turns, done = Turns(), list[str]()
        names = [f"long {n}" for n in range(LONG_MAX + 2)]
        long = [asyncio.ensure_future(computing(Turn(turns, world.clock, DEADLINE_S), n, done, 1000, 2 * LONG_AFTER_S)) for n in names]
        for _ in range(200):
            await asyncio.sleep(0)
        assert [done.count(n) > 1 for n in names] == [True] * LONG_MAX + [False] * 2  # these wait after their first piece
        await computing(Turn(turns, world.clock, DEADLINE_S), "short", done)
        await computing(Turn(turns, world.clock, DEADLINE_S, own=True), "rule", done, 20, 2 * LONG_AFTER_S)
        assert not any(query.done() for query in long) and done.count("rule") == 20
        long[0].cancel()
        long[LONG_MAX].cancel()  # which waits
        for _ in range(100):
            await asyncio.sleep(0)
        assert done.count(names[LONG_MAX]) == 1 and done.count(names[LONG_MAX + 1]) > 1
        for query in long:
            query.cancel()
        await asyncio.gather(*long, return_exceptions=True)
        assert not turns.baton.locked() and turns.places._value == LONG_MAX

    virtual.run(main)


def test_a_query_whose_time_is_up_while_it_waits_says_so() -> None:
    async def main(world: VirtualWorld) -> None:
        turns = Turns()
        for _ in range(LONG_MAX):
            await turns.places.acquire()
        deadline = world.clock.monotonic() + 5
        async with Turn(turns, world.clock, deadline) as turn:
            await turn.expect(LONG_SAMPLES)
            with pytest.raises(QueryTimeout, match="query timed out in expression evaluation"):
                await turn.expect(LONG_SAMPLES + 1)
            assert world.clock.monotonic() == deadline
            assert not turns.baton.locked()  # while it waited others computed
        turns.places.release()
        async with Turn(turns, world.clock, deadline + 5) as turn:
            await turn.expect(LONG_SAMPLES + 1)
            await turn.expect(LONG_SAMPLES + 1)  # it has its place
            assert turns.places.locked() and turns.baton.locked()
        assert turns.places._value == 1 and not turns.baton.locked()

    virtual.run(main)
