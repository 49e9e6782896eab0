"""Replicas under a virtual clock: nothing is told twice, nothing is lost when one dies."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from podium.telemetry.metrics.alertmanager import cluster as cluster_module
from podium.telemetry.metrics.alertmanager.cluster import Cluster, Message
from podium.telemetry.metrics.alertmanager.measurements import Measurements
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply
from podium.world import virtual
from podium.world.virtual import VirtualWorld
from tests.telemetry.metrics.alertmanager.scene import CONFIG, Receivers, Scene, line

DELAY_S = 0.05


class Wires:
    """The network between replicas: delays, and links that are cut."""

    def __init__(self) -> None:
        self.replicas: dict[str, Cluster] = {}
        self.cut: set[frozenset[str]] = set()

    def of(self, sender: str) -> "Wire":
        return Wire(self, sender)


class Wire:
    def __init__(self, wires: Wires, sender: str) -> None:
        self._wires, self._sender = wires, sender

    async def exchange(self, address: str, message: Message) -> Message:
        await asyncio.sleep(DELAY_S)
        if address not in self._wires.replicas or frozenset((self._sender, address)) in self._wires.cut:
            raise ConnectionRefusedError("nobody there")
        answer = self._wires.replicas[address].receive(message)
        await asyncio.sleep(DELAY_S)
        return answer


class Pair:
    """Replicas that share the receivers and nothing else."""

    def __init__(self, world: VirtualWorld, count: int = 2) -> None:
        self.world = world
        self.receivers = Receivers(world)
        self.wires = Wires()
        names = [chr(ord("a") + n) for n in range(count)]
        self.scenes: dict[str, Scene] = {}
        for name in names:
            self.start(name, names)

    def start(self, name: str, names: list[str]) -> Scene:
        cluster = Cluster(self.world, self.wires.of(name), Measurements(), address=name, peers=names, name=f"replica-{name}")
        self.wires.replicas[name] = cluster
        scene = self.scenes[name] = Scene(self.world, CONFIG, cluster=cluster, receivers=self.receivers)
        return scene

    async def kill(self, name: str) -> None:
        del self.wires.replicas[name]
        await self.scenes.pop(name).manager.stop()

    async def fire(self, **labels: str) -> None:
        """As Prometheus: to all that are alive."""
        for scene in self.scenes.values():
            await scene.fire(for_s=36_000, **labels)

    async def resolve(self, **labels: str) -> None:
        for scene in self.scenes.values():
            await scene.resolve(**labels)

    @property
    def told(self) -> list[str]:
        return [line(at_s, message) for at_s, message in self.receivers.messages]


def play(story: Callable[[Pair], Awaitable[None]], count: int = 2) -> None:
    async def main(world: VirtualWorld) -> None:
        pair = Pair(world, count)
        await asyncio.sleep(20)
        await story(pair)
        for name in list(pair.scenes):
            await pair.kill(name)

    virtual.run(main)


@pytest.mark.parametrize("count", [2, 3])
def test_receivers_are_told_once(count: int) -> None:
    async def story(pair: Pair) -> None:
        await pair.fire(alertname="A")
        await asyncio.sleep(700)
        await pair.resolve(alertname="A")
        await asyncio.sleep(700)
        assert pair.told == ["50 hook firing A", "950 hook resolved A"]

    play(story, count)


def test_the_second_replica_tells_when_the_first_has_died() -> None:
    async def story(pair: Pair) -> None:
        await pair.fire(alertname="A")
        await asyncio.sleep(29)
        await pair.kill("a")
        await asyncio.sleep(400)
        assert pair.told == ["65 hook firing A"]  # at its turn, 15 s after the first one's

    play(story)


def test_the_second_replica_tells_when_the_first_dies_while_it_tells() -> None:
    async def story(pair: Pair) -> None:
        async def hang(message: HttpMessage) -> HttpReply:
            if len(pair.receivers.messages) == 1:
                await asyncio.sleep(1e6)
            return HttpReply(200, {}, b"")

        pair.receivers.answers["hook.test"] = hang
        await pair.fire(alertname="A")
        await asyncio.sleep(32)
        await pair.kill("a")
        await asyncio.sleep(600)
        assert pair.told == ["50 hook firing A", "65 hook firing A"]  # the first one never got through

    play(story)


def test_a_survivor_does_not_repeat_what_the_dead_one_told() -> None:
    async def story(pair: Pair) -> None:
        await pair.fire(alertname="A")
        await asyncio.sleep(40)
        await pair.kill("a")
        await asyncio.sleep(2_000)
        assert pair.told == ["50 hook firing A"]
        await pair.fire(alertname="B")
        await asyncio.sleep(60)
        assert pair.told[1:] == ["2090 hook firing B"]  # and is the first one now

    play(story)


def test_a_replica_that_comes_back_learns_what_was_told_and_silenced() -> None:
    async def story(pair: Pair) -> None:
        await pair.kill("a")
        await pair.fire(alertname="A")
        identity = pair.scenes["b"].silence("alertname=S", for_s=36_000)
        await asyncio.sleep(100)
        pair.start("a", ["a", "b"])
        await pair.fire(alertname="A")
        await pair.fire(alertname="S")
        await asyncio.sleep(1_000)
        assert len(pair.told) == 1
        assert pair.scenes["a"].manager.silences.get(identity).comment == "why"

    play(story)


def test_a_silence_reaches_the_other_replica_at_once() -> None:
    async def story(pair: Pair) -> None:
        identity = pair.scenes["b"].silence("alertname=A")
        await asyncio.sleep(4 * DELAY_S)
        assert pair.scenes["a"].manager.silences.get(identity)
        pair.scenes["a"].manager.silences.expire(identity)
        await asyncio.sleep(4 * DELAY_S)
        assert pair.scenes["b"].manager.silences.counts()["active"] == 0

    play(story)


def test_replicas_that_cannot_hear_each_other_both_tell_and_agree_again_later() -> None:
    async def story(pair: Pair) -> None:
        pair.wires.cut.add(frozenset("ab"))
        await asyncio.sleep(60)
        await pair.fire(alertname="A")
        identity = pair.scenes["a"].silence("alertname=S")
        await asyncio.sleep(100)
        assert len(pair.told) == 2  # better twice than not at all
        pair.wires.cut.clear()
        await asyncio.sleep(30)
        logs = [{r["groupKey"]: r["at"] for r in scene.manager.log.records().values()} for scene in pair.scenes.values()]
        assert logs[0] == logs[1] and pair.scenes["b"].manager.silences.get(identity)
        await asyncio.sleep(1_000)
        assert len(pair.told) == 2

    play(story)


def test_positions_are_in_the_order_of_names_of_those_alive() -> None:
    async def story(pair: Pair) -> None:
        def positions() -> list[int]:
            return [scene.manager.cluster.turn_delay_s() for scene in pair.scenes.values()]  # type: ignore[misc]

        assert positions() == [0, 15, 30]
        assert [name for name, _ in pair.scenes["a"].manager.cluster.members()] == ["replica-a", "replica-b", "replica-c"]
        await pair.kill("b")
        await asyncio.sleep(40)
        assert positions() == [0, 15]
        assert pair.scenes["c"].manager.cluster.status == "ready"

    play(story, 3)


GARBAGE: list[object] = [None, [], {}, {"kind": "sync"}, {"kind": "sync", "name": 7}, {"kind": "other", "name": "x"}]


def test_garbage_from_a_peer_is_refused_and_harms_nothing() -> None:
    async def story(pair: Pair) -> None:
        cluster = pair.wires.replicas["a"]
        for message in GARBAGE:
            with pytest.raises(ValueError, match="not a message of a replica"):
                cluster.receive(message)  # type: ignore[arg-type]
        for states in (None, 7, {"silences": 7}, {"silences": [7, None, {}], "notifications": [{"at": "x"}]}):
            assert cluster.receive({"kind": "update", "name": "x", "states": states}) == {"name": "replica-a"}

    play(story)


def test_a_large_state_is_pulled_in_parts_and_only_changes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "ANSWER_RECORDS_MAX", 10)

    async def story(pair: Pair) -> None:
        await pair.kill("b")
        for number in range(95):
            pair.scenes["a"].silence(f"a={number}", for_s=36_000)
        pair.start("b", ["a", "b"])
        sent: list[int] = []
        receive = pair.wires.replicas["a"].receive

        def counted(message: Message) -> Message:
            answer = receive(message)
            if message["kind"] == "sync":
                sent.append(sum(len(records) for records in answer["states"].values()))
            return answer

        monkeypatch.setattr(pair.wires.replicas["a"], "receive", counted)
        await asyncio.sleep(5)
        assert len(pair.scenes["b"].manager.silences) == 95 and sent == [10] * 9 + [5]
        await asyncio.sleep(60)
        assert set(sent[10:]) == {0}

    play(story)


def test_what_was_forgotten_leaves_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "JOURNAL_SPARE", 5)
    monkeypatch.setattr(cluster_module, "SYNC_PERIOD_S", 3_600.0)

    async def story(pair: Pair) -> None:
        for number in range(50):
            pair.scenes["a"].silence(f"a={number}", for_s=10)
        await asyncio.sleep(6 * 86_400)
        assert len(pair.scenes["a"].manager.silences) == 0
        await asyncio.sleep(7_200)
        assert len(pair.wires.replicas["a"]._journal) <= 5

    play(story)
