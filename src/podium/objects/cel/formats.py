"""Formats: format.dns1123Label().validate(text) gives the faults of a name, or nothing.

Source: k8s.io/apiserver pkg/cel/library/format.go.
"""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date

from podium.objects import names
from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.times import parse_timestamp
from podium.objects.cel.types import STRING, list_of, opaque, optional_of
from podium.objects.cel.urls import is_url
from podium.objects.cel.values import NONE, Optional

FORMAT = opaque("kubernetes.NamedFormat")
Check = Callable[[str], list[str]]
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


class Format:
    __slots__ = ("check", "name")
    cel_type = FORMAT.name

    def __init__(self, name: str, check: Check) -> None:
        self.name = name
        self.check = check


def _prefix(check: Check) -> Check:
    """A prefix may end with a dash: something follows it."""
    return lambda text: check(text[:-1] + "a" if text.endswith("-") else text)


def _uri(text: str) -> list[str]:
    return [] if is_url(text) else [f'parse "{text}": invalid URI for request']


def _uuid(text: str) -> list[str]:
    return [] if _UUID.fullmatch(text) else ["does not match the UUID format"]


def _byte(text: str) -> list[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ["invalid base64"]
    return []


def _date(text: str) -> list[str]:
    try:
        date.fromisoformat(text)
    except ValueError:
        return ["invalid date"]
    return [] if len(text) == 10 else ["invalid date"]


def _datetime(text: str) -> list[str]:
    try:
        parse_timestamp(text)
    except CelRuntimeError:
        return ["invalid datetime"]
    return []


_CHECKS: dict[str, Check] = {
    "dns1123Label": names.dns_label,
    "dns1123Subdomain": names.dns_subdomain,
    "dns1035Label": names.dns_1035_label,
    "qualifiedName": names.label_key,
    "dns1123LabelPrefix": _prefix(names.dns_label),
    "dns1123SubdomainPrefix": _prefix(names.dns_subdomain),
    "dns1035LabelPrefix": _prefix(names.dns_1035_label),
    "labelValue": names.label_value,
    "uri": _uri,
    "uuid": _uuid,
    "byte": _byte,
    "date": _date,
    "datetime": _datetime,
}
FORMATS = {name: Format(name, check) for name, check in _CHECKS.items()}


def _named(name: str) -> Optional:
    return Optional(FORMATS[name]) if name in FORMATS else NONE


def _validate(form: Format, text: str) -> Optional:
    faults = form.check(text)
    return Optional(faults) if faults else NONE


def _constant(form: Format) -> Callable[[], Format]:
    return lambda: form


OVERLOADS: list[Overload] = [
    plain("format.named", (STRING,), optional_of(FORMAT), _named),
    member("validate", (FORMAT, STRING), optional_of(list_of(STRING)), _validate, costs.Cost(
        None, lambda a: 1 + 8 * costs.tenth(len(a[1]) + 1), lambda s: (s[1].size.plus(costs.ONE).tenths(8).plus(costs.ONE), None)
    )),
    *(plain(f"format.{name}", (), FORMAT, _constant(form)) for name, form in FORMATS.items()),
]  # fmt: skip
TYPES = (FORMAT,)
