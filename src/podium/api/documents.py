"""What is served beside resources: health, version, discovery, OpenAPI. Documents are made once per catalogue and kept as bytes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from podium.objects.resources import Catalog
from podium.objects.status import NotFound
from podium.world.http_server import HttpRequest, Response

if TYPE_CHECKING:
    from podium.api.discovery import Document

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff"))
_JSON = b"application/json"


def health(http: HttpRequest, *, ready: bool) -> Response:
    """/healthz, /livez, /readyz and their single checks, with ?verbose and ?exclude=CHECK."""
    root, _, check = http.path.strip("/").partition("/")
    checks = {"ping": True, "log": True, "etcd": True}
    if root == "readyz":
        checks["informer-sync"] = ready
        checks["poststarthook/start-service-pools"] = ready
        checks["poststarthook/rbac/bootstrap-roles"] = ready
    if check:
        if check not in checks:
            return Response(404, b"404 page not found\n", _TEXT)
        return Response(200, b"ok", _TEXT) if checks[check] else Response(500, b"internal server error: not ready\n", _TEXT)
    excluded = set(http.query.get("exclude", ()))
    good = all(fine for name, fine in checks.items() if name not in excluded)
    lines = [
        f"[+]{name} excluded: ok" if name in excluded else f"[+]{name} ok" if fine else f"[-]{name} failed: reason withheld"
        for name, fine in checks.items()
    ]
    if unknown := ", ".join(f'"{name}"' for name in sorted(excluded - checks.keys())):
        lines.append(f"warn: some health checks cannot be excluded: no matches for {unknown}")
    if good and "verbose" not in http.query:
        return Response(200, b"ok", _TEXT)
    lines.append(f"{root} check {'passed' if good else 'failed'}")
    return Response(200 if good else 500, ("\n".join(lines) + "\n").encode(), _TEXT)


class Documents:
    """Discovery, OpenAPI and /version for one catalogue. `join` adds what others serve: (path, accept, own document) -> document."""

    def __init__(self, catalog: Catalog, join: "Callable[[str, str, Document | None], Document | None]") -> None:
        from podium.api import discovery, openapi  # not before somebody asks: a start does without them

        self._join = join
        self._discovery = discovery.Documents(catalog)
        self._openapi = openapi.Documents(catalog)

    def serve(self, http: HttpRequest) -> Response:
        """Raises NotFound."""
        path = http.path.rstrip("/") or "/"
        accept = http.headers.get("accept", "")
        found = self._openapi.find(path, accept) if path.startswith("/openapi") else self._discovery.find(path, accept)
        found = self._join(path, accept, found)
        if found is None:
            raise NotFound("the server could not find the requested resource")
        etag = f'"{found.etag}"'.encode()
        headers = ((b"cache-control", b"no-cache, private"), (b"etag", etag), (b"vary", b"Accept"))
        if http.headers.get("if-none-match", "").encode() == etag:
            return Response(304, b"", headers)
        return Response(200, found.body, ((b"content-type", found.content_type.encode()), *headers))
