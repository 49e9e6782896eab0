"""Pages in the two text formats: Prometheus' 0.0.4 and OpenMetrics 1.0.

`parse_text` is given the layout that the target had last time; when the page still has it, only numbers are parsed (see `layout.py`).
Time and memory are linear in the page; how large a page may be is for its reader to say.
"""

import math
import re
from collections.abc import Callable

import numpy as np

from podium.telemetry.metrics.exposition.errors import PageError, quoted
from podium.telemetry.metrics.exposition.grammar import Tail, TextFormat, exemplar_labels, tail_of
from podium.telemetry.metrics.exposition.heads import chunks
from podium.telemetry.metrics.exposition.layout import LayoutReader, TextLayout
from podium.telemetry.metrics.exposition.layout_match import tails_of
from podium.telemetry.metrics.exposition.numbers import parse_joined, parse_number, parse_numbers
from podium.telemetry.metrics.exposition.page import NO_TIME, Page, PageExemplar
from podium.telemetry.metrics.exposition.steps import STEP_ROWS, Steps, at_once
from podium.telemetry.metrics.samples import Values

LINES_MAX = 5_000_000
"""Exclusive. A line takes some hundred bytes of memory, however short it is."""
TIME_MS_MAX = 2**62
"""Times further from 1970 are refused: arithmetic on them would overflow."""
TIME_DIGITS_MAX = 18
"""A number of so many digits is within the limit anyway."""
ROUNDING_MS = 1e-3
"""Seconds in binary are so far from the milliseconds that were meant, at most; what is further is cut off."""


def parse_text(body: bytes, form: TextFormat, previous: TextLayout | None = None) -> Page:
    """Raises PageError."""
    return at_once(read_text(body, form, previous))


def read_text(body: bytes, form: TextFormat, previous: TextLayout | None = None) -> Steps[Page]:
    """`parse_text` in steps."""
    if previous is not None and previous.form is form and (page := (yield from _same_layout(body, previous))) is not None:
        return page
    if body.count(b"\n") >= LINES_MAX:
        raise PageError(f"the page has {LINES_MAX} lines or more")
    reader = LayoutReader(form, previous)
    numbers = _Numbers(form, reader.line)
    seen = 0
    for lines, _ in chunks(body):
        for start in range(0, len(lines), STEP_ROWS):
            if seen:
                yield
            some = lines[start : start + STEP_ROWS]
            _check_encoding(some, seen)
            numbers.add(reader.tails(some))
            seen += len(some)
    return numbers.page(reader.layout())


def _same_layout(body: bytes, layout: TextLayout) -> Steps[Page | None]:
    """None when the page has another one, or an error, which is then found when it is read from the start."""
    numbers = _Numbers(layout.form, layout.line)
    for number, found in enumerate(tails_of(body, layout)):
        if number:
            yield
        if found is None:
            return None
        try:
            numbers.add_joined(*found)
        except PageError:
            return None
    return numbers.page(layout)


class _Numbers:
    """What tails say: numbers alone on most pages; times and exemplars are taken off first where there are some."""

    def __init__(self, form: TextFormat, line_of: Callable[[int], int]) -> None:
        """`line_of` a row."""
        self._form = form
        self._line_of = line_of
        self._rows = 0
        self._values: list[Values] = []
        self._times: list[tuple[list[int], list[int]]] = []  # rows and times
        self._exemplars: list[PageExemplar] = []

    def add(self, tails: list[bytes]) -> None:
        """Of the rows that follow. Raises PageError."""
        self._take(parse_numbers(tails), lambda: tails, len(tails))

    def add_joined(self, tails: bytes, count: int) -> None:
        """Of the `count` rows that follow, each with a line feed after it. Raises PageError."""
        self._take(parse_joined(tails[:-1].replace(b"\n", b","), count), lambda: tails[:-1].split(b"\n"), count)

    def _take(self, values: Values | None, tails: Callable[[], list[bytes]], count: int) -> None:
        self._values.append(self._values_of(tails()) if values is None else values)
        self._rows += count

    def _values_of(self, tails: list[bytes]) -> Values:
        """The slow way. Changes `tails`."""
        rows: list[int] = []
        times: list[int] = []
        plain_times = self._form is TextFormat.PROMETHEUS
        for row, text in enumerate(tails):
            value, space, time = text.partition(b" ")
            if space and plain_times and len(time) <= TIME_DIGITS_MAX and time.isdigit():  # by far the most frequent
                tails[row] = value
                rows.append(self._rows + row)
                times.append(int(time))
            elif space or b"\t" in text:
                try:
                    tail = tail_of(text, self._form)
                    if tail.time:
                        times.append(_time_ms(tail.time, self._form))
                        rows.append(self._rows + row)
                    if tail.exemplar:
                        self._exemplars.append(_exemplar(tail, self._rows + row))
                except ValueError as error:
                    raise PageError(str(error), self._line_of(self._rows + row)) from error
                tails[row] = tail.value
        self._times.append((rows, times))
        values = parse_numbers(tails)
        if values is None:
            raise self._bad_number(tails)
        return values

    def _bad_number(self, tails: list[bytes]) -> PageError:
        for row, text in enumerate(tails):
            if parse_number(text) is None:
                what = "unsupported character in float" if re.search(rb"[pP_]", text) else "invalid or too large number"
                return PageError(f"{what} {quoted(text)}", self._line_of(self._rows + row))
        raise AssertionError("every number is one by itself")

    def page(self, layout: TextLayout) -> Page:
        values = np.concatenate([np.empty(0), *self._values])
        if not any(rows for rows, _ in self._times):
            return Page(layout, values, exemplars=self._exemplars)
        times_ms = np.full(layout.size, NO_TIME, np.int64)
        for rows, times in self._times:
            times_ms[rows] = times
        return Page(layout, values, times_ms, self._exemplars)


def _time_ms(text: bytes, form: TextFormat) -> int:
    """Milliseconds in the Prometheus format, seconds (truncated to milliseconds) in OpenMetrics."""
    if form is TextFormat.PROMETHEUS:
        time_ms = int(text)
    else:
        seconds = parse_number(text)
        if seconds is None or not math.isfinite(seconds):
            raise ValueError(f"invalid timestamp {quoted(text)}")
        exact = seconds * 1000
        time_ms = round(exact) if abs(exact - round(exact)) < ROUNDING_MS else int(exact)
    if abs(time_ms) > TIME_MS_MAX:
        raise ValueError(f"timestamp {quoted(text)} is out of range")
    return time_ms


def _exemplar(tail: Tail, row: int) -> PageExemplar:
    value = parse_number(tail.exemplar_value)
    if value is None:
        raise ValueError(f"invalid exemplar value {quoted(tail.exemplar_value)}")
    labels = exemplar_labels(tail.exemplar.decode())
    time_ms = _time_ms(tail.exemplar_time, TextFormat.OPENMETRICS) if tail.exemplar_time else NO_TIME
    return PageExemplar(row, labels, value, time_ms)


def _check_encoding(lines: list[bytes], seen: int) -> None:
    """`seen` lines came before."""
    joined = b"\n".join(lines)
    try:
        joined.decode()
    except UnicodeDecodeError as error:
        start = joined.rfind(b"\n", 0, error.start) + 1
        message = f"invalid UTF-8 while parsing: {quoted(joined[start : error.start + 1])}"
        raise PageError(message, seen + joined.count(b"\n", 0, error.start) + 1) from None
