"""Pages in the two text formats: Prometheus' 0.0.4 and OpenMetrics 1.0.

`parse_text` is given the layout that the target had last time; when the page still has it, only numbers are parsed (see `layout.py`).
Time and memory are linear in the page; how large a page may be is for its reader to say.
"""

import math
import re

import numpy as np

from podium.telemetry.metrics.exposition.errors import PageError, quoted
from podium.telemetry.metrics.exposition.grammar import Tail, TextFormat, exemplar_labels, tail_of
from podium.telemetry.metrics.exposition.layout import TextLayout, read_layout
from podium.telemetry.metrics.exposition.numbers import parse_number, parse_numbers
from podium.telemetry.metrics.exposition.page import NO_TIME, Page, PageExemplar
from podium.telemetry.metrics.exposition.steps import Steps, at_once
from podium.telemetry.metrics.samples import Values

LINES_MAX = 5_000_000
"""Exclusive. A line takes some hundred bytes of memory, however short it is."""
NUMBERS_STEP = 100_000
"""Numbers read at a time: some 20 ms."""
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
    if body.count(b"\n") >= LINES_MAX:
        raise PageError(f"the page has {LINES_MAX} lines or more")
    lines = body.split(b"\n")
    lines_bytes = len(body) - len(lines) + 1
    if not lines[-1]:
        lines.pop()
    if previous is not None and previous.form is form and (tails := previous.strip(lines, lines_bytes)) is not None:
        return (yield from _page(previous, tails))
    _check_encoding(body)
    layout, tails = yield from read_layout(lines, form, previous)
    return (yield from _page(layout, tails))


def _numbers(tails: list[bytes]) -> Steps[Values | None]:
    """`parse_numbers` in steps."""
    parts: list[Values] = []
    for start in range(0, len(tails) or 1, NUMBERS_STEP):
        if start:
            yield
        part = parse_numbers(tails[start : start + NUMBERS_STEP])
        if part is None:
            return None
        parts.append(part)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _page(layout: TextLayout, tails: list[bytes]) -> Steps[Page]:
    """Numbers alone on most pages; times and exemplars are taken off the tails first where there are some."""
    values = yield from _numbers(tails)
    if values is not None:
        return Page(layout, values)
    times: dict[int, int] = {}
    exemplars: list[PageExemplar] = []
    plain_times = layout.form is TextFormat.PROMETHEUS
    for row, text in enumerate(tails):
        if not (row + 1) % NUMBERS_STEP:
            yield
        value, space, time = text.partition(b" ")
        if space and plain_times and len(time) <= TIME_DIGITS_MAX and time.isdigit():  # by far the most frequent
            tails[row], times[row] = value, int(time)
        elif space or b"\t" in text:
            try:
                tail = tail_of(text, layout.form)
                if tail.time:
                    times[row] = _time_ms(tail.time, layout.form)
                if tail.exemplar:
                    exemplars.append(_exemplar(tail, row))
            except ValueError as error:
                raise PageError(str(error), layout.line(row)) from error
            tails[row] = tail.value
    values = yield from _numbers(tails)
    if values is None:
        raise _bad_number(layout, tails)
    if not times:
        return Page(layout, values, exemplars=exemplars)
    times_ms = np.full(layout.size, NO_TIME, np.int64)
    times_ms[list(times)] = list(times.values())
    return Page(layout, values, times_ms, exemplars)


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


def _bad_number(layout: TextLayout, tails: list[bytes]) -> PageError:
    for row, text in enumerate(tails):
        if parse_number(text) is None:
            what = "unsupported character in float" if re.search(rb"[pP_]", text) else "invalid or too large number"
            return PageError(f"{what} {quoted(text)}", layout.line(row))
    raise AssertionError("every number is one by itself")


def _check_encoding(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        start = body.rfind(b"\n", 0, error.start) + 1
        message = f"invalid UTF-8 while parsing: {quoted(body[start : error.start + 1])}"
        raise PageError(message, body.count(b"\n", 0, error.start) + 1) from None
