"""Templates of notifications: the default ones, the user's files over them, and Alertmanager's template functions.

    templates = NotificationTemplates.load(configuration.templates, world.clock)      raises ConfigurationError
    templates.text('{{ template "slack.default.title" . }}', data)                    raises TemplateError
    templates.html(text, data)                                                        with HTML escaping

The defaults have upstream's names (default.tmpl, beside this file), so a file that defines `slack.default.title` changes that one.
Source: upstream's template/template.go for the functions.
"""

import base64
import glob
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus
from zoneinfo import ZoneInfo

from podium.telemetry.metrics.alertmanager.errors import BadMatcher, ConfigurationError
from podium.telemetry.metrics.alertmanager.matchers import compile_regexp
from podium.telemetry.metrics.alertmanager.notification_data import Data, Strings
from podium.telemetry.metrics.templates.errors import FunctionError, TemplateError
from podium.telemetry.metrics.templates.functions import title
from podium.telemetry.metrics.templates.numbers import format_float
from podium.telemetry.metrics.templates.replacing import RESULT_CHARS_MAX, Replacement, group_number
from podium.telemetry.metrics.templates.template import TemplateSet
from podium.telemetry.metrics.templates.times import ZERO, Duration, Time, parse_time
from podium.telemetry.metrics.templates.values import Safe
from podium.world.interface import Clock

FILES_MAX = 1_000
FILE_BYTES_MAX = 1024 * 1024


class NotificationTemplates:
    def __init__(self, templates: TemplateSet) -> None:
        self._templates = templates

    @classmethod
    def load(cls, patterns: tuple[str, ...], clock: Clock) -> "NotificationTemplates":
        """The defaults, then each file of `patterns` (globs that match nothing are allowed). Raises ConfigurationError."""
        templates = TemplateSet(functions(clock), missing_key="zero")
        for name in ("default.tmpl", "email.tmpl"):
            templates.add(name, files(__package__).joinpath(name).read_text())
        paths = [path for pattern in patterns for path in sorted(glob.glob(pattern))]
        if len(paths) > FILES_MAX:
            raise ConfigurationError(f"more than {FILES_MAX} template files")
        for path in paths:
            try:
                if Path(path).stat().st_size > FILE_BYTES_MAX:
                    raise ConfigurationError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
                templates.add(Path(path).name, Path(path).read_text())
            except (TemplateError, OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{path}: {error}") from error
        return cls(templates)

    def text(self, text: str, data: Data) -> str:
        """Raises TemplateError."""
        return self._render(text, data, html=False) if text else ""

    def html(self, text: str, data: Data) -> str:
        """Raises TemplateError."""
        return self._render(text, data, html=True) if text else ""

    def _render(self, text: str, data: Data, *, html: bool) -> str:
        def route_labels(name: str) -> str:
            return data.route_labels.get(name, "")

        return self._templates.render(text, data, {"routeLabels": route_labels}, html=html)

    def route_labels(self, labels: Mapping[str, str], data: Data) -> dict[str, str]:
        """Route labels rendered against a group; a label may use another by `routeLabels`. One that fails is left out.
        A circle of labels is an error of each in it."""
        done: dict[str, str] = {}
        busy: list[str] = []

        def resolve(name: str) -> str:
            if name not in labels or name in done:
                return done.get(name, "")
            if name in busy:
                raise FunctionError(f"route label cycle detected: {' -> '.join([*busy, name])}")
            busy.append(name)
            try:
                done[name] = self._templates.render(labels[name], data, {"routeLabels": resolve})
            finally:
                busy.pop()
            return done[name]

        rendered: dict[str, str] = {}
        for name in labels:
            try:
                rendered[name] = resolve(name)
            except TemplateError:
                continue
        return rendered


def functions(clock: Clock) -> dict[str, Callable[..., Any]]:
    """Alertmanager's own template functions."""

    def now() -> Time:
        return Time(clock.now())

    def since(when: Time) -> Duration:
        return Duration((clock.now() - when.when).total_seconds())

    return {
        "toUpper": _upper, "toLower": _lower, "title": title, "trimSpace": _trim, "join": _join, "match": _match, "safeHtml": _safe_html,
        "safeUrl": _safe_url, "urlUnescape": _url_unescape, "reReplaceAll": _replace_all, "stringSlice": _string_slice, "date": _date,
        "tz": _in_zone, "now": now, "since": since, "humanizeDuration": humanize_duration, "toDate": _to_date, "mustToDate": _must_to_date,
        "toJson": _to_json, "base64encode": _base64_encode, "base64decode": _base64_decode, "list": _list, "append": _append, "dict": _dict,
        "routeLabels": _no_route_label,
    }  # fmt: skip


def _no_route_label(name: str) -> str:
    return ""


def _upper(text: str) -> str:
    return text.upper()


def _lower(text: str) -> str:
    return text.lower()


def _trim(text: str) -> str:
    return text.strip()


def _join(separator: str, parts: list[str]) -> str:
    if sum(map(len, parts)) + len(separator) * len(parts) > RESULT_CHARS_MAX:
        raise FunctionError(f"the result is longer than {RESULT_CHARS_MAX} characters")
    return separator.join(parts)


@lru_cache(maxsize=256)
def _pattern(text: str) -> Any:
    try:
        return compile_regexp(text)
    except BadMatcher as error:
        raise FunctionError(str(error)) from error


def _match(pattern: str, text: str) -> bool:
    return _pattern(pattern).search(text) is not None


def _replace_all(pattern: str, replacement: str, text: str) -> str:
    """`$1` and `${name}` in the replacement stand for groups, as in Go."""
    found = _pattern(pattern)
    names: Mapping[str, int] = found.groupindex

    def group(match: Any, name: str) -> str:
        number = group_number(name)
        index = number if number >= 0 else names.get(name, -1)
        return (match.group(index) or "") if 0 <= index <= match.re.groups else ""

    each = Replacement(replacement, group)
    parts: list[str] = []
    end, copied = -1, 0
    for match in found.finditer(text):
        if match.start() == match.end() == end:
            continue  # Go's: no empty match right after a match
        parts += [text[copied : match.start()], each.of(match)]
        end = copied = match.end()
    return "".join([*parts, text[copied:]])


def _safe_html(text: str) -> Safe:
    return Safe(text, "html")


def _safe_url(text: str) -> Safe:
    return Safe(text, "url")


def _url_unescape(text: str) -> str:
    return unquote_plus(text)


def _string_slice(*parts: str) -> Strings:
    return Strings(parts)


def _date(layout: str, when: Time) -> str:
    return when.format(layout)


def _in_zone(name: str, when: Time) -> Time:
    try:
        return Time(when.when.astimezone(ZoneInfo(name or "UTC")))
    except (KeyError, ValueError, OSError):
        raise FunctionError(f"unknown time zone {name}") from None


def _must_to_date(layout: str, text: str) -> Time:
    """Layouts are Go's; those of numbers, months' and days' names and offsets are understood."""
    try:
        return Time(parse_time(layout, text))
    except ValueError as error:
        raise FunctionError(str(error)) from error


def _to_date(layout: str, text: str) -> Time:
    try:
        return _must_to_date(layout, text)
    except FunctionError:
        return Time(ZERO)


def _base64_encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _base64_decode(text: str) -> str:
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode(errors="surrogateescape")
    except ValueError:
        raise FunctionError("illegal base64 data") from None


def _list(*values: Any) -> list[Any]:
    return list(values)


def _append(items: list[Any], *values: Any) -> list[Any]:
    return [*items, *values]


def _dict(*values: Any) -> dict[str, Any]:
    if len(values) % 2:
        raise FunctionError("dict requires an even number of arguments")
    if not all(isinstance(key, str) for key in values[::2]):
        raise FunctionError("dict keys must be strings")
    return dict(zip(values[::2], values[1::2], strict=True))


def _to_json(value: Any) -> str:
    return go_json(value)


def go_json(value: Any) -> str:
    """encoding/json's output: compact, keys of maps in their order here, <, > and & as \\u00RESULT_CHARS_MAX, Replacement."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plain(value: Any) -> Any:
    if hasattr(type(value), "to_json"):
        return _plain(value.to_json())
    if isinstance(value, Duration):
        return round(value.seconds * 1e9)
    if isinstance(value, dict):
        return {str(key): _plain(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def humanize_duration(value: Any) -> str:
    """Seconds (a number, its text, or a duration): `1d 2h 3m 4s`, `123ms`."""
    if isinstance(value, Duration):
        seconds = value.seconds
    else:
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            raise FunctionError(f"can't convert {type(value).__name__} to float") from None
    if seconds != seconds or seconds in (float("inf"), float("-inf")):
        return format_float(seconds, "g", 4)
    if seconds == 0:
        return "0s"
    prefix = ""
    for smaller in "munpfazy":
        if abs(seconds) >= 1:
            break
        prefix, seconds = smaller, seconds * 1000
    if prefix:
        return f"{format_float(seconds, 'g', 4)}{prefix}s"
    return _long_duration(seconds)


def _long_duration(seconds: float) -> str:
    sign = "-" if seconds < 0 else ""
    seconds = abs(seconds)
    duration = int(seconds)
    days, hours, minutes, rest = duration // 86400, duration // 3600 % 24, duration // 60 % 60, duration % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {rest}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {rest}s"
    if minutes:
        return f"{sign}{minutes}m {rest}s"
    return f"{sign}{format_float(seconds, 'g', 4)}s"
