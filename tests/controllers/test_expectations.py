import asyncio

from podium.client.mirrors import Mirrors
from podium.controllers.expectations import TIMEOUT_S, Expectations
from tests.controllers import cluster
from tests.controllers.cluster import PODS, pod

LAG_S = 0.1


def check(scenario):
    """`scenario(c, expectations)` on a mirror of pods that lags LAG_S behind."""

    async def main(c):
        pods = Mirrors(c.client, c.world, c.supervisor).of(PODS)
        await pods.synced()
        await scenario(c, Expectations(pods, c.world.clock))

    cluster.run(main, lag_s=LAG_S)


async def until_seen():
    await asyncio.sleep(2 * LAG_S)


def test_nothing_awaited_is_met_and_was_not_just_met():
    async def scenario(c, expectations):
        assert expectations.met("a")
        assert not expectations.just_met("a")

    check(scenario)


def test_met_when_the_mirror_shows_the_last_creation():
    async def scenario(c, expectations):
        for name in ("p1", "p2"):
            expectations.created("a", c.client.put(pod(name)))
            await asyncio.sleep(LAG_S / 2)
        await asyncio.sleep(LAG_S / 4)  # only the first is there
        assert not expectations.met("a")
        assert expectations.met("b")
        await until_seen()
        assert expectations.just_met("a")
        assert not expectations.just_met("a")
        assert expectations.met("a")

    check(scenario)


def test_met_when_the_mirror_shows_that_a_pod_is_deleted_or_on_its_way():
    async def scenario(c, expectations):
        gone, going = c.client.put(pod("gone")), c.client.put(pod("going"))
        await until_seen()
        expectations.deleted("a", [gone, going])
        c.client.remove(PODS, "gone", "default")
        await until_seen()
        assert not expectations.met("a")
        c.client.put({**going, "metadata": {**going["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})
        assert not expectations.met("a")
        await until_seen()
        assert expectations.met("a")

    check(scenario)


def test_another_pod_of_the_same_name_is_not_the_one_deleted():
    async def scenario(c, expectations):
        first = c.client.put(pod("p"))
        await until_seen()
        expectations.deleted("a", [first])
        c.client.remove(PODS, "p", "default")
        c.client.put(pod("p"))
        await until_seen()
        assert expectations.met("a")

    check(scenario)


def test_a_pod_that_came_and_went_while_the_mirror_did_not_look_is_not_awaited():
    async def scenario(c, expectations):
        expectations.created("a", c.client.put(pod("p")))
        c.client.remove(PODS, "p", "default")
        c.client.compact()
        c.client.disconnect()
        assert not expectations.met("a")
        await asyncio.sleep(1)  # it lists again
        assert expectations.met("a")

    check(scenario)


def test_revisions_that_never_come_are_given_up_after_a_while():
    async def scenario(c, expectations):
        expectations.created("a", {"metadata": {"resourceVersion": "999"}})
        await asyncio.sleep(TIMEOUT_S - 1)
        assert not expectations.met("a")
        await asyncio.sleep(2)
        assert expectations.met("a")

    check(scenario)
