"""What selectors chose is given again until it may have changed."""

import numpy as np
import pytest

from podium.telemetry.metrics.labels import Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.tsdb import answers
from podium.telemetry.metrics.tsdb.series_index import SeriesIndex
from tests.telemetry.metrics.tsdb.stores import named, series


def of(index: SeriesIndex, matchers: list[Matcher]) -> list[Labels]:
    return index.labels(index.matching(matchers)).rows()


def test_the_same_selector_gets_the_same_answer_and_labels_without_looking() -> None:
    index = SeriesIndex(100)
    index.register(series(3))
    first = index.matching(named("m"))
    assert index.labels(first).rows() == series(3)
    assert index.matching(named("m")) is first and not first.flags.writeable
    assert index.labels(first).rows() == series(3)


def test_an_answer_holds_until_a_series_comes_that_might_be_one_of_it() -> None:
    index = SeriesIndex(100)
    index.register(series(3))
    everything, one = [Matcher(MatchType.REGEXP, "i", "[0-9]+")], named("m")
    assert of(index, one) == of(index, everything) == series(3)
    kept = index.matching(one)
    index.register(series(2, "other"))
    assert index.matching(one) is kept
    assert of(index, everything) == [*series(3), *series(2, "other")]
    index.register(series(4))
    assert of(index, one) == series(4)
    assert of(index, named("new")) == []
    index.register([labels_of({"i": "x"}), *series(1, "new")])
    assert of(index, named("new")) == series(1, "new")
    assert of(index, [Matcher(MatchType.EQUAL, "i", "x")]) == [(("i", "x"),)]


def test_ids_that_are_given_out_again_are_no_answer_to_who_asked_before() -> None:
    index = SeriesIndex(100)
    gone = index.register(series(3))
    assert of(index, named("m")) == series(3)
    index.forget(gone[1:])
    assert of(index, named("m")) == series(1)
    index.register(series(2, "later"))
    assert of(index, named("m")) == series(1) and of(index, named("later")) == series(2, "later")


def test_labels_are_not_mixed_up_with_those_of_an_array_that_is_gone() -> None:
    index = SeriesIndex(1000)
    index.register(series(500))
    for n in range(500):
        chosen = index.matching([Matcher(MatchType.EQUAL, "i", str(n))])
        assert index.labels(chosen[:1]).row(0) == series(500)[n]
        del chosen
        index.register(series(1, f"other{n % 3}"))


@pytest.mark.parametrize(("limit", "value"), [("KEPT_MAX", 10), ("CELLS_MAX", 30)])
def test_what_was_asked_for_longest_ago_goes_first(limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, limit, value)
    index = SeriesIndex(100)
    index.register(series(50))
    asked = [[Matcher(MatchType.EQUAL, "i", str(n))] for n in range(50)]
    first = [index.matching(one) for one in asked]
    for ids in first:
        index.labels(ids)
    again = [index.matching(one) is ids for one, ids in zip(asked, first, strict=True)]
    assert again[-1] is False or sum(again) <= 10
    kept = index.matching(asked[-1])
    for n in range(5):
        index.matching(asked[n])
        assert index.matching(asked[-1]) is kept


def test_many_series_are_not_kept() -> None:
    index = SeriesIndex(1000)
    index.register(series(answers.SERIES_MAX + 1))
    first = index.matching(named("m"))
    assert index.matching(named("m")) is not first and np.array_equal(index.matching(named("m")), first)
