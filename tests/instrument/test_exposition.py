"""The forms in which a scrape is answered."""

import gzip
import math

import pytest

from podium.instrument.exposition import Exemplar, Family, Format, Lines, Page, label_text, negotiate, number, render, respond
from podium.instrument.metrics import Registry
from podium.instrument.process_metrics import register_process

OPEN = Format.OPENMETRICS
OPEN_0 = Format.OPENMETRICS_0
TEXT = Format.TEXT
OM = "application/openmetrics-text"


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        ("application/openmetrics-text", OPEN_0),
        ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5,*/*;q=0.1", OPEN),
        (f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3", OPEN),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=x, text/plain;q=0.1", TEXT),
    ],
)  # fmt: skip
def test_the_best_acceptable_format_is_chosen(accept: str, format: Format) -> None:
    assert negotiate(accept) is format


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"), (0.1, "0.1"), (1e15, "1000000000000000.0"), (123456789012345.0, "123456789012345"), (1e300, "1e+300"),
        (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (-2.0, "-2"), (7, "7"), (True, "1"),
    ],
)  # fmt: skip
def test_numbers_lose_nothing(value: float, text: str) -> None:
    assert number(value) == text
    assert math.isnan(value) or float(text) == value


def _registry() -> Registry:
    registry = Registry(lambda: 1500.5)
    registry.counter("done_total", "Done \\ it.", ("who",)).labels("a\nb").add_with(Exemplar((("trace", "x"),), 2, 1600.25))
    registry.counter("odd", "Without the suffix.").labels().add()
    seconds = registry.histogram("wait_seconds", "Waited.", ("what",), buckets=(1, 2.5)).labels("q")
    seconds.observe(0.5)
    seconds.observe_with(Exemplar((), 2.0))
    registry.read("open", "gauge", "Open.", ("n",), lambda: [(("1",), 4.0)])
    registry.constant("build_info", "Built.", {"version": "1"})
    registry.gauge("never_set", "Nothing yet.", ("a",))
    return registry


def test_openmetrics_has_created_times_exemplars_and_an_end() -> None:
    assert render(_registry().collected(), OPEN).decode().splitlines() == [
        "# HELP build_info Built.",
        "# TYPE build_info gauge",
        'build_info{version="1"} 1',
        "# HELP done Done \\\\ it.",
        "# TYPE done counter",
        'done_total{who="a\\nb"} 2 # {trace="x"} 2 1600.25',
        'done_created{who="a\\nb"} 1500.5',
        "# HELP odd Without the suffix.",
        "# TYPE odd unknown",
        "odd 1",
        "# HELP open Open.",
        "# TYPE open gauge",
        'open{n="1"} 4',
        "# HELP wait_seconds Waited.",
        "# TYPE wait_seconds histogram",
        'wait_seconds_bucket{what="q",le="1.0"} 1',
        'wait_seconds_bucket{what="q",le="2.5"} 2 # {} 2',
        'wait_seconds_bucket{what="q",le="+Inf"} 2',
        'wait_seconds_sum{what="q"} 2.5',
        'wait_seconds_count{what="q"} 2',
        'wait_seconds_created{what="q"} 1500.5',
        "# EOF",
    ]


def test_the_text_format_has_neither() -> None:
    text = render(_registry().collected()).decode()
    assert "_created" not in text and " # {" not in text and "EOF" not in text
    assert "# TYPE done_total counter" in text and 'wait_seconds_bucket{what="q",le="1"} 1' in text


def test_an_exemplar_beyond_the_limit_is_left_out() -> None:
    registry = Registry()
    registry.counter("c_total", "C.").labels().add_with(Exemplar((("trace", "x" * 200),), 1))
    assert "#" not in render(registry.collected(), OPEN).decode().splitlines()[2]


def test_timestamps_are_milliseconds_in_text_and_seconds_in_openmetrics() -> None:
    family = Family("t", "gauge", "T.", {("", ()): 1.0}, timestamps_ms={("", ()): 1500})
    assert b"t 1 1500\n" in render([family])
    assert b"t 1 1.5\n" in render([family], OPEN)


def test_finished_lines_are_the_same_text() -> None:
    page, lines = Page(), Lines()
    for n in range(3):
        labels = (("n", f'{n}"\\'), ("z", ""))
        page.counter("c_total", "C.", n / 2, labels)
        lines.add("c_total", "counter", "C.", label_text(labels), n / 2)
    page.gauge("a", "A.", 1)
    lines.add("a", "gauge", "A.", "", 1)
    lines.family("never", "gauge", "Nothing.")
    for format in Format:
        assert lines.render(format) == render(page.families.values(), format)
    assert Lines().render() == b"" and Lines().render(OPEN) == b"# EOF\n"


def test_an_answer_is_compressed_for_those_who_take_it() -> None:
    page = Page()
    for n in range(100):
        page.gauge("g", "G.", n, (("n", str(n)),))
    plain = respond(page.families.values(), {})
    packed = respond(page.families.values(), {"accept-encoding": "deflate, gzip"})
    refused = respond(page.families.values(), {"accept-encoding": "gzip;q=0"})
    assert gzip.decompress(packed.body) == plain.body == refused.body
    assert (b"content-encoding", b"gzip") in packed.headers
    assert dict(plain.headers)[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"


def test_a_label_set_is_shown_once() -> None:
    page = Page()
    page.gauge("g", "G.", 1)
    page.gauge("g", "other words", 2)
    assert render(page.families.values()) == b"# HELP g G.\n# TYPE g gauge\ng 2\n"


def test_what_is_dropped_is_not_shown() -> None:
    registry = Registry()
    family = registry.gauge("g", "G.", ("a",))
    family.labels("x").set(1)
    family.drop("x")
    assert registry.exposition() == b""


def test_a_process_tells_of_itself() -> None:
    registry = Registry()
    register_process(registry)
    values = dict(line.split() for line in registry.exposition().decode().splitlines() if not line.startswith("#"))
    assert float(values["process_resident_memory_bytes"]) > 1e6
    assert 1.5e9 < float(values["process_start_time_seconds"]) < 4e9
    assert 0 < float(values["process_open_fds"]) <= float(values["process_max_fds"])
