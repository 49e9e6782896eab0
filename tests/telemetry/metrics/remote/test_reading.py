"""Remote read, both sides: what a client asks for, what it makes of answers, and a server's answer read by a client."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.exposition.steps import at_once
from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.labels import Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.outbound.interface import OutboundError
from podium.telemetry.metrics.promql.reads import Hints, Read
from podium.telemetry.metrics.remote import read_answers
from podium.telemetry.metrics.remote.frames import frames
from podium.telemetry.metrics.remote.messages import compress, decode, decompress, message
from podium.telemetry.metrics.remote.read_client import CHUNKS, SAMPLES, ReadClient, ReadOptions
from podium.telemetry.metrics.remote.reading import ReadLimits, ReadServer
from podium.telemetry.metrics.samples import STALE, STALE_BITS, Sample, Selection
from podium.world import virtual
from podium.world.http_messages import HttpRequest
from podium.world.interface import World
from tests.telemetry.metrics.remote.xor_writer import stream, write_chunk
from tests.telemetry.metrics.test_selections import content

UP = labels_of({"__name__": "up", "job": "a"})
NATIVE = Histogram(schema=0, count=3.0, sum=3.5, positive={0: 1.0, 1: 2.0})
Answer = tuple[str, bytes]


def equal(**labels: str) -> tuple[Matcher, ...]:
    return tuple(Matcher(MatchType.EQUAL, name, value) for name, value in labels.items())


class Server:
    """Remembers what it was asked."""

    def __init__(self, answer: Answer | Exception = (SAMPLES, b"")) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    async def post(self, body: bytes) -> Answer:
        request = decode("ReadRequest", body)
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def matchers(self) -> list[tuple[int, str, str]]:
        [query] = self.asked[0].queries
        return [(m.type, m.name, m.value) for m in query.matchers]


EMPTY: Answer = (SAMPLES, message("ReadResponse")(results=[{}]).SerializeToString())


def select(server: Server, read: Read, whole_from_ms: int = 0, **options: Any) -> Selection | None:
    async def main(world: World) -> Selection | None:
        return await ReadClient("r", server.post, ReadOptions(**options), lambda: whole_from_ms).select(read)

    return virtual.run(main)


def test_a_question_has_the_selector_its_time_and_what_is_around_it() -> None:
    server = Server(EMPTY)
    matchers = (*equal(__name__="up"), Matcher(MatchType.NOT_REGEXP, "job", "a|b"))
    select(server, Read(matchers, 10, 20, Hints("rate", 300_000, 15_000, ("job",), True)), read_recent=True)
    [query] = server.asked[0].queries
    assert server.matchers == [(0, "__name__", "up"), (3, "job", "a|b")]
    assert (query.start_timestamp_ms, query.end_timestamp_ms) == (10, 20)
    hints = query.hints
    assert (hints.func, hints.range_ms, hints.step_ms, list(hints.grouping), hints.by) == ("rate", 300_000, 15_000, ["job"], True)
    assert list(server.asked[0].accepted_response_types) == [1, 0]


RECENT = [
    (False, (100, 200), 50, None),  # all of it is here
    (False, (100, 200), 150, (100, 150)),
    (False, (100, 200), 300, (100, 200)),
    (True, (100, 200), 50, (100, 200)),
]


@pytest.mark.parametrize(("recent", "asked", "whole_from_ms", "sent"), RECENT)
def test_times_that_the_store_here_has_whole_are_asked_for_with_read_recent_only(recent, asked, whole_from_ms, sent) -> None:
    server = Server(EMPTY)
    found = select(server, Read(equal(__name__="up"), *asked, Hints()), whole_from_ms, read_recent=recent)
    assert (found is None) == (sent is None)
    assert [(r.queries[0].start_timestamp_ms, r.queries[0].end_timestamp_ms) for r in server.asked] == ([sent] if sent else [])


REQUIRED = [
    ({"job": "a"}, equal(__name__="up", job="a"), True),
    ({"job": "a"}, equal(__name__="up", job="b"), False),
    ({"job": "a"}, (*equal(__name__="up"), Matcher(MatchType.REGEXP, "job", "a")), False),
    ({"job": "a", "dc": "x"}, equal(job="a"), False),
]


@pytest.mark.parametrize(("required", "matchers", "asked"), REQUIRED)
def test_a_selector_without_the_required_matchers_is_not_asked(required, matchers, asked: bool) -> None:
    server = Server(EMPTY)
    select(server, Read(matchers, 0, 1, Hints()), read_recent=True, required_matchers=required)
    assert bool(server.asked) is asked


def samples_answer(*series: tuple[Labels, list[tuple[int, float]]]) -> Answer:
    answer = message("ReadResponse")()
    result = answer.results.add()
    for labels, points in series:
        target = result.timeseries.add()
        for name, value in labels:
            target.labels.add(name=name, value=value)
        for time_ms, number in points:
            target.samples.add(timestamp=time_ms, value=number)
    return SAMPLES, answer.SerializeToString()


def test_external_labels_are_asked_for_and_taken_off_unless_the_selector_names_them() -> None:
    there = labels_of({**dict(UP), "dc": "x", "replica": "1"})
    server = Server(samples_answer((there, [(1, 1.0)])))
    read = Read(equal(__name__="up", replica="1"), 0, 9, Hints())
    found = select(server, read, read_recent=True, external_labels=(("dc", "x"), ("replica", "2")))
    assert server.matchers == [(0, "__name__", "up"), (0, "replica", "1"), (0, "dc", "x")]
    assert found is not None and content(found) == {labels_of({**dict(UP), "replica": "1"}): {1: 1.0}}


def test_series_with_the_same_times_share_a_matrix() -> None:
    points = [(t, float(t)) for t in range(5)]
    rows = [labels_of({"__name__": "m", "i": str(i)}) for i in range(3)]
    found = select(Server(samples_answer(*((row, points[:4] if i == 1 else points) for i, row in enumerate(rows)))), ANY, read_recent=True)
    assert found is not None and sorted(c.values.shape for c in found.columns) == [(1, 4), (2, 5)]


ANY = Read(equal(__name__="up"), 100, 400, Hints())


def test_streamed_chunks_are_cut_to_the_range_and_joined_across_frames() -> None:
    other = labels_of({"__name__": "up", "job": "b"})

    def chunk(*times: int) -> tuple[int, bytes]:
        return 1, write_chunk(times, [t / 10 for t in times])

    body = stream([(UP, [chunk(50, 100, 200)])], [(UP, [chunk(200, 300, 500)]), (other, [chunk(50, 60)])], [(other, [chunk(150)])])
    found = select(Server((CHUNKS, body)), ANY, read_recent=True)
    assert found is not None and content(found) == {UP: {100: 10.0, 200: 20.0, 300: 30.0}, other: {150: 15.0}}


BAD: list[tuple[Answer | Exception, str]] = [
    (OutboundError("connection refused"), "remote_read: connection refused"),
    (("text/html", b""), "remote_read: unsupported content type: text/html"),
    ((SAMPLES, b"\xff"), "remote_read: proto: "),
    ((SAMPLES, b""), "remote_read: responses: want 1, got 0"),
    ((CHUNKS, b"\x80"), "remote_read: chunkedReader: unexpected EOF"),
    ((CHUNKS, stream([(UP, [(9, b"\0\1x")])])), "remote_read: chunks of encoding 9 are not known"),
    ((CHUNKS, stream([(UP, [(1, b"\xff\xffx")])])), "remote_read: a chunk ends before its samples do"),
    ((CHUNKS, stream([(UP, [(1, b"\xff\xff")] * 400)])), "remote_read: the answer has more than 20000000 samples"),
]


@pytest.mark.parametrize(("answer", "reason"), BAD)
def test_an_answer_that_is_none_fails_with_a_reason(answer: Answer | Exception, reason: str) -> None:
    with pytest.raises(StorageFailed) as failure:
        select(Server(answer), ANY, read_recent=True)
    assert str(failure.value).startswith(reason)


FORMS = pytest.mark.parametrize("accepted", [(1, 0), (0, 1), ()], ids=["chunks", "samples", "unsaid"])


def served(
    storage: MemorySamples, external_labels: Labels = (), accepted: Sequence[int] = (1, 0), **limits: int
) -> Callable[[bytes], Any]:  # fmt: skip
    """A server's answer as it comes over HTTP, to a client that takes these types."""
    server = ReadServer(storage, external_labels, ReadLimits(**limits))

    async def post(body: bytes) -> Answer:
        asked = decode("ReadRequest", body)
        del asked.accepted_response_types[:]
        asked.accepted_response_types.extend(accepted)
        answer = await server(HttpRequest("POST", "/", "/", {}, {}, compress(asked.SerializeToString()), None))
        assert answer is not None
        if answer.status != 200:
            raise OutboundError(answer.body.decode())
        headers = dict(answer.headers)
        body = decompress(answer.body) if headers.get(b"content-encoding") == b"snappy" else answer.body
        return headers[b"content-type"].decode(), body

    return post


def read_from(post: Callable[[bytes], Any], read: Read, external_labels: Labels = ()) -> Selection:
    async def main(world: World) -> Selection | None:
        return await ReadClient("r", post, ReadOptions(True, external_labels=external_labels), lambda: 0).select(read)

    found = virtual.run(main)
    assert found is not None
    return found


@pytest.mark.parametrize(("accepted", "kind"), [((1, 0), CHUNKS), ((0, 1), SAMPLES), ((), SAMPLES), ((7, 1), CHUNKS)])
def test_the_first_type_that_there_is_is_answered(accepted: Sequence[int], kind: str) -> None:
    async def main(world: World) -> Answer:
        answer: Answer = await served(MemorySamples(), accepted=accepted)(
            compress(message("ReadRequest")(queries=[{}]).SerializeToString())
        )
        return answer

    assert virtual.run(main)[0] == kind


def test_types_that_are_all_unknown_are_refused_in_upstreams_words() -> None:
    with pytest.raises(StorageFailed, match=r"does not support any of the requested response types: \[7\]; supported: map\[SAMPLES"):
        read_from(served(MemorySamples(), accepted=(7,)), ANY)


@FORMS
def test_a_client_reads_what_a_server_has(accepted: Sequence[int]) -> None:
    storage = MemorySamples()
    storage.append_samples([Sample(UP, 100, 1.0), Sample(UP, 200, STALE), Sample(UP, 500, 2.0)])
    native = labels_of({"__name__": "up", "kind": "native"})
    storage.append_samples([Sample(native, 100, NATIVE), Sample(native, 300, Histogram(0, 0.0, STALE))])
    dc = (("dc", "x"),)
    found = read_from(served(storage, dc, accepted), ANY, dc)
    [(_, floats), (_, natives)] = sorted(content(found).items())
    assert (list(floats), natives) == ([100, 200], {100: NATIVE, 300: None})
    assert [columns.values.view(np.uint64).tolist() for columns in found.columns] == [[[0x3FF0000000000000, int(STALE_BITS)]]]


@FORMS
def test_series_of_any_shape_come_as_they_are(accepted: Sequence[int]) -> None:
    """Of one sample to thousands, with gaps, times whose varints have other sizes, floats and histograms of one series."""
    storage, random = MemorySamples(), Random(6)
    for i, size in enumerate([1, 2, 119, 120, 121, 3000]):
        labels = labels_of({"__name__": "up", "i": str(i)})
        times = sorted(random.sample(range(-1000, 40_000), size) if i % 2 else range(0, 15 * size, 15))
        storage.append_samples([Sample(labels, t, random.choice([1.0, random.random(), float(t)])) for t in times if random.random() < 0.9])
    mixed = labels_of({"__name__": "up", "i": "mixed"})
    storage.append_samples([Sample(mixed, t, 1.0 if t % 200 else replace(NATIVE, count=t + 3.0)) for t in range(0, 30_000, 100)])
    early = labels_of({"__name__": "up", "i": "early"})
    storage.append_samples([Sample(early, (1 << shift) + n, n) for shift in (7, 14, 35) for n in (-1, 0)])
    here = storage.select(ANY.matchers, -1000, 1 << 40)
    there = read_from(served(storage, (), accepted), Read(ANY.matchers, -1000, 1 << 40, Hints()))
    assert unhinted(there) == unhinted(here)


def unhinted(selection: Selection) -> dict[Labels, dict[int, Any]]:
    """A chunk says of its histograms that there was no reset where a sample that was by itself did not know."""
    found = content(selection)
    return {
        labels: {t: replace(v, reset_hint=ResetHint.UNKNOWN) if isinstance(v, Histogram) else v for t, v in points.items()}
        for labels, points in found.items()
    }


def test_what_is_compressed_in_pieces_is_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_answers, "COMPRESSED_AT_ONCE", 1000)
    for size in (0, 1, 999, 1000, 1001, 5300):
        data = bytes(n * n // 7 % 251 for n in range(size))
        assert decompress(at_once(read_answers.compressed(data))) == data


@FORMS
def test_series_are_sorted_as_they_are_named_in_the_answer(accepted: Sequence[int]) -> None:
    storage = MemorySamples()
    names = [{"a": "2"}, {"z": "1"}, {"a": "1", "z": "0"}, {}]
    storage.append_samples([Sample(labels_of({"__name__": "up", **more}), 100, 1.0) for more in names])
    found = read_from(served(storage, (("dc", "x"),), accepted), ANY)
    rows = found.labels.rows()
    assert len(rows) == 4 and rows == sorted(rows)


@FORMS
def test_a_server_whose_store_has_a_series_of_its_external_label_does_not_give_it_for_its_own(accepted: Sequence[int]) -> None:
    storage = MemorySamples()
    storage.append_samples([Sample(UP, 100, 1.0), Sample(labels_of({**dict(UP), "dc": "x"}), 100, 2.0)])
    found = read_from(served(storage, (("dc", "x"),), accepted), Read((*ANY.matchers, *equal(dc="x")), 0, 500, Hints()))
    assert content(found) == {labels_of({**dict(UP), "dc": "x"}): {100: 1.0}}


@FORMS
def test_a_server_is_asked_for_labels_only_when_only_series_are_looked_at(accepted: Sequence[int]) -> None:
    storage = MemorySamples()
    storage.append_samples([Sample(UP, 100, 1.0)])
    found = read_from(served(storage, (), accepted), Read(ANY.matchers, 0, 500, Hints("series")))
    assert (content(found), len(found.columns)) == ({UP: {}}, 0)


def test_whole_samples_beyond_the_limit_are_refused_and_chunks_are_not() -> None:
    storage = MemorySamples()
    storage.append_samples([Sample(UP, t, 1.0) for t in range(101)])
    everything = Read(ANY.matchers, 0, 500, Hints())
    with pytest.raises(StorageFailed, match=r"exceeded sample limit \(100\)"):
        read_from(served(storage, accepted=(0,), samples_max=100), everything)
    for accepted, limit in (((1,), 100), ((0,), 101), ((0,), 0)):
        assert len(content(read_from(served(storage, (), accepted, samples_max=limit), everything))[UP]) == 101


def test_reads_beyond_those_at_a_time_wait_for_their_turn() -> None:
    storage = MemorySamples()
    storage.append_samples([Sample(UP, 100, 1.0)])
    body = compress(message("ReadRequest")(queries=[{"end_timestamp_ms": 200}]).SerializeToString())

    async def main(world: World) -> tuple[list[int], int]:
        server, seen = ReadServer(storage, limits=ReadLimits(reads_max=1)), []

        async def read() -> None:
            await server(HttpRequest("POST", "/", "/", {}, {}, body, None))
            seen.append(server.reads)

        await asyncio.gather(*(read() for _ in range(3)))
        return seen, server.reads

    assert virtual.run(main) == ([2, 1, 0], 0)


def test_a_frame_ends_with_the_chunk_that_reaches_its_size_and_begins_with_the_series_name() -> None:
    storage = MemorySamples()
    random = Random(7)
    storage.append_samples([Sample(UP, t, random.random()) for t in range(1200)])
    bodies: list[bytes] = []

    async def post(body: bytes) -> Answer:
        kind, answer = await served(storage, frame_bytes_max=2000)(body)
        bodies.append(answer)
        return kind, answer

    found = read_from(post, Read(ANY.matchers, 0, 2000, Hints()))
    assert content(found) == content(storage.select(ANY.matchers, 0, 2000))
    parts = [message("ChunkedReadResponse").FromString(data) for data in frames(bodies[0], 1 << 20)]
    assert len(parts) == 4 and {len(p.chunked_series) for p in parts} == {1} and {len(p.chunked_series[0].labels) for p in parts} == {2}
    chunks = [chunk for p in parts for chunk in p.chunked_series[0].chunks]
    assert [(c.min_time_ms, c.max_time_ms, c.type) for c in chunks] == [(t, t + 119, 1) for t in range(0, 1200, 120)]


def test_an_answer_whose_chunks_are_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_answers, "ENCODED_BYTES_MAX", 2000)
    storage = MemorySamples()
    random = Random(7)
    storage.append_samples([Sample(UP, t, random.random()) for t in range(1200)])
    with pytest.raises(StorageFailed, match="the answer has more than 2000 bytes of chunks"):
        read_from(served(storage), Read(ANY.matchers, 0, 2000, Hints()))


def test_each_query_of_a_request_has_frames_of_its_number() -> None:
    storage = MemorySamples()
    storage.append_samples([Sample(labels_of({"__name__": name}), 100, 1.0) for name in ("a", "b")])
    queries = [{"end_timestamp_ms": 200, "matchers": [{"name": "__name__", "value": name}]} for name in ("b", "none", "a")]

    async def main(world: World) -> Answer:
        answer: Answer = await served(storage)(compress(message("ReadRequest")(queries=queries).SerializeToString()))
        return answer

    found = [message("ChunkedReadResponse").FromString(data) for data in frames(virtual.run(main)[1], 1 << 20)]
    assert [(f.query_index, f.chunked_series[0].labels[0].value) for f in found] == [(0, "b"), (2, "a")]
