"""How scripts write down a series and its values: `name{a="b"} 1 2+3x4 _x2 stale {{schema:1 sum:3 count:22 buckets:[5 10 7]}}`.

    1 -2.5 Inf NaN   values                   1x3          1 1 1 1
    _ _x2            no value                 1+2x3, 1-2x3 1 3 5 7; 1 -1 -3 -5
    stale            a staleness marker       {{...}}      a native histogram; x, + and - as for numbers

A histogram's parts, separated by spaces, each optional: schema, count, sum, z_bucket (the zero bucket's count), z_bucket_w (its width),
buckets and n_buckets (counts, not cumulative, from the index that offset and n_offset give), custom_values (bounds, schema -53),
counter_reset_hint (unknown, reset, not_reset, gauge).

Source: the series notation of promtool's unit tests and of Prometheus' own PromQL tests.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.promql.durations import parse_duration
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.parser import parse_metric
from podium.telemetry.metrics.promql.quoting import quote
from podium.telemetry.metrics.samples import STALE

VALUES_MAX = 1_000_000
"""Values of one series."""

_NUMBER = r"(?:inf|nan|(?:[0-9]+(?:_[0-9]+)*\.?(?:[0-9]+(?:_[0-9]+)*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)"
_FLOATS = re.compile(rf"(?P<first>[+-]?{_NUMBER}|stale)(?:(?P<change>[+-]{_NUMBER})?x(?P<times>[0-9]+))?(?=\s|$)", re.IGNORECASE)
_BLANKS = re.compile(r"_(?:x(?P<times>[0-9]+))?(?=\s|$)")
_HISTOGRAM = re.compile(r"\{\{(?P<parts>[^{}]*)\}\}")
_CHANGE = re.compile(r"(?P<sign>[+-])\{\{(?P<parts>[^{}]*)\}\}")
_TIMES = re.compile(r"x(?P<times>[0-9]+)")
_PART = re.compile(r"(?P<key>[a-z_]+):(?:\[(?P<list>[^\]]*)\]|(?P<value>[^\s\[\]]+))", re.IGNORECASE)
_STARTS = "@st"
_START = re.compile(
    r"(?P<none>_(?:x(?P<blanks>[0-9]+))?)|(?P<first>[+-]?[0-9]+[a-wyz]*)(?:(?P<sign>[+-])(?P<change>[+-]?[0-9]+[a-wyz]*)(?=x))?(?:x(?P<times>[0-9]+))?"
)
_WORD = re.compile(r"[A-Za-z_]*")
_HINTS = {"unknown": ResetHint.UNKNOWN, "reset": ResetHint.YES, "not_reset": ResetHint.NO, "gauge": ResetHint.GAUGE}
_INTEGERS, _NUMBERS, _LISTS = (
    ("schema", "offset", "n_offset"),
    ("sum", "count", "z_bucket", "z_bucket_w"),
    ("buckets", "n_buckets", "custom_values"),
)
_KEYS = (*_INTEGERS, *_NUMBERS, *_LISTS, "counter_reset_hint")


@dataclass(frozen=True, slots=True)
class Noted:
    """One value as written: a number, a histogram, or none at this time."""

    value: float | Histogram | None
    hint_given: bool = False  # a histogram's counter reset hint was written, so it is to be compared


@dataclass(frozen=True, slots=True)
class NotedSeries:
    labels: Labels
    values: tuple[Noted, ...]
    starts: tuple[int | None, ...] = ()
    """Start timestamps, in milliseconds from the sample's time, None: not known. Of each value, or empty."""


def parse_series(text: str) -> NotedSeries:
    """Raises ParseError, in upstream's words where clients see them."""
    labels, end = parse_metric(text)
    if not end:
        raise ParseError(f"unexpected {quote(text.split()[0]) if text.strip() else 'end of input'} in series values", text, 0, len(text))
    return NotedSeries(labels_of(labels), tuple(_Values(text).parse(end)))


def is_start_line(text: str) -> bool:
    """`name{a="b"}@st -1m _ -30s-1mx2`: start timestamps of the series in the next line."""
    head, *rest = text.split(None, 1)
    return bool(rest) and head.endswith(_STARTS)


def parse_starts(text: str) -> tuple[Labels, tuple[int | None, ...]]:
    """Whose start timestamps a line gives, and how far they are from each sample's time: durations with a sign, repeated as values are.
    Raises ParseError."""
    head, sequence = text.split(None, 1)
    labels, end = parse_metric(head.removesuffix(_STARTS))
    if end != len(head) - len(_STARTS):
        raise ParseError(f"unexpected {quote(head[end:])} in a series' name", text, end, len(head))
    found: list[int | None] = []
    for item in sequence.split():
        found += _start_item(text, item, VALUES_MAX - len(found))
    return labels_of(labels), tuple(found)


def _start_item(text: str, item: str, room: int) -> Sequence[int | None]:
    match = _START.fullmatch(item)
    try:
        if match is None:
            raise ValueError("a duration or _ was expected")
        if match["none"]:
            count = int(match["blanks"] or 1)
            if not 0 < count <= room:
                raise ValueError("invalid repeat count")
            return [None] * count
        first, times = _signed(match["first"]), int(match["times"] or 0)
        change = _signed(match["change"] or "0") * (-1 if match["sign"] == "-" else 1)
        if times >= room:
            raise ValueError("invalid repeat count")
        return [first + n * change for n in range(times + 1)]
    except ValueError as error:
        raise ParseError(f"invalid start timestamp {quote(item)}: {error}", text, text.index(item), len(text)) from error


def _signed(text: str) -> int:
    """Milliseconds. Raises ValueError."""
    return (-1 if text.startswith("-") else 1) * parse_duration(text.lstrip("+-"))


class _Values:
    def __init__(self, text: str) -> None:
        self.text = text
        self.found: list[Noted] = []

    def parse(self, position: int) -> list[Noted]:
        text = self.text
        while position < len(text):
            if text[position].isspace():
                position += 1
            elif match := _FLOATS.match(text, position):
                self.floats(match)
                position = match.end()
            elif match := _BLANKS.match(text, position):
                self.repeat(lambda _: Noted(None), match["times"], start=1)
                position = match.end()
            elif match := _HISTOGRAM.match(text, position):
                position = self.histograms(match)
            else:
                raise self.error(position, f"unexpected {quote(text[position:].split()[0])} in series values")
        return self.found

    def error(self, position: int, message: str) -> ParseError:
        return ParseError(message, self.text, position, len(self.text))

    def repeat(self, value: Callable[[int], Noted], times: str | None, start: int = 0) -> None:
        """`times` counts the values after the first; of blanks (`start` 1) all."""
        count = 1 if times is None else int(times) + 1 - start
        self.limit(len(self.found) + count)
        self.found.extend(value(n) for n in range(count))

    def limit(self, count: int) -> None:
        if count > VALUES_MAX:
            raise self.error(0, f"a series has at most {VALUES_MAX} values")

    def floats(self, match: re.Match[str]) -> None:
        if match["first"].lower() == "stale":
            if match["change"]:
                raise self.error(match.start(), "a staleness marker does not change")
            self.repeat(lambda _: Noted(STALE), match["times"])
            return
        value, change = _float(match["first"]), _float(match["change"] or "0")
        values = [value]

        def following(n: int) -> Noted:
            if n:
                values.append(values[-1] + change)
            return Noted(values[-1])

        self.repeat(following if match["change"] else lambda _: Noted(value), match["times"])

    def histograms(self, match: re.Match[str]) -> int:
        first = self.histogram(match)
        position = match.end()
        change = _CHANGE.match(self.text, position)
        position = change.end() if change else position
        times = _TIMES.match(self.text, position)
        if change and not times:
            raise self.error(position, 'unexpected end of a change, expected "x" and how often')
        steps = [first]
        if change and times:
            by, sign = self.histogram(change), -1 if change["sign"] == "-" else 1
            self.limit(len(self.found) + int(times["times"]))
            for _ in range(int(times["times"])):
                steps.append(self.added(steps[-1], by, sign, times.end()))
        self.repeat(lambda n: steps[min(n, len(steps) - 1)], times["times"] if times else None)
        return times.end() if times else position

    def added(self, noted: Noted, by: Noted, sign: int, position: int) -> Noted:
        left, right = noted.value, by.value
        assert isinstance(left, Histogram) and isinstance(right, Histogram)
        if left.schema > right.schema or left.custom_bounds != right.custom_bounds or left.zero_threshold != right.zero_threshold:
            raise self.error(position, f"error combining histograms: cannot merge from schema {right.schema} to {left.schema}")
        return Noted(_sum(left, right, sign), by.hint_given)

    def histogram(self, match: re.Match[str]) -> Noted:
        parts: dict[str, str] = {}
        position, end = match.start("parts"), match.end("parts")
        while position < end:
            if self.text[position].isspace():
                position += 1
                continue
            part = _PART.match(self.text, position, end)
            key = part["key"].lower() if part else _word(self.text, position)
            if key not in _KEYS:
                raise self.error(position, f"bad histogram descriptor found: {quote(key)}")
            if part is None:
                raise self.error(position, "missing `:` for histogram descriptor")
            if key in parts:
                raise self.error(position, f'duplicate key "{key}" in histogram')
            if (part["list"] is None) is (key in _LISTS):
                raise self.error(position, f"error parsing {key}")
            parts[key] = part["value"] if part["list"] is None else part["list"]
            position = part.end()
        try:
            return Noted(_histogram(parts), "counter_reset_hint" in parts)
        except (ValueError, KeyError) as error:
            raise self.error(match.start(), f"error parsing a histogram: {error}") from error


def _word(text: str, position: int) -> str:
    match = _WORD.match(text, position)
    return match[0] if match else ""


def _float(text: str) -> float:
    if text.lstrip("+-").startswith("0") and text.lstrip("+-").isdigit():
        return float(int(text, 8)) if set(text.lstrip("+-")) <= set("01234567") else float(text)
    return float(text)


def _histogram(parts: dict[str, str]) -> Histogram:
    lists = {key: [_float(v) for v in parts.get(key, "").split()] for key in _LISTS}
    first, first_negative = int(parts.get("offset", "0")), int(parts.get("n_offset", "0"))
    hint = parts.get("counter_reset_hint", "unknown")
    if hint.lower() not in _HINTS:
        raise ValueError(f"bad histogram descriptor found: {quote(hint)}")
    return Histogram(
        schema=int(parts.get("schema", "0")),
        count=_float(parts.get("count", "0")),
        sum=_float(parts.get("sum", "0")),
        zero_threshold=_float(parts.get("z_bucket_w", "0")),
        zero_count=_float(parts.get("z_bucket", "0")),
        positive={first + n: c for n, c in enumerate(lists["buckets"])},
        negative={first_negative + n: c for n, c in enumerate(lists["n_buckets"])},
        custom_bounds=tuple(lists["custom_values"]),
        reset_hint=_HINTS[hint.lower()],
    )


def _sum(left: Histogram, right: Histogram, sign: int) -> Histogram:
    """Of histograms with the same zero bucket and bounds, the right one's schema not coarser."""
    shift = 0 if left.custom_bounds else right.schema - left.schema

    def buckets(ours: dict[int, float], theirs: dict[int, float]) -> dict[int, float]:
        for index, count in theirs.items():
            into = ((index - 1) >> shift) + 1
            ours[into] = ours.get(into, 0.0) + sign * count
        return ours

    return replace(
        left,
        count=left.count + sign * right.count,
        sum=left.sum + sign * right.sum,
        zero_count=left.zero_count + sign * right.zero_count,
        positive=buckets(dict(left.positive), dict(right.positive)),
        negative=buckets(dict(left.negative), dict(right.negative)),
        reset_hint=left.reset_hint if left.reset_hint == right.reset_hint else ResetHint.UNKNOWN,
    )


def print_histogram(histogram: Histogram) -> str:
    """As it would be written down, without what is zero."""
    parts = [
        (name, value)
        for name, value in (
            ("schema", histogram.schema),
            ("count", histogram.count),
            ("sum", histogram.sum),
            ("z_bucket", histogram.zero_count),
            ("z_bucket_w", histogram.zero_threshold),
        )
        if value
    ]
    texts = [f"{name}:{_shown(value)}" for name, value in parts]
    if histogram.custom_bounds:
        texts.append(f"custom_values:[{' '.join(_shown(b) for b in histogram.custom_bounds)}]")
    hints = {hint: name for name, hint in _HINTS.items()}
    if histogram.reset_hint is not ResetHint.UNKNOWN:
        texts.append(f"counter_reset_hint:{hints[histogram.reset_hint]}")
    for prefix, buckets in (("", histogram.positive), ("n_", histogram.negative)):
        kept = {i: c for i, c in buckets.items() if c}
        if kept:
            first, last = min(kept), max(kept)
            texts += [f"{prefix}offset:{first}"] if first else []
            texts.append(f"{prefix}buckets:[{' '.join(_shown(kept.get(i, 0.0)) for i in range(first, last + 1))}]")
    return f"{{{{{' '.join(texts)}}}}}"


def _shown(value: float) -> str:
    return "NaN" if value != value else repr(value).removesuffix(".0")
