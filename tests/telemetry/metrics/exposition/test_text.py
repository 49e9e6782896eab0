"""Pages of the two text formats: what is on them, and what is wrong with them. Cases are upstream's, in our words."""

import math

import numpy as np
import pytest

from podium.telemetry.metrics.exposition.errors import PageError
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.layout import TextLayout
from podium.telemetry.metrics.exposition.page import NO_TIME, Page, PageExemplar, series_of
from podium.telemetry.metrics.exposition.text import parse_text

PROMETHEUS, OPENMETRICS = TextFormat.PROMETHEUS, TextFormat.OPENMETRICS

GOOD_PROMETHEUS = [
    ("a 1", 'a = 1'),
    ("a 1\n\n  \n# a comment\n#\n b\t2\n", "a = 1; b = 2"),
    ('go{quantile="0.9", a="b"} 8.3835e-05', 'go{a="b",quantile="0.9"} = 8.3835e-05'),
    ('go{ quantile = "1.0" , a = "b", } 8', 'go{a="b",quantile="1.0"} = 8'),
    ("a{} 1", "a = 1"),
    ("a {} 1", "a = 1"),
    ('a{b="c"}1', 'a{b="c"} = 1'),
    ('a{b=""} 1', "a = 1"),
    (r'a{b="x\\y\"z\n"} 1', 'a{b="x\\y"z\n"} = 1'),
    ('{"go.gc", quantile="1.0"} 8', 'go.gc{quantile="1.0"} = 8'),
    ('{b="c","m"} 8', 'm{b="c"} = 8'),
    (r'{"Heizöl 10€ \"in\" {a\nb}","str \"n\""="6"} 10.0', 'Heizöl 10€ "in" {a\nb}{str "n"="6"} = 10'),
    ('a{b="c"d="e" f="g"} 1', 'a{b="c",d="e",f="g"} = 1'),
    ("a -1.5e3 100", "a = -1500 @100"),
    ("a 1 -100", "a = 1 @-100"),
    ("a .5\nb 5.\nc +1\nd 1E2\ne 007", "a = 0.5; b = 5; c = 1; d = 100; e = 7"),
    ("a NaN\nb +Inf\nc -inf\nd Infinity\ne 1", "a = nan; b = inf; c = -inf; d = inf; e = 1"),
    ("a 18446744073709551617", "a = 1.8446744073709552e+19"),
    ("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1", 'h_bucket{le="1.0"} = 1; h_bucket{le="+Inf"} = 1'),
    ("# TYPE s summary\ns{quantile=\"1\"} 1\ns{le=\"1\"} 1", 's{quantile="1.0"} = 1; s{le="1"} = 1'),
    ("# TYPE g gauge\ng{le=\"1\"} 1", 'g{le="1"} = 1'),
    ("a{b=\"\x00\"} 1", 'a{b="\x00"} = 1'),
    ("a 1\na 2", "a = 1; a = 2"),
]  # fmt: skip

BAD_PROMETHEUS = [
    ("a", 'line 1: expected value after metric, got "\\n" while parsing: "a"'),
    ("a ", "line 1: expected value after metric"),
    ("x 1\n9 1", 'line 2: expected a valid start token, got "9"'),
    ("a{b='c'} 1", "line 1: expected label name, equal sign, quoted label value"),
    ("a{b=\n", "line 1: expected label name"),
    ('{"a", "b = "c"} 1', "line 1: expected label name"),
    ('a{="x"} 1', "line 1: expected label name"),
    ('a{b="c" 1', "line 1: expected label name"),
    ('a{b="c",,d="e"} 1', "line 1: expected label name"),
    ('a{b="x\ny"} 1', "line 1: expected label name"),
    ('{a="ok"} 1', "line 1: metric name not set"),
    ('a{"b"} 1', "line 1: metric name already set"),
    ('a{b="1",b="2"} 1', 'line 1: label name "b" is not unique'),
    ('a{__name__="b"} 1', 'line 1: label name "__name__" is not unique'),
    ("x 1\na true", 'line 2: invalid or too large number "true"'),
    ("a 1_2", 'line 1: unsupported character in float "1_2"'),
    ("a 0x1p-3", "line 1: unsupported character in float"),
    ("a 0x10", "line 1: invalid or too large number"),
    ("a 1e999", "line 1: invalid or too large number"),
    ("a 1,2", "line 1: invalid or too large number"),
    ("a 1\r", "line 1: invalid or too large number"),
    ("a [1]", "line 1: invalid or too large number"),
    ("a 1 2 3", "line 1: expected value, timestamp or exemplar"),
    ("a 1 2.5", "line 1: expected value, timestamp"),
    ("a 1 99999999999999999999", 'line 1: timestamp "99999999999999999999" is out of range'),
    ("a\x00 1", 'line 1: expected value after metric, got "\\x00"'),
    ("# TYPE #", "line 1: expected metric name after TYPE"),
    ("# HELP #", "line 1: expected metric name after HELP"),
    ("# TYPE a nonsense", 'line 1: invalid metric type "nonsense"'),
    ("# TYPE a", 'line 1: invalid metric type ""'),
    ("<html><body>not found</body></html>", 'line 1: expected a valid start token, got "<"'),
]

GOOD_OPENMETRICS = [
    ("# EOF", ""),
    ("# EOF\n", ""),
    ("a 1\n# EOF\n", "a = 1"),
    ('a_total{b="c"} 17.0 1520879607.789\n# EOF', 'a_total{b="c"} = 17 @1520879607789'),
    ('# TYPE h histogram\nh_bucket{le="100000000"} 1\n# EOF', 'h_bucket{le="1e+08"} = 1'),
    ("# TYPE a counter\na_created 1520872607.123\n# EOF", "a_created = 1520872607.123"),
]

BAD_OPENMETRICS = [
    ("", "data does not end with # EOF"),
    ("a 1\n", "line 1: data does not end with # EOF"),
    ("\n", 'line 1: expected a valid start token, got "\\n"'),
    (" a 1\n# EOF", 'line 1: expected a valid start token, got " "'),
    ("a\t1\n# EOF", 'line 1: expected value after metric, got "\\t"'),
    ("a  1\n# EOF", "line 1: expected value, timestamp or exemplar"),
    ("a 1\t2\n# EOF", "line 1: invalid or too large number"),
    ("a 1 2 \n# EOF", "line 1: expected value, timestamp or exemplar"),
    ("a 1 1 1\n# EOF", "line 1: expected value, timestamp or exemplar"),
    ("a 1 NaN\n# EOF", 'line 1: invalid timestamp "NaN"'),
    ("a 1 1z\n# EOF", 'line 1: invalid timestamp "1z"'),
    ("# EOF\na 1", "line 2: unexpected data after # EOF"),
    ("# EOF\n\n", "line 2: unexpected data after # EOF"),
    ("# TYPE c  counter\n# EOF", 'line 1: invalid metric type " counter"'),
    ("# TYPE u untyped\n# EOF", 'line 1: invalid metric type "untyped"'),
    ("# TYPE m\n# EOF", "line 1: expected text in TYPE"),
    ("# HELP \n# EOF", "line 1: expected metric name after HELP"),
    ("# UNIT metricsuffix suffix\n# EOF", 'line 1: unit "suffix" not a suffix of metric "metricsuffix"'),
    ("# a comment\n# EOF", "line 1: expected a valid start token"),
    ('a{,b="c"} 1\n# EOF', "line 1: expected label name"),
    ('a{b="c", d="e"} 1\n# EOF', "line 1: expected label name"),
    ('c 1 # {aa="bb"}\n# EOF', "line 1: expected value, timestamp or exemplar"),
    ("c 1 # {bb} 1\n# EOF", "line 1: expected value, timestamp or exemplar"),
    ('c 1 # {"bb"} 1\n# EOF', "line 1: expected label name in exemplar"),
    ('c 1 # {a="b"} x\n# EOF', 'line 1: invalid exemplar value "x"'),
]


def shown(page: Page) -> str:
    """`name{labels} = value @time`, joined by semicolons."""
    lines = []
    for row, labels in enumerate(series_of(page.layout)):
        pairs = [f'{n}="{v}"' for n, v in labels if n != "__name__"]
        name = dict(labels)["__name__"] + (f"{{{','.join(pairs)}}}" if pairs else "")
        time = page.times_ms[row] if page.times_ms is not None else NO_TIME
        lines.append(f"{name} = {page.values[row]:.17g}" + (f" @{time}" if time != NO_TIME else ""))
    return "; ".join(lines)


def normal(text: str) -> str:
    parts = [part.rpartition(" = ") for part in text.split("; ")] if text else []
    return "; ".join(f"{n} = {float(v.partition(' ')[0]):.17g}{v[len(v.partition(' ')[0]) :]}" for n, _, v in parts)


@pytest.mark.parametrize(("text", "expect"), GOOD_PROMETHEUS)
def test_prometheus_text_is_read(text: str, expect: str) -> None:
    assert shown(parse_text(text.encode(), PROMETHEUS)) == normal(expect)


@pytest.mark.parametrize(("text", "expect"), GOOD_OPENMETRICS)
def test_openmetrics_text_is_read(text: str, expect: str) -> None:
    assert shown(parse_text(text.encode(), OPENMETRICS)) == normal(expect)


@pytest.mark.parametrize(("text", "message"), BAD_PROMETHEUS)
def test_bad_prometheus_text_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(PageError) as refused:
        series_of(parse_text(text.encode(), PROMETHEUS).layout)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(("text", "message"), BAD_OPENMETRICS)
def test_bad_openmetrics_text_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(PageError) as refused:
        series_of(parse_text(text.encode(), OPENMETRICS).layout)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'a 1\na{b="\xff"} 1\n', 'line 2: invalid UTF-8 while parsing: "a{b=\\"\\xff"'),
        (bytes(range(256)), 'line 2: invalid UTF-8 while parsing'),
        (b"\x1f\x8b\x08\x00" + b"x" * 1000, "line 1: invalid UTF-8"),
        (b"a" * 1_000_000, "line 1: expected value after metric"),
        (b"a{" + b'b="c",' * 100_000 + b"} 1 x y z", "line 1: expected value, timestamp"),
        (b'a{b="' + b"\\" * 1_000_001 + b'"} 1', "line 1: expected label name"),
        (b"{" * 1_000_000, "line 1: expected label name"),
    ],
)  # fmt: skip
def test_garbage_is_refused_in_linear_time(body: bytes, message: str) -> None:
    with pytest.raises(PageError) as refused:
        series_of(parse_text(body, PROMETHEUS).layout)
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 500


def test_metadata_is_by_family() -> None:
    text = b'# HELP a_seconds one\\n\\"two\\" \\\\\n# UNIT a_seconds seconds\n# TYPE a_seconds counter\na_seconds_total 1\n# EOF\n'
    metadata = parse_text(text, OPENMETRICS).layout.metadata
    assert [(n, m.type, m.help, m.unit) for n, m in metadata.items()] == [("a_seconds", "counter", 'one\n"two" \\', "seconds")]
    assert parse_text(b"# HELP a one\\ntwo\n# TYPE a untyped\n", PROMETHEUS).layout.metadata["a"].help == "one\ntwo"


def test_exemplars_come_with_their_rows() -> None:
    text = b'a 1\nb_total 2 1.5 # {id="x",other="y"} 0.25 12.5\nc_total 3 # {} 4\n# EOF\n'
    page = parse_text(text, OPENMETRICS)
    assert page.exemplars == [PageExemplar(1, (("id", "x"), ("other", "y")), 0.25, 12500), PageExemplar(2, (), 4.0)]
    assert page.times_ms is not None
    assert page.times_ms.tolist() == [NO_TIME, 1500, NO_TIME]
    assert page.values.tolist() == [1, 2, 3]


def test_an_unchanged_layout_is_the_same_object_and_gives_new_numbers() -> None:
    first = parse_text(b'# TYPE a gauge\na{x="1"} 1\n\nb 2\n', PROMETHEUS)
    again = parse_text(b'# TYPE a gauge\na{x="1"} 100.5\n\nb NaN 77\n', PROMETHEUS, _text(first))
    assert again.layout is first.layout
    assert again.values[0] == 100.5
    assert math.isnan(again.values[1])
    assert again.times_ms is not None
    assert again.times_ms.tolist() == [NO_TIME, 77]


@pytest.mark.parametrize(
    "changed",
    [
        "# TYPE a gauge\na 1\nbb 2\nc 3\n",
        "# TYPE a gauge\na 1\nb 2\n",
        "# TYPE a gauge\na 1\nb 2\nc 3\nd 4\n",
        "# TYPE a counter\na 1\nb 2\nc 3\n",
        "\na 1\nb 2\nc 3\n",
        "\na 1\nb 2\nc 3.0000000000000\n",  # an empty line in place of the comment, and the length made up for
        "# TYPE a gauge\nb 1\na 2\nc 3\n",
        "# TYPE a gauge\na{} 1\nb 2\nc 3\n",
        "# TYPE a gauge\na{x=\"y\"} 1\nb 2\nc 3\n",
    ],
)  # fmt: skip
def test_any_change_of_a_layout_is_noticed(changed: str) -> None:
    first = parse_text(b"# TYPE a gauge\na 1\nb 2\nc 3\n", PROMETHEUS)
    again = parse_text(changed.encode(), PROMETHEUS, _text(first))
    assert again.layout is not first.layout
    assert shown(again) == shown(parse_text(changed.encode(), PROMETHEUS))


def test_a_bad_number_on_a_known_layout_is_refused_with_its_line() -> None:
    first = parse_text(b"# TYPE a gauge\na 1\nb 2\n", PROMETHEUS)
    for bad in (b"# TYPE a gauge\na 1\nb x\n", b"# TYPE a gauge\na 1\nb \n", b"# TYPE a gauge\na 1\nb 1 2 3\n"):
        with pytest.raises(PageError, match="line 3: "):
            parse_text(bad, PROMETHEUS, _text(first))


def test_a_layout_of_the_other_format_is_not_used() -> None:
    first = parse_text(b"a 1\n", PROMETHEUS)
    with pytest.raises(PageError, match="EOF"):
        parse_text(b"a 1\n", OPENMETRICS, _text(first))


def test_numbers_are_read_as_python_reads_them_one_by_one() -> None:
    numbers = (np.random.default_rng(1).standard_normal(1000) * 10.0 ** np.arange(-250, 250, 0.5)).tolist()
    page = parse_text("".join(f"a {number!r}\n" for number in numbers).encode(), PROMETHEUS)
    assert page.values.tolist() == numbers


def _text(page: Page) -> TextLayout:
    assert isinstance(page.layout, TextLayout)
    return page.layout


def test_a_changed_layout_reuses_heads_and_reads_the_same() -> None:
    before = "# TYPE h histogram\n" + "".join(f'h_bucket{{le="{n}"}} {n}\n' for n in range(5)) + "a 1\nb 2 77\n"
    after = before.replace('h_bucket{le="2"} 2\n', 'h_bucket{le="2.5"} 2\n').replace("a 1", 'a{x="y z"} 1\na 3') + "# TYPE s summary\nc 1\n"
    first = parse_text(before.encode(), PROMETHEUS)
    again = parse_text(after.encode(), PROMETHEUS, _text(first))
    assert shown(again) == shown(parse_text(after.encode(), PROMETHEUS))
    kept = set(first.layout.row_keys()) & set(again.layout.row_keys())
    assert len(kept) == 6
    assert len(set(again.layout.row_keys()) - kept) == 3


def test_the_type_of_a_family_is_part_of_the_key_of_a_bucket() -> None:
    gauge = parse_text(b'# TYPE h gauge\nh{le="1"} 1\n', PROMETHEUS)
    histogram = parse_text(b'# TYPE h histogram\nh{le="1"} 1\n', PROMETHEUS, _text(gauge))
    assert set(gauge.layout.row_keys()).isdisjoint(histogram.layout.row_keys())
    assert shown(histogram) == 'h{le="1.0"} = 1'


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.telemetry.metrics.exposition.text.LINES_MAX", 100)
    assert parse_text(b"a 1\n" * 99, TextFormat.PROMETHEUS).layout.size == 99
    with pytest.raises(PageError, match="the page has 100 lines or more"):
        parse_text(b"\n" * 100, TextFormat.PROMETHEUS)
