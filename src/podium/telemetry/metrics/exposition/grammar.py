"""Lines of the two text formats: what a sample line and a metadata line look like, and what is on them.

A sample line is split in two: its head (series, up to the number) and its tail (number, time, exemplar). Heads stay the same from scrape to
scrape, which is what `layout.py` lives on. The patterns are possessive: linear in the line, whatever is on it.

Deviations from upstream's lexers, on purpose: a line feed within a quoted label value is refused in both formats (it has to be escaped in both), and
white space before a name is no part of it. Like upstream, the Prometheus format does without commas between labels.

Source: Prometheus' text-based format 0.0.4; OpenMetrics 1.0, ABNF; quoted names as in Prometheus' UTF-8 proposal.
"""

import enum
import re
from dataclasses import dataclass
from itertools import pairwise

from podium.telemetry.metrics.exposition.errors import PageError, quoted
from podium.telemetry.metrics.exposition.numbers import format_label_number, parse_number
from podium.telemetry.metrics.labels import METRIC_NAME, Labels

Pair = tuple[str, str]


class TextFormat(enum.Enum):
    PROMETHEUS = "text/plain"
    OPENMETRICS = "application/openmetrics-text"


_NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_LABEL = rb"[a-zA-Z_][a-zA-Z0-9_]*+"
_QUOTED = rb'"(?:[^"\\\n]|\\.)*+"'
_SPACE = rb"[ \t]*+"
_LINE_FEED = b"\n"


def _braces(space: bytes) -> bytes:
    item = rb"(?:%b%b=%b%b|%b(?:%b=%b%b)?+)%b" % (_LABEL, space, space, _QUOTED, _QUOTED, space, space, _QUOTED, space)
    after = rb"(?:,%b)?+" % space if space else rb"(?:,|(?=\}))"
    return rb"\{%b(?:%b%b)*+\}" % (space, item, after)


_HEADS = {
    TextFormat.PROMETHEUS: re.compile(rb"%b(?:%b%b)?+(?:%b)?+%b" % (_SPACE, _NAME, _SPACE, _braces(_SPACE), _SPACE)),
    TextFormat.OPENMETRICS: re.compile(rb"(?:%b)?+(?:%b)?+ " % (_NAME, _braces(b""))),
}
_METADATA = {
    TextFormat.PROMETHEUS: re.compile(rb"%b#[ \t]++(HELP|TYPE)[ \t]++(?:(%b|%b)(?:[ \t](.*+))?+)?+" % (_SPACE, _NAME, _QUOTED)),
    TextFormat.OPENMETRICS: re.compile(rb"# (HELP|TYPE|UNIT) (?:(%b|%b) (.*+))?+" % (_NAME, _QUOTED)),
}
_PROMETHEUS_TAIL = re.compile(rb"[ \t]*+([^ \t{]++)(?:[ \t]++(-?[0-9]++))?+[ \t]*+")
_OPENMETRICS_TAIL = re.compile(rb"([^ ]++)(?: ([^ #][^ ]*+))?+(?: # (%b) ([^ ]++)(?: ([^ ]++))?+)?+" % _braces(b""))
_ITEM = re.compile(r'(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\]|\\.)*)")[ \t]*(?:(=)[ \t]*"((?:[^"\\]|\\.)*)")?[ \t]*[,}]?')
_PLAIN_ITEM = re.compile(r'[{,][ \t]*([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*)"')
NUMERIC_LABELS = {"histogram": "le", "summary": "quantile"}
_NAME_OF_HEAD = re.compile(r"[ \t]*([a-zA-Z_:][a-zA-Z0-9_:]*)?")

TYPES = {
    TextFormat.PROMETHEUS: {b"counter": "counter", b"gauge": "gauge", b"histogram": "histogram", b"summary": "summary", b"untyped": "unknown"},
    TextFormat.OPENMETRICS: {
        name.encode(): name for name in ("counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown")
    },
}  # fmt: skip

_ESCAPE = re.compile(r'\\(["\\n])')
_HELP_ESCAPE = re.compile(r"\\([\\n])")


@dataclass(frozen=True, slots=True)
class MetadataLine:
    keyword: str  # HELP, TYPE or UNIT
    family: str
    text: str  # TYPE: one of storage.Metadata's types


@dataclass(frozen=True, slots=True)
class Tail:
    """Texts as on the line; empty where absent. `exemplar` is in braces."""

    value: bytes
    time: bytes = b""
    exemplar: bytes = b""
    exemplar_value: bytes = b""
    exemplar_time: bytes = b""


def head_length(line: bytes, form: TextFormat, number: int) -> int:
    """Bytes before the value. Raises PageError for a line that is no sample."""
    match = _HEADS[form].match(line)
    if match is None or match.end() == 0 or not match.group().strip():
        raise PageError(_complaint(line, form), number)
    end = match.end()
    if end == len(line) or (form is TextFormat.PROMETHEUS and line[end - 1] not in b" \t}"):
        raise PageError(_complaint(line, form), number)
    return end


def _complaint(line: bytes, form: TextFormat) -> str:
    """What is wrong with a sample line, in about upstream's words."""
    space = _SPACE if form is TextFormat.PROMETHEUS else b""
    named = re.match(space + _NAME, line)
    at = named.end() if named else 0
    text = f"while parsing: {quoted(line)}"
    if not named and not re.match(space + rb"\{", line):
        return f"expected a valid start token, got {quoted(line[:1] or _LINE_FEED)} {text}"
    rest = line[at:].lstrip(b" \t") if form is TextFormat.PROMETHEUS else line[at:]
    if not rest.startswith(b"{"):
        return f"expected value after metric, got {quoted(rest[:1] or _LINE_FEED)} {text}"
    if re.match(_braces(space), rest):
        return f"expected value after metric {text}"
    return f"expected label name, equal sign, quoted label value, comma or closing brace {text}"


def metadata_of(line: bytes, form: TextFormat, number: int) -> MetadataLine | None:
    """None for another comment. Raises PageError, also for a comment in OpenMetrics, which has none."""
    match = _METADATA[form].fullmatch(line)
    if match is None:
        if form is TextFormat.OPENMETRICS:
            if keyword := re.match(rb"# (HELP|TYPE|UNIT) (.*)", line):
                wanted = "text in" if re.match(_NAME, keyword[2]) else "metric name after"
                raise PageError(f"expected {wanted} {keyword[1].decode()}, got {quoted(keyword[2])} while parsing: {quoted(line)}", number)
            raise PageError(f"expected a valid start token while parsing: {quoted(line)}", number)
        if keyword := re.match(rb"[ \t]*#[ \t]+(HELP|TYPE)[ \t]", line):
            raise PageError(f"expected metric name after {keyword[1].decode()} while parsing: {quoted(line)}", number)
        return None
    keyword_text, name, text = match.group(1).decode(), match.group(2), match.group(3) or b""
    if name is None:
        raise PageError(f"expected metric name after {keyword_text} while parsing: {quoted(line)}", number)
    family = _unescape(name[1:-1].decode()) if name.startswith(b'"') else name.decode()
    if keyword_text == "TYPE":
        kind = TYPES[form].get(text if form is TextFormat.OPENMETRICS else text.lstrip(b" \t"))
        if kind is None:
            raise PageError(f"invalid metric type {quoted(text)}", number)
        return MetadataLine(keyword_text, family, kind)
    if keyword_text == "UNIT":
        unit = text.decode()
        if unit and not family.endswith("_" + unit):
            raise PageError(f'unit {quoted(text)} not a suffix of metric "{family}"', number)
        return MetadataLine(keyword_text, family, unit)
    pattern = _ESCAPE if form is TextFormat.OPENMETRICS else _HELP_ESCAPE
    return MetadataLine(keyword_text, family, pattern.sub(_escaped, text.decode()))


def tail_of(text: bytes, form: TextFormat) -> Tail:
    """Of a sample line from the value on. Raises ValueError without a place."""
    if form is TextFormat.PROMETHEUS:
        match = _PROMETHEUS_TAIL.fullmatch(text)
        if match is not None:
            return Tail(match[1], match[2] or b"")
    else:
        match = _OPENMETRICS_TAIL.fullmatch(text)
        if match is not None:
            return Tail(match[1], match[2] or b"", match[3] or b"", match[4] or b"", match[5] or b"")
    raise ValueError(f"expected value, timestamp or exemplar and next entry, got {quoted(text)}")


def labels_of_head(head: str, kind: str, interned: dict[Pair, Pair]) -> Labels:
    """The series that a sample line's head names; `kind` is the type of the family before it, for the canonical form of le and quantile.

    `interned` makes equal pairs one object. Raises ValueError (without a place) for a missing name or a label given twice.
    """
    found = _PLAIN_ITEM.findall(head)
    if "\\" not in head and head.count('"') == 2 * len(found):
        name = head.partition("{")[0].strip(" \t")
    else:
        name, found = _quoted_items(head)
    if not name:
        raise ValueError("metric name not set")
    found.append((METRIC_NAME, name))
    found.sort()
    if len(found) > 1 and len(dict(found)) != len(found):
        twice = next(a for (a, _), (b, _) in pairwise(found) if a == b)
        raise ValueError(f'label name "{twice}" is not unique: invalid sample')
    if numeric := NUMERIC_LABELS.get(kind):
        found = [(n, _canonical(v)) if n == numeric else (n, v) for n, v in found]
    keep = interned.setdefault
    return tuple([keep(pair, pair) for pair in found])


def _quoted_items(head: str) -> tuple[str, list[Pair]]:
    """The name and the labels of a head that has escapes, or names in quotes."""
    match = _NAME_OF_HEAD.match(head)
    assert match is not None  # it matches the empty string
    name = match.group(1) or ""
    found: list[Pair] = []
    for label, quoted_name, equals, value in _ITEM.findall(head, match.end()):
        if equals:
            found.append((label or _unescape(quoted_name), _unescape(value)))
        elif name:
            raise ValueError("metric name already set")
        else:
            name = _unescape(quoted_name)
    return name, found


def _canonical(text: str) -> str:
    number = parse_number(text.encode())
    return text if number is None else format_label_number(number)


def exemplar_labels(braces: str) -> Labels:
    """Raises ValueError for a label without a value or given twice."""
    pairs: dict[str, str] = {}
    for label, quoted_name, equals, value in _ITEM.findall(braces, 1):
        key = label or _unescape(quoted_name)
        if not equals:
            raise ValueError("expected label name in exemplar")
        if key in pairs:
            raise ValueError(f'label name "{key}" of an exemplar is not unique')
        pairs[key] = _unescape(value)
    return tuple(sorted((n, v) for n, v in pairs.items() if v))


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_escaped, text)


def _escaped(match: "re.Match[str]") -> str:
    return "\n" if match[1] == "n" else match[1]
