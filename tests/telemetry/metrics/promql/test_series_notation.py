"""Series as scripts write them down."""

import math

import pytest

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.promql.custom_buckets import from_classic
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.series_notation import VALUES_MAX, is_start_line, parse_series, parse_starts, print_histogram
from podium.telemetry.metrics.samples import STALE_BITS

INF = float("inf")


def values(text: str) -> list[object]:
    return [noted.value for noted in parse_series(text).values]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m@st -1m", [-60_000]),
        ('{a="b"}@st _ _x2 0 +2ms 1h', [None, None, None, 0, 2, 3_600_000]),
        ("m@st -1mx2 -30s-1mx2", [-60_000, -60_000, -60_000, -30_000, -90_000, -150_000]),
        ("m@st -1m+15sx2 -0msx1 5s--1sx1", [-60_000, -45_000, -30_000, 0, 0, 5_000, 6_000]),
    ],
)
def test_start_timestamps_are_durations_from_the_samples(text: str, expected: list[int | None]) -> None:
    assert is_start_line(text)
    assert list(parse_starts(text)[1]) == expected
    assert parse_starts(text)[0] == parse_series(text.split("@st")[0]).labels


@pytest.mark.parametrize("item", ["1", "-1y2zz", "_x0", "-1m-1m", "-1mx", "-x3", f"-1mx{VALUES_MAX}", f"_x{VALUES_MAX + 1}", "--1m"])
def test_what_is_no_start_timestamp_is_refused(item: str) -> None:
    with pytest.raises(ParseError, match="invalid start timestamp"):
        parse_starts(f"m@st {item}")


@pytest.mark.parametrize("text", ["m 1 2", "m@st", "m @st 1m"])
def test_other_lines_are_no_start_timestamps(text: str) -> None:
    assert not is_start_line(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{} 1 2 3", [1, 2, 3]),
        ('{a="b"} -1 2 3', [-1, 2, 3]),
        ("m 1 2 3-10x4", [1, 2, 3, -7, -17, -27, -37]),
        ("m 1 2 3-0x4", [1, 2, 3, 3, 3, 3, 3]),
        ("{} 1x0", [1]),
        ("{} 1+1x0", [1]),
        ("{} 1x3", [1, 1, 1, 1]),
        ("m 1 3 _ 5 _x4", [1, 3, None, 5, None, None, None, None]),
        ("m 1 +1 -1 -3-10x2 7", [1, 1, -1, -3, -13, -23, 7]),
        ("m 1 2 3    ", [1, 2, 3]),
        ("m Inf -Inf +inf 1e3 .5 5. 0.1+0.1x2", [INF, -INF, INF, 1000, 0.5, 5, 0.1, 0.2, 0.1 + 0.1 + 0.1]),
        ("m", []),
    ],
)
def test_numbers(text: str, expected: list[float | None]) -> None:
    assert values(text) == expected


def test_nan_and_stale_are_not_the_same() -> None:
    import numpy as np

    bits = np.array(values("m NaN stale stalex1")).view(np.uint64) == STALE_BITS
    assert bits.tolist() == [False, True, True, True]


def test_labels_are_sorted_and_named() -> None:
    series = parse_series('http{job="a", "b c"="\\u70ac"} 1')
    assert series.labels == (("__name__", "http"), ("b c", "炬"), ("job", "a"))
    assert parse_series('{"http.requests", x="y"} 1').labels == (("__name__", "http.requests"), ("x", "y"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{} 1+1", 'unexpected "1+1" in series values'),
        ("m 1 3 _ 5 _a4", 'unexpected "_a4" in series values'),
        ("m -3-3 -3", 'unexpected "-3-3" in series values'),
        ("m -3 _-2", 'unexpected "_-2" in series values'),
        ("m -3 3+3x4-4", 'unexpected "3+3x4-4" in series values'),
        ('{"http.requests"xx} 0', 'unexpected identifier "xx" in label set, expected "," or "}"'),
        ('{"http.requests"=, x="y"} 0', 'unexpected "," in label set, expected string'),
        ('{"http.requests} 0', "unterminated quoted string"),
        ("{} {{schema:1 schema:1}}", 'duplicate key "schema" in histogram'),
        ("{} {{foo:1}}", 'bad histogram descriptor found: "foo"'),
        ("{} {{schema :1}}", "missing `:` for histogram descriptor"),
        ("{} {{buckets:1}}", "error parsing buckets"),
        ("{} {{sum:x}}", "error parsing a histogram: could not convert string to float: 'x'"),
        ("{} {{counter_reset_hint:foo}}", 'error parsing a histogram: bad histogram descriptor found: "foo"'),
        ("{} {{sum:1}", 'unexpected "{{sum:1}" in series values'),
        ("{} {{sum:1}}+{{sum:1}}", 'unexpected end of a change, expected "x" and how often'),
        (
            "{} {{buckets:[5 10 7] schema:1}}+{{buckets:[1 2 3] schema:0}}x2",
            "error combining histograms: cannot merge from schema 0 to 1",
        ),
        ("m 1x9999999999", "a series has at most 1000000 values"),
        ("m {{sum:1}}+{{sum:1}}x9999999999", "a series has at most 1000000 values"),
    ],
)
def test_what_is_no_series_is_refused(text: str, said: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse_series(text)
    assert refused.value.message == said


def test_a_histogram_with_all_its_parts() -> None:
    text = (
        "{{schema:1  sum:-0.3 count:3.1 z_bucket:7.1 z_bucket_w:0.05 buckets:[5.1 10  7 ] offset:-3 "
        "n_buckets:[4.1 5] n_offset:5 counter_reset_hint:gauge }}"
    )
    expected = Histogram(1, 3.1, -0.3, 0.05, 7.1, {-3: 5.1, -2: 10, -1: 7}, {5: 4.1, 6: 5}, (), ResetHint.GAUGE)
    series = parse_series("{} " + text)
    assert values("{} " + text) == [expected]
    assert series.values[0].hint_given and not parse_series("{} {{}}").values[0].hint_given
    assert values("{} " + print_histogram(expected)) == [expected]


def test_histograms_repeat_and_change_in_the_coarser_schema() -> None:
    assert values("m {{}}x1") == [Histogram(0, 0, 0), Histogram(0, 0, 0)]
    grown = values("m{} {{buckets:[5] schema:0}}+{{buckets:[1 2] schema:1}}x2")
    assert [h.positive for h in grown if isinstance(h, Histogram)] == [{0: 5}, {0: 6, 1: 2}, {0: 7, 1: 4}]
    shrunk = values("m {{sum:5 count:3 n_buckets:[3]}}-{{sum:1 count:1 n_buckets:[1]}}x1 {{sum:2}}")
    assert shrunk[1:] == [Histogram(0, 2, 4, negative={0: 2}), Histogram(0, 0, 2)]


def test_a_classic_histogram_becomes_one_with_custom_buckets() -> None:
    made = from_classic({1.0: 2, 2.0: 2, 0.5: 1, INF: 7}, 7, 12.5)
    assert made == Histogram(-53, 7, 12.5, positive={0: 1, 1: 1, 3: 5}, custom_bounds=(0.5, 1.0, 2.0))
    assert from_classic({1.0: 2}, None, 0).positive == {0: 2}
    assert from_classic({}, 3, 1) == Histogram(-53, 3, 1, positive={0: 3})


@pytest.mark.parametrize(
    ("buckets", "count", "said"),
    [
        ({1.0: 2, 2.0: 1}, 2, "count is not cumulative: 1 < 2"),
        ({1.0: -1}, 2, "bucket count must be non-negative: le=1, count=-1"),
        ({math.nan: 1}, 2, "bucket boundary must not be NaN"),
        ({INF: 1}, 2, r"count mismatch: count=2 != le=\+Inf count=1"),
        ({}, None, "count must be provided when no buckets are present"),
    ],
)
def test_what_is_no_classic_histogram_is_refused(buckets: dict[float, float], count: float | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_classic(buckets, count, 0)
