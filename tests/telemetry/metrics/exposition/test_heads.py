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
    monkeypatch.setattr(heads, "PLAIN_BYTES_MAX", 500)
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
    kept.end()
    assert b"".join(block.text for block in kept.blocks) == b"".join(lines)
    assert any(block.packed for block in kept.blocks) == (count == 200)
    assert list(kept.at(range(count))) == lines
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


KNOWN = b'# HELP a b\n# TYPE a gauge\na 17\n\na{b="c"} 3\n'
OTHERS = [
    b'# HELP a b\n# TYPE a gauge\na 17\n\na{b="d"} 3\n',  # another label
    b'# HELP a c\n# TYPE a gauge\na 17\n\na{b="c"} 3\n',  # another comment
    b'# HELP a bb\n# TYPE a gauge\na 1\n\na{b="c"} 3\n',  # as long as before, in all
    b'# HELP a b\n# TYPE a gauge\na 17\n#\na{b="c"} 3\n',  # a comment in place of an empty line
    b'# HELP a b\n# TYPE a gauge\na 17\na{b="c"} 3\n\n',  # the same lines in another order
    b'# HELP a b\n# TYPE a gauge\na 17\n\na{b="c"} 3\n\n',  # one more
    b"# HELP a b\n# TYPE a gauge\na 17\n\n",  # one less
    b"",
]


@pytest.mark.parametrize("body", OTHERS)
def test_a_page_with_other_lines_has_another_layout(body: bytes) -> None:
    known = parse_text(KNOWN, TextFormat.PROMETHEUS).layout
    assert isinstance(known, layout.TextLayout)
    found, fresh = parse_text(body, TextFormat.PROMETHEUS, known), parse_text(body, TextFormat.PROMETHEUS)
    assert found.layout is not known
    assert found.values.tolist() == fresh.values.tolist()


@pytest.mark.parametrize("values", [(b"1", b"2"), (b"NaN", b"+Inf"), (b"-0", b"1e5"), (b"1 1000", b".5"), (b"123456", b"7 -5")])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_other_values_do_not_make_another_layout(values: tuple[bytes, bytes], end: bytes) -> None:
    body = KNOWN.replace(b"17", values[0]).replace(b" 3\n", b" " + values[1] + end)
    known = parse_text(KNOWN, TextFormat.PROMETHEUS).layout
    assert isinstance(known, layout.TextLayout)
    found, fresh = parse_text(body, TextFormat.PROMETHEUS, known), parse_text(body, TextFormat.PROMETHEUS)
    assert found.layout is known
    assert found.values.tobytes() == fresh.values.tobytes()
    assert repr(found.times_ms) == repr(fresh.times_ms)


@pytest.mark.parametrize("value", [b"", b"1,2", b"1,", b",", b"[1]", b"one", b"1_0", b"1e999"])
def test_what_is_no_number_is_told_under_a_known_layout_too(value: bytes) -> None:
    known = parse_text(KNOWN, TextFormat.PROMETHEUS).layout
    assert isinstance(known, layout.TextLayout)
    with pytest.raises(PageError, match="line 3:"):
        parse_text(KNOWN.replace(b"17", value), TextFormat.PROMETHEUS, known)


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
