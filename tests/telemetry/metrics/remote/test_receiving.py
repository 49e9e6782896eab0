"""What a receiver of remote write answers: 400 for what will never be taken, with the rest kept; 503 for what will."""

from collections.abc import Sequence
from typing import Any

import pytest

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.remote.messages import compress, encode_version_1, encode_version_2, message
from podium.telemetry.metrics.remote.receiving import WriteReceiver
from podium.telemetry.metrics.samples import Exemplar
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world import virtual
from podium.world.http_messages import HttpRequest, Response
from podium.world.interface import World

NATIVE = Histogram(schema=0, count=3.0, sum=3.5, positive={0: 1.0, 1: 2.0})
TRACE = labels_of({"trace_id": "x"})
Series = list[tuple[Labels, list[tuple[int, Any]]]]


def named(i: int) -> Labels:
    return labels_of({"__name__": "m", "i": str(i)})


def request(body: bytes, version: str, **headers: str) -> HttpRequest:
    proto = {"1": "", "2": ";proto=io.prometheus.write.v2.Request"}[version]
    return HttpRequest("POST", "/", "/", {}, {"content-type": "application/x-protobuf" + proto, **headers}, body, None)


def exchange(*bodies: tuple[str, bytes], options: Options | None = None, broken: bool = False) -> tuple[list[Response], Tsdb]:
    """The answers to these requests, one after another."""

    async def main(world: World) -> tuple[list[Response], Tsdb]:
        store = Tsdb.open(None, world, options, threads=False)
        if broken:

            async def synced() -> None:
                raise StorageFailed("disk full")

            store.synced = synced  # type: ignore[method-assign]
        receiver = WriteReceiver(store, world)
        return [await receiver(request(body, version)) for version, body in bodies], store

    return virtual.run(main)


def shown(response: Response) -> tuple[int, str, tuple[str, ...]]:
    """Status, text, written samples, histograms and exemplars."""
    headers = {name.decode(): value.decode() for name, value in response.headers}
    names = ("samples", "histograms", "exemplars")
    return response.status, response.body.decode(), tuple(headers.get(f"x-prometheus-remote-write-{n}-written", "") for n in names)


def write(version: str, series: Series, exemplars: dict[Labels, Sequence[Exemplar]] | None = None) -> tuple[str, bytes]:
    encode = encode_version_1 if version == "1" else encode_version_2
    return version, encode(series, exemplars=exemplars or {})


def kept(store: Tsdb) -> dict[tuple[Labels, int], float]:
    from podium.telemetry.metrics.remote.sending import samples_of

    return {
        (labels, time_ms): value for labels, time_ms, value in samples_of(store.select((), -(2**53), 2**53)) if isinstance(value, float)
    }


@pytest.mark.parametrize(("version", "written"), [("1", ("", "", "")), ("2", ("2", "1", "1"))])
def test_what_is_taken_is_told_in_version_2(version: str, written: tuple[str, ...]) -> None:
    series: Series = [(named(0), [(1000, 1.0), (2000, 2.0)]), (named(1), [(1000, NATIVE)])]
    [answer], store = exchange(write(version, series, {named(0): [Exemplar(TRACE, 1.0, 1500)]}))
    assert shown(answer) == (204, "", written)
    assert store.exemplars((), 0, 2000) == [(named(0), [Exemplar(TRACE, 1.0, 1500)])]


FIRST: Series = [(named(0), [(5000, 1.0)]), (named(1), [(5000, NATIVE)])]
REFUSED = [
    ([(named(0), [(4000, 1.0)])], 'out of order sample for series {__name__="m", i="0"} (1 of them)'),
    ([(named(0), [(5000, 2.0)])], 'duplicate sample for timestamp for series {__name__="m", i="0"} (1 of them)'),
    ([(named(1), [(4000, NATIVE)])], 'out of order sample for series {__name__="m", i="1"} (1 of them)'),
    ([(named(0), [(2**45, 1.0)])], 'out of bounds: timestamp is too far in the future for series {__name__="m", i="0"}'),
    ([((("job", "a"),), [(5000, 1.0)])], 'a series has no metric name: {job="a"}'),
]


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(("series", "reason"), REFUSED)
def test_what_will_never_be_taken_is_400_and_the_rest_is_kept(version: str, series: Series, reason: str) -> None:
    answers, store = exchange(write(version, FIRST), write(version, [*series, (named(2), [(6000, 3.0)])]))
    assert shown(answers[1]) == (400, reason + "\n", ("1", "0", "0") if version == "2" else ("", "", ""))
    assert kept(store) == {(named(0), 5000): 1.0, (named(2), 6000): 3.0}


def test_a_repeated_request_is_taken_in_silence() -> None:
    answers, _ = exchange(write("2", FIRST), write("2", FIRST))
    assert [shown(a) for a in answers] == [(204, "", ("1", "1", "0"))] * 2


def test_new_series_beyond_the_limit_are_refused_for_good_and_known_ones_go_on() -> None:
    first: Series = [(named(i), [(1000, 1.0)]) for i in range(3)]
    second: Series = [(named(i), [(2000, 1.0)]) for i in range(8)]
    answers, store = exchange(write("2", first), write("2", second), options=Options(series_max=5))
    status, text, written = shown(answers[1])
    assert (status, written) == (400, ("5", "0", "0"))
    assert "limit of series" in text and "(3 of them)" in text
    assert len(kept(store)) == 8


def test_what_the_disk_does_not_take_now_is_503_with_a_time_to_come_again() -> None:
    [answer], _ = exchange(write("2", FIRST), broken=True)
    assert shown(answer) == (503, "disk full\n", ("0", "0", "0"))
    assert dict(answer.headers)[b"retry-after"] == b"5"


@pytest.mark.parametrize(("version", "status"), [("1", 204), ("2", 400)])
def test_exemplars_out_of_order_are_an_error_in_version_2_only(version: str, status: int) -> None:
    def at(time_ms: int, exemplar_ms: int) -> tuple[str, bytes]:
        return write(version, [(named(0), [(time_ms, 1.0)])], {named(0): [Exemplar(TRACE, 1.0, exemplar_ms)]})

    answers, store = exchange(at(1000, 900), at(2000, 800))
    assert answers[1].status == status
    assert len(kept(store)) == 2


def test_a_message_that_cannot_be_read_is_400() -> None:
    [answer], _ = exchange(("1", compress(b"\xff\xff\xff")))
    assert answer.status == 400


def test_of_many_mistakes_the_first_are_told() -> None:
    request = message("WriteRequest")()
    for _ in range(50):
        request.timeseries.add()
    [answer], _ = exchange(("1", compress(request.SerializeToString())))
    assert answer.body.decode().splitlines() == ["a series has no labels"] * 10 + ["and 40 more"]
