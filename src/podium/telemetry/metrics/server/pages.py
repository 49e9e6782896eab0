"""The web pages of the server: static files that ask the HTTP API from the browser, in the folder `web`.

PAGES are the paths of upstream's pages, so that links to them (an alert's generatorURL is one) lead somewhere; each gets the same document, whose
script draws what its path names. Addresses within are relative: the pages work behind a proxy's prefix. Nothing is loaded from elsewhere, and the
policy that is sent along forbids it.
"""

import hashlib
from functools import lru_cache
from importlib.resources import files

from podium.world.http_messages import Headers, HttpRequest, Response

PAGES = ("/query", "/alerts", "/rules", "/targets", "/status", "/config")
MOVED = {"/": "query", "/graph": "query", "/flags": "status", "/tsdb-status": "status", "/service-discovery": "targets"}
"""Upstream's older paths, and those whose content stands on another page here; the query of the address goes along."""

ASSETS = "/assets/"
_TYPES = {"css": b"text/css; charset=utf-8", "js": b"text/javascript; charset=utf-8", "html": b"text/html; charset=utf-8"}
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)


def page(request: HttpRequest) -> Response | None:
    """The answer to GET and HEAD of a page or of a file that pages load; None for other paths."""
    path = request.path
    if path in PAGES:
        return _file("index.html", request)
    if path in MOVED:
        _, mark, query = request.target.partition("?")
        return Response(302, b"", ((b"location", f"{MOVED[path]}{mark}{query}".encode()),))
    name = path.removeprefix(ASSETS)
    return _file(name, request) if path.startswith(ASSETS) and name in _names() else None


def _file(name: str, request: HttpRequest) -> Response:
    body, tag = _content(name)
    headers: Headers = (
        (b"content-type", _TYPES[name.rpartition(".")[2]]), (b"etag", tag), (b"cache-control", b"no-cache"),
        (b"content-security-policy", _POLICY), (b"x-content-type-options", b"nosniff"),
    )  # fmt: skip
    if request.headers.get("if-none-match", "").encode() == tag:
        return Response(304, b"", headers)
    return Response(200, body, headers)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(entry.name for entry in files(__package__).joinpath("web").iterdir() if entry.name != "index.html")


@lru_cache(maxsize=32)
def _content(name: str) -> tuple[bytes, bytes]:
    """(body, entity tag)."""
    body = files(__package__).joinpath("web", name).read_bytes()
    return body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'.encode()
