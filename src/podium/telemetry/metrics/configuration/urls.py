"""Which texts are addresses: those that Go's net/url parses, and its words for the others.

An address that is read from a file and cannot be asked is a mistake of the file's author, and to be told when the file is read. Much that
is no address of a server passes (`abc`, `mailto:a`): upstream takes it too, and says so when it is asked.

Source: RFC 3986; net/url's Parse, whose leniency this has (spaces in paths, anything in a query).
"""

import re

from podium.telemetry.metrics.templates.quoting import quote

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_ASCII_ESCAPE = re.compile(r"%(?!25)[0-7][0-9a-fA-F]")
_NO_HOST_CHARACTER = re.compile(r"[^A-Za-z0-9!$&'()*+,;=:\[\]<>\"._~%\u0080-\U0010ffff-]")
_PORT = re.compile(r"(:[0-9]*)?", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*", re.ASCII)


def check_url(text: str) -> None:
    """Raises ValueError."""
    problem = _problem(text)
    if problem:
        raise ValueError(f"parse {quote(text)}: {problem}")


def _problem(text: str) -> str:
    """Empty: none."""
    if _CONTROL.search(text):
        return "net/url: invalid control character in URL"
    rest, _, fragment = text.partition("#")
    if rest.startswith(":"):
        return "missing protocol scheme"
    found = _SCHEME.fullmatch(rest)
    scheme, rest = (found[1], found[2]) if found else ("", rest)
    path = rest.partition("?")[0]
    if not path.startswith("/"):
        if scheme:
            return _escape_problem(fragment)
        if ":" in path.partition("/")[0]:
            return "first path segment in URL cannot contain colon"
    elif path.startswith("//") and (scheme or not path.startswith("///")):
        authority, slash, path = path[2:].partition("/")
        path = slash + path
        if problem := _authority_problem(authority):
            return problem
    return _escape_problem(path) or _escape_problem(fragment)


def _authority_problem(authority: str) -> str:
    user, at, host = authority.rpartition("@")
    if at and not _USER.fullmatch(user):
        return "net/url: invalid userinfo"
    if host.startswith("["):
        inside, bracket, port = host.rpartition("]")
        if not bracket:
            return "missing ']' in host"
    else:
        inside, colon, port = host.rpartition(":")
        inside, port = (inside, colon + port) if colon else (host, "")
    if not _PORT.fullmatch(port):
        return f"invalid port {quote(port)} after host"
    if problem := _escape_problem(user):
        return problem
    return _host_problem(inside)


def _host_problem(host: str) -> str:
    if problem := _escape_problem(host):
        return problem
    if found := _ASCII_ESCAPE.search(host):
        return f"invalid URL escape {quote(found[0])}"
    if found := _NO_HOST_CHARACTER.search(host):
        return f"invalid character {quote(found[0])} in host name"
    return ""


def _escape_problem(text: str) -> str:
    found = _BAD_ESCAPE.search(text)
    return f"invalid URL escape {quote(found[0])}" if found else ""
