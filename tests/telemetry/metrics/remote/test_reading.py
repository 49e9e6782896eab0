"""Remote read, both sides: what a client asks for, what it makes of answers, and a server's answer read by a client."""

from collections.abc import Callable
from typing import Any

import pytest

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.outbound.interface import OutboundError
from podium.telemetry.metrics.promql.reads import Hints, Read
from podium.telemetry.metrics.remote.messages import decode, decompress, message
from podium.telemetry.metrics.remote.read_client import CHUNKS, SAMPLES, ReadClient, ReadOptions
from podium.telemetry.metrics.remote.reading import ReadServer
from podium.telemetry.metrics.samples import STALE, Sample, Selection
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


def served(storage: MemorySamples, external_labels: Labels = ()) -> Callable[[bytes], Any]:
    """A server's answer as it comes over HTTP."""
    server = ReadServer(storage, external_labels)

    async def post(body: bytes) -> Answer:
        answer = await server(HttpRequest("POST", "/", "/", {}, {}, body, None))
        if answer.status != 200:
            raise OutboundError(answer.body.decode())
        return dict(answer.headers)[b"content-type"].decode(), decompress(answer.body)

    return post


def test_a_client_reads_what_a_server_has() -> None:
    storage = MemorySamples()
    storage.append_samples([Sample(UP, 100, 1.0), Sample(UP, 200, STALE), Sample(UP, 500, 2.0)])
    native = labels_of({"__name__": "up", "kind": "native"})
    storage.append_samples([Sample(native, 100, NATIVE), Sample(native, 300, Histogram(0, 0.0, STALE))])

    async def main(world: World) -> Selection | None:
        post = served(storage, (("dc", "x"),))
        return await ReadClient("r", post, ReadOptions(True, external_labels=(("dc", "x"),)), lambda: 0).select(ANY)

    found = virtual.run(main)
    assert found is not None
    [(_, floats), (_, natives)] = sorted(content(found).items())
    assert (list(floats), natives) == ([100, 200], {100: NATIVE, 300: None})


def test_a_server_whose_store_has_a_series_of_its_external_label_does_not_give_it_for_its_own() -> None:
    storage = MemorySamples()
    storage.append_samples([Sample(UP, 100, 1.0), Sample(labels_of({**dict(UP), "dc": "x"}), 100, 2.0)])

    async def main(world: World) -> Selection | None:
        read = Read((*ANY.matchers, *equal(dc="x")), 0, 500, Hints())
        return await ReadClient("r", served(storage, (("dc", "x"),)), ReadOptions(True), lambda: 0).select(read)

    found = virtual.run(main)
    assert found is not None and content(found) == {labels_of({**dict(UP), "dc": "x"}): {100: 1.0}}


def test_a_server_is_asked_for_labels_only_when_only_series_are_looked_at() -> None:
    storage = MemorySamples()
    storage.append_samples([Sample(UP, 100, 1.0)])

    async def main(world: World) -> Selection | None:
        return await ReadClient("r", served(storage), ReadOptions(True), lambda: 0).select(Read(ANY.matchers, 0, 500, Hints("series")))

    found = virtual.run(main)
    assert found is not None and (content(found), len(found.columns)) == ({UP: {}}, 0)
