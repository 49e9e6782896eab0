import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from podium.client.leases import NODE_RENEW_S, LeaderElection, NodeLease
from podium.objects.resources import resource
from podium.objects.status import ServiceUnavailable
from podium.world import virtual
from podium.world.supervisor import Supervisor
from tests.fakes.fake_client import FakeClient

LEASES = resource("leases", "coordination.k8s.io")


def election(world, client, identity, leaders):
    async def lead():
        leaders.append(identity)
        try:
            await asyncio.Event().wait()
        finally:
            leaders.remove(identity)

    supervisor = Supervisor(identity)
    supervisor.start("election", LeaderElection(client, world, "controllers", identity).run(lead))
    return supervisor


def test_only_one_candidate_leads_and_another_follows_when_it_stops():
    async def main(world):
        client, leaders = FakeClient(world), []
        first = election(world, client, "a", leaders)
        await asyncio.sleep(1)
        second = election(world, client, "b", leaders)
        for _ in range(100):
            await asyncio.sleep(1)
            assert leaders == ["a"]
        await first.stop()
        assert leaders == []
        await asyncio.sleep(5)
        assert leaders == ["b"]
        assert client.all(LEASES)[0]["spec"]["leaseTransitions"] == 1
        await second.stop()

    virtual.run(main)


def test_leader_without_a_server_stops_leading_before_another_can_start():
    async def main(world):
        client, leaders = FakeClient(world), []
        first = election(world, client, "a", leaders)
        await asyncio.sleep(1)
        client.refuse("get", ServiceUnavailable("down"), times=10_000)
        await asyncio.sleep(9)
        assert leaders == ["a"]
        await asyncio.sleep(6)
        assert leaders == []
        await first.stop()

    virtual.run(main)


def test_crashed_leader_is_replaced_after_the_lease_ran_out():
    async def main(world):
        client, leaders = FakeClient(world), []
        client.put(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": "controllers", "namespace": "kube-system"},
                "spec": {"holderIdentity": "gone", "leaseDurationSeconds": 15, "renewTime": "2020-01-01T00:00:00.000000Z"},
            }
        )
        supervisor = election(world, client, "a", leaders)
        await asyncio.sleep(14)
        assert leaders == []
        await asyncio.sleep(4)
        assert leaders == ["a"]
        await supervisor.stop()

    virtual.run(main)


def test_heartbeat_renews_and_survives_a_deleted_lease():
    async def main(world):
        client = FakeClient(world)
        supervisor = Supervisor("test")
        node = {"metadata": {"name": "n1", "uid": "u1"}}
        supervisor.start("lease", NodeLease(client, world, "n1").run(lambda: node))
        await asyncio.sleep(1)
        (lease,) = client.all(LEASES)
        assert lease["metadata"]["namespace"] == "kube-node-lease"
        assert lease["metadata"]["ownerReferences"][0]["uid"] == "u1"
        renewed = lease["spec"]["renewTime"]
        await asyncio.sleep(3 * NODE_RENEW_S)
        assert client.all(LEASES)[0]["spec"]["renewTime"] > renewed
        assert client.calls["update", "leases"] in (3, 4)
        client.remove(LEASES, "n1", "kube-node-lease")
        await asyncio.sleep(2 * NODE_RENEW_S)
        assert len(client.all(LEASES)) == 1
        await supervisor.stop()

    virtual.run(main)


class Partitioned:
    """One candidate's way to the server, which can be cut."""

    def __init__(self, client):
        self._client = client
        self.cut = False

    def __getattr__(self, verb):
        async def call(*arguments, **options):
            if self.cut:
                await asyncio.sleep(3)  # a request into the void, answered late or never
                raise ConnectionResetError
            return await getattr(self._client, verb)(*arguments, **options)

        return call


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(1, 25)), max_size=25))
def test_never_two_leaders_whatever_is_cut_off(steps):
    async def main(world):
        client, leaders = FakeClient(world), []
        ways = [Partitioned(client) for _ in range(3)]
        supervisors = [election(world, way, str(number), leaders) for number, way in enumerate(ways)]
        for number, cut, seconds in steps:
            ways[number].cut = cut
            for _ in range(seconds * 4):
                await asyncio.sleep(0.25)
                assert len(leaders) <= 1
        for way in ways:
            way.cut = False
        await asyncio.sleep(40)
        assert len(leaders) == 1
        for supervisor in supervisors:
            await supervisor.stop()

    virtual.run(main)
