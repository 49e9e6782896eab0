"""The functions that templates of alerts and consoles have beyond Go's own.

Numbers come as floats or as texts that are numbers. What cannot be computed is refused with FunctionError, in upstream's words.

Source: Prometheus' documentation, "Template reference".
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus

from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.promql.durations import parse_duration
from podium.telemetry.metrics.templates.errors import FunctionError
from podium.telemetry.metrics.templates.printf import sprintf
from podium.telemetry.metrics.templates.replacing import Replacement, group_number
from podium.telemetry.metrics.templates.values import Safe

SI_LARGE, SI_SMALL = ("k", "M", "G", "T", "P", "E", "Z", "Y"), ("m", "u", "n", "p", "f", "a", "z", "y")
BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")


class LabelMap(dict[str, str]):
    """Labels as a template sees them: a label that is not there is empty."""

    template_type = "map[string]string"
    template_missing = ""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """One series of what `query` found."""

    labels: LabelMap
    value: float
    template_type: ClassVar[str] = "*template.sample"
    template_names: ClassVar[dict[str, str]] = {"Labels": "labels", "Value": "value"}


Query = Callable[[str], list[tuple[Labels, float]]]
"""An instant query of now. Raises MetricsError."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What functions need to know beyond their arguments."""

    query: Query
    time_s: float
    external_url: str = ""

    def functions(self) -> dict[str, Callable[..., Any]]:
        return {**FUNCTIONS, "query": self._query, "externalURL": self._external_url, "pathPrefix": self._path_prefix, "now": self._now}

    def _query(self, text: str) -> list[QueryResult]:
        try:
            return [QueryResult(LabelMap(labels), value) for labels, value in self.query(text)]
        except Exception as error:
            raise FunctionError(str(error)) from error

    def _external_url(self) -> str:
        return self.external_url

    def _path_prefix(self) -> str:
        return "/" + self.external_url.partition("://")[2].partition("/")[2] if "/" in self.external_url.partition("://")[2] else ""

    def _now(self) -> float:
        return self.time_s


def number(value: Any) -> float:
    """Raises FunctionError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise FunctionError(f"can't convert {type(value).__name__} to float")
    try:
        return float(value)
    except ValueError as error:
        raise FunctionError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from error


def _short(value: float) -> str:
    return sprintf("%.4g", (value,))


def humanize(value: Any) -> str:
    v = number(value)
    if v == 0 or not math.isfinite(v):
        return _short(v)
    if abs(v) >= 1:
        return _scaled(v, 1000, SI_LARGE)
    return _enlarged(v)


def humanize_1024(value: Any) -> str:
    v = number(value)
    return _short(v) if abs(v) <= 1 or not math.isfinite(v) else _scaled(v, 1024, BINARY)


def _scaled(v: float, base: int, prefixes: tuple[str, ...]) -> str:
    prefix = ""
    for name in prefixes:
        if abs(v) < base:
            break
        prefix, v = name, v / base
    return _short(v) + prefix


def _enlarged(v: float) -> str:
    prefix = ""
    for name in SI_SMALL:
        if abs(v) >= 1:
            break
        prefix, v = name, v * 1000
    return _short(v) + prefix


def humanize_duration(value: Any) -> str:
    v = number(value)
    if not math.isfinite(v):
        return _short(v)
    if abs(v) < 1:
        return f"{_short(v) if v == 0 else _enlarged(v)}s"
    sign, v = ("-", -v) if v < 0 else ("", v)
    whole = int(v)
    seconds, minutes, hours, days = whole % 60, whole // 60 % 60, whole // 3600 % 24, whole // 86400
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{_short(v)}s"


def humanize_percentage(value: Any) -> str:
    return _short(number(value) * 100) + "%"


def humanize_timestamp(value: Any) -> str:
    v = number(value)
    return _short(v) if not math.isfinite(v) else str(to_time(v))


@dataclass(frozen=True, slots=True)
class Time:
    """A moment as Go's time.Time, with the methods that templates use."""

    moment: datetime
    template_type: ClassVar[str] = "*time.Time"
    template_names: ClassVar[dict[str, str]] = {
        "Unix": "unix", "Year": "year", "Month": "month", "Day": "day", "Hour": "hour", "Minute": "minute", "Second": "second",
    }  # fmt: skip
    template_string: ClassVar[str] = "__str__"

    def __str__(self) -> str:
        fraction = f".{self.moment.microsecond // 1000:03d}".rstrip("0").rstrip(".") if self.moment.microsecond else ""
        return f"{self.moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"

    def unix(self) -> int:
        return int(self.moment.timestamp())

    def year(self) -> int:
        return self.moment.year

    def month(self) -> str:
        return f"{self.moment:%B}"

    def day(self) -> int:
        return self.moment.day

    def hour(self) -> int:
        return self.moment.hour

    def minute(self) -> int:
        return self.moment.minute

    def second(self) -> int:
        return self.moment.second


def to_time(value: Any) -> Time:
    v = number(value)
    try:
        return Time(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=math.floor(v * 1000)))
    except (OverflowError, ValueError) as error:
        raise FunctionError(f"{v:g} cannot be represented as a nanoseconds timestamp since it overflows int64") from error


def duration_seconds(text: str) -> float:
    try:
        return parse_duration(text) / 1000
    except ValueError as error:
        raise FunctionError(str(error)) from error


def first(results: list[QueryResult]) -> QueryResult:
    if not results:
        raise FunctionError("first() called on vector with no elements")
    return results[0]


def sort_by_label(name: str, results: list[QueryResult]) -> list[QueryResult]:
    return sorted(results, key=lambda r: r.labels.get(name, ""))


def _expression(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise FunctionError(f"error parsing regexp: {error}") from error


def match(pattern: str, text: str) -> bool:
    return _expression(pattern).search(text) is not None


def replace_all(pattern: str, replacement: str, text: str) -> str:
    """Go's ReplaceAllString: `$1` and `${name}` in the replacement."""
    compiled = _expression(pattern)
    return str(compiled.sub(Replacement(replacement, _group).of, text))


def _group(found: Any, name: str) -> str:
    try:
        number = group_number(name)
        return found.group(number if number >= 0 else name) or ""
    except (IndexError, KeyError, ValueError):
        return ""


def title(text: str) -> str:
    """The first letter of every word, and nothing else, is changed."""
    return re.sub(r"(?<![\w'])\w", lambda found: found[0].upper(), text)


def strip_port(host_port: str) -> str:
    host, colon, _ = host_port.rpartition(":")
    if not colon or (host.count(":") and not host.startswith("[")):
        return host_port
    return host.removeprefix("[").removesuffix("]")


def strip_domain(host_port: str) -> str:
    host = strip_port(host_port)
    try:
        ip_address(host)
    except ValueError:
        short = host.partition(".")[0]
        return short + host_port[len(host) :] if host_port.startswith(host) else short
    return host_port


def arguments(*values: Any) -> dict[str, Any]:
    return {f"arg{i}": value for i, value in enumerate(values)}


def _link(expression: str, tab: int) -> str:
    return f"/graph?g0.expr={quote_plus(expression)}&g0.tab={tab}"


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "first": first,
    "label": lambda name, result: result.labels.get(name, ""),
    "value": lambda result: result.value,
    "strvalue": lambda result: result.labels.get("__value__", ""),
    "sortByLabel": sort_by_label,
    "humanize": humanize,
    "humanize1024": humanize_1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "humanizeTimestamp": humanize_timestamp,
    "toTime": to_time,
    "parseDuration": duration_seconds,
    "title": title,
    "toUpper": lambda text: str(text).upper(),
    "toLower": lambda text: str(text).lower(),
    "stripPort": strip_port,
    "stripDomain": strip_domain,
    "match": match,
    "reReplaceAll": replace_all,
    "graphLink": lambda expression: _link(expression, 0),
    "tableLink": lambda expression: _link(expression, 1),
    "args": arguments,
    "safeHtml": lambda text: Safe(str(text)),
    "urlQueryEscape": lambda text: quote(str(text), safe=""),
}
