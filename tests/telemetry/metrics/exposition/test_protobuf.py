"""Pages in the protobuf format, made with the same messages; and that they equal the text of the same metrics."""

from typing import Any

import numpy as np
import pytest

from podium.telemetry.metrics.exposition.errors import PageError
from podium.telemetry.metrics.exposition.messages import COUNTER, GAUGE_HISTOGRAM, HISTOGRAM, SUMMARY, UNTYPED, metric_family
from podium.telemetry.metrics.exposition.page import NO_TIME, Page, PageExemplar, series_of
from podium.telemetry.metrics.exposition.protobuf import ProtobufLayout, parse_protobuf
from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.samples import is_absent


def family(name: str, kind: int, *metrics: dict[str, Any], **more: Any) -> Any:
    return metric_family()(name=name, type=kind, metric=list(metrics), **more)


def encoded(*families: Any) -> bytes:
    body = b""
    for message in families:
        data = message.SerializeToString()
        size, prefix = len(data), b""
        while size >= 0x80:
            prefix += bytes([size & 0x7F | 0x80])
            size >>= 7
        body += prefix + bytes([size]) + data
    return body


def rows(page: Page) -> list[tuple[str, float]]:
    return [(",".join(v for _, v in labels), value) for labels, value in zip(series_of(page.layout), page.values.tolist(), strict=True)]


LABEL = {"label": [{"name": "z", "value": "q"}]}
NATIVE = {
    "sample_count": 11, "sample_sum": 5.5, "schema": 3, "zero_threshold": 0.001, "zero_count": 1,
    "positive_span": [{"offset": -2, "length": 2}, {"offset": 3, "length": 1}], "positive_delta": [1, 2, -1],
    "negative_span": [{"offset": 0, "length": 2}], "negative_delta": [4, -4],
}  # fmt: skip
CLASSIC = {
    "sample_count": 3,
    "sample_sum": 4.5,
    "bucket": [{"upper_bound": 0.5, "cumulative_count": 1}, {"upper_bound": 1, "cumulative_count": 2}],
}


def test_simple_families_are_rows() -> None:
    body = encoded(
        family("a_total", COUNTER, {**LABEL, "counter": {"value": 5}}, help="h"),
        family("g", 1, {"gauge": {"value": 0.5}, "timestamp_ms": 77}),
        family("empty", 1),
        family("u", UNTYPED, {"untyped": {"value": -1}}),
        family("s", SUMMARY, {"summary": {"sample_count": 2, "sample_sum": 3.5, "quantile": [{"quantile": 1, "value": 9}]}}),
    )
    page = parse_protobuf(body)
    assert rows(page) == [("a_total,q", 5), ("g", 0.5), ("u", -1), ("s_count", 2), ("s_sum", 3.5), ("s,1.0", 9)]
    assert page.times_ms is not None
    assert page.times_ms.tolist() == [NO_TIME, 77] + [NO_TIME] * 4
    assert {n: (m.type, m.help) for n, m in page.layout.metadata.items()} == {
        "a_total": ("counter", "h"), "g": ("gauge", ""), "u": ("unknown", ""), "s": ("summary", "")
    }  # fmt: skip


def test_a_classic_histogram_has_an_infinite_bucket_always() -> None:
    page = parse_protobuf(encoded(family("h", HISTOGRAM, {"histogram": CLASSIC})))
    assert rows(page) == [("h_count", 3), ("h_sum", 4.5), ("h_bucket,0.5", 1), ("h_bucket,1.0", 2), ("h_bucket,+Inf", 3)]


def test_a_native_histogram_is_a_histogram_and_no_value() -> None:
    page = parse_protobuf(encoded(family("h", HISTOGRAM, {**LABEL, "histogram": NATIVE})))
    assert page.histograms == [(0, Histogram(3, 11, 5.5, 0.001, 1, {-2: 1, -1: 3, 3: 2}, {0: 4}))]
    assert is_absent(page.values).all()
    assert series_of(page.layout) == [(("__name__", "h"), ("z", "q"))]


def test_float_and_gauge_histograms_keep_their_kind() -> None:
    floats = {"sample_count_float": 1.5, "schema": 0, "positive_span": [{"offset": 1, "length": 1}], "positive_count": [1.5]}
    page = parse_protobuf(encoded(family("h", GAUGE_HISTOGRAM, {"histogram": floats})))
    assert page.histograms == [(0, Histogram(0, 1.5, 0, positive={1: 1.5}, reset_hint=ResetHint.GAUGE))]


@pytest.mark.parametrize(
    ("native", "classic", "expect"),
    [
        (True, False, ["h"]),
        (True, True, ["h", "h_count", "h_sum", "h_bucket,0.5", "h_bucket,1.0", "h_bucket,+Inf"]),
        (False, False, ["h_count", "h_sum", "h_bucket,0.5", "h_bucket,1.0", "h_bucket,+Inf"]),
    ],
)
def test_a_histogram_of_both_forms_is_read_as_asked(native: bool, classic: bool, expect: list[str]) -> None:
    page = parse_protobuf(encoded(family("h", HISTOGRAM, {"histogram": {**CLASSIC, **NATIVE}})), native=native, classic=classic)
    assert [name for name, _ in rows(page)] == expect


def test_an_empty_native_histogram_says_so_by_a_span() -> None:
    page = parse_protobuf(encoded(family("h", HISTOGRAM, {"histogram": {"positive_span": [{"offset": 0, "length": 0}]}})))
    assert page.histograms == [(0, Histogram(0, 0, 0))]


def test_exemplars_of_counters_and_buckets() -> None:
    exemplar = {"label": [{"name": "id", "value": "x"}], "value": 0.4, "timestamp": {"seconds": 5, "nanos": 250_000_000}}
    untimed = {"label": [{"name": "id", "value": "y"}], "value": 0.9}
    buckets = [
        {"upper_bound": 1, "cumulative_count": 1, "exemplar": exemplar},
        {"upper_bound": 2, "cumulative_count": 1, "exemplar": untimed},
    ]
    body = encoded(
        family("c_total", COUNTER, {"counter": {"value": 1, "exemplar": untimed}}),
        family("h", HISTOGRAM, {"histogram": {"sample_count": 1, "bucket": buckets}}),
        family("n", HISTOGRAM, {"histogram": {**NATIVE, "bucket": buckets}}),
        family("m", HISTOGRAM, {"histogram": {**NATIVE, "exemplars": [exemplar, untimed]}}),
    )
    timed = ((("id", "x"),), 0.4, 5250)
    assert parse_protobuf(body).exemplars == [
        PageExemplar(0, (("id", "y"),), 0.9), PageExemplar(3, *timed), PageExemplar(4, (("id", "y"),), 0.9),
        PageExemplar(6, *timed), PageExemplar(7, *timed),
    ]  # fmt: skip


def test_an_unchanged_layout_is_the_same_object() -> None:
    def page(value: float, name: str, previous: ProtobufLayout | None) -> Page:
        return parse_protobuf(encoded(family(name, 1, {"gauge": {"value": value}})), previous)

    first = page(1, "a", None).layout
    assert isinstance(first, ProtobufLayout)
    assert page(2, "a", first).layout is first
    assert page(2, "b", first).layout is not first


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"garbage that is no protobuf, at all, is it not; " * 5, "the message at byte 0 is no MetricFamily"),
        (b"\xff" * 20, "no message length at byte 0"),
        (b"\xff\xff\xff\xff\x0f", "a message of 4294967295 bytes at byte 0 goes beyond the end"),
        (encoded(family("", 1, {"gauge": {"value": 1}})), "invalid metric name"),
        (encoded(family("a", 9, {"gauge": {"value": 1}})), 'unknown metric type for metric "a": 9'),
        (encoded(family("a", 1, {"gauge": {"value": 1}}, unit="seconds")), 'unit "seconds" not a suffix of metric "a"'),
        (encoded(family("a", 1, {"label": [{"name": "x", "value": "1"}] * 2, "gauge": {}})), 'metric "a" has a label twice'),
        (encoded(family("h", HISTOGRAM, {"histogram": {"positive_span": [{"offset": 0, "length": 4294967295}]}})), 'histogram "h": spans need'),
        (encoded(family("h", HISTOGRAM, {"histogram": {**NATIVE, "schema": 9}})), 'histogram "h": schema 9: unknown'),
        (encoded(family("h", HISTOGRAM, {"histogram": {**NATIVE, "positive_delta": [1, -2, 1]}})), 'histogram "h": bucket number 2'),
    ],
)  # fmt: skip
def test_bad_pages_are_refused(body: bytes, message: str) -> None:
    with pytest.raises(PageError) as refused:
        parse_protobuf(body)
    assert str(refused.value).startswith(message)


def test_random_bytes_never_do_worse_than_a_page_error() -> None:
    random = np.random.default_rng(7)
    good = bytearray(encoded(family("h", HISTOGRAM, {"histogram": {**CLASSIC, **NATIVE}}), family("a", 1, {"gauge": {"value": 1}})))
    for _ in range(500):
        body = bytearray(good)
        for at in random.integers(0, len(body), 3):
            body[at] = random.integers(0, 256)
        try:
            parse_protobuf(bytes(body), classic=True)
        except PageError:
            continue


HUGE = 70_000
BOMBS = [
    (b"\0" * 1_000_001, "more than 1000000 families"),
    (b"\xff\xff\xff\x7f" + b"\0" * 300_000_000, "a family of 268435455 bytes at byte 0: at most 33554432"),
    (encoded(family("a", 1, {"label": [{}] * HUGE})), 'metric "a" has more than 65536 labels, quantiles, buckets or exemplars'),
    (encoded(family("a", SUMMARY, {"summary": {"quantile": [{}] * HUGE}})), "more than 65536"),
    (encoded(family("a", HISTOGRAM, {"histogram": {"bucket": [{}] * HUGE}})), "more than 65536"),
    (
        encoded(family("a", HISTOGRAM, {"histogram": {"positive_span": [{"length": HUGE}], "positive_delta": [0] * HUGE}})),
        "more than 65536",
    ),
    (encoded(family("a", HISTOGRAM, {"histogram": {**NATIVE, "exemplars": [{}] * HUGE}})), "more than 65536"),
]


@pytest.mark.parametrize(("body", "message"), BOMBS, ids=[message for _, message in BOMBS])
def test_bombs_are_refused(body: bytes, message: str) -> None:
    with pytest.raises(PageError, match=message):
        parse_protobuf(body)


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.telemetry.metrics.exposition.protobuf.ROWS_MAX", 100)
    parse_protobuf(encoded(family("a", 1, *[{}] * 99)))
    with pytest.raises(PageError, match="the page has 100 rows or more"):
        parse_protobuf(encoded(family("a", 1, *[{}] * 100)))
