"""The parameters of a request, from its query and its form body, and what their texts mean.

Times are seconds since 1970 with a fraction, or RFC 3339; durations seconds with a fraction, or PromQL's (5m, 1h30m). Both are milliseconds
inside. Where `minTime` and `maxTime` are asked for (upstream's smallest and largest times, by some clients' defaults), they mean no bound.

Source: Prometheus' HTTP API, "Format overview".
"""

import math
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs

from podium.telemetry.metrics.labels import Matcher
from podium.telemetry.metrics.promql.durations import parse_duration
from podium.telemetry.metrics.promql.errors import ParseError
from podium.telemetry.metrics.promql.parser import parse_selector
from podium.telemetry.metrics.server.errors import ApiError, bad_parameter
from podium.world.http_messages import HttpRequest

FORM = "application/x-www-form-urlencoded"
TIME_MS_MIN, TIME_MS_MAX = -(2**53), 2**53
"""Beyond them a millisecond is not exact in JSON."""
NAMES_MAX = 10_000
"""Parameters of one form."""


@dataclass(frozen=True, slots=True)
class Parameters:
    values: dict[str, list[str]]

    @classmethod
    def of(cls, request: HttpRequest) -> "Parameters":
        """Of the form first, then of the query, as Go's ParseForm. Raises ApiError for a form that is none."""
        values = {name: list(texts) for name, texts in request.query.items()}
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method in ("POST", "PUT", "PATCH") and kind == FORM and request.body:
            try:
                form = parse_qs(request.body.decode(), keep_blank_values=True, max_num_fields=NAMES_MAX)
            except (ValueError, UnicodeDecodeError) as error:
                raise ApiError("bad_data", f"error parsing form values: {error}") from error
            for name, texts in form.items():
                values[name] = texts + values.get(name, [])
        return cls(values)

    def text(self, name: str) -> str:
        """The first value, '' without one."""
        return (self.values.get(name) or [""])[0]

    def texts(self, *names: str) -> list[str]:
        return [text for name in names for text in self.values.get(name, [])]

    def time_ms(self, name: str, default_ms: int | None = None) -> int:
        text = self.text(name)
        if not text:
            if default_ms is None:
                raise bad_parameter(name, 'cannot parse "" to a valid timestamp')
            return default_ms
        return parse_time_ms(name, text)

    def duration_ms(self, name: str, default_ms: int | None = None) -> int:
        text = self.text(name)
        if not text:
            if default_ms is None:
                raise bad_parameter(name, 'cannot parse "" to a valid duration')
            return default_ms
        return parse_duration_ms(name, text)

    def boolean(self, name: str) -> bool:
        """As Go reads one; false when it is not given."""
        text = self.text(name).lower()
        if text not in ("", "1", "t", "true", "0", "f", "false"):
            raise bad_parameter(name, f'error converting {name}: strconv.ParseBool: parsing "{text}": invalid syntax')
        return text in ("1", "t", "true")

    def limit(self) -> int:
        """0: none."""
        text = self.text("limit")
        if not text:
            return 0
        if not text.isascii() or not text.removeprefix("-").isdigit():
            raise bad_parameter("limit", f'strconv.Atoi: parsing "{text}": invalid syntax')
        if int(text) < 0:
            raise bad_parameter("limit", "limit must be non-negative")
        return int(text)

    def selectors(self, name: str = "match[]") -> list[tuple[Matcher, ...]]:
        """One set of matchers a parameter; each must have a matcher that does not match the empty string."""
        found = []
        for text in self.texts(name):
            try:
                matchers = parse_selector(text)
            except ParseError as error:
                raise bad_parameter(name, str(error)) from error
            if all(m.matches("") for m in matchers):
                raise bad_parameter(name, "match[] must contain at least one non-empty matcher")
            found.append(matchers)
        return found


def parse_time_ms(name: str, text: str) -> int:
    """Raises ApiError."""
    try:
        seconds = float(text) if "_" not in text else math.nan
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise bad_parameter(name, f'cannot parse "{text}" to a valid timestamp') from None
        seconds = moment.timestamp()
    if not math.isfinite(seconds):
        raise bad_parameter(name, f'cannot parse "{text}" to a valid timestamp')
    return max(TIME_MS_MIN, min(TIME_MS_MAX, round(seconds * 1000)))


def parse_duration_ms(name: str, text: str) -> int:
    """Raises ApiError."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            return parse_duration(text)
        except ValueError as error:
            raise bad_parameter(name, f'cannot parse "{text}" to a valid duration') from error
    if not math.isfinite(seconds) or abs(seconds) * 1000 > TIME_MS_MAX:
        raise bad_parameter(name, f'cannot parse "{text}" to a valid duration. It overflows int64')
    return round(seconds * 1000)
