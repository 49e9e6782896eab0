"""Matchers and label columns."""

import numpy as np
import pytest

from podium.telemetry.metrics.labels import LabelColumns, Matcher, MatchType, labels_of
from podium.telemetry.metrics.samples import ABSENT, STALE, is_absent, is_stale

CASES = [
    ("=", "a", "a", True), ("=", "", "", True), ("!=", "a", "", True), ("=~", "a|b", "b", True), ("=~", "a", "ab", False),
    ("!~", "a.*", "abc", False), ("=~", ".*", "two\nlines", True), ("=~", "", "", True), ("=~", "(?i)A", "a", True),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "text", "expected"), CASES)
def test_a_matcher_holds_the_whole_value(kind: str, value: str, text: str, expected: bool) -> None:
    assert Matcher(MatchType(kind), "l", value).matches(text) is expected


def test_a_bad_expression_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"missing [a-z ]*\)"):
        Matcher(MatchType.REGEXP, "l", "a(")


def test_columns_give_back_the_rows() -> None:
    rows = [labels_of({"a": "1", "b": "2"}), labels_of({"b": "2"}), labels_of({"a": "1", "b": "2", "c": ""}), ()]
    columns = LabelColumns.of(rows)
    assert columns.rows() == rows
    assert [columns.row(i) for i in range(4)] == rows
    assert columns.take(np.array([1, 0])).rows() == [rows[1], rows[0]]
    assert columns.take(np.array([0, 0])).rows() == [rows[0], rows[0]]
    assert columns.take(np.array([2])).rows() == [rows[2]] and columns.take(np.array([3])).rows() == [()]
    assert columns.take(np.array([], np.int32)).rows() == [] and LabelColumns(2, {}).rows() == [(), ()]


def test_groups_are_numbered_by_their_first_series() -> None:
    columns = LabelColumns.of([labels_of({"a": v, "z": str(i)}) for i, v in enumerate("yxyzx")])
    groups, first = columns.keep(["a"]).group()
    assert (groups.tolist(), first.tolist()) == ([0, 1, 0, 2, 1], [0, 1, 3])
    assert columns.keep([]).group()[0].tolist() == [0] * 5


def test_absent_and_stale_are_told_apart_from_any_other_nan() -> None:
    values = np.array([ABSENT, STALE, np.nan, 1.0])
    assert is_absent(values).tolist() == [True, False, False, False]
    assert is_stale(values).tolist() == [False, True, False, False]
