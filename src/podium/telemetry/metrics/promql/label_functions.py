"""Functions that look at labels: label_replace, label_join, sort*, absent, and natural order.

label_replace and label_join work on distinct values, not on series: thousands of series with ten values cost ten matches.

Source: Prometheus' functions; natural order as the natsort package that upstream uses: runs of digits compare as numbers.
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from podium.telemetry.metrics.labels import METRIC_NAME, LabelColumn, LabelColumns, Labels, Matcher, MatchType, compile_anchored
from podium.telemetry.metrics.promql.errors import EvaluationError
from podium.telemetry.metrics.promql.frames import Frame, Indices
from podium.telemetry.metrics.promql.grouping import distinct_texts, set_column, set_label, texts
from podium.telemetry.metrics.promql.naming import merged
from podium.telemetry.metrics.promql.syntax import Expression, MatrixSelector, VectorSelector

_REFERENCE = re.compile(r"\$(?:\$|([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})")
"""What Go's Regexp.Expand takes for a reference; a name is as long as it can be."""


Room = Callable[[int], None]
"""Is told how many characters are about to be made, and raises when they are too many."""


def label_replace(frame: Frame, target: str, replacement: str, source: str, expression: str, room: Room) -> Frame:
    """Raises EvaluationError, and what `room` does."""
    try:
        pattern = compile_anchored(expression)
    except ValueError:
        raise EvaluationError(f"invalid regular expression in label_replace(): {expression}") from None
    if not valid_label_name(target):
        raise EvaluationError(f"invalid destination label name in label_replace(): {target}")
    words, which = distinct_texts(frame.labels, source)
    made = [expand(pattern, replacement, word, room) for word in words]
    if all(text is None for text in made):
        return frame
    matched = np.array([text is not None for text in made])[which]
    table: dict[str, int] = {"": 0}
    codes = np.array([table.setdefault(text or "", len(table)) for text in made], np.int32)[which]
    if not matched.all():
        before, of_row = distinct_texts(frame.labels, target)
        old = np.array([table.setdefault(text, len(table)) for text in before], np.int32)[of_row]
        codes = np.where(matched, codes, old).astype(np.int32)
    return _relabelled(frame, set_column(frame.labels, target, LabelColumn(codes, list(table))), target, matched)


def label_join(frame: Frame, target: str, separator: str, sources: Sequence[str], room: Room) -> Frame:
    """Raises EvaluationError, and what `room` does."""
    for source in sources:
        if not valid_label_name(source):
            raise EvaluationError(f"invalid source label name in label_join(): {source}")
    if not valid_label_name(target):
        raise EvaluationError(f"invalid destination label name in label_join(): {target}")
    columns = [texts(frame.labels, source) for source in sources]
    room(sum(sum(map(len, column)) for column in columns) + len(separator) * frame.rows * max(0, len(columns) - 1))
    joined = [separator.join(row) for row in zip(*columns, strict=True)] if columns else [""] * frame.rows
    return _relabelled(frame, set_label(frame.labels, target, joined), target, np.ones(frame.rows, np.bool_))


def _relabelled(frame: Frame, labels: LabelColumns, target: str, changed: Any) -> Frame:
    drops = frame.drop_name
    if target == METRIC_NAME and drops is not None:
        drops = drops & ~changed  # a name that was just given stays
    return merged(replace(frame, labels=labels, drop_name=drops))


def valid_label_name(name: str) -> bool:
    """UTF-8 throughout; what no UTF-8 decodes to is refused."""
    return bool(name) and "\ufffd" not in name and not any(0xD800 <= ord(c) < 0xE000 for c in name)


def expand(pattern: Any, replacement: str, text: str, room: Room) -> str | None:
    """The replacement with $1, ${name}, $$ filled in; None when the text does not match. Raises what `room` does."""
    match = pattern.fullmatch(text)
    if match is None:
        return None
    if "$" not in replacement:
        return replacement
    groups = {str(n): g or "" for n, g in enumerate((match.group(0), *match.groups()))}
    groups |= {name: value or "" for name, value in match.groupdict().items()}
    room(len(replacement) + sum(len(groups.get(name or braced, "")) for name, braced in _REFERENCE.findall(replacement)))

    def fill(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        return groups.get(name, "") if name else "$"

    return _REFERENCE.sub(fill, replacement)


def sorted_by_value(frame: Frame, *, descending: bool) -> Frame:
    """Of one step: by value, NaN last. Histograms are left out."""
    frame = replace(frame, histograms={}).pruned()
    values = frame.values[:, 0]
    keys = -values if descending else values
    return frame.take(np.lexsort((keys, np.isnan(values))))


def sorted_by_labels(frame: Frame, names: Sequence[str], *, descending: bool) -> Frame:
    """By the values of the labels in natural order, then by all labels."""
    rows = frame.labels.rows()
    keyed = [[dict(row).get(name, "") for name in names] for row in rows]

    def compare(left: int, right: int) -> int:
        for a, b in zip(keyed[left], keyed[right], strict=True):
            if a != b:
                return -1 if natural_less(a, b) else 1
        return -1 if rows[left] < rows[right] else 1 if rows[left] > rows[right] else 0

    order = sorted(range(len(rows)), key=functools.cmp_to_key(compare), reverse=descending)
    return frame.take(np.array(order, np.int64))


_CHUNK = re.compile(r"([0-9]+|[^0-9]+)")
_DIGITS = frozenset("0123456789")


def natural_less(left: str, right: str) -> bool:
    """Whether `left` comes first: text compares as text, runs of digits as numbers (then by their zeros)."""
    a, b = _CHUNK.findall(left), _CHUNK.findall(right)
    for x, y in zip(a, b, strict=False):
        if x[0] in _DIGITS and y[0] in _DIGITS:
            number, other = x.lstrip("0"), y.lstrip("0")  # of any length: they are compared as texts
            if number != other:
                return (len(number), number) < (len(other), other)
            if len(x) != len(y):
                return len(x) < len(y)
        elif x != y:
            return x < y
    return len(a) < len(b)


def sorted_rows(frame: Frame) -> Indices:
    rows = frame.labels.rows()
    return np.array(sorted(range(len(rows)), key=rows.__getitem__), np.int64)


def absent_labels(node: Expression) -> Labels:
    """What absent() can say of the series that is not there: labels the selector asks for by one equality each."""
    if isinstance(node, MatrixSelector):
        node = node.selector
    if not isinstance(node, VectorSelector):
        return ()
    found: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in _label_matchers(node.matchers):
        if matcher.type is MatchType.EQUAL and matcher.name not in seen:
            found[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            found.pop(matcher.name, None)
    return tuple(sorted((n, v) for n, v in found.items() if v))


def _label_matchers(matchers: Sequence[Matcher]) -> list[Matcher]:
    return [m for m in matchers if m.name != METRIC_NAME]
