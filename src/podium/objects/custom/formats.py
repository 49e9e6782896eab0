"""Formats of strings: what `format: NAME` in a schema demands. Formats that are not in the table demand nothing.

Source: k8s.io/kube-openapi pkg/validation/strfmt/default.go; apiextensions-apiserver pkg/apiserver/validation/formats.go (which are supported).
"""

import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from urllib.parse import urlsplit

from podium.objects import names

Check = Callable[[str], bool]

_LABEL = r"[a-zA-Z0-9\u00a0-\uffff]([a-zA-Z0-9\u00a0-\uffff-]{0,61}[a-zA-Z0-9\u00a0-\uffff])?"
_HOST = rf"({_LABEL}\.)*({_LABEL})\.?"
_HOST_CHARS_MAX = 255
_UUID = r"[0-9a-fA-F]{{8}}-?[0-9a-fA-F]{{4}}-?{0}[0-9a-fA-F]{{3}}-?{1}[0-9a-fA-F]{{3}}-?[0-9a-fA-F]{{12}}"
_VARIANT = "[89abAB]"
_DURATION_GO = r"[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*|[-+]?0"
_DURATION_WORDS = (
    r"(\d+)\s*(ns|nano|us|µs|micro|ms|milli|s|sec|m|min|h|hr|hour|d|day|w|week|wk|nanos|micros|millis|secs|mins|hrs|hours|days|weeks|wks|"
    r"nanosecond|microsecond|millisecond|second|minute|nanoseconds|microseconds|milliseconds|seconds|minutes)"
)
_DATE_TIME = r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)([.,]\d+)?([Zz]|[+-]\d\d:?\d\d)"
_EMAIL = r"[^@\s<>()\[\]\\,;:\"]+@[^@\s<>()\[\]\\,;:\"]+"
_CARD = (
    r"(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|"
    r"3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})"
)
_PAIR, _COLOR = "[0-9a-fA-F]{2}", r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*"
_MAC = rf"{_PAIR}(([:-]){_PAIR})(\2{_PAIR}){{4}}((\1{_PAIR}){{2}})?|([0-9a-fA-F]{{4}}\.){{2,3}}[0-9a-fA-F]{{4}}"
_LONG_NAME_CHARS_MAX = 253


def _matches(pattern: str) -> Check:
    """Compiled (and remembered) by `re` when first asked: some of these patterns take milliseconds, and few clusters use them."""
    return lambda text: re.fullmatch(pattern, text) is not None


def _address(version: int) -> Check:
    cls = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address

    def check(text: str) -> bool:
        try:
            cls(text)
        except ValueError:
            return False
        return "%" not in text

    return check


def _cidr(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "/" in text and text.rpartition("/")[2].isdecimal()


def _uri(text: str) -> bool:
    """An absolute URI, or a path from the root (Go's url.ParseRequestURI)."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return not re.search(r"[\x00-\x20\x7f]", text) and (bool(parts.scheme and (parts.netloc or parts.path)) or text.startswith("/"))


def _date(text: str) -> bool:
    try:
        return len(text) == 10 and date.fromisoformat(text) is not None
    except ValueError:
        return False


def _date_time(text: str) -> bool:
    match = re.fullmatch(_DATE_TIME, text)
    return match is not None and _date(match[1]) and int(match[2]) < 24 and int(match[3]) < 60 and int(match[4]) < 61


def _byte(text: str) -> bool:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except (ValueError, UnicodeError):
        return False
    return True


def _hostname(text: str) -> bool:
    return 0 < len(text) <= _HOST_CHARS_MAX and re.fullmatch(_HOST, text) is not None


def _isbn10(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if re.fullmatch(r"\d{9}[\dX]", digits) is None:
        return False
    return sum((i + 1) * (10 if c == "X" else int(c)) for i, c in enumerate(digits)) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    return re.fullmatch(r"\d{13}", digits) is not None and sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(digits)) % 10 == 0


def _duration(text: str) -> bool:
    return re.fullmatch(_DURATION_GO, text) is not None or re.fullmatch(_DURATION_WORDS, text.strip()) is not None


_FORMATS: Mapping[str, Check] = {
    "bsonobjectid": _matches("[0-9a-fA-F]{24}"),
    "uri": _uri,
    "email": _matches(_EMAIL),
    "hostname": _hostname,
    "ipv4": _address(4),
    "ipv6": _address(6),
    "cidr": _cidr,
    "mac": _matches(_MAC),
    "uuid": _matches(_UUID.format("[0-9a-fA-F]", "[0-9a-fA-F]")),
    "uuid3": _matches(_UUID.format("3", "[0-9a-fA-F]")),
    "uuid4": _matches(_UUID.format("4", _VARIANT)),
    "uuid5": _matches(_UUID.format("5", _VARIANT)),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": lambda text: re.fullmatch(_CARD, re.sub(r"[^0-9]+", "", text)) is not None,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matches(rf"rgb\({_COLOR},{_COLOR},{_COLOR}\)"),
    "byte": _byte,
    "password": lambda text: True,
    "date": _date,
    "duration": _duration,
    "datetime": _date_time,
    "date-time": _date_time,
    "k8s-short-name": lambda text: not names.dns_label(text),
    "k8s-long-name": lambda text: len(text) <= _LONG_NAME_CHARS_MAX and not names.dns_subdomain(text),
}  # fmt: skip


def format_check(name: str) -> Check | None:
    """None for a format that demands nothing."""
    return _FORMATS.get(name.replace("-", "") if name not in _FORMATS else name)
