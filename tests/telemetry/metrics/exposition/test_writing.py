"""Series and numbers as they are written are read back, whatever their names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.instrument.exposition import number
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.page import NO_TIME, series_of
from podium.telemetry.metrics.exposition.text import parse_text
from podium.telemetry.metrics.exposition.writing import write_name, write_series
from podium.telemetry.metrics.labels import METRIC_NAME, Labels, labels_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAME = st.one_of(st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True), TEXT.filter(bool))
LABEL = NAME.filter(lambda name: name != METRIC_NAME)
Written = tuple[Labels, float, int | None]


@st.composite
def samples(draw: st.DrawFn) -> Written:
    labels = labels_of({**draw(st.dictionaries(LABEL, TEXT, max_size=4)), METRIC_NAME: draw(NAME)})
    return labels, draw(st.floats(allow_nan=True, allow_infinity=True)), draw(st.none() | st.integers(-(2**40), 2**40))


def line(written: Written, form: TextFormat) -> str:
    labels, value, time_ms = written
    if time_ms is None:
        return f"{write_series(labels)} {number(value)}"
    return f"{write_series(labels)} {number(value)} {time_ms if form is TextFormat.PROMETHEUS else number(time_ms / 1000)}"


@settings(max_examples=60, deadline=None)
@given(st.lists(samples(), max_size=5), st.sampled_from(list(TextFormat)))
def test_what_is_written_is_read_back(written: list[Written], form: TextFormat) -> None:
    lines = [line(one, form) for one in written] + (["# EOF"] if form is TextFormat.OPENMETRICS else [])
    page = parse_text("".join(f"{text}\n" for text in lines).encode(), form)
    assert series_of(page.layout) == [labels for labels, _, _ in written]
    np.testing.assert_array_equal(page.values, [value for _, value, _ in written])
    times = page.times_ms.tolist() if page.times_ms is not None else [NO_TIME] * len(written)
    assert times == [NO_TIME if time_ms is None else time_ms for _, _, time_ms in written]


SERIES = [
    ({"__name__": "up"}, "up"),
    ({"__name__": "a:b", "job": 'x"y\n'}, 'a:b{job="x\\"y\\n"}'),
    ({"__name__": "a.b", "c.d": "e"}, '{"a.b","c.d"="e"}'),
    ({"__name__": "9lives"}, '{"9lives"}'),
    ({"__name__": "m", "a:b": "1", "0": "2"}, 'm{"0"="2","a:b"="1"}'),
]


@pytest.mark.parametrize(("labels", "text"), SERIES)
def test_names_beyond_the_classic_ones_are_quoted(labels: dict[str, str], text: str) -> None:
    assert write_series(labels_of(labels)) == text


def test_a_family_s_name_is_quoted_alike() -> None:
    assert (write_name("up"), write_name("a.b")) == ("up", '"a.b"')


CLIENT_NAME = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: not name.endswith(("_bucket", "_created", "_info", "_total"))
)
CLIENT_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=8)
CLIENT_SAMPLE = st.tuples(
    CLIENT_NAME, st.dictionaries(CLIENT_NAME, CLIENT_TEXT, max_size=3), st.floats(), st.none() | st.integers(0, 2**40)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CLIENT_SAMPLE, max_size=5))
def test_the_official_client_reads_our_pages_as_we_do(written: list[tuple[str, dict[str, str], float, int | None]]) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    samples = [(labels_of({**labels, METRIC_NAME: name}), value, at) for name, labels, value, at in written]
    text = "# TYPE f gauge\n" + "".join(f"{line(sample, TextFormat.PROMETHEUS)}\n" for sample in samples)
    page = parse_text(text.encode(), TextFormat.PROMETHEUS)
    theirs = [sample for family in parser.text_string_to_metric_families(text) for sample in family.samples]
    ours = [dict(labels) for labels in page.layout.labels_at(range(page.layout.size))]
    by_name = [(s.name, sorted(s.labels.items()), repr(float(s.value)), s.timestamp) for s in theirs]
    times = page.times_ms.tolist() if page.times_ms is not None else [NO_TIME] * len(ours)
    rows = [
        (labels.pop(METRIC_NAME), sorted(labels.items()), repr(value), None if at == NO_TIME else at / 1000)
        for labels, value, at in zip(ours, page.values.tolist(), times, strict=True)
    ]
    assert sorted(rows, key=repr) == sorted(by_name, key=repr)
