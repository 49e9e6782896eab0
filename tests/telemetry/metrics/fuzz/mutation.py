"""Texts and bytes, made a little wrong: what is left out, doubled, swapped, nested, or of another text."""

import random
from collections.abc import Callable, Sequence

BYTES = (
    b"",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\n",
    b'"',
    b"{",
    b"}",
    b"\\",
    b"#",
    b" ",
    b"\t",
    b"NaN",
    b"-",
    b"1e999",
    b"9" * 30,
    b"\x80" * 9,
    b"\r",
)
WORDS = (
    "", " ", "\n", "\t", '"', "'", "`", "{", "}", "{{", "}}", "{{ end }}", "(", ")", "[", "]", ":", ",", "|", "\\", "$", "%", "#", "&a ", "*a",
    "<<: ", "- ", "null", "~", "-1", "0", "1e999", "9" * 30, "NaN", "é", "\u2028", "\U0001f600", "\ud800", "\0", "=~", "!=", "a" * 300, "5m",
    "1y" * 9, "!!binary x", "? ",
)  # fmt: skip
DEEP = ((b"(", b")"), (b"[", b"]"), (b"{", b"}"), (b"-", b""), (b"{{if 1}}", b"{{end}}"), (b"a: {", b"}"), (b"sum(", b")"), (b"- ", b""))


def bytes_of(chance: random.Random, seeds: Sequence[bytes], rounds: int = 4) -> bytes:
    """One of the seeds, changed a few times."""
    data = chance.choice(seeds)
    for _ in range(chance.randint(1, rounds)):
        data = chance.choice(CHANGES)(chance, data, seeds)
    return data


def text_of(chance: random.Random, seeds: Sequence[str], rounds: int = 4) -> str:
    """The same for texts; some have characters that no encoding has."""
    encoded = [seed.encode() for seed in seeds]
    text = bytes_of(chance, encoded, rounds).decode(errors="replace")
    for _ in range(chance.randint(0, 2)):
        place = chance.randint(0, len(text))
        text = text[:place] + chance.choice(WORDS) + text[place + chance.choice((0, 0, 1, 5)) :]
    return text


def _span(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + chance.choice((1, 1, 2, 5, 20, 100)))


def _without(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(chance, data)
    return data[:start] + data[end:]


def _twice(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(chance, data)
    return data[:end] + data[start:end] * chance.choice((1, 1, 2, 40)) + data[end:]


def _with(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    start, _ = _span(chance, data)
    return data[:start] + chance.choice(BYTES) + data[start:]


def _bit(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    if not data:
        return data
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def _swapped(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    (a, b), (c, d) = sorted((_span(chance, data), _span(chance, data)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _crossed(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    other = chance.choice(seeds)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _cut(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return data[: chance.randint(0, len(data))]


def _deep(chance: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    opening, closing = chance.choice(DEEP)
    start, end = _span(chance, data)
    depth = chance.choice((2, 60, 3000))
    return data[:start] + opening * depth + data[start:end] + closing * depth + data[end:]


Change = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
CHANGES: tuple[Change, ...] = (_without, _twice, _with, _bit, _bit, _swapped, _crossed, _cut, _deep)
