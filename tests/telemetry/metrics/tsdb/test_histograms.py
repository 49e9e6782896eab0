"""What the store knows of resets of native histograms, and their order among floats."""

from dataclasses import replace

import pytest

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.labels import Matcher, MatchType, labels_of
from podium.telemetry.metrics.samples import STALE, Sample
from podium.telemetry.metrics.storage import Rejected
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world import virtual

NAME = labels_of({"__name__": "h"})
STALE_HISTOGRAM = Histogram(0, 0, STALE)
U, N, Y, G = ResetHint.UNKNOWN, ResetHint.NO, ResetHint.YES, ResetHint.GAUGE


def histogram(count: float, hint: ResetHint = U) -> Histogram:
    return Histogram(0, count, count, positive={0: count}, reset_hint=hint)


def store(*, late_ms: int = 0) -> Tsdb:
    return Tsdb.open(None, virtual.VirtualWorld(1), Options(out_of_order_window_ms=late_ms))


def append(to: Tsdb, values: dict[int, float | Histogram]) -> Rejected:
    return to.append_samples([Sample(NAME, t, v) for t, v in values.items()])


def hints(of: Tsdb) -> dict[int, ResetHint]:
    selection = of.select([Matcher(MatchType.EQUAL, "__name__", "h")], 0, 2**50)
    return {t: h.reset_hint for s in selection.histograms for t, h in zip(s.times.tolist(), s.histograms, strict=True) if h is not None}


@pytest.mark.parametrize(
    ("values", "known"),
    [
        ({1: histogram(1), 2: histogram(2), 3: histogram(2)}, {1: U, 2: N, 3: N}),
        ({1: histogram(5), 2: histogram(2), 3: histogram(3)}, {1: U, 2: U, 3: N}),
        ({1: histogram(1, G), 2: histogram(2, G), 3: histogram(3)}, {1: G, 2: G, 3: U}),
        ({1: histogram(1), 2: 5.0, 3: histogram(2), 4: histogram(3)}, {1: U, 3: U, 4: N}),
        ({1: histogram(1), 2: STALE_HISTOGRAM, 3: histogram(2)}, {1: U, 3: U}),
        ({1: histogram(5, N), 2: histogram(2, N), 3: histogram(3, Y), 4: histogram(4)}, {1: U, 2: U, 3: U, 4: N}),
        ({1: histogram(1), 2: replace(histogram(2), zero_threshold=0.1)}, {1: U, 2: U}),
    ],
    ids=["grows", "was reset", "a gauge", "floats between", "stale between", "said by who sent it", "other buckets"],
)
def test_a_histogram_that_only_grew_is_known_not_to_be_reset(values: dict[int, float | Histogram], known: dict[int, ResetHint]) -> None:
    made = store()
    assert not append(made, values)
    assert hints(made) == known


def test_what_comes_between_later_makes_a_reset_unknown() -> None:
    made = store(late_ms=1000)
    append(made, {10: histogram(1), 20: histogram(2), 30: histogram(3)})
    assert not append(made, {15: histogram(9)})
    assert hints(made) == {10: U, 15: U, 20: U, 30: N}


async def test_what_is_deleted_makes_the_reset_after_it_unknown() -> None:
    made = store()
    append(made, {10: histogram(1), 20: histogram(2), 30: histogram(3), 40: histogram(4)})
    made.delete_series([Matcher(MatchType.EQUAL, "__name__", "h")], 15, 20)
    assert hints(made) == {10: U, 30: U, 40: N}


def test_floats_and_histograms_of_one_series_are_taken_in_their_order() -> None:
    made = store()
    assert not append(made, {1: histogram(1), 2: 5.0, 3: histogram(2), 4: histogram(3), 5: 6.0})
    selection = made.select([Matcher(MatchType.EQUAL, "__name__", "h")], 0, 10)
    assert selection.columns[0].times.tolist() == [2, 5]
    assert selection.histograms[0].times.tolist() == [1, 3, 4]


def test_the_same_histogram_again_is_taken_in_silence() -> None:
    made = store()
    append(made, {1: histogram(1), 2: histogram(2)})
    assert not append(made, {2: histogram(2)})
    assert append(made, {2: replace(histogram(2), sum=7.0)}) == Rejected(duplicate=1)
