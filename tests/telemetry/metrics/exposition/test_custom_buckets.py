"""Classic histograms converted to native ones with custom buckets."""

import pytest

from podium.telemetry.metrics.exposition.custom_buckets import base_layout, with_custom_buckets
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.layout import TextLayout
from podium.telemetry.metrics.exposition.messages import HISTOGRAM
from podium.telemetry.metrics.exposition.page import Page, PageExemplar, series_of
from podium.telemetry.metrics.exposition.protobuf import parse_protobuf
from podium.telemetry.metrics.exposition.text import parse_text
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.samples import is_absent
from tests.telemetry.metrics.exposition.test_protobuf import CLASSIC, NATIVE, encoded, family

TEXT = """# TYPE h histogram
h_bucket{x="1",le="0.5"} 2
h_bucket{x="1",le="1"} 2
h_bucket{x="1",le="+Inf"} 5
h_sum{x="1"} 7.5
h_count{x="1"} 5
# TYPE g gauge
g 3
g_count 4
"""


def read(text: str, *, classic: bool = False) -> Page:
    return with_custom_buckets(parse_text(text.encode(), TextFormat.PROMETHEUS), None, classic=classic)


def names(page: Page) -> list[str]:
    return [dict(labels)["__name__"] for labels in series_of(page.layout)]


def made(*, text: str) -> Histogram:
    ((_, histogram),) = read("# TYPE h histogram\n" + text).histograms
    return histogram


def test_the_rows_of_a_histogram_become_one() -> None:
    page = read(TEXT)
    assert names(page) == ["g", "g_count", "h"]
    assert page.histograms == [(2, Histogram(-53, 5, 7.5, positive={0: 2, 2: 3}, custom_bounds=(0.5, 1.0)))]
    assert series_of(page.layout)[2] == (("__name__", "h"), ("x", "1"))
    assert page.values[:2].tolist() == [3, 4]
    assert is_absent(page.values)[2]


def test_classic_rows_stay_on_demand() -> None:
    page = read(TEXT, classic=True)
    assert names(page) == ["h_bucket"] * 3 + ["h_sum", "h_count", "g", "g_count", "h"]
    assert len(page.histograms) == 1


def test_the_layout_is_worked_out_once() -> None:
    first = read(TEXT)
    known = base_layout(first.layout)
    assert isinstance(known, TextLayout)
    again = with_custom_buckets(
        parse_text(TEXT.replace(" 5\n", " 6\n").encode(), TextFormat.PROMETHEUS, known), first.layout, classic=False
    )
    assert again.layout is first.layout
    assert again.histograms[0][1].count == 6


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ('h_bucket{le="1"} 2\nh_count 3\nh_sum 4\n', Histogram(-53, 3, 4, positive={0: 2, 1: 1}, custom_bounds=(1.0,))),
        ('h_bucket{le="+Inf"} 2\n', Histogram(-53, 2, 0, positive={0: 2})),
        ('h_bucket{le="2"} 3\nh_bucket{le="1"} 1\n', Histogram(-53, 3, 0, positive={0: 1, 1: 2}, custom_bounds=(1.0, 2.0))),
        ('h_bucket{le="1"} 0\nh_count 0\nh_sum 0\n', Histogram(-53, 0, 0, custom_bounds=(1.0,))),
    ],
)
def test_what_is_missing_follows_from_the_rest(text: str, expect: Histogram) -> None:
    assert made(text=text) == expect


@pytest.mark.parametrize(
    "text", ['h_bucket{le="1"} 5\nh_bucket{le="2"} 3\n', 'h_bucket{le="x"} 5\nh_bucket{le="2"} 5\n', 'h_bucket{le="1"} NaN\n']
)
def test_buckets_that_make_no_sense_are_left_out(text: str) -> None:
    page = read("# TYPE h histogram\n" + text)
    assert page.histograms == []


def test_a_family_without_buckets_or_of_another_type_is_not_touched() -> None:
    assert names(read("# TYPE h histogram\nh_count 1\nh_sum 2\n# TYPE s summary\ns_count 1\n")) == ["h_count", "h_sum", "s_count"]


def test_native_histograms_stay_as_they_are() -> None:
    both = {"histogram": {**CLASSIC, **NATIVE}}
    body = encoded(family("h", HISTOGRAM, both), family("c", HISTOGRAM, {"histogram": CLASSIC}))
    page = with_custom_buckets(parse_protobuf(body, classic=True), None, classic=False)
    schemas = {names(page)[row]: histogram.schema for row, histogram in page.histograms}
    assert schemas == {"h": 3, "c": -53}


def test_exemplars_of_buckets_are_the_histograms() -> None:
    text = '# TYPE h histogram\nh_bucket{le="1"} 1 # {id="a"} 0.5 1.5\nh_bucket{le="+Inf"} 1 # {id="b"} 0.5\nh_count 1\nh_sum 1\n# EOF\n'
    page = with_custom_buckets(parse_text(text.encode(), TextFormat.OPENMETRICS), None, classic=False)
    assert page.exemplars == [PageExemplar(0, (("id", "a"),), 0.5, 1500)]
