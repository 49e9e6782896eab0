"""Remote write against an endpoint that is slow, away, or refuses: nothing is lost that the store has."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.remote import sending
from podium.telemetry.metrics.remote.errors import SendFailed
from podium.telemetry.metrics.remote.sending import QueueOptions, RemoteWriter
from podium.telemetry.metrics.remote.tee import Tee
from podium.telemetry.metrics.remote.write_batch import WriteBatch
from podium.telemetry.metrics.samples import Exemplar, Sample
from podium.telemetry.metrics.storage import Metadata
from podium.world import virtual
from podium.world.interface import World
from podium.world.supervisor import Supervisor
from tests.fakes.memory_samples import MemorySamples


class Endpoint:
    """Remembers what it was sent. `answers`: what the next posts raise; then it takes all."""

    def __init__(self, *answers: SendFailed | None) -> None:
        self.answers = list(answers)
        self.values: dict[tuple[str, int], float] = {}
        self.batches: list[int] = []
        self.exemplars: list[tuple[str, float]] = []
        self.metadata: list[dict[str, Metadata]] = []

    async def post(self, body: bytes, version: str) -> None:
        if self.answers and (error := self.answers.pop(0)) is not None:
            raise error
        batch = (WriteBatch.version_1 if version == "1" else WriteBatch.version_2)(body)
        samples = batch.samples
        assert not batch.refused
        self.batches.append(len(samples))
        self.exemplars += [(dict(labels)["i"], exemplar.value) for labels, exemplar in batch.exemplars]
        self.metadata.append(batch.metadata)
        self.values.update({(dict(s.labels)["i"], s.time_ms): s.value for s in samples})


Scene = Callable[[World, Tee, MemorySamples], Awaitable[None]]


def play(endpoint: Endpoint, options: QueueOptions, scene: Scene, position: Path | None = None) -> RemoteWriter:
    async def main(world: World) -> RemoteWriter:
        storage, supervisor = MemorySamples(), Supervisor("test")
        tee = Tee(storage)
        writer = RemoteWriter("r", storage, world, endpoint.post, options, external_labels=(("dc", "x"),), position_file=position)
        tee.writers.append(writer)
        supervisor.start("writer", writer.run())
        await scene(world, tee, storage)
        await asyncio.sleep(120)
        await supervisor.stop()
        return writer

    return virtual.run(main)


def now_ms(world: World) -> int:
    return int(world.clock.now().timestamp() * 1000)


def append(world: World, tee: Tee, series: int) -> None:
    at_ms = now_ms(world)
    tee.append_samples([Sample(labels_of({"__name__": "m", "i": str(i)}), at_ms, float(i)) for i in range(series)])


async def ten_rounds(world: World, tee: Tee, storage: MemorySamples) -> None:
    for _ in range(10):
        append(world, tee, 30)
        await asyncio.sleep(1)


def everything(endpoint: Endpoint, rounds: int = 10, series: int = 30) -> bool:
    return len(endpoint.values) == rounds * series


def test_what_is_appended_arrives_in_batches() -> None:
    endpoint = Endpoint()
    writer = play(endpoint, QueueOptions(max_samples_per_send=50), ten_rounds)
    assert everything(endpoint)
    assert max(endpoint.batches) <= 50
    assert (writer.counts.sent, writer.counts.failed, writer.pending) == (300, 0, 0)


def test_an_endpoint_that_is_away_is_tried_until_it_is_back() -> None:
    endpoint = Endpoint(*[SendFailed("connection refused", 0.0)] * 20)
    writer = play(endpoint, QueueOptions(shards=1), ten_rounds)
    assert everything(endpoint)
    assert writer.counts.retried > 0


def test_a_refused_batch_is_dropped_and_counted() -> None:
    endpoint = Endpoint(SendFailed("400 out of order sample", None))
    writer = play(endpoint, QueueOptions(shards=1, max_samples_per_send=30), ten_rounds)
    assert (writer.counts.failed, len(endpoint.values)) == (30, 270)


def test_what_overflows_the_queue_is_read_back_from_the_store() -> None:
    endpoint = Endpoint(*[SendFailed("503", 3.0)] * 8)
    writer = play(endpoint, QueueOptions(shards=2, capacity=60), ten_rounds)
    assert writer.counts.gaps >= 1
    assert everything(endpoint)
    assert writer.pending == 0


def test_a_sender_that_starts_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    position = tmp_path / "position"

    async def first(world: World, tee: Tee, storage: MemorySamples) -> None:
        append(world, tee, 5)

    play(Endpoint(), QueueOptions(), first, position)
    sent_up_to = int(position.read_text())

    async def second(world: World, tee: Tee, storage: MemorySamples) -> None:
        storage.append_samples([Sample(labels_of({"__name__": "m", "i": "missed"}), sent_up_to, 1.0)])
        await asyncio.sleep(20)

    endpoint = Endpoint()
    play(endpoint, QueueOptions(version="2"), second, position)
    assert endpoint.values == {("missed", sent_up_to): 1.0}


def test_series_that_relabeling_drops_are_not_sent() -> None:
    endpoint = Endpoint()

    async def main(world: World) -> RemoteWriter:
        storage, supervisor = MemorySamples(), Supervisor("test")
        tee = Tee(storage)
        writer = RemoteWriter(
            "r", storage, world, endpoint.post, QueueOptions(), relabel=lambda labels: labels if dict(labels)["i"] == "1" else None
        )
        tee.writers.append(writer)
        supervisor.start("writer", writer.run())
        append(world, tee, 3)
        await asyncio.sleep(30)
        await supervisor.stop()
        return writer

    writer = virtual.run(main)
    assert ([i for i, _ in endpoint.values], writer.counts.dropped) == (["1"], 2)


def test_samples_that_come_while_a_gap_is_read_back_are_not_lost() -> None:
    """Samples whose time is long past, or from while the other end takes its time over the last part of the gap."""
    endpoint = Endpoint(*[SendFailed("503", 3.0)] * 4, *[None, SendFailed("503", 1.0)] * 40)

    async def scene(world: World, tee: Tee, storage: MemorySamples) -> None:
        for i in range(40):
            append(world, tee, 30)
            old = [Sample(labels_of({"__name__": "late", "i": f"late-{i}"}), now_ms(world) - 400_000, 1.0)]
            tee.append_samples(old)
            await asyncio.sleep(1)

    writer = play(endpoint, QueueOptions(shards=2, capacity=40, batch_send_deadline_ms=100), scene)
    assert writer.counts.gaps >= 1 and writer.pending == 0
    assert sum(1 for i, _ in endpoint.values if i.startswith("late-")) == 40
    assert len(endpoint.values) == 40 * 31


def test_what_is_appended_late_is_sent_after_a_restart(tmp_path: Path) -> None:
    """A slow scrape ends when samples of a later time were sent already; a sample of the far future does not hide the present."""
    position = tmp_path / "position"

    async def first(world: World, tee: Tee, storage: MemorySamples) -> None:
        append(world, tee, 1)

    async def second(world: World, tee: Tee, storage: MemorySamples) -> None:
        storage.append_samples([Sample(labels_of({"__name__": "m", "i": "slow"}), slow_ms, 1.0)])
        await asyncio.sleep(20)

    play(Endpoint(), QueueOptions(), first, position)
    slow_ms = int(position.read_text()) - 9_000
    for sent_ms in (slow_ms + 9_000, slow_ms + 10**12):
        position.write_text(str(sent_ms))
        endpoint = Endpoint()
        play(endpoint, QueueOptions(), second, position)
        assert endpoint.values == {("slow", slow_ms): 1.0}


def test_what_waits_for_an_endpoint_that_was_never_there_is_sent_after_a_restart(tmp_path: Path) -> None:
    position = tmp_path / "position"
    appended: list[int] = []

    async def first(world: World, tee: Tee, storage: MemorySamples) -> None:
        appended.append(now_ms(world))
        append(world, tee, 1)

    async def second(world: World, tee: Tee, storage: MemorySamples) -> None:
        storage.append_samples([Sample(labels_of({"__name__": "m", "i": "0"}), appended[0], 0.0)])
        await asyncio.sleep(20)

    away = Endpoint(*[SendFailed("connection refused", 1.0)] * 1000)
    play(away, QueueOptions(), first, position)
    assert not away.values
    endpoint = Endpoint()
    play(endpoint, QueueOptions(), second, position)
    assert endpoint.values == {("0", appended[0]): 0.0}


def test_labels_of_a_layout_are_kept_only_while_somebody_is_written_to() -> None:
    endpoint = Endpoint()
    rows = [labels_of({"__name__": "m", "i": str(i)}) for i in range(3)]

    async def scene(world: World, tee: Tee, storage: MemorySamples) -> None:
        writers, tee.writers = tee.writers, []
        layout = tee.joined([tee.layout(rows[:2]), tee.layout(rows[2:])])
        assert (layout.size, list(tee.labels_of(layout)), layout.series) == (3, rows, ())
        tee.append(layout, now_ms(world), np.array([1.0, 2.0, 3.0]))
        assert layout.series == ()
        tee.writers = writers
        tee.append(layout, now_ms(world) + 1, np.array([4.0, 5.0, 6.0]))
        assert list(layout.series) == rows
        tee.writers = []
        tee.append(layout, now_ms(world) + 2, np.array([7.0, 8.0, 9.0]))
        assert layout.series == ()
        tee.writers = writers

    play(endpoint, QueueOptions(), scene)
    assert sorted(v for v in endpoint.values.values() if isinstance(v, float)) == [4.0, 5.0, 6.0]


def test_what_the_store_does_not_take_is_not_offered() -> None:
    endpoint = Endpoint()

    async def scene(world: World, tee: Tee, storage: MemorySamples) -> None:
        at_ms, series = now_ms(world), [labels_of({"__name__": "m", "i": str(i)}) for i in range(4)]
        layout = tee.layout(series)
        tee.append(layout, at_ms, np.array([0.0, 1.0, 2.0, 3.0]))
        tee.append(layout, at_ms, np.array([0.0, 1.0, 2.0, 99.0]))  # known, and a duplicate
        tee.append(layout, at_ms - 1, np.array([7.0, 7.0, 7.0, 7.0]))  # out of order
        tee.append_samples([Sample(series[0], at_ms - 5, 7.0), Sample(series[1], at_ms + 1, 1.5), Sample(series[1], at_ms + 1, 1.6)])

    writer = play(endpoint, QueueOptions(), scene)
    assert sorted(endpoint.values.values()) == [0.0, 1.0, 1.5, 2.0, 3.0]
    assert writer.counts.sent == 5


def exemplars_in_three_rounds(world: World, tee: Tee, storage: MemorySamples) -> Awaitable[None]:
    async def scene() -> None:
        for turn in range(3):
            append(world, tee, 3)
            at_ms = now_ms(world)
            trace = labels_of({"trace_id": str(turn)})
            tee.append_exemplars([(labels_of({"__name__": "m", "i": str(i)}), Exemplar(trace, float(turn), at_ms)) for i in range(2)])
            await asyncio.sleep(1)

    return scene()


@pytest.mark.parametrize("version", ["1", "2"])
def test_exemplars_go_with_the_samples_of_their_series(version: str) -> None:
    endpoint = Endpoint()
    writer = play(endpoint, QueueOptions(version=version, exemplars=True), exemplars_in_three_rounds)
    assert sorted(endpoint.exemplars) == [(i, float(turn)) for i in "01" for turn in range(3)]
    assert (writer.counts.exemplars_sent, writer.exemplars_pending) == (6, 0)


def test_exemplars_stay_here_unless_they_are_asked_for() -> None:
    endpoint = Endpoint()
    play(endpoint, QueueOptions(version="2"), exemplars_in_three_rounds)
    assert not endpoint.exemplars and len(endpoint.values) == 9


def test_exemplars_of_a_gap_are_read_back_with_it() -> None:
    endpoint = Endpoint(*[SendFailed("503", 3.0)] * 4)
    writer = play(endpoint, QueueOptions(shards=1, capacity=4, exemplars=True), exemplars_in_three_rounds)
    assert writer.counts.gaps >= 1
    assert set(endpoint.exemplars) == {(i, float(turn)) for i in "01" for turn in range(3)}


def test_exemplars_whose_series_has_no_more_samples_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "EXEMPLARS_WAITING_MAX", 5)

    async def scene(world: World, tee: Tee, storage: MemorySamples) -> None:
        for i in range(9):
            tee.append_exemplars([(labels_of({"__name__": "m", "i": str(i)}), Exemplar((), 1.0, now_ms(world)))])

    writer = play(Endpoint(), QueueOptions(exemplars=True), scene)
    assert (writer.exemplars_pending, writer.counts.exemplars_dropped) == (5, 4)


ABOUT = {"m": Metadata("gauge", "M."), "n": Metadata("counter", "N.")}


async def described(world: World, tee: Tee, storage: MemorySamples) -> None:
    tee.set_metadata((("job", "a"),), ABOUT)
    append(world, tee, 1)


def test_metadata_goes_by_itself_every_minute_in_version_1_in_parts() -> None:
    endpoint = Endpoint()
    writer = play(endpoint, QueueOptions(metadata_per_send=1, metadata_interval_ms=50_000), described)
    assert [said for said in endpoint.metadata if said] == [{"m": ABOUT["m"]}, {"n": ABOUT["n"]}] * 2
    assert writer.counts.metadata_sent == 4


def test_metadata_goes_with_the_samples_in_version_2() -> None:
    endpoint = Endpoint()
    play(endpoint, QueueOptions(version="2"), described)
    assert endpoint.metadata == [{"m": ABOUT["m"]}]
    silent = Endpoint()
    play(silent, QueueOptions(version="2", metadata=False), described)
    assert silent.metadata == [{}]
