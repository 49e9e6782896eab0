"""What the writer writes, the parsers read back; and how it looks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.page import NO_TIME, series_of
from podium.telemetry.metrics.exposition.text import parse_text
from podium.telemetry.metrics.exposition.writing import Family, WrittenSample, write_page
from podium.telemetry.metrics.labels import METRIC_NAME, Labels, labels_of
from podium.telemetry.metrics.samples import Exemplar
from podium.telemetry.metrics.storage import Metadata

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAME = st.one_of(st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True), TEXT.filter(bool))
LABEL = NAME.filter(lambda name: name != METRIC_NAME)
NUMBER = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def samples(draw: st.DrawFn) -> WrittenSample:
    labels: Labels = labels_of({**draw(st.dictionaries(LABEL, TEXT, max_size=4)), METRIC_NAME: draw(NAME)})
    exemplar_labels = labels_of(draw(st.dictionaries(LABEL, TEXT, max_size=2)))
    exemplar = st.builds(Exemplar, st.just(exemplar_labels), NUMBER, st.integers(-(2**40), 2**40))
    return WrittenSample(labels, draw(NUMBER), draw(st.none() | st.integers(-(2**40), 2**40)), draw(st.none() | exemplar))


@settings(max_examples=60, deadline=None)
@given(st.lists(samples(), max_size=5), TEXT, st.sampled_from(list(TextFormat)))
def test_what_is_written_is_read_back(written: list[WrittenSample], help_text: str, form: TextFormat) -> None:
    page = parse_text(write_page([Family("f", Metadata("gauge", help_text), written)], form), form)
    assert series_of(page.layout) == [sample.labels for sample in written]
    assert page.layout.metadata["f"].type == "gauge"
    if form is TextFormat.OPENMETRICS:
        assert page.layout.metadata["f"].help == help_text
        read = [(e.row, e.labels, e.time_ms) for e in page.exemplars]
        assert read == [(row, s.exemplar.labels, s.exemplar.time_ms) for row, s in enumerate(written) if s.exemplar]
    np.testing.assert_array_equal(page.values, [s.value for s in written])
    times = page.times_ms.tolist() if page.times_ms is not None else [NO_TIME] * len(written)
    assert times == [NO_TIME if s.time_ms is None else s.time_ms for s in written]


@pytest.mark.parametrize(
    ("form", "expect"),
    [
        (
            TextFormat.PROMETHEUS,
            '# HELP a_seconds say "so"\\nor\n# TYPE a_seconds counter\na_seconds_total{b="x\\"y"} 1 1500\n{"a.b","c.d"="e"} NaN\nz -0.0\n',
        ),
        (
            TextFormat.OPENMETRICS,
            '# HELP a_seconds say \\"so\\"\\nor\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n'
            'a_seconds_total{b="x\\"y"} 1 1.500 # {id="7"} 0.5 0.001\n{"a.b","c.d"="e"} NaN\nz -0.0\n# EOF\n',
        ),
    ],
)  # fmt: skip
def test_a_page_as_it_looks(form: TextFormat, expect: str) -> None:
    written = [
        WrittenSample((("__name__", "a_seconds_total"), ("b", 'x"y')), 1.0, 1500, Exemplar((("id", "7"),), 0.5, 1)),
        WrittenSample((("__name__", "a.b"), ("c.d", "e")), math.nan),
        WrittenSample((("__name__", "z"),), -0.0),
    ]
    assert write_page([Family("a_seconds", Metadata("counter", 'say "so"\nor', "seconds"), written)], form).decode() == expect


CLIENT_NAME = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: not name.endswith(("_bucket", "_created", "_info", "_total"))
)
CLIENT_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(CLIENT_NAME, st.dictionaries(CLIENT_NAME, CLIENT_TEXT, max_size=3), NUMBER, st.none() | st.integers(0, 2**40)), max_size=5
    )
)
def test_the_official_client_reads_our_pages_as_we_do(written: list[tuple[str, dict[str, str], float, int | None]]) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    samples = [WrittenSample(tuple(sorted({**labels, METRIC_NAME: name}.items())), value, at) for name, labels, value, at in written]
    text = write_page([Family("f", Metadata("gauge"), samples)])
    page = parse_text(text, TextFormat.PROMETHEUS)
    theirs = [sample for family in parser.text_string_to_metric_families(text.decode()) for sample in family.samples]
    ours = [dict(labels) for labels in page.layout.labels_at(range(page.layout.size))]
    by_name = [(s.name, sorted(s.labels.items()), repr(float(s.value)), s.timestamp) for s in theirs]
    times = page.times_ms.tolist() if page.times_ms is not None else [NO_TIME] * len(ours)
    rows = [
        (labels.pop(METRIC_NAME), sorted(labels.items()), repr(value), None if at == NO_TIME else at / 1000)
        for labels, value, at in zip(ours, page.values.tolist(), times, strict=True)
    ]
    assert sorted(rows, key=repr) == sorted(by_name, key=repr)
