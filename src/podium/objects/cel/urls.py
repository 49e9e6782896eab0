"""URLs: url('https://example.com:80/a?b=c') and its parts.

Source: k8s.io/apiserver pkg/cel/library/urls.go; Go's url.ParseRequestURI (an absolute URI or an absolute path, no fragment).
"""

import re
from typing import Any
from urllib.parse import parse_qs, unquote

from podium.objects.cel import costs
from podium.objects.cel.errors import CelRuntimeError
from podium.objects.cel.overloads import Overload, member, plain
from podium.objects.cel.types import BOOL, STRING, list_of, map_of, opaque

URL = opaque("kubernetes.URL")

_URI = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?]*))?([^?]*)(?:\?(.*))?", re.DOTALL)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?:[^@]*@)?(\[[0-9A-Fa-f:.%A-Za-z0-9]*\]|[^:\[\]]*)(?::([0-9]*))?")
_BAD_HOST = re.compile(r'[ "<>\\^`{|}]')


class Url:
    """`host` with the port, as written."""

    __slots__ = ("host", "host_name", "path", "port", "query", "scheme", "text")
    cel_type = URL.name

    def __init__(self, text: str) -> None:
        fault = CelRuntimeError(f"URL parse error during conversion from string: parse {text!r}: invalid URI for request")
        match = _URI.fullmatch(text)
        if not text or match is None or _CONTROL.search(text):
            raise fault
        scheme, authority, path, query = match.groups()
        if not scheme and not text.startswith("/"):
            raise fault
        if (scheme and authority is None and not path.startswith("/")) or _BAD_PERCENT.search(path):
            raise fault
        host = _HOST.fullmatch(authority or "")
        if host is None or _BAD_HOST.search(authority or ""):
            raise fault
        self.text = text
        self.scheme = (scheme or "").lower()
        self.host = (authority or "").rpartition("@")[2]
        self.host_name = host[1].removeprefix("[").removesuffix("]")
        self.port = host[2] or ""
        self.path = path
        self.query = query or ""

    def __len__(self) -> int:
        """For costs."""
        return len(self.text)

    def __eq__(self, other: object) -> bool:
        return type(other) is Url and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def values(self) -> dict[str, list[str]]:
        try:
            return parse_qs(self.query, keep_blank_values=True, max_num_fields=10_000)
        except ValueError:
            return {}


def is_url(text: str) -> bool:
    try:
        Url(text)
    except CelRuntimeError:
        return False
    return True


def _escaped_path(url: Any) -> str:
    return str(url.path) if unquote(url.path) != url.path else _escape(url.path)


def _escape(path: str) -> str:
    from urllib.parse import quote

    return quote(path, safe="/:@!$&'()*+,;=~-._[]")


OVERLOADS: list[Overload] = [
    plain("url", (STRING,), URL, Url, costs.TRAVERSAL),
    plain("isURL", (STRING,), BOOL, is_url, costs.TRAVERSAL),
    member("getScheme", (URL,), STRING, lambda u: u.scheme),
    member("getHost", (URL,), STRING, lambda u: u.host),
    member("getHostname", (URL,), STRING, lambda u: u.host_name),
    member("getPort", (URL,), STRING, lambda u: u.port),
    member("getEscapedPath", (URL,), STRING, _escaped_path),
    member("getQuery", (URL,), map_of(STRING, list_of(STRING)), lambda u: u.values(), costs.TRAVERSAL),
]
TYPES = (URL,)
