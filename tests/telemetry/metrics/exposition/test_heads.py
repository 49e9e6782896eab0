"""Heads and chunks against lists of lines."""

import random

import pytest

from podium.telemetry.metrics.exposition import heads, layout, text
from podium.telemetry.metrics.exposition.errors import PageError
from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.exposition.heads import Heads, chunks
from podium.telemetry.metrics.exposition.text import parse_text


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "CHUNK_BYTES", 100)
    monkeypatch.setattr(text, "STEP_ROWS", 3)


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"a", b"a\n", b"a\n\n", b"\n\na", b"x" * 350 + b"\nb\n", b"ab\n" * 99, b"y" * 100 + b"\n", b"y" * 99 + b"\nz"]
)
def test_chunks_are_the_lines_of_the_page(body: bytes) -> None:
    expected = body.split(b"\n")
    if not expected[-1]:
        expected.pop()
    found = list(chunks(body))
    assert [line for lines, _ in found for line in lines] == expected
    assert all(size == sum(map(len, lines)) for lines, size in found)


@pytest.mark.parametrize("count", [0, 1, 7, 200])
def test_heads_are_given_back_in_order_and_by_line(count: int) -> None:
    chance = random.Random(count)
    lines = [b"h" * chance.randrange(0, 40) for _ in range(count)]
    kept = Heads()
    for start in range(0, count, 5):
        kept.add(lines[start : start + 5])
    assert list(kept) == lines
    assert kept.size == count
    some = [chance.randrange(count) for _ in range(30)] if count else []
    assert list(kept.at(some)) == [lines[n] for n in some]


def page(values: random.Random, series: int, extra: str = "") -> bytes:
    rows = [f'm{n % 5}{{pod="pod-{n}",path="/a/{n % 3}"}} {values.randrange(100)}' for n in range(series)]
    rows.insert(series // 2, "# TYPE m9 histogram\n" + (f"{extra}\n" if extra else "") + 'm9_bucket{le="1"} 4')
    return ("\n".join(rows) + "\n").encode()


@pytest.mark.parametrize("seed", range(5))
def test_pages_of_many_chunks_are_read_as_by_those_who_know_no_layout(seed: int) -> None:
    chance = random.Random(seed)
    known = None
    for _ in range(12):
        body = page(chance, chance.choice([40, 41]), chance.choice(["", "", "late 1 77", 'm1{pod="new"} 3']))
        own, fresh = parse_text(body, TextFormat.PROMETHEUS, known), parse_text(body, TextFormat.PROMETHEUS)
        assert own.values.tolist() == fresh.values.tolist()
        assert own.layout.labels_at(range(own.layout.size)) == fresh.layout.labels_at(range(own.layout.size))
        assert own.layout.row_keys().tolist() == fresh.layout.row_keys().tolist()
        assert [own.layout.line(row) for row in range(own.layout.size)] == [fresh.layout.line(row) for row in range(own.layout.size)]
        assert (own.times_ms is None) == (fresh.times_ms is None)
        assert isinstance(own.layout, layout.TextLayout)
        known = own.layout
    same = parse_text(page(random.Random(99), 40), TextFormat.PROMETHEUS, known)
    assert isinstance(same.layout, layout.TextLayout)
    assert parse_text(page(random.Random(98), 40), TextFormat.PROMETHEUS, same.layout).layout is same.layout


def test_a_head_that_goes_on_where_the_number_was_is_another_series() -> None:
    first = parse_text(b"a 1\nb 2\n", TextFormat.PROMETHEUS)
    assert isinstance(first.layout, layout.TextLayout)
    again = parse_text(b'a {x="y"} 1\nb 2\n', TextFormat.PROMETHEUS, first.layout)
    assert again.layout.labels_at([0]) == [(("__name__", "a"), ("x", "y"))]


@pytest.mark.parametrize(
    ("line", "said"),
    [(b"a{ 1", "line 60:"), (b"a one", "line 60:"), (b"\xff 1", "line 60: invalid UTF-8"), (b'a{b="\xff"} 1', "line 60: invalid UTF-8")],
)
def test_an_error_tells_its_line_wherever_it_is(line: bytes, said: str) -> None:
    body = page(random.Random(1), 100)
    known = parse_text(body, TextFormat.PROMETHEUS).layout
    assert isinstance(known, layout.TextLayout)
    lines = body.split(b"\n")
    lines[59] = line
    for previous in (None, known):
        with pytest.raises(PageError, match=said):
            parse_text(b"\n".join(lines), TextFormat.PROMETHEUS, previous)
