"""Histories: OpenMetrics text whose samples have times, of any size, read piece by piece. What is backfilled.

Unlike a page, a history may have a series in many lines, and is never in memory as a whole: PIECE_BYTES at a time, and the labels of its series
(HEADS_MAX of them, forgotten and made again when there are more). Lines of one series that follow each other are given together.

Source: OpenMetrics 1.0; Prometheus' documentation, "Backfilling from OpenMetrics format".
"""

from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO

import numpy as np

from podium.telemetry.metrics.exposition.errors import PageError, quoted
from podium.telemetry.metrics.exposition.grammar import TextFormat, head_length, labels_of_head, metadata_of, tail_of
from podium.telemetry.metrics.exposition.numbers import parse_numbers
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.samples import Times, Values

PIECE_BYTES = 4 * 1024 * 1024
LINE_BYTES_MAX = 1024 * 1024
HEADS_MAX = 2_000_000
TIME_S_MAX = 2.0**52
_FORM = TextFormat.OPENMETRICS
_END = b"# EOF"

Run = tuple[Labels, Times, Values]
"""A series, times in milliseconds and values, in the order of the lines."""


def read_history(file: BinaryIO) -> Iterator[Run]:
    """Raises PageError (with the line), OSError. What was given before an error was right."""
    reader = _Reader()
    for lines in _pieces(file):
        yield from reader.runs(lines)
    if not reader.ended:
        raise PageError("data does not end with # EOF", reader.line)


def _pieces(file: BinaryIO) -> Iterator[list[bytes]]:
    """Whole lines."""
    rest = b""
    while piece := file.read(PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            raise PageError(f"a line has more than {LINE_BYTES_MAX} bytes: {quoted(rest)}")
        yield lines
    if rest:
        yield [rest]


class _Reader:
    def __init__(self) -> None:
        self.line, self.ended = 0, False
        self._family, self._kind = "", ""
        self._heads: dict[bytes, Labels] = {}
        self._interned: dict[tuple[str, str], tuple[str, str]] = {}

    def runs(self, lines: list[bytes]) -> Iterator[Run]:
        for head, rows in groupby(lines, _head):
            found = list(rows)
            if self.ended:
                raise PageError("unexpected data after # EOF", self.line + 1)
            if head:
                yield self._samples(head, [line[len(head) :] for line in found])
            else:
                for line in found:
                    self.line += 1
                    self._comment(line)

    def _comment(self, line: bytes) -> None:
        if self.ended or not line:
            raise PageError("unexpected data after # EOF" if self.ended else "empty line", self.line)
        if line == _END:
            self.ended = True
            return
        if not line.startswith(b"#"):
            head_length(line, _FORM, self.line)  # says what is wrong with it
        said = metadata_of(line, _FORM, self.line)
        if said is not None:
            self._kind = said.text if said.keyword == "TYPE" else self._kind if said.family == self._family else ""
            self._family = said.family

    def _samples(self, head: bytes, tails: list[bytes]) -> Run:
        first = self.line + 1
        self.line += len(tails)
        labels = self._labels(head, first)
        pairs = [tail.split(b" ") for tail in tails]
        if any(len(pair) != 2 for pair in pairs):
            pairs = [self._pair(tail, first + n) for n, tail in enumerate(tails)]
        values, seconds = parse_numbers([v for v, _ in pairs]), parse_numbers([t for _, t in pairs])
        if values is None or seconds is None or not (np.abs(seconds) < TIME_S_MAX).all():
            for n, (value, time) in enumerate(pairs):
                self._check(value, time, first + n)
        assert values is not None and seconds is not None
        return labels, np.rint(seconds * 1000).astype(np.int64), values

    def _pair(self, tail: bytes, line: int) -> list[bytes]:
        """Value and time of a line that has more or less than those. Its exemplar is checked, and left out."""
        try:
            found = tail_of(tail, _FORM)
        except ValueError as error:
            raise PageError(str(error), line) from error
        if not found.time:
            raise PageError(f"expected a timestamp, got none: {quoted(tail)}", line)
        return [found.value, found.time]

    def _check(self, value: bytes, time: bytes, line: int) -> None:
        if parse_numbers([value]) is None:
            raise PageError(f"invalid or too large number {quoted(value)}", line)
        seconds = parse_numbers([time])
        if seconds is None or not abs(seconds[0]) < TIME_S_MAX:
            raise PageError(f"invalid timestamp {quoted(time)}", line)

    def _labels(self, head: bytes, line: int) -> Labels:
        if (known := self._heads.get(head)) is not None:
            return known
        if head_length(head + b"0", _FORM, line) != len(head):
            raise PageError(f"expected value after metric while parsing: {quoted(head)}", line)
        try:
            made = labels_of_head(head.decode(), self._kind, self._interned)
        except ValueError as error:
            raise PageError(str(error), line) from error
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
            self._interned.clear()
        labels = self._heads[head] = tuple(pair for pair in made if pair[1])
        return labels


def _head(line: bytes) -> bytes:
    """Up to the value, its space included; empty for a line that is no sample."""
    if line[:1] == b"#" or not line:
        return b""
    brace = line.rfind(b"} ")
    if brace < 0 or b" # " in line:
        try:
            return line[: head_length(line, _FORM, 0)]
        except PageError:
            return b""
    return line[: brace + 2]
