import asyncio

from podium.controllers.expectations import TIMEOUT_S, Expectations
from podium.world import virtual


def test_nothing_awaited_is_met_and_nothing_seen_is_no_surprise():
    async def main(world):
        expectations = Expectations(world.clock)
        assert expectations.met("a")
        assert not expectations.creation_seen("a")
        assert not expectations.deletion_seen("a", "u1")

    virtual.run(main)


def test_met_when_the_last_creation_and_deletion_are_seen():
    async def main(world):
        expectations = Expectations(world.clock)
        expectations.expect_creations("a", 2)
        expectations.expect_deletions("a", ["u1"])
        assert not expectations.met("a")
        assert expectations.met("b")
        assert not expectations.creation_seen("a")
        assert not expectations.deletion_seen("a", "other")
        assert not expectations.deletion_seen("a", "u1")
        assert not expectations.met("a")
        assert expectations.creation_seen("a")
        assert expectations.met("a")

    virtual.run(main)


def test_deletion_seen_twice_counts_once():
    async def main(world):
        expectations = Expectations(world.clock)
        expectations.expect_deletions("a", ["u1", "u2"])
        expectations.deletion_seen("a", "u1")
        expectations.deletion_seen("a", "u1")
        assert not expectations.met("a")

    virtual.run(main)


def test_what_was_missed_is_given_up_after_a_while():
    async def main(world):
        expectations = Expectations(world.clock)
        expectations.expect_creations("a", 1)
        await asyncio.sleep(TIMEOUT_S - 1)
        assert not expectations.met("a")
        await asyncio.sleep(2)
        assert expectations.met("a")
        expectations.expect_creations("a", 1)
        assert expectations.creation_seen("a")  # the old one is not awaited any more

    virtual.run(main)
